"""The algebra of units: which operation two types make, and of which type."""

from __future__ import annotations

from oomlang.facts import Interval, Type
from oomlang.facts.types import RATIO_ONE
from oomlang.semantics.model import Operation

_B, _I, _R, _D = Type.BYTES, Type.INT, Type.RATIO, Type.DURATION

# operator → (left type, right type) → (operation, result type)
_TABLE: dict[str, dict[tuple[Type, Type], tuple[Operation, Type]]] = {
    "+": {(t, t): (Operation.ADD, t) for t in (_B, _I, _R, _D)},
    "-": {(t, t): (Operation.SUBTRACT, t) for t in (_B, _I, _R, _D)},
    "*": {
        **{(t, _I): (Operation.MULTIPLY, t) for t in (_B, _I, _R, _D)},
        **{(_I, t): (Operation.MULTIPLY, t) for t in (_B, _R, _D)},
        **{(t, _R): (Operation.SHARE, t) for t in (_B, _R, _D)},
        **{(_R, t): (Operation.SHARE, t) for t in (_B, _D)},
    },
    "/": {
        **{(t, _I): (Operation.DIVIDE, t) for t in (_B, _I, _R, _D)},
        **{(t, t): (Operation.RATIO, _R) for t in (_B, _R, _D)},
    },
}

MAX_RATIO_DIVISOR = 2**57
"""The largest divisor of a ratio: the remainder is scaled by 100 twice, in unsigned 64 bits."""

MAX_SHARE = 2**63 // (RATIO_ONE * 2)
"""The largest ratio that a size can be multiplied with: a remainder below 10000 times it must fit."""


def resolve(operator: str, left: Type, right: Type) -> tuple[Operation, Type] | None:
    """The operation and result type of `left operator right`, or None where the units do not allow it."""
    return _TABLE[operator].get((left, right))


def ratio_on_right(operation: Operation, left: Type, right: Type) -> bool:
    """Whether a SHARE already has its ratio on the right side; `ratio * bytes` has to be turned round."""
    return operation is not Operation.SHARE or right is Type.RATIO


def apply(operation: Operation, a: Interval, b: Interval) -> Interval:
    """The hull of all results, in unbounded integers."""
    match operation:
        case Operation.ADD:
            return a + b
        case Operation.SUBTRACT:
            return a - b
        case Operation.MULTIPLY:
            return a * b
        case Operation.DIVIDE:
            return a.divide(b)
        case Operation.RATIO:
            return a.ratio(b)
        case Operation.SHARE:
            return a.scaled(b)
        case Operation.MINIMUM:
            return a.minimum(b)
        case Operation.MAXIMUM:
            return a.maximum(b)
