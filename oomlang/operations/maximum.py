"""The greater of two."""

from __future__ import annotations

from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import Operation, Ranges


class Maximum(Operation):
    name = "maximum"
    function = "max"
    repeats = True
    helper = "maximum"

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0].maximum(ranges[1])

    def same_as(self, ranges: Ranges) -> int | None:
        left, right = ranges
        return 0 if left.low >= right.high else 1 if right.low >= left.high else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return max


MAXIMUM = Maximum()
