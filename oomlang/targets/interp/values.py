"""Values that may be unknown, and the operations on them.

A value is an int where it is known. Where it depends on an unobservable fact it is an `Interval` that surely
holds it, and never a single point: then it would be known. So a condition is 0, 1 or [0, 1], and what the
known part decides is decided: `false and ?` is 0. Each operation returns a superset of what the node of
`oomlang.ir.nodes` could give.
"""

from __future__ import annotations

from typing import TypeAlias

from oomlang.facts import Interval
from oomlang.operations import comparisons

Value: TypeAlias = int | Interval

MAYBE = Interval(0, 1)
"""A condition that cannot be evaluated."""


def interval(value: Value) -> Interval:
    """All that the value can be."""
    return value if isinstance(value, Interval) else Interval(value, value)


def simplify(value: Interval) -> Value:
    """A value out of an interval."""
    return value.low if value.low == value.high else value


def low(value: Value) -> int:
    """The least that the value can be."""
    return value.low if isinstance(value, Interval) else int(value)


def high(value: Value) -> int:
    """The most that the value can be."""
    return value.high if isinstance(value, Interval) else int(value)


def known(value: Value) -> int | None:
    """The value, None where it is unknown."""
    return None if isinstance(value, Interval) else int(value)


def clamp(value: int, range: Interval) -> int:
    """The nearest value in the range."""
    return min(max(value, range.low), range.high)


def negate(value: Value) -> Value:
    """-x."""
    return -value


def step(value: Value, size: int) -> Value:
    """floor(value / size)."""
    return simplify(value.steps(size)) if isinstance(value, Interval) else value // size


def compare(sign: str, left: Value, right: Value) -> Value:
    """1, 0 or unknown: whether `left sign right`."""
    return simplify(comparisons.compare(sign, interval(left), interval(right)))


def invert(condition: Value) -> Value:
    """`not`."""
    return condition if isinstance(condition, Interval) else int(not condition)


def one_of(value: Value, values: frozenset[int]) -> Value:
    """Whether the value is among `values`."""
    if not isinstance(value, Interval):
        return int(value in values)
    return MAYBE if any(v in value for v in values) else 0


def both(left: Value, right: Value) -> Value:
    """`and`."""
    return simplify(interval(left).minimum(interval(right)))


def either(left: Value, right: Value) -> Value:
    """`or`."""
    return simplify(interval(left).maximum(interval(right)))


def select(condition: Value, then: Value, otherwise: Value) -> Value:
    """`then if condition else otherwise`."""
    if isinstance(condition, Interval):
        return simplify(interval(then).union(interval(otherwise)))
    return then if condition else otherwise


def signs(a: Value, b: Value) -> frozenset[int]:
    """How two values can compare: +1 where `a` is higher, -1 where `b` is, 0 where they are equal."""
    first, second = interval(a), interval(b)
    found = []
    if first.high > second.low:
        found.append(1)
    if second.high > first.low:
        found.append(-1)
    if first.low <= second.high and second.low <= first.high:
        found.append(0)
    return frozenset(found)
