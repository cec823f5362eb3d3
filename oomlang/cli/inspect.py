"""`oomlang inspect`: what is in a BPF object, and what the policy in it means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from oomlang.cli import streams
from oomlang.cli.failures import POLICY_WRONG, Failure
from oomlang.cli.files import called, name_of, read_object

if TYPE_CHECKING:
    from oomlang.objects.metadata import Input, Metadata
    from oomlang.targets.bpf.inspect import Inspection

_EPILOG = """\b
Examples:
  oomlang inspect policy.bpf.o
  oomlang inspect --format json policy.bpf.o
  oomlang compile policy.oom -o - | oomlang inspect -
"""


@click.command("inspect", epilog=_EPILOG)
@click.argument("file", type=click.Path(readable=False), metavar="OBJECT")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: str, form: str) -> int:
    """Show what is in a BPF object, oomlang's own or another; - is standard input.

    The exit code is 1 if the object says that oomlang made it and is not as oomlang makes them.
    """
    from oomlang.objects import BadFormat
    from oomlang.targets.bpf.inspect import inspect_object

    data = read_object(file)
    try:
        found = inspect_object(data)
    except BadFormat as error:
        raise Failure(f"{name_of(file)} is no BPF object that can be described: {error}") from error
    if form == "json":
        streams.print_json(found.to_json())
    else:
        streams.print_text(_text(called(file), found))
    for failed in found.failed_checks:
        streams.say("error", f"not as oomlang makes it: {failed}")
    return POLICY_WRONG if found.failed_checks else 0


def _text(name: str, found: Inspection) -> str:
    parts = (
        [_policy(name, found.policy)]
        if found.policy
        else [f"{name}: a BPF object that oomlang did not make\n"]
    )
    programs = [
        (
            p.name,
            p.section,
            f"{p.instructions} instructions",
            "calls itself" if p.stack is None else f"{p.stack} bytes of stack",
        )
        for p in found.programs
    ]
    parts.append(_section("Programs", programs))
    maps = [
        (
            m.name,
            m.type or "?",
            f"{'?' if m.key is None else m.key} -> {'?' if m.value is None else m.value} bytes",
            "" if m.max_entries is None else f"{m.max_entries} entries",
        )
        for m in found.maps
    ]
    parts.append(_section("Maps", maps))
    rows = [
        ("helpers", " ".join(helper.name for helper in found.helpers) or "none"),
        ("kfuncs", " ".join(found.kfuncs) or "none"),
        ("relocations", f"{found.core_relocations} by the kernel's types (CO-RE)"),
        ("license", found.license or "none"),
        ("size", f"{found.size} bytes, {found.instructions} instructions"),
    ]
    if found.policy and not found.failed_checks:
        rows.append(("checks", "all hold"))
    parts.append(_section("Object", rows))
    return "\n".join(part for part in parts if part)


def _policy(name: str, policy: Metadata) -> str:
    """The policy's meaning in the words of its own rules."""
    from oomlang.diagnostics.visible import visible

    head = (
        visible(f'{name}: policy "{policy.name}" for {policy.target}') + "\n"
        + visible(f"made by oomlang {policy.compiler} from {policy.source.name} (sha256 {policy.source.sha256})") + "\n"
    )  # fmt: skip
    # The order is the meaning: first whole events, then who is spared, then who dies first.
    kinds = {"kernel decides": 0, "kill nothing": 0, "never kill": 1}
    titles = (
        "Whole events: the first line that holds decides",
        "Never killed",
        "Who dies first: the first line that tells two tasks apart decides",
    )
    parts = [head]
    for number, title in enumerate(titles):
        rows = [
            (f"{policy.source.name}:{rule.line}", " ".join(rule.text.split()))
            for rule in policy.rules
            if kinds.get(rule.kind, 2) == number
        ]
        if number == 1:
            rows.append(("always", "oom_score_adj -1000, no memory left, already reaped, in vfork"))
        elif number == 2:
            rows.append(("always", "the kernel's own badness, then the younger, then the higher pid"))
        parts.append(_section(title, rows))
    parts.append(_section("Inputs", [_input(declared) for declared in policy.inputs]))
    return "\n".join(part for part in parts if part)


def _input(declared: Input) -> tuple[str, ...]:
    from oomlang.facts import Type, spell

    try:
        kind = Type(declared.type)
        default, low, high = (spell(n, kind) for n in (declared.default, declared.lowest, declared.highest))
    except (ValueError, StopIteration):
        default, low, high = (str(n) for n in (declared.default, declared.lowest, declared.highest))
    key = " by cgroup id" if declared.per_memcg else ""
    return (
        declared.name,
        f"{declared.type}{' per memcg' if declared.per_memcg else ''}",
        f"= {default}",
        f"{low} to {high}",
        f"{declared.variable}, {declared.size} bytes in map {declared.map}{key}",
    )


def _section(title: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Rows in columns under a title; an empty text without rows."""
    from oomlang.diagnostics.visible import visible

    listed = [tuple(map(visible, row)) for row in rows]  # an object may be anybody's
    if not listed:
        return ""
    sizes = [max(map(len, column)) for column in zip(*listed, strict=True)]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip() for row in listed
    ]
    return "\n".join([title, *(f"  {line}" for line in lines)]) + "\n"
