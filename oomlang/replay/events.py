"""OOM reports decided again, by a policy.

In: a `Report` of the kernel's log and the IR of a policy. Out: `Replayed`: the event as the interpreter sees it, the
policy's decision, and how that stands to what the kernel did; `Summary` over all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from oomlang.host.reports import Report
from oomlang.ir import nodes as ir
from oomlang.replay.machines import Inputs, contradiction, machine, why_no_total
from oomlang.targets.interp import Candidate, Decision, Verdict, decide


class Outcome(Enum):
    """How a policy's choice stands to the kernel's."""

    SAME = "same"
    DIFFERENT = "different"
    UNCERTAIN = "uncertain"
    NO_FACTS = "no facts"  # the report has no task table


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One event.

    actual: the candidate that the kernel chose, None where it is none of those in the table or the kernel chose nobody.
    protected: those who died though a `never kill` rule covers them; perhaps_protected: it is unknown whether one does.
    freed: bytes of those who died, freed_now: of whom the policy would have chosen; None where unknown.
    """

    report: Report
    decision: Decision
    outcome: Outcome
    actual: Candidate | None
    protected: tuple[Candidate, ...]
    perhaps_protected: tuple[Candidate, ...]
    freed: int | None
    freed_now: int | None
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
    decision = decide(policy, machine(report, knobs=knobs, memcg_inputs=memcg_inputs, swap=swap))
    by_pid = {candidate.pid: candidate for candidate in decision.candidates}
    row = report.task(report.chosen)
    actual = by_pid.get(row.tgid) if row is not None else None
    died = [
        by_pid[r.tgid] for r in map(report.task, dict.fromkeys(k.pid for k in report.kills)) if r is not None
    ]
    now = decision.victim if decision.certain else None
    leaves_it = decision.certain and decision.verdict is Verdict.KERNEL_DECIDES
    freed = _sum(died) if len(died) == len({k.pid for k in report.kills}) else None
    protected, perhaps = _protected(decision, died)
    return Replayed(
        report=report,
        decision=decision,
        outcome=_outcome(report, decision, actual),
        actual=actual,
        protected=protected,
        perhaps_protected=perhaps,
        freed=freed,
        freed_now=freed if leaves_it or (now is not None and now is actual) else _now(decision, now),
        notes=_notes(report, decision, actual),
    )


def _outcome(report: Report, decision: Decision, actual: Candidate | None) -> Outcome:
    if not report.tasks:
        return Outcome.NO_FACTS
    if decision.certain:
        if decision.verdict is Verdict.KERNEL_DECIDES:
            return Outcome.SAME
        if decision.verdict is Verdict.NONE_LEFT:
            return Outcome.SAME if report.none_left else Outcome.DIFFERENT
        if decision.verdict is Verdict.VICTIM and report.chosen is not None:
            return Outcome.SAME if decision.victim is actual else Outcome.DIFFERENT
        return Outcome.DIFFERENT if report.chosen is not None else Outcome.UNCERTAIN
    # Tasks that the table lacks could only be chosen in the place of those that it has.
    open_end = {Verdict.KERNEL_DECIDES, Verdict.ABORTED} & decision.possible
    if actual is not None and actual not in decision.contenders and not open_end:
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


def _now(decision: Decision, victim: Candidate | None) -> int | None:
    if victim is not None:
        return _sum([victim])
    return 0 if decision.certain and decision.verdict in (Verdict.NONE_LEFT, Verdict.KILL_NOTHING) else None


def _notes(report: Report, decision: Decision, actual: Candidate | None) -> tuple[str, ...]:
    found = [f"the report lacks {what}" if what.startswith("its ") or what.startswith("the task") else what
             for what in report.missing]  # fmt: skip
    if report.tasks and decision.machine.event.total is None and not decision.certain:
        mend = "; --swap says it" if report.is_global is False and report.memory is not None else ""
        found.append(f"{why_no_total(report)}, so that oom.total is not seen{mend}")
    if (odd := contradiction(report)) is not None:
        found.append(odd)
    if report.before_4_15 and decision.victim is not None and actual is not None:
        uids = (decision.victim.facts.get("uid"), actual.facts.get("uid"))
        if decision.victim is not actual and uids[0] == 0 != uids[1]:
            found.append("kernels before Linux 4.17 took 3% off root's badness, which is not done here")
    if report.panicked:
        found.append("the kernel chose nobody: it panicked, as vm.panic_on_oom is set")
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
