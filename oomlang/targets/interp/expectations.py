"""A policy's tests, run.

In: the IR and cases, which are machines with expectations (`oomlang.test_cases` makes them of test blocks).
Out: what was expected and what came out, why, and which rules had a say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from oomlang.diagnostics import Span
from oomlang.ir import nodes as ir
from oomlang.targets.interp.decision import Decision, decide
from oomlang.targets.interp.machine import Candidate, Guard, Machine
from oomlang.targets.interp.results import Comparison, Exclusion, Verdict


class Expect(Enum):
    """What a case can expect; the values are the language's words."""

    VICTIM = "victim"
    ORDER = "order"
    SAFE = "safe"
    NONE = "none"
    KERNEL_DECIDES = "kernel decides"
    KILL_NOTHING = "kill nothing"


_VERDICTS = {
    Expect.NONE: Verdict.NONE_LEFT,
    Expect.KERNEL_DECIDES: Verdict.KERNEL_DECIDES,
    Expect.KILL_NOTHING: Verdict.KILL_NOTHING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """tasks: their ids; one for `victim` and `safe`, at least one for `order`, else none."""

    expect: Expect
    tasks: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A test. tasks: the machine's candidates by their ids."""

    name: str
    machine: Machine
    tasks: Mapping[str, Candidate]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Whether one expectation held.

    got: the ids that stand where those of the expectation should: the first one or ones of the order, none
    where no candidate died. why: what made it so where it failed: the event rule, what excludes a task, or
    what puts the first wrong one before the one expected there; None where only the verdict says it.
    """

    expectation: Expectation
    passed: bool
    got: tuple[str, ...] = ()
    why: ir.Origin | Exclusion | Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a case. outside: the ids of tasks that do not belong to the event's scope."""

    case: Case
    decision: Decision
    checks: tuple[Check, ...]
    outside: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """For each rule of a policy, in its order, the names of the cases in which it decided something.

    An event rule decides by ending the event, a `never kill` rule by being the first to cover a candidate,
    and any other by telling apart two candidates that follow each other in the order.
    """

    rules: tuple[tuple[ir.Origin, tuple[str, ...]], ...]

    @property
    def uncovered(self) -> tuple[ir.Origin, ...]:
        """The rules that no case shows at work."""
        return tuple(origin for origin, cases in self.rules if not cases)

    @property
    def share(self) -> float:
        """The covered rules' share, from 0 to 1; 1 for a policy without rules."""
        covered = len(self.rules) - len(self.uncovered)
        return covered / len(self.rules) if self.rules else 1.0


def run(policy: ir.Policy, case: Case) -> Outcome:
    """Run one case. Raises ValueError where two candidates have the same pid."""
    decision = decide(policy, case.machine)
    inside = set(decision.candidates)
    ids = {task: id for id, task in case.tasks.items()}
    dying = tuple(ids[c] for c in decision.ranking) if decision.verdict is Verdict.VICTIM else ()
    return Outcome(
        case=case,
        decision=decision,
        checks=tuple(_check(e, case, decision, dying) for e in case.expectations),
        outside=tuple(id for id, task in case.tasks.items() if task not in inside),
    )


def coverage(policy: ir.Policy, outcomes: Iterable[Outcome]) -> Coverage:
    """Which rules decided something, over several cases."""
    rules = [rule.origin for rule in policy.rules]
    found: dict[int, list[str]] = {origin.number: [] for origin in rules}
    for outcome in outcomes:
        for decider in outcome.decision.deciders:
            if isinstance(decider, ir.Origin):
                found[decider.number].append(outcome.case.name)
    return Coverage(rules=tuple((origin, tuple(found[origin.number])) for origin in rules))


def _check(expectation: Expectation, case: Case, decision: Decision, dying: tuple[str, ...]) -> Check:
    """Whether an expectation held. dying: the ids of those that die, in their order."""
    if expectation.expect is Expect.SAFE:
        return _safe(expectation, case, decision)
    event_rule = decision.event_rule.origin if decision.event_rule is not None else None
    if expectation.expect in _VERDICTS:
        passed = decision.certain and decision.verdict is _VERDICTS[expectation.expect]
        return Check(
            expectation=expectation, passed=passed, got=dying[:1], why=None if passed else event_rule
        )
    got = dying[: len(expectation.tasks)]
    if got == expectation.tasks:
        sure = decision.certain and (len(got) == 1 or decision.certain_order(len(got)))
        return Check(expectation=expectation, passed=sure, got=got)
    if event_rule is not None:
        return Check(expectation=expectation, passed=False, got=got, why=event_rule)
    place = next(i for i, task in enumerate(expectation.tasks) if got[i : i + 1] != (task,))
    wanted = case.tasks[expectation.tasks[place]]
    why: Exclusion | Comparison | None = None
    if decision.has(wanted):
        why = decision.exclusion(wanted)
        if why is None and place < len(got):
            why = decision.compare(case.tasks[got[place]], wanted)
    return Check(expectation=expectation, passed=False, got=got, why=why)


def _safe(expectation: Expectation, case: Case, decision: Decision) -> Check:
    """A task is safe if a guard or a `never kill` rule covers it, unless a rule leaves the event to the
    kernel's policy: the kernel knows its own guards only. Where an event ends with no kill, all are safe. A
    task outside the scope is no candidate, and nothing keeps it safe in the next event.
    """
    task = case.tasks[expectation.tasks[0]]
    if not decision.has(task):
        return Check(expectation=expectation, passed=False)
    exclusion = decision.exclusion(task)
    event_rule = decision.event_rule.origin if decision.event_rule is not None else None
    passed = exclusion is not None
    if decision.verdict is Verdict.KILL_NOTHING:
        passed = True
    elif decision.verdict is Verdict.KERNEL_DECIDES:
        passed = exclusion is not None and isinstance(exclusion.cause, Guard)
    return Check(expectation=expectation, passed=passed, why=None if passed else event_rule)
