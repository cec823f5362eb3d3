"""`oomlang facts`: the table of facts, for people, for programs and for the reference page."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from oomlang.cli import streams
from oomlang.cli.failures import Failure

if TYPE_CHECKING:
    from oomlang.facts import Fact

_EPILOG = """\b
Examples:
  oomlang facts
  oomlang facts memcg.usage
  oomlang facts --format json
"""

_SOURCES = {"procfs": "/proc", "cgroupfs": "cgroupfs", "report": "OOM report"}
"""Where user space sees a fact: the table's column, and what people call it."""

_WIDE = 100
"""Columns from which the ranges fit beside the meaning."""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from oomlang.facts import FACTS

    return [name for name in FACTS if name.startswith(incomplete)]


@click.command("facts", epilog=_EPILOG)
@click.argument("name", required=False, shell_complete=_complete)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
def command(name: str | None, form: str) -> None:
    """List the facts that a policy can use, or say all about one."""
    from oomlang.facts import FACTS

    if name is not None and name not in FACTS:
        from oomlang.syntax.suggest import did_you_mean

        raise Failure(
            f"there is no fact `{name}`", mend=did_you_mean(name, FACTS) or "`oomlang facts` lists all"
        )
    chosen = list(FACTS.values()) if name is None else [FACTS[name]]
    if form == "json":
        streams.print_json({"facts": [_json(fact) for fact in chosen]})
    elif form == "markdown":
        streams.print_text(facts_markdown(chosen))
    elif name is not None:
        streams.print_text(_page(chosen[0]))
    elif streams.is_terminal(sys.stdout):
        _print_table(chosen)
    else:
        streams.print_text(_columns(chosen))


def facts_markdown(facts: Iterable[Fact]) -> str:
    """The facts as tables in Markdown, one for each of task, memory cgroup and event."""
    from oomlang.facts import Scope

    titles = {Scope.TASK: "The task", Scope.MEMCG: "Its memory cgroup", Scope.EVENT: "The OOM event"}
    listed = list(facts)
    parts = []
    for scope, title in titles.items():
        rows = [fact for fact in listed if fact.scope is scope]
        if not rows:
            continue
        lines = [f"## {title}", "", f"| fact | type | range | meaning | {' | '.join(_SOURCES.values())} |"]
        lines.append("|" + "---|" * (4 + len(_SOURCES)))
        for fact in rows:
            shown = [f"`{fact.name}`", fact.type.value, _range(fact), _cell(fact.doc)]
            shown += [_cell(_text(fact, source)) for source in _SOURCES]
            lines.append(f"| {' | '.join(shown)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _text(fact: Fact, source: str) -> str | None:
    """Where a source shows a fact, in words; None where it does not."""
    cell = getattr(fact, source)
    return cell.text if cell is not None else None


def _cell(text: str | None) -> str:
    return "" if text is None else text.replace("|", "\\|")


def _json(fact: Fact) -> dict[str, Any]:
    from oomlang.facts.table import FIELDS, TEXT_BYTES

    return {
        "name": fact.name,
        "type": fact.type.value,
        "unit": _unit(fact),
        "of": fact.scope.value,
        "range": {"least": fact.range.low, "most": fact.range.high} if fact.range else None,
        "text_bytes": TEXT_BYTES.get(fact.name),
        "doc": fact.doc,
        # In each of these, null is a place that does not show the fact.
        "sources": {source: _text(fact, source) for source in _SOURCES},
        "kernel_fields": list(dict.fromkeys(FIELDS[key].path for key in fact.kernel)),
    }


def _unit(fact: Fact) -> str | None:
    """What 1 means in numbers of this fact, outside of a policy."""
    from oomlang.facts import Type

    return {Type.BYTES: "byte", Type.DURATION: "ms", Type.RATIO: "1/10000"}.get(fact.type)


def _range(fact: Fact) -> str:
    from oomlang.facts import UNITS, Type, spell
    from oomlang.facts.table import TEXT_BYTES

    if fact.name in TEXT_BYTES:
        return f"at most {TEXT_BYTES[fact.name]} bytes"
    if fact.range is None or fact.type is Type.BOOL:
        return ""
    low, high = (spell(end, fact.type) for end in (fact.range.low, fact.range.high))
    if fact.type is Type.DURATION:  # the top is a round number of ms; people want to know that it is years
        high = f"{fact.range.high // UNITS['d'].scale}d"
    return f"{'0' if fact.range.low == 0 else low} to {high}"


def _page(fact: Fact) -> str:
    """All about one fact."""
    from oomlang.facts import UNITS, Scope
    from oomlang.facts.table import FIELDS

    subject = {Scope.TASK: "the task", Scope.MEMCG: "the task's memory cgroup", Scope.EVENT: "the OOM event"}
    units = " ".join(unit.suffix for unit in UNITS.values() if unit.type is fact.type)
    rows = [
        ("type", fact.type.value + (f" (in {units})" if units else "")),
        ("of", subject[fact.scope]),
        ("range", _range(fact)),
        *((label, _text(fact, source) or "not shown there") for source, label in _SOURCES.items()),
        ("kernel", " ".join(dict.fromkeys(FIELDS[key].path for key in fact.kernel))),
    ]
    return _filled(fact.name, fact.doc, [(label, text) for label, text in rows if text])


def _filled(name: str, doc: str, rows: list[tuple[str, str]]) -> str:
    import textwrap

    width = streams.width_of(sys.stdout, 80)
    size = max(len(label) for label, _ in rows) + 4
    lines = [name, textwrap.fill(doc, width, initial_indent="  ", subsequent_indent="  "), ""]
    for label, text in rows:
        head = f"  {label}".ljust(size)
        lines.append(
            textwrap.fill(
                text,
                width,
                initial_indent=head,
                subsequent_indent=" " * size,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines) + "\n"


def _columns(facts: list[Fact]) -> str:
    """A line a fact, for `grep` and `awk`: no value in the first two columns has a blank."""
    rows = [(fact.name, fact.type.value, _range(fact) or "-", fact.doc) for fact in facts]
    sizes = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        "  ".join([*(cell.ljust(size) for cell, size in zip(row, sizes, strict=False)), row[3]]) + "\n"
        for row in rows
    )


def _print_table(facts: list[Fact]) -> None:
    """The table for a person's terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    color = streams.wants_color(sys.stdout)
    width = streams.width_of(sys.stdout, 80)
    console = Console(
        file=sys.stdout,
        force_terminal=True,
        color_system="standard" if color else None,
        no_color=not color,
        width=width,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("fact", no_wrap=True, style="cyan")
    table.add_column("type", no_wrap=True)
    with_range = width >= _WIDE
    if with_range:
        table.add_column("range", no_wrap=True)
    table.add_column("meaning", ratio=1)
    for fact in facts:
        table.add_row(fact.name, fact.type.value, *([_range(fact)] if with_range else []), Text(fact.doc))
    console.print(table)
