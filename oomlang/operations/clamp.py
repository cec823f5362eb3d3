"""The nearest number from `lowest` to `highest`; `highest` where that is below `lowest`."""

from __future__ import annotations

from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import Operation, Ranges


class Clamp(Operation):
    name = "clamp"
    arity = 3
    function = "clamp"
    parameters = "value, lowest, highest"
    helper = "clamp"

    def interval(self, ranges: Ranges) -> Interval:
        value, lowest, highest = ranges
        return value.maximum(lowest).minimum(highest)

    def same_as(self, ranges: Ranges) -> int | None:
        value, lowest, highest = ranges
        if value.maximum(lowest).low >= highest.high:
            return 2
        if value.maximum(lowest).high > highest.low:
            return None
        return 0 if value.low >= lowest.high else 1 if lowest.low >= value.high else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return _clamp


def _clamp(value: int, lowest: int, highest: int) -> int:
    return min(max(value, lowest), highest)


CLAMP = Clamp()
