"""What the typing of all kinds of expressions has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from oomlang.diagnostics import Code, Diagnostics, Label, Span
from oomlang.facts import Interval, Type, spell
from oomlang.semantics import mends, model
from oomlang.semantics.scope import Names
from oomlang.syntax import tree

BOOL = Interval(0, 1)
"""The interval of a condition."""


class Typing(ABC):
    """The names and diagnostics of one policy, and the checks that several kinds of expressions need."""

    def __init__(self, names: Names, diagnostics: Diagnostics) -> None:
        self._names = names
        self._diagnostics = diagnostics

    @abstractmethod
    def expression(self, node: tree.Expression) -> model.Expression | None:
        """Type any expression."""

    def _text(self, node: tree.Node | model.Typed) -> str:
        text = self._diagnostics.source.slice(node.span)
        return text if len(text) <= 40 and "\n" not in text else "…"

    def _constant(self, node: tree.Node, value: int, type: Type) -> model.Constant:
        return model.Constant(span=node.span, type=type, interval=Interval(value, value), value=value)

    def _operands(self, *nodes: tree.Expression) -> list[model.Expression] | None:
        typed = [self.expression(n) for n in nodes]
        present = [t for t in typed if t is not None]
        return present if len(present) == len(typed) else None

    def _numbers(self, operands: list[model.Expression], what: str) -> bool:
        """Whether all operands are numbers; a diagnostic for each that is not."""
        for operand in operands:
            if not operand.type.is_number:
                self._diagnostics.error(
                    Code.WRONG_OPERAND,
                    operand.span,
                    f"{what} needs numbers, and this is {operand.type.phrase}",
                    label=operand.type.value,
                )
        return all(o.type.is_number for o in operands)

    def _unit_mismatch(
        self, span: Span, message: str, left: model.Expression, right: model.Expression
    ) -> None:
        self._diagnostics.error(
            Code.UNIT_MISMATCH,
            span,
            message,
            labels=(
                Label(span=left.span, text=left.type.value),
                Label(span=right.span, text=right.type.value),
            ),
            help=mends.one_unit(left, self._text(left), right, self._text(right)),
        )

    def _path_misuse(self, operand: model.Expression) -> None:
        name = self._text(operand)
        self._diagnostics.error(
            Code.PATH_MISUSE,
            operand.span,
            f"`{name}` can only stand on the left of `under`",
            label="path",
            help=f'write `{name} under "/…"`'
            + (", or `memcg.name == …` for the last component alone" if name == "memcg" else ""),
        )

    def _condition(self, node: tree.Expression, typed: model.Expression | None) -> model.Expression | None:
        if typed is None or typed.type is Type.BOOL:
            return typed
        mend = ""
        if typed.type.is_number:
            mend = f"compare it with something: `{self._text(node)} > {mends.example(typed.type)}`"
        elif isinstance(typed, model.FactRef):
            mend = f'write `{typed.fact.name} {"under" if typed.type is Type.PATH else "=="} "…"`'
        self._diagnostics.error(
            Code.NOT_A_CONDITION,
            node.span,
            f"a condition is needed here, and this is {typed.type.phrase}",
            label=typed.type.value,
            help=mend,
        )
        return None


def range_text(node: model.Expression) -> str:
    """An expression's interval for a message: `0B…1024TiB`."""
    low, high = (spell(v, node.type) for v in (node.interval.low, node.interval.high))
    return low if low == high else f"{low}…{high}"
