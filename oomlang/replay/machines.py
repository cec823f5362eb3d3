"""An OOM report made into an event that the interpreter can decide.

In: a `Report` of the kernel's log. Out: the interpreter's `Machine`, which holds all that is known of the event: also the
bounds of its size, and whether the table may lack tasks. So whoever decides it says the same. What a report shows of a fact
is in the table of facts. Of memory cgroups it names two: the one that ran out, with its usage and limit, and
the victim's. Everything else about them stays unobservable, and so does whether a task was in vfork.
"""

from __future__ import annotations

from collections.abc import Mapping

from oomlang.facts import Interval
from oomlang.host.model import MemcgPath
from oomlang.host.reports import Report, TaskRow
from oomlang.targets.interp import Candidate, Event, Guard, Machine, Memcg
from oomlang.targets.interp.machine import SYSRQ_ORDER

Inputs = Mapping[str, Mapping[MemcgPath, int]]
"""Values of inputs per memcg: by the input's name and the cgroup's path."""

MOST = 2**51
"""Of oom.total, in the table of facts."""


def machine(
    report: Report,
    *,
    knobs: Mapping[str, int] | None = None,
    memcg_inputs: Inputs | None = None,
    swap: int | None = None,
) -> Machine:
    """The event of a report. knobs, memcg_inputs: values of inputs in base units. swap: see `total_bounds`."""
    memcgs = _memcgs(report, memcg_inputs or {})
    scope = memcgs[report.scope] if report.scope is not None else None
    victim = report.task(report.chosen)
    known: dict[int, Memcg] = {}
    if victim is not None and report.victim_memcg is not None and contradiction(report) is None:
        known[victim.tgid] = memcgs[report.victim_memcg]
    if report.one_memcg and scope is not None:
        known = {row.tgid: scope for row in report.tasks}
    bounds = total_bounds(report, swap) or _within_the_machine(report, swap)
    event = Event(
        total=bounds.low if bounds is not None and bounds.is_point else None,
        total_between=bounds,
        order=report.order,
        scope=scope,
        scope_seen=scope is not None or report.is_global is True or report.order == SYSRQ_ORDER,
        memcg_event=None if report.is_global is None else not report.is_global,
        invoker=_invoker(report),
        page_size=report.page_size,
    )
    killed = {kill.pid: kill.facts for kill in report.kills}
    candidates = [
        Candidate(
            pid=row.tgid,
            comm=row.comm,
            memcg=known.get(row.tgid),
            facts={**killed.get(row.pid, killed.get(row.tgid, {})), **row.facts},
            # for_each_process() goes from the oldest to the youngest; a cgroup's tasks come in another order.
            start=place if report.is_global else None,
            # Where the kernel found nobody, it had taken everybody's memory already.
            guard=Guard.REAPED if row.reaped or report.none_left else Guard.NONE,
        )
        for place, row in enumerate(report.tasks)
    ]
    return Machine(event=event, candidates=candidates, knobs=dict(knobs or {}), complete=not gaps(report))


def gaps(report: Report) -> tuple[str, ...]:
    """Why the table may not hold all candidates."""
    found = [gap for gap in report.missing if gap != "its beginning"]
    if report.tasks and report.chosen is not None and report.task(report.chosen) is None:
        found.append("the row of the task that the kernel chose")
    return tuple(found)


def contradiction(report: Report) -> str | None:
    """What does not fit together in a report. Of two paths that exclude each other the victim's is not believed: whoever
    the kernel chose was a candidate.
    """
    scope, victim = report.scope, report.victim_memcg
    if scope is None or victim is None or victim[: len(scope)] == scope:
        return None
    return (
        "the victim's cgroup does not lie in the one that ran out: the report has one of the two paths wrong"
    )


def total_bounds(report: Report, swap: int | None = None) -> Interval | None:
    """The least and the most that the event's size can be, in bytes; None where the report does not tell.

    `constrained_alloc()` and `mem_cgroup_get_max()` of the kernel. swap: bytes of swap that the machine had.
    """
    machine_swap = report.total_swap if report.total_swap is not None else swap
    if report.is_global:
        # A cpuset or a memory policy leaves out nodes, and the report does not tell their sizes.
        if report.constraint != "NONE" or report.ram is None:
            return None
        if machine_swap is None:
            return Interval(report.ram, MOST)
        return Interval(report.ram + machine_swap, report.ram + machine_swap)
    if report.memory is None or report.memory.limit >= MOST:
        return None
    limit = report.memory.limit
    if report.swap is not None:
        room = report.swap.limit
    elif report.memsw is not None:
        room = max(report.memsw.limit - limit, 0)
    else:
        room = MOST
    if machine_swap is not None:
        room = min(room, machine_swap)
        return Interval(limit + room, limit + room)
    return Interval(limit, min(limit + room, MOST))


def _within_the_machine(report: Report, swap: int | None) -> Interval | None:
    """What the size of an event lies between that a cpuset or a memory policy confined, or may have."""
    machine_swap = report.total_swap if report.total_swap is not None else swap
    if not report.is_global or report.ram_present is None or machine_swap is None:
        return None
    return Interval(report.page_size, max(report.page_size, report.ram_present + machine_swap))


def why_no_total(report: Report) -> str:
    """Why a report does not tell the event's size."""
    if report.is_global is False:
        if report.memory is None:
            return "the report does not show the limit"
        return "the report does not tell how much swap the machine had"
    if report.constraint in ("CPUSET", "MEMORY_POLICY"):
        return "a cpuset or a memory policy confined the event"
    if report.ram is not None and report.total_swap is not None:
        return "the report does not tell whether a cpuset or a memory policy confined the event"
    return "the report does not show the machine's memory and swap"


def _memcgs(report: Report, inputs: Inputs) -> dict[MemcgPath, Memcg]:
    found: dict[MemcgPath, Memcg] = {}
    for path in ((), report.scope, report.victim_memcg):
        for length in range(len(path) + 1) if path is not None else ():
            at = path[:length] if path is not None else ()
            if at not in found:
                found[at] = Memcg(
                    path=at,
                    parent=found[at[:-1]] if at else None,
                    facts=_scope_facts(report) if at and at == report.scope else {},
                    inputs={name: values[at] for name, values in inputs.items() if at in values},
                )
    return found


def _scope_facts(report: Report) -> dict[str, int]:
    facts: dict[str, int] = {}
    if report.memory is not None:
        facts |= {"memcg.usage": report.memory.usage, "memcg.limit": report.memory.limit}
    if report.swap is not None:
        facts["memcg.swap"] = report.swap.usage
    elif report.memsw is not None and report.memory is not None:
        facts["memcg.swap"] = max(report.memsw.usage - report.memory.usage, 0)
    return facts


def _invoker(report: Report) -> int | None:
    """The invoker's pid; the report names its thread, and the table only the thread that has the memory."""
    if report.order == SYSRQ_ORDER:
        return 0  # a kernel thread did it
    row: TaskRow | None = report.task(report.invoker_thread)
    return row.tgid if row is not None else None
