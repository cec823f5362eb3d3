"""What every arithmetic operation says about itself, and the little C that all of them need.

In: nothing. Out: `Operation`, the base of the classes beside this module, and `C`, a piece of C with its precedence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from oomlang.facts.interval import Interval
from oomlang.facts.types import Type
from oomlang.records import dataclass

ATOM, UNARY, PRODUCT, SUM, RELATION, EQUALITY, AND, OR, SELECT = range(9)
"""C's precedences as far as they are needed, the tightest first."""

Ranges: TypeAlias = tuple[Interval, ...]
"""All that each operand can be."""


@dataclass(frozen=True, slots=True)
class C:
    """A C expression and the precedence of its outermost operator."""

    text: str
    precedence: int = ATOM

    def inside(self, loosest: int) -> str:
        """The text where nothing looser than `loosest` may stand; in parentheses if it is."""
        return self.text if self.precedence <= loosest else f"({self.text})"


class Operation:
    """An operation on numbers. There is one instance of each; two nodes have the same operation if it is the same object.

    name: what the IR's text and the C call it. arity: how many operands it has. sign or function: how a policy writes it;
    a function of two operands that is given more takes them from left to right, where `repeats` says so. parameters: how a
    function's are called. needs: what it tells of them when units do not fit. phrase: the
    operation in the words of a message, its operands by number. swaps: a policy may write the operands the other way
    round, if only so their types fit. divides: the last operand is a divisor, of which a policy is told that it can be 0.
    helper: the C function that the C calls.
    """

    name: str
    arity: int = 2
    sign: str = ""
    function: str = ""
    repeats: bool = False
    parameters: str = ""
    needs: str = "arguments of one unit"
    phrase: str = ""
    swaps: bool = False
    divides: bool = False
    helper: str | None = None

    def result(self, types: tuple[Type, ...]) -> Type | None:
        """The type of the result, None where the operation does not take these. Here: numbers of one unit give that unit."""
        first = types[0]
        return first if first.is_number and all(t is first for t in types) else None

    def interval(self, ranges: Ranges) -> Interval:
        """The hull of all results, in unbounded integers."""
        raise NotImplementedError

    def fits(self, ranges: Ranges) -> bool:
        """Whether the result, and all that its C computes on the way, fits into 64 bits."""
        return self.interval(ranges).fits

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        """A function of known operands. Where the ranges prove a sign, it may be a faster one."""
        raise NotImplementedError

    def unknown(self, operands: tuple[int | Interval, ...]) -> int | Interval:
        """The result where an operand may be unknown: an interval that holds it, an int where that is a point."""
        found = self.interval(tuple([o if isinstance(o, Interval) else Interval(o, o) for o in operands]))
        return found.low if found.is_point else found

    def same_as(self, ranges: Ranges) -> int | None:
        """The operand, by its place, that the result is equal to whatever the operands are; None where there is none."""
        return None

    def c(self, operands: tuple[C, ...], ranges: Ranges) -> C:
        """The C. Here: the operator where there is one, else a call of the helper."""
        if self.helper is not None:
            return C(f"{self.helper}({', '.join([o.text for o in operands])})")
        left, right = operands
        loosest = PRODUCT if self.sign == "*" else SUM
        # The right side of - needs parentheses at the same level; so does that of * and + for the reader's sake.
        return C(f"{left.inside(loosest)} {self.sign} {right.inside(loosest - 1)}", loosest)

    def text(self, operands: tuple[str, ...]) -> str:
        """The IR's text."""
        if len(operands) == 2 and self.helper is None:
            return f"({operands[0]} {self.sign} {operands[1]})"
        return f"{self.name}({', '.join(operands)})"

    def __repr__(self) -> str:
        return self.name.upper()

    def __reduce__(self) -> str:
        return self.name.upper()  # the module's constant: a copy is the same object
