"""a · 10000 / b, computed exactly, truncated towards zero: 0 where b is 0; saturates at ±10^12."""

from __future__ import annotations

from collections.abc import Callable

from oomlang.facts.interval import Interval, divide
from oomlang.facts.types import RATIO_LIMIT, RATIO_ONE, Type
from oomlang.operations.model import Operation, Ranges

MAX_DIVISOR = 2**57
"""The largest divisor of a ratio: the remainder is scaled by 100 twice, in unsigned 64 bits."""


class Ratio(Operation):
    name = "ratio"
    sign = "/"
    phrase = "divide {0} by {1}"
    divides = True
    helper = "ratio"

    def result(self, types: tuple[Type, ...]) -> Type | None:
        left, right = types
        return Type.RATIO if left.is_number and left is not Type.INT and left is right else None

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0].divide(ranges[1], RATIO_ONE).clamped(-RATIO_LIMIT, RATIO_LIMIT)

    def fits(self, ranges: Ranges) -> bool:
        return ranges[1].absolute().high <= MAX_DIVISOR

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return _of_positive if ranges[0].low >= 0 and ranges[1].low >= 0 else _ratio


def _ratio(a: int, b: int) -> int:
    return min(max(divide(a * RATIO_ONE, b), -RATIO_LIMIT), RATIO_LIMIT)


def _of_positive(a: int, b: int) -> int:
    quotient = a * RATIO_ONE // b if b else 0
    return quotient if quotient < RATIO_LIMIT else RATIO_LIMIT


RATIO = Ratio()
