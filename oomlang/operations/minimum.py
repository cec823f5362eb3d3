"""The lesser of two."""

from __future__ import annotations

from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import Operation, Ranges


class Minimum(Operation):
    name = "minimum"
    function = "min"
    repeats = True
    helper = "minimum"

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0].minimum(ranges[1])

    def same_as(self, ranges: Ranges) -> int | None:
        left, right = ranges
        return 0 if left.high <= right.low else 1 if right.high <= left.low else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return min


MINIMUM = Minimum()
