"""a - b."""

from __future__ import annotations

import operator
from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import Operation, Ranges


class Subtract(Operation):
    name = "subtract"
    sign = "-"
    phrase = "subtract {1} from {0}"

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0] - ranges[1]

    def same_as(self, ranges: Ranges) -> int | None:
        return 0 if ranges[1] == Interval(0, 0) else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return operator.sub


SUBTRACT = Subtract()
