"""OOM reports decided again, by a policy.

In: a `Report` of the kernel's log and the IR of a policy. Out: `Replayed`: the event as the interpreter sees it, the
policy's decision, and how that stands to what the kernel did; `Summary` over all.

The event's size in a memory cgroup is its limit and the swap that it could use, and reports do not tell how much swap the
machine had. Where that matters, and no rule reads it, the decision is made for both ends of what it could be: badness is
linear in it, so that whoever goes first at both ends goes first between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from oomlang.host.reports import Report
from oomlang.ir import nodes as ir
from oomlang.replay.machines import Inputs, machine, total_bounds
from oomlang.replay.scope import within
from oomlang.targets.interp import Candidate, Decision, Verdict, decide
from oomlang.targets.interp.reads import reads

_SIZED_BY_TOTAL = frozenset(("oom.total", "badness", "memcg.limit", "memcg.high"))


class Outcome(Enum):
    """How a policy's choice stands to the kernel's."""

    SAME = "same"
    DIFFERENT = "different"
    UNCERTAIN = "uncertain"
    NO_FACTS = "no facts"  # the report has no task table


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One event. certain: the policy's answer follows from what the report shows.

    actual: the candidate that the kernel chose, None where it is none of those in the table or the kernel chose nobody.
    contenders: all that the policy could choose. protected: those who died though a `never kill` rule covers them;
    perhaps_protected: it is unknown whether one does. freed: bytes of those who died, freed_now: of whom the policy would
    have chosen; None where unknown. incomplete: the table may lack tasks.
    """

    report: Report
    decision: Decision
    outcome: Outcome
    certain: bool
    actual: Candidate | None
    contenders: tuple[Candidate, ...]
    protected: tuple[Candidate, ...]
    perhaps_protected: tuple[Candidate, ...]
    freed: int | None
    freed_now: int | None
    incomplete: bool
    notes: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Summary:
    """All events together. The bytes are those of the events for which both are known, which `measured` counts."""

    events: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    measured: int = 0
    freed: int = 0
    freed_now: int = 0
    protected: list[tuple[Report, Candidate]] = field(default_factory=list)

    def add(self, replayed: Replayed) -> None:
        """Count one event."""
        self.events += 1
        self.outcomes[replayed.outcome] += 1
        if replayed.freed is not None and replayed.freed_now is not None:
            self.measured += 1
            self.freed += replayed.freed
            self.freed_now += replayed.freed_now
        self.protected += [(replayed.report, candidate) for candidate in replayed.protected]


def replay(
    policy: ir.Policy,
    report: Report,
    *,
    knobs: Mapping[str, int] | None = None,
    memcg_inputs: Inputs | None = None,
    swap: int | None = None,
) -> Replayed:
    """Decide a report's event by a policy.

    knobs, memcg_inputs: values of inputs in base units. swap: bytes of swap that the machine had, for reports that do not
    say.
    """
    decision, certain, size_known = _decide(policy, report, knobs or {}, memcg_inputs or {}, swap)
    by_pid = {candidate.pid: candidate for candidate in decision.candidates}
    row = report.task(report.chosen)
    actual = by_pid.get(row.tgid) if row is not None else None
    incomplete = bool(_gaps(report))
    certain = certain and not incomplete
    contenders = decision.contenders
    if certain and decision.victim is not None:
        contenders = (decision.victim,)
    died = [
        by_pid[r.tgid] for r in map(report.task, dict.fromkeys(k.pid for k in report.kills)) if r is not None
    ]
    now = decision.victim if certain else None
    leaves_it = certain and decision.verdict is Verdict.KERNEL_DECIDES
    freed = _sum(died) if len(died) == len({k.pid for k in report.kills}) else None
    protected, perhaps = _protected(decision, died)
    return Replayed(
        report=report,
        decision=decision,
        outcome=_outcome(report, decision, actual, contenders, certain),
        certain=certain,
        actual=actual,
        contenders=contenders,
        protected=protected,
        perhaps_protected=perhaps,
        freed=freed,
        freed_now=freed if leaves_it or (now is not None and now is actual) else _now(decision, now, certain),
        incomplete=incomplete,
        notes=_notes(report, actual, certain or size_known),
    )


