"""|x|."""

from __future__ import annotations

from collections.abc import Callable

from oomlang.facts.interval import Interval
from oomlang.operations.model import Operation, Ranges


class Absolute(Operation):
    name = "absolute"
    arity = 1
    function = "abs"
    helper = "absolute"

    def interval(self, ranges: Ranges) -> Interval:
        return ranges[0].absolute()

    def same_as(self, ranges: Ranges) -> int | None:
        return 0 if ranges[0].low >= 0 else None

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return abs

    def text(self, operands: tuple[str, ...]) -> str:
        return f"|{operands[0]}|"


ABSOLUTE = Absolute()
