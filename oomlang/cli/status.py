"""`oomlang status`: what is in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from oomlang.cli import streams
from oomlang.cli.loading import kernel_failures, pin_option, pins_at, spelled, time_text

if TYPE_CHECKING:
    from oomlang.kernel.loader_environment import Interface
    from oomlang.kernel.status import InForce, Status

_EPILOG = """\b
Examples:
  oomlang status
  oomlang status --format json | jq .policy.counters
"""

COUNTERS = {
    "events": "OOM events that it was asked about",
    "left_to_kernel": "left to the kernel by a rule",
    "ended": "ended without a kill by a rule",
    "stood_aside": "left to the kernel, as the one before found nothing",
    "nothing_found": "in which nothing was left to kill",
    "candidates": "tasks that it was asked about",
    "never": "skipped by a `never kill` rule",
    "selected": "ahead of all before them",
}
GUARDS = {
    "oom_score_adj_min": "skipped: oom_score_adj is -1000",
    "no_mm": "skipped: no memory left",
    "oom_reaped": "skipped: already reaped",
    "in_vfork": "skipped: in vfork",
    "victim": "dying already, which ended the scan",
    "global_init": "skipped: the machine's init",
    "kernel_thread": "skipped: a kernel thread",
    "outside": "skipped: not in the cgroup that ran out",
}


@click.command("status", epilog=_EPILOG)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@pin_option
def command(form: str, pin: str) -> None:
    """Say which policy is in force, since when, and what it has counted."""
    from oomlang.kernel.status import read_status

    with kernel_failures():
        status = read_status(pins_at(pin), _interfaces())
    if form == "json":
        streams.print_json(status_json(status))
    else:
        streams.print_text(_text(status))


def _interfaces() -> list[Interface]:
    """What the targets that decide ask of a kernel."""
    from oomlang.kernel.loader_environment import Interface
    from oomlang.targets.bpf.attachments import TARGETS

    return [
        Interface.of((p.section for p in target.programs), target.kfuncs)
        for target in TARGETS
        if target.decides
    ]


def status_json(status: Status) -> dict[str, Any]:
    """The status as plain JSON values."""
    return {
        "hook": {"present": not status.missing_hooks, "missing": list(status.missing_hooks)},
        "policy": _policy_json(status.in_force) if status.in_force is not None else None,
        "remains": list(status.remains),
        "others": [
            {"program": other.program, "program_id": other.program_id, "link_id": other.link_id}
            for other in status.others
        ],
        "busy": status.busy,
    }


def _policy_json(found: InForce) -> dict[str, Any]:
    policy = found.policy
    if policy is None:
        return {"generation": found.generation, "readable": False}
    return {
        "generation": found.generation,
        "readable": True,
        "name": policy.name,
        "since": policy.loaded,
        "compiler": policy.metadata.compiler,
        "target": policy.metadata.target,
        "source": {"name": policy.metadata.source.name, "sha256": policy.metadata.source.sha256},
        "object_sha256": policy.object_sha256,
        "counters": found.counters,
        "inputs": [
            {
                "name": i.input.name,
                "type": i.input.type,
                "per_memcg": i.input.per_memcg,
                "value": i.value,
                "default": i.input.default,
                "memcgs": {str(k): v for k, v in sorted(i.memcgs.items())} if i.input.per_memcg else None,
            }
            for i in found.inputs
        ],
        "detached": list(found.detached),
    }


def _text(status: Status) -> str:
    lines: list[str] = []
    if status.missing_hooks:
        lines.append(f"this kernel has no OOM hooks for BPF; it lacks {', '.join(status.missing_hooks)}")
    if status.in_force is None:
        lines.append("no policy is in force: the kernel chooses by its own rules")
    else:
        lines += _policy_text(status.in_force)
    for other in status.others:
        lines.append(
            f"{other.program} (program {other.program_id}), not loaded from here, decides OOM events too"
        )
    if status.busy:
        lines.append("another oomlang is loading or unloading a policy at this moment")
    elif status.remains:
        lines.append(
            f"{len(status.remains)} interrupted loads have left something, which decides nothing; "
            "`oomlang unload` and the next load remove it"
        )
    return "\n".join(lines) + "\n"


def _policy_text(found: InForce) -> Iterable[str]:
    policy = found.policy
    if policy is None:
        yield f"a policy is in force that another version of oomlang loaded (generation {found.generation})"
        return
    metadata = policy.metadata
    yield f'policy "{policy.name}" is in force since {time_text(policy.loaded)}'
    yield f"  from      {metadata.source.name} (sha256 {metadata.source.sha256})"
    yield f"  object    sha256 {policy.object_sha256}, by oomlang {metadata.compiler}"
    yield f"  target    {metadata.target}"
    for name in found.detached:
        yield f"  its program {name} is not attached: load it again with --replace"
    for current in found.inputs:
        declared = current.input
        if declared.per_memcg:
            shown = (
                f"{spelled(declared, declared.default)} where not set; set for {len(current.memcgs)} cgroups"
            )
        else:
            shown = spelled(declared, current.value or 0)
        yield f"  input     {declared.name} = {shown}"
    rows = [(str(found.counters[name]), text) for name, text in COUNTERS.items() if name in found.counters]
    guarded = found.counters.get("guarded", {})
    if isinstance(guarded, Mapping):
        rows += [(str(count), GUARDS.get(name, name)) for name, count in guarded.items() if count]
    size = max((len(count) for count, _ in rows), default=0)
    yield "counted since then"
    yield from (f"  {count.rjust(size)}  {text}" for count, text in rows)
