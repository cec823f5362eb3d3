"""a · r / 10000, computed exactly, truncated towards zero: a size times a ratio."""

from __future__ import annotations

from collections.abc import Callable

from oomlang.facts.interval import Interval, divide
from oomlang.facts.types import RATIO_ONE, Type
from oomlang.operations.model import Operation, Ranges

MAX_SHARE = 2**63 // (RATIO_ONE * 2)
"""The largest ratio that a size can be multiplied with: a remainder below 10000 times it must fit."""


class Share(Operation):
    name = "share"
    sign = "*"
    phrase = "multiply {0} by {1}"
    swaps = True
    helper = "share"

    def result(self, types: tuple[Type, ...]) -> Type | None:
        left, right = types
        return left if left.is_number and left is not Type.INT and right is Type.RATIO else None

    def interval(self, ranges: Ranges) -> Interval:
        return (ranges[0] * ranges[1]).divide(Interval(RATIO_ONE, RATIO_ONE))

    def fits(self, ranges: Ranges) -> bool:
        return self.interval(ranges).fits and ranges[1].absolute().high <= MAX_SHARE

    def same_as(self, ranges: Ranges) -> int | None:
        return 0 if ranges[1] == Interval(RATIO_ONE, RATIO_ONE) else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return _of_positive if ranges[0].low >= 0 and ranges[1].low >= 0 else _share


def _share(a: int, r: int) -> int:
    return divide(a * r, RATIO_ONE)


def _of_positive(a: int, r: int) -> int:
    return a * r // RATIO_ONE


SHARE = Share()
