"""The events that `oomlang diff` is given: of this machine, of snapshots, of reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oomlang.cli import streams
from oomlang.cli.explain_inputs import parse_sets
from oomlang.cli.explain_sources import live_facts, snapshot_facts
from oomlang.cli.failures import Failure
from oomlang.cli.files import called, name_of
from oomlang.cli.replay_files import reports, size
from oomlang.diff import Choice, Relation, choice, relation
from oomlang.explanation.readable import path_text
from oomlang.host import UNLIMITED, MachineFacts
from oomlang.host.model import MemcgPath
from oomlang.ir import nodes as ir
from oomlang.live import machine
from oomlang.replay import replay
from oomlang.targets.interp import Decision, decide

_Values = tuple[Mapping[str, int], Mapping[str, Mapping[MemcgPath, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What both policies make of one event. title: what people call it."""

    title: str
    old: Choice
    new: Choice
    relation: Relation
    decisions: tuple[Decision, Decision]


def given(
    pair: tuple[ir.Policy, ir.Policy],
    *,
    live: bool,
    snapshots: tuple[str, ...],
    logs: tuple[str, ...],
    sets: tuple[str, ...],
    swap: str | None,
) -> Iterator[Given]:
    """All events. Errors: `Failure`."""
    values = _values(pair, sets)
    machine_swap = size(swap)
    if live:
        yield from _of_machine(pair, live_facts(), "this machine", values)
    for path in snapshots:
        yield from _of_machine(pair, snapshot_facts(path), name_of(path), values)
    for path in logs:
        events = 0
        for report in reports(path):
            events += 1
            if not report.tasks:
                continue
            found = [
                replay(policy, report, knobs=knobs, memcg_inputs=memcgs, swap=machine_swap)
                for policy, (knobs, memcgs) in zip(pair, values, strict=True)
            ]
            yield _given(f"{name_of(path)}:{report.line}", found[0].decision, found[1].decision)
        if not events:
            streams.say_text(f"{called(path)}: no OOM report\n")


def _values(pair: tuple[ir.Policy, ir.Policy], sets: tuple[str, ...]) -> tuple[_Values, _Values]:
    """The values of the inputs of each policy, which need not have the same."""
    names = [{i.name for i in policy.inputs} for policy in pair]
    for text in sets:
        name = text.partition("=")[0].partition("[")[0].partition("/")[0]
        if name not in names[0] | names[1]:
            raise Failure(f"neither policy has an input `{name}`")
    mine = [[t for t in sets if t.partition("=")[0].partition("[")[0].partition("/")[0] in n] for n in names]
    return parse_sets(mine[0], pair[0]), parse_sets(mine[1], pair[1])


def _of_machine(
    pair: tuple[ir.Policy, ir.Policy], facts: MachineFacts, title: str, values: tuple[_Values, _Values]
) -> Iterator[Given]:
    """The whole machine out of memory, then each cgroup that has a limit."""
    limited = [
        path
        for path, memcg in facts.memcgs.items()
        if path and memcg.facts.get("memcg.limit", UNLIMITED) < UNLIMITED
    ]
    for scope in [(), *limited]:
        decisions = [
            decide(policy, machine(facts, scope=scope, knobs=knobs, memcg_inputs=memcgs))
            for policy, (knobs, memcgs) in zip(pair, values, strict=True)
        ]
        what = f"{path_text(scope)} out of memory" if scope else "out of memory"
        yield _given(f"{title}, {what}", decisions[0], decisions[1])


def _given(title: str, old: Decision, new: Decision) -> Given:
    # Each decision has a machine of its own, so that their candidates are not the same objects.
    first, second = choice(old), choice(new)
    by_pid = {candidate.pid: candidate for candidate in old.candidates}
    second = Choice(
        victim=by_pid[second.victim.pid] if second.victim is not None else None,
        could=frozenset(by_pid[c.pid] if c is not None else None for c in second.could),
        by_kernel=second.by_kernel,
        others=second.others,
    )
    return Given(title=title, old=first, new=second, relation=relation(first, second), decisions=(old, new))
