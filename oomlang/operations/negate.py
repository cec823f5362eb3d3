"""-x."""

from __future__ import annotations

import operator
from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import ATOM, UNARY, C, Operation, Ranges


class Negate(Operation):
    name = "negate"
    arity = 1
    sign = "-"

    def interval(self, ranges: Ranges) -> Interval:
        return -ranges[0]

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return operator.neg

    def c(self, operands: tuple[C, ...], ranges: Ranges) -> C:
        return C("-" + operands[0].inside(ATOM), UNARY)

    def text(self, operands: tuple[str, ...]) -> str:
        return f"-{operands[0]}"


NEGATE = Negate()
