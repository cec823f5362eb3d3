"""a / b truncated towards zero, b a plain number; 0 where b is 0."""

from __future__ import annotations

import operator
from collections.abc import Callable

from oomlang.facts.interval import Interval, divide
from oomlang.facts.types import Type
from oomlang.operations.model import UNARY, C, Operation, Ranges


class Divide(Operation):
    name = "divide"
    sign = "/"
    phrase = "divide {0} by {1}"
    divides = True
    helper = "divide"

    def result(self, types: tuple[Type, ...]) -> Type | None:
        left, right = types
        return left if left.is_number and right is Type.INT else None

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0].divide(ranges[1])

    def same_as(self, ranges: Ranges) -> int | None:
        return 0 if ranges[1] == Interval(1, 1) else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return operator.floordiv if ranges[0].low >= 0 and ranges[1].low > 0 else divide

    def c(self, operands: tuple[C, ...], ranges: Ranges) -> C:
        left, right = ranges
        if left.low >= 0 and right.is_point and right.low > 0:
            return C(f"(s64)((u64){operands[0].inside(UNARY)} / {right.low}ULL)", UNARY)
        return super().c(operands, ranges)

    def text(self, operands: tuple[str, ...]) -> str:
        return f"({operands[0]} / {operands[1]})"


DIVIDE = Divide()
