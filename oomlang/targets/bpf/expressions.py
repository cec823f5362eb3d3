"""IR expressions → C expressions.

Parentheses stand only where C, or the reader, needs them. Every value is an `s64`; a condition is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from oomlang.facts import FACTS
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir

# C's precedences, as far as they are needed.
_ATOM, _UNARY, _PRODUCT, _SUM, _RELATION, _EQUALITY, _AND, _OR, _SELECT = range(9)
_C_SIGN = {"ADD": "+", "SUBTRACT": "-", "MULTIPLY": "*"}


@dataclass(slots=True)
class Emitter:
    """Turns expressions into C for one program; notes which helpers they need.

    view: what stands in C before a member of the memcg view that facts without a depth are read from: `c->memcg.` or `m->`.
    """

    inputs: dict[str, ir.InputDeclaration]
    match_call: Callable[[str, int | None, str, Glob], str]
    under_call: Callable[[str, int | None, str, PathPattern], str]
    let_call: Callable[[str, int | None, str], str]
    arithmetic: set[str] = field(default_factory=set)

    def value(self, node: ir.Expression, view: str) -> str:
        """The C of a whole expression."""
        return self._emit(node, view)[0]

    def _operand(self, node: ir.Expression, view: str, loosest: int) -> str:
        text, precedence = self._emit(node, view)
        return text if precedence <= loosest else f"({text})"

    def _emit(self, node: ir.Expression, view: str) -> tuple[str, int]:
        match node:
            case ir.Number(value):
                # `LL`: arithmetic on two literals, or on what a ?: gives, must not be done in 32 bits.
                return f"{value}LL", _ATOM if value >= 0 else _UNARY
            case ir.Fact(name, depth):
                return self._fact(name, depth, view), _ATOM
            case ir.Input(name, depth):
                if self.inputs[name].per_memcg:
                    return f"{at(depth, view)}in_{name}", _ATOM
                return f"event.in_{name}", _ATOM
            case ir.Let(name, depth):
                return self.let_call(name, depth, view), _ATOM
            case ir.Negate(operand):
                return "-" + self._operand(operand, view, _ATOM), _UNARY
            case ir.Absolute(operand):
                self.arithmetic.add("absolute")
                return f"absolute({self.value(operand, view)})", _ATOM
            case ir.Binary():
                return self._binary(node, view)
            case ir.Compare(operator, left, right):
                precedence = _EQUALITY if operator in ("==", "!=") else _RELATION
                sides = (
                    number(o.value) if isinstance(o, ir.Number) else self._operand(o, view, _SUM)
                    for o in (left, right)
                )
                return f" {operator} ".join(sides), precedence
            case ir.OneOf(subject, values):
                text = self._operand(subject, view, _SUM)
                if len(values) == 1:
                    return f"{text} == {number(values[0])}", _EQUALITY
                return " || ".join(f"{text} == {number(v)}" for v in values), _OR
            case ir.Match(fact, depth, patterns):
                tests = [self.match_call(fact, depth, view, p) for p in patterns]
                return " || ".join(tests), _ATOM if len(tests) == 1 else _OR
            case ir.Under(fact, depth, pattern):
                return self.under_call(fact, depth, view, pattern), _ATOM
            case ir.Logical("and", operands):
                return " && ".join(self._operand(o, view, _EQUALITY) for o in operands), _AND
            case ir.Logical(_, operands):
                # gcc and clang alike warn of `a && b || c`; the parentheses are for people too.
                return " || ".join(self._operand(o, view, _EQUALITY) for o in operands), _OR
            case ir.Not(operand):
                return "!" + self._operand(operand, view, _ATOM), _UNARY
            case ir.Select(condition, then, otherwise):
                parts = (self._operand(o, view, _EQUALITY) for o in (condition, then, otherwise))
                return "{} ? {} : {}".format(*parts), _SELECT
            case _:
                assert_never(node)

    def _fact(self, name: str, depth: int | None, view: str) -> str:
        fact = FACTS[name]
        match fact.scope:
            case Scope.TASK:
                return f"c->{fact.c_name}"
            case Scope.MEMCG:
                return f"{at(depth, view)}{fact.c_name}"
            case Scope.EVENT:
                return f"event.{fact.c_name}"

    def _binary(self, node: ir.Binary, view: str) -> tuple[str, int]:
        operation, left, right = node.operation, node.left, node.right
        if (sign := _C_SIGN.get(operation.name)) is not None:
            precedence = _PRODUCT if sign == "*" else _SUM
            # The right side of - needs parentheses at the same level; so does that of * and + for the reader's sake.
            texts = (self._operand(left, view, precedence), self._operand(right, view, precedence - 1))
            return f" {sign} ".join(texts), precedence
        if (
            operation is ir.Operation.DIVIDE
            and node.left_range.low >= 0
            and isinstance(right, ir.Number)
            and right.value > 0
        ):
            return f"(s64)((u64){self._operand(left, view, _UNARY)} / {right.value}ULL)", _UNARY
        name = operation.name.lower()
        if operation in (ir.Operation.DIVIDE, ir.Operation.RATIO, ir.Operation.SHARE):
            self.arithmetic.add(name)
        return f"{name}({self.value(left, view)}, {self.value(right, view)})", _ATOM


def at(depth: int | None, view: str) -> str:
    """What stands in C before a member of the view at a depth."""
    return view if depth is None else f"c->memcg_at_{depth}."


def address(view: str) -> str:
    """The C pointer to a view."""
    return view.removesuffix("->") if view.endswith("->") else "&" + view.removesuffix(".")


def number(value: int) -> str:
    """A number as C writes it, where its type does not matter."""
    return f"{value}LL" if abs(value) > 2**31 - 1 else str(value)
