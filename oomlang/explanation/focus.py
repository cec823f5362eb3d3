"""Why not that one: everything about one candidate, beside the victim and the one just before it."""

from __future__ import annotations

from dataclasses import dataclass

from oomlang.explanation.event import Explanation
from oomlang.targets.interp import Assessment, Candidate, Comparison, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A rule and what it says of each of `Focus.beside`, in words. decides: whether it puts the last of them behind."""

    rule: str
    values: tuple[str, ...]
    decides: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """One candidate. answer: sentences, the most important first. beside: the victim, the one just before it, itself;
    each once. facts, keys: what the policy reads of them, and what its rules say of them.
    """

    candidate: Candidate
    assessment: Assessment
    answer: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    beside: tuple[Candidate, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    keys: tuple[KeyRow, ...]


def focus(explanation: Explanation, candidate: Candidate) -> Focus:
    """All about one candidate. Raises ValueError where it is none of the event's."""
    decision, words = explanation.decision, explanation.words
    assessment = decision.assess(candidate)
    who = words.name(candidate)
    answer: list[str] = []
    comparisons: list[Comparison] = []
    if decision.verdict is not Verdict.VICTIM:
        answer.append(words.verdict())
    first = decision.ranking[0] if decision.ranking else None
    previous: Candidate | None = None
    if assessment.exclusion is not None:
        answer.append(words.exclusion(assessment.exclusion))
    elif first is candidate and decision.verdict is Verdict.VICTIM:
        answer += [f"{who} is the victim", *explanation.why()]
    elif first is not None and assessment.place is not None:
        answer.append(f"{who} is number {assessment.place} of {len(decision.ranking)} to die")
        if first is not candidate:
            comparisons.append(decision.compare(first, candidate))
            previous = decision.ranking[assessment.place - 2]
            if previous is not first:
                comparisons.append(decision.compare(previous, candidate))
    for comparison in comparisons:
        sure = "" if comparison.certain else " (uncertain)"
        answer.append(f"behind {words.name(comparison.first)}{sure}: {words.comparison(comparison)}")
    for cause in assessment.maybe_excluded:
        answer.append(f"it may be skipped, for it is unknown whether this covers it: {words.cause(cause)}")
    beside = tuple(dict.fromkeys(c for c in (first, previous, candidate) if c is not None))
    return Focus(
        candidate=candidate,
        assessment=assessment,
        answer=tuple(answer),
        comparisons=tuple(comparisons),
        beside=beside,
        facts=_facts(explanation, beside),
        keys=_keys(explanation, beside, comparisons),
    )


def find(explanation: Explanation, wanted: str) -> list[Candidate]:
    """The candidates that `wanted` names, by pid or comm, the first to die first."""
    decision = explanation.decision
    ordered = [*decision.ranking, *(e.candidate for e in decision.exclusions)]
    found = [c for c in ordered if wanted.isdecimal() and c.pid == int(wanted)]
    name = wanted.encode("utf-8", "surrogateescape")
    return found or [c for c in ordered if c.comm == name]


def _facts(
    explanation: Explanation, beside: tuple[Candidate, ...]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    words = explanation.words
    readings = [explanation.decision.assess(c).readings for c in beside]
    found = []
    for same in zip(*readings, strict=True):
        depth = f" at depth {same[0].depth}" if same[0].depth is not None else ""
        found.append((f"{same[0].name}{depth}", tuple(map(words.reading, same))))
    return tuple(found)


def _keys(
    explanation: Explanation,
    beside: tuple[Candidate, ...],
    comparisons: list[Comparison],
) -> tuple[KeyRow, ...]:
    words = explanation.words
    rows = []
    for same in zip(*(explanation.decision.assess(c).keys for c in beside), strict=True):
        decider = same[0].decider
        before = [words.name(c.first) for c in comparisons if c.cause == decider]
        rows.append(
            KeyRow(
                rule=words.decider_text(decider),
                values=tuple(map(words.key_value, same)),
                decides=f"behind {' and '.join(before)}" if before else "",
            )
        )
    return tuple(rows)
