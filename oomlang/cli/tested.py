"""A policy whose tests were run: what the outputs of `oomlang test` show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oomlang.diagnostics import Source
    from oomlang.targets.interp.expectations import Coverage, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A policy whose tests were run: those that were asked for, in their order. all: how many it has."""

    source: Source
    policy: str
    outcomes: tuple[Outcome, ...]
    coverage: Coverage
    all: int

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)
