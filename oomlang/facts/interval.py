"""Intervals of 64-bit values: the arithmetic that proves that no policy can overflow.

Every operation returns the exact hull of its results in unbounded integers; `fits` says whether that stays inside the
language's 64-bit range. The range leaves out -2**63, so that negation and `abs` of a value that fits always fit, and so
that the IR can use -2**63 as "below every value".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oomlang.facts.types import Type

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Interval:
    """All integers from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"empty interval [{self.low}, {self.high}]")

    @property
    def fits(self) -> bool:
        return self.low >= -INT64_MAX and self.high <= INT64_MAX

    @property
    def is_point(self) -> bool:
        return self.low == self.high

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def __mul__(self, other: Interval) -> Interval:
        return hull(a * b for a in (self.low, self.high) for b in (other.low, other.high))

    def union(self, other: Interval) -> Interval:
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def clamped(self, low: int, high: int) -> Interval:
        return Interval(min(max(self.low, low), high), min(max(self.high, low), high))

    def absolute(self) -> Interval:
        if 0 in self:
            return Interval(0, max(-self.low, self.high))
        return hull((abs(self.low), abs(self.high)))

    def minimum(self, other: Interval) -> Interval:
        return Interval(min(self.low, other.low), min(self.high, other.high))

    def maximum(self, other: Interval) -> Interval:
        return Interval(max(self.low, other.low), max(self.high, other.high))

    def _divisors(self) -> list[int]:
        """The divisors at which a quotient by this interval takes its extremes."""
        ends = {self.low, self.high, -1, 1}
        return [d for d in ends if d in self and d != 0]

    def divide(self, other: Interval, scale: int = 1) -> Interval:
        """`trunc(self * scale / other)`, with x / 0 = 0."""
        quotients = [divide(n * scale, d) for n in (self.low, self.high) for d in other._divisors()]
        if 0 in self or 0 in other:
            quotients.append(0)
        return hull(quotients)

    def steps(self, step: int) -> Interval:
        """`floor(self / step)`."""
        return Interval(self.low // step, self.high // step)


def hull(values: Iterable[int]) -> Interval:
    """The smallest interval that holds all of the given integers (at least one)."""
    items = list(values)
    return Interval(min(items), max(items))


def divide(numerator: int, divisor: int) -> int:
    """The language's integer division: truncated towards zero, and 0 where the divisor is 0."""
    if divisor == 0:
        return 0
    quotient = abs(numerator) // abs(divisor)
    return quotient if (numerator < 0) == (divisor < 0) else -quotient


INPUT_RANGES: dict[Type, Interval] = {
    Type.INT: Interval(-(2**31), 2**31 - 1),
    Type.BYTES: Interval(0, 2**50),
    Type.RATIO: Interval(0, 10**7),
    Type.DURATION: Interval(0, 2**40),
    Type.BOOL: Interval(0, 1),
}
"""What an input can be set to, by its type; base units."""
