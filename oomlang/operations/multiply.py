"""a · b, one of them a plain number."""

from __future__ import annotations

import operator
from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.facts.types import Type
from oomlang.operations.model import Operation, Ranges


class Multiply(Operation):
    name = "multiply"
    sign = "*"
    phrase = "multiply {0} by {1}"

    def result(self, types: tuple[Type, ...]) -> Type | None:
        left, right = types
        if not (left.is_number and right.is_number):
            return None
        return left if right is Type.INT else right if left is Type.INT else None

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0] * ranges[1]

    def same_as(self, ranges: Ranges) -> int | None:
        left, right = ranges
        return 0 if right == Interval(1, 1) else 1 if left == Interval(1, 1) else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return operator.mul


MULTIPLY = Multiply()
