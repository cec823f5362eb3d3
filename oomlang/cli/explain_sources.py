"""Where `explain` gets an OOM event from: the live machine, a snapshot, or a report of the kernel's."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from oomlang.cli import streams
from oomlang.cli.failures import ENVIRONMENT, Failure, file_failure
from oomlang.cli.files import name_of, read_snapshot_file
from oomlang.host import MachineFacts, MemcgPath, SnapshotError, Unseen, read_machine, read_snapshot
from oomlang.live import NoSuchMemcg, machine
from oomlang.targets.interp.machine import SYSRQ_ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oomlang.explanation.event import Situation
    from oomlang.host.reports import Report
    from oomlang.live import Inputs


def live_facts() -> MachineFacts:
    """The facts of this machine, without this very process. Errors: `Failure` where it has no /proc."""
    try:
        facts = read_machine()
    except OSError as error:
        failure = file_failure("read", error.filename or "/proc", error)
        raise Failure(failure.message, mend="is /proc mounted?", code=ENVIRONMENT) from error
    # It is gone before anybody has read what it says.
    own = os.getpid()
    return dataclasses.replace(facts, tasks=tuple(task for task in facts.tasks if task.pid != own))


def snapshot_facts(path: str) -> MachineFacts:
    """The facts of a snapshot. Errors: `Failure` with the first thing that is wrong in it."""
    data = read_snapshot_file(path)
    try:
        return read_snapshot(data)
    except SnapshotError as error:
        raise Failure(
            f"{name_of(path)} is no snapshot: {error}", mend="`oomlang snapshot -o FILE` writes one"
        ) from error


def memcg_path(text: str) -> MemcgPath:
    """A cgroup's path as people write it: `/batch.slice/job`."""
    if not text.startswith("/"):
        raise Failure(f"`{text}` is no path of a cgroup", mend="it begins with /, the root of the hierarchy")
    return tuple(part for part in os.fsencode(text).split(b"/") if part)


def situation(
    facts: MachineFacts,
    *,
    kind: str,
    title: str,
    scope: MemcgPath,
    knobs: Mapping[str, int],
    memcg_inputs: Inputs,
) -> Situation:
    """The event to suppose. Errors: `Failure` where there is no such cgroup."""
    from oomlang.explanation import path_text
    from oomlang.explanation.event import Situation

    for name, values in memcg_inputs.items():
        for path in values:
            if path not in facts.memcgs:
                streams.say(
                    "warning", f"{name} has no effect at {path_text(path)}: no task is in such a cgroup"
                )
    try:
        found = machine(facts, scope=scope, knobs=knobs, memcg_inputs=memcg_inputs)
    except NoSuchMemcg as error:
        from oomlang.syntax.suggest import did_you_mean

        paths = [path_text(path) for path in facts.memcgs]
        mend = (
            did_you_mean(path_text(scope), paths) or "a cgroup counts here once a task is in it or below it"
        )
        raise Failure(f"there is no memory cgroup {path_text(scope)} with a task in it", mend=mend) from error
    return Situation(
        machine=found,
        kind=kind,
        title=title,
        taken_at=facts.taken_at,
        kernel=facts.kernel,
        unseen=facts.unseen,
    )


def report_situation(
    path: str, number: int | None, *, knobs: Mapping[str, int], memcg_inputs: Inputs, swap: int | None
) -> Situation:
    """The event of a report in a log. number: from 1, the last one by default. swap: bytes of swap that the machine had,
    where the report does not say. Errors: `Failure`.
    """
    from oomlang.cli.replay_files import reports
    from oomlang.explanation import name_text
    from oomlang.explanation.event import Situation
    from oomlang.replay.machines import contradiction, why_no_total
    from oomlang.replay.machines import machine as report_machine

    chosen: Report | None = None
    found = 0
    name = name_of(path)
    for found, report in enumerate(reports(path), start=1):
        if found == number or number is None:
            chosen = report
    if chosen is None:
        count = f"it has {found}" if found else "it has none"
        raise Failure(f"{name} has no such OOM report: {count}", mend="`oomlang replay` lists those of a log")
    event = report_machine(chosen, knobs=knobs, memcg_inputs=memcg_inputs, swap=swap)
    unseen = [Unseen(what=("report",), why=what) for what in chosen.missing]
    if (odd := contradiction(chosen)) is not None:
        unseen.append(Unseen(what=("memcg",), why=odd))
    if event.event.total is None:
        unseen.append(Unseen(what=("oom.total",), why=why_no_total(chosen)))
    killed = ", ".join(f"{name_text(kill.comm)} (pid {kill.pid})" for kill in chosen.kills[:3])
    when = f" of {chosen.time}" if chosen.time else ""
    return Situation(
        machine=event,
        kind="report",
        ran_out=_ran_out(chosen),
        title=f"the report{when} at {name}:{chosen.line}, in which the kernel killed {killed or 'nobody'}",
        unseen=tuple(unseen),
    )


def _ran_out(report: Report) -> str:
    """What ran out of memory, where that is neither the machine nor a cgroup with a name; else empty."""
    from oomlang.cli.replay_text import NODES

    if report.constraint in NODES:
        return NODES[report.constraint]
    if report.is_global or report.scope is not None or report.order == SYSRQ_ORDER:
        return ""
    return "a memory cgroup that the report does not name" if report.is_global is False else "something"
