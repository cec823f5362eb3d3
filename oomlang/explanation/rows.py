"""The candidates of an event as the rows of a table, the first to die first, those that are skipped last."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from oomlang.explanation.reasons import Words
from oomlang.targets.interp import Candidate, Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A candidate. place: from 1, None where it is skipped. note: what puts it before the next one, or why it is
    skipped; empty for the last. certain: its place before the next one, or that it is skipped, is.
    """

    candidate: Candidate
    place: int | None
    note: str
    certain: bool = True


def ranked(words: Words, limit: int | None = None) -> list[Row]:
    """The first candidates of the order, all by default."""
    decision = words.decision
    order = decision.ranking
    maybe = set()
    if decision.unevaluated:
        maybe = {c for c in islice(order, limit) if decision.assess(c).maybe_excluded}
    found = []
    for place, candidate in enumerate(islice(order, limit), start=1):
        note, certain = "", True
        if place < len(order):
            comparison = decision.compare(candidate, order[place])
            note, certain = words.short(comparison), comparison.certain
        found.append(
            Row(candidate=candidate, place=place, note=note, certain=certain and candidate not in maybe)
        )
    return found


def skipped(words: Words) -> list[Row]:
    """Those that cannot die, in the order of their pids."""
    rows = []
    for exclusion in sorted(words.decision.exclusions, key=lambda e: e.candidate.pid):
        cause = exclusion.cause
        note = f"guard: {cause.value}" if isinstance(cause, Guard) else words.rule(cause)
        rows.append(Row(candidate=exclusion.candidate, place=None, note=note))
    return rows