def _decide(
    policy: ir.Policy, report: Report, knobs: Mapping[str, int], inputs: Inputs, swap: int | None
) -> tuple[Decision, bool, bool]:
    """The decision, whether it is certain, and whether the event's size is known."""
    bounds = total_bounds(report, swap)
    policy = within(policy, report.scope or ())

    def by(total: int | None) -> Decision:
        return decide(policy, machine(report, total=total, knobs=knobs, memcg_inputs=inputs))

    if bounds is not None and bounds[0] == bounds[1]:
        decision = by(bounds[0])
        return decision, decision.certain, True
    rules = (*policy.event_rules, *policy.never, *policy.keys)
    asked = reads([e for rule in rules for e in ir.rule_expressions(rule)], policy)
    if bounds is not None and not _SIZED_BY_TOTAL & {name for name, _ in asked}:
        least, most = by(bounds[0]), by(bounds[1])
        same = least.verdict is most.verdict and _pid(least) == _pid(most)
        if least.certain and most.certain and same:
            return least, True, False
    decision = by(None)
    return decision, decision.certain, False


def _pid(decision: Decision) -> int | None:
    return decision.victim.pid if decision.victim is not None else None


def _outcome(
    report: Report,
    decision: Decision,
    actual: Candidate | None,
    contenders: tuple[Candidate, ...],
    certain: bool,
) -> Outcome:
    if not report.tasks:
        return Outcome.NO_FACTS
    if certain:
        if decision.verdict is Verdict.KERNEL_DECIDES:
            return Outcome.SAME
        if decision.verdict is Verdict.NONE_LEFT:
            return Outcome.SAME if report.none_left else Outcome.DIFFERENT
        if decision.verdict is Verdict.VICTIM and report.chosen is not None:
            return Outcome.SAME if decision.victim is actual else Outcome.DIFFERENT
        return Outcome.DIFFERENT if report.chosen is not None else Outcome.UNCERTAIN
    # Tasks that the table lacks could only be chosen in the place of those that it has.
    open_end = {Verdict.KERNEL_DECIDES, Verdict.ABORTED} & decision.possible
    if actual is not None and actual not in contenders and not open_end:
        return Outcome.DIFFERENT
    return Outcome.UNCERTAIN


def _protected(
    decision: Decision, died: list[Candidate]
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    if decision.verdict is Verdict.KERNEL_DECIDES:
        return (), ()
    sure, perhaps = [], []
    for candidate in died:
        exclusion = decision.exclusion(candidate)
        if exclusion is not None and isinstance(exclusion.cause, ir.Origin):
            sure.append(candidate)
        elif any(isinstance(cause, ir.Origin) for cause in decision.assess(candidate).maybe_excluded):
            perhaps.append(candidate)
    return tuple(sure), tuple(perhaps)


def _sum(candidates: list[Candidate]) -> int | None:
    sizes = [candidate.facts.get("rss") for candidate in candidates]
    return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None


def _now(decision: Decision, victim: Candidate | None, certain: bool) -> int | None:
    if victim is not None:
        return _sum([victim])
    return 0 if certain and decision.verdict in (Verdict.NONE_LEFT, Verdict.KILL_NOTHING) else None


def _gaps(report: Report) -> tuple[str, ...]:
    """Why the table may not hold all candidates."""
    return tuple(gap for gap in report.missing if gap != "its beginning")


def _notes(report: Report, actual: Candidate | None, size_settled: bool) -> tuple[str, ...]:
    found = [f"the report lacks {what}" if what.startswith("its ") or what.startswith("the task") else what
             for what in report.missing]  # fmt: skip
    if report.tasks and not size_settled:
        found.append(_why_no_size(report))
    if report.by_invoker:
        found.append("the kernel did not choose: vm.oom_kill_allocating_task is set")
    if (
        report.tasks
        and report.chosen is not None
        and actual is None
        and "the task table" not in report.missing
    ):
        found.append(f"whom the kernel killed (pid {report.chosen}) is not in the task table")
    first = report.kills[0].pid if report.kills else None
    row, died = report.task(report.chosen), report.task(first)
    if first is not None and row is not died:
        name = report.kills[0].comm.decode("utf-8", "backslashreplace")
        found.append(f"this kernel chose one and killed its child in its place: {name} (pid {first})")
    return tuple(found)


def _why_no_size(report: Report) -> str:
    if report.is_global is False:
        if report.memory is None:
            return "the report does not show the limit, so that oom.total and badness are not seen"
        return "the report does not tell how much swap the machine had, so that oom.total is not seen; --swap says it"
    if report.constraint in ("CPUSET", "MEMORY_POLICY"):
        return "a cpuset or a memory policy confined the event, so that oom.total is not seen"
    return "the report does not show the machine's memory and swap, so that oom.total is not seen"
