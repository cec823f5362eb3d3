"""How two numbers compare: each sign on known numbers and on ranges of them."""

from __future__ import annotations

import operator
from collections.abc import Callable

from oomlang.facts.interval import Interval

SIGNS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

INVERSE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
"""The sign that holds where another does not."""

MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The sign that holds with the sides changed."""

NEVER, ALWAYS, MAYBE = Interval(0, 0), Interval(1, 1), Interval(0, 1)


def compare(sign: str, left: Interval, right: Interval) -> Interval:
    """Whether `left sign right` holds: always, never or maybe."""
    match sign:
        case "<":
            return ALWAYS if left.high < right.low else NEVER if left.low >= right.high else MAYBE
        case "==":
            if left.high < right.low or right.high < left.low:
                return NEVER
            return ALWAYS if left.is_point and right.is_point else MAYBE
        case ">":
            return compare("<", right, left)
        case _:
            inverse = compare(INVERSE[sign], left, right)
            return ALWAYS if inverse == NEVER else NEVER if inverse == ALWAYS else MAYBE
