"""Arithmetic: one module an operation, with all that each part of the compiler has to know of it.

A new operation is a module beside these and its place in `OPERATIONS`.
"""

from __future__ import annotations

from oomlang.facts.types import Type
from oomlang.operations.absolute import ABSOLUTE
from oomlang.operations.add import ADD
from oomlang.operations.clamp import CLAMP
from oomlang.operations.divide import DIVIDE
from oomlang.operations.maximum import MAXIMUM
from oomlang.operations.minimum import MINIMUM
from oomlang.operations.model import C, Operation, Ranges
from oomlang.operations.multiply import MULTIPLY
from oomlang.operations.negate import NEGATE
from oomlang.operations.ratio import RATIO
from oomlang.operations.share import SHARE
from oomlang.operations.subtract import SUBTRACT

__all__ = [
    "ABSOLUTE",
    "ADD",
    "CLAMP",
    "DIVIDE",
    "FUNCTIONS",
    "MAXIMUM",
    "MINIMUM",
    "MULTIPLY",
    "NEGATE",
    "OPERATIONS",
    "RATIO",
    "SHARE",
    "SUBTRACT",
    "C",
    "Operation",
    "Ranges",
    "resolve",
]

OPERATIONS: tuple[Operation, ...] = (
    ADD,
    SUBTRACT,
    MULTIPLY,
    SHARE,
    DIVIDE,
    RATIO,
    NEGATE,
    MINIMUM,
    MAXIMUM,
    ABSOLUTE,
    CLAMP,
)

FUNCTIONS: dict[str, Operation] = {o.function: o for o in OPERATIONS if o.function}
"""The operations that a policy calls by name."""


def resolve(sign: str, types: tuple[Type, ...]) -> tuple[Operation, bool] | None:
    """The operation that operands of these types make with an operator, and whether its operands are those given the other
    way round. None where the units do not allow it.
    """
    for turned in (False, True):
        given = types[::-1] if turned else types
        for operation in OPERATIONS:
            written = operation.sign == sign and operation.arity == len(given)
            if written and (operation.swaps or not turned) and operation.result(given) is not None:
                return operation, turned
    return None
