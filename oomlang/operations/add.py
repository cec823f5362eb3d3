"""a + b."""

from __future__ import annotations

import operator
from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import Operation, Ranges


class Add(Operation):
    name = "add"
    sign = "+"
    phrase = "add {1} to {0}"

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0] + ranges[1]

    def same_as(self, ranges: Ranges) -> int | None:
        left, right = ranges
        return 0 if right == Interval(0, 0) else 1 if left == Interval(0, 0) else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return operator.add


ADD = Add()
