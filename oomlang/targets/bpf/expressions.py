"""IR expressions → C expressions.

Parentheses stand only where C, or the reader, needs them. Every value is an `s64`; a condition is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oomlang.facts import FACTS
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Algebra, fold
from oomlang.operations.model import AND, ATOM, EQUALITY, OR, RELATION, SELECT, SUM, UNARY, C


@dataclass(slots=True)
class Emitter:
    """Turns expressions into C for one program; notes which helpers they need.

    view: what stands in C before a member of the memcg view that facts without a depth are read from: `c->memcg.` or `m->`.
    """

    match_call: Callable[[str, int | None, str, Glob], str]
    under_call: Callable[[str, int | None, str, PathPattern], str]
    let_call: Callable[[str, int | None, str], str]
    arithmetic: set[str] = field(default_factory=set)

    def value(self, node: ir.Expression, view: str) -> str:
        """The C of a whole expression."""
        return fold(node, _InC(self, view)).text


class _InC(Algebra[C]):
    def __init__(self, emitter: Emitter, view: str) -> None:
        self._emitter = emitter
        self._view = view

    def number(self, node: ir.Number) -> C:
        # `LL`: arithmetic on two literals, or on what a ?: gives, must not be done in 32 bits.
        return C(f"{node.value}LL", ATOM if node.value >= 0 else UNARY)

    def fact(self, node: ir.Fact) -> C:
        fact = FACTS[node.name]
        match fact.scope:
            case Scope.TASK:
                return C(f"c->{fact.c_name}")
            case Scope.MEMCG:
                return C(f"{at(node.depth, self._view)}{fact.c_name}")
            case Scope.EVENT:
                return C(f"event.{fact.c_name}")

    def input(self, node: ir.Input) -> C:
        return C(f"{at(node.depth, self._view) if node.per_memcg else 'event.'}in_{node.name}")

    def let(self, node: ir.Let) -> C:
        return C(self._emitter.let_call(node.name, node.depth, self._view))

    def match(self, node: ir.Match) -> C:
        return _either(
            [C(self._emitter.match_call(node.fact, node.depth, self._view, p)) for p in node.patterns]
        )

    def under(self, node: ir.Under) -> C:
        return C(self._emitter.under_call(node.fact, node.depth, self._view, node.pattern))

    def asked(self, node: ir.Asked) -> C:
        raise AssertionError(node)  # what is emitted has not gone through that pass

    def apply(self, node: ir.Apply, operands: tuple[C, ...]) -> C:
        found = node.operation.c(operands, node.ranges)
        if node.operation.helper is not None:
            self._emitter.arithmetic.add(node.operation.helper)
        return found

    def compare(self, node: ir.Compare, left: C, right: C) -> C:
        sides = (
            number(o.value) if isinstance(o, ir.Number) else c.inside(SUM)
            for o, c in ((node.left, left), (node.right, right))
        )
        return C(f" {node.operator} ".join(sides), EQUALITY if node.operator in ("==", "!=") else RELATION)

    def one_of(self, node: ir.OneOf, subject: C) -> C:
        return _either([C(f"{subject.inside(SUM)} == {number(v)}", EQUALITY) for v in node.values])

    def logical(self, node: ir.Logical, operands: tuple[C, ...]) -> C:
        # gcc and clang alike warn of `a && b || c`; the parentheses are for people too.
        if node.operator == "and":
            return C(" && ".join([o.inside(EQUALITY) for o in operands]), AND)
        return _either(list(operands))

    def not_(self, node: ir.Not, operand: C) -> C:
        return C("!" + operand.inside(ATOM), UNARY)

    def select(self, node: ir.Select, condition: C, then: C, otherwise: C) -> C:
        return C(
            f"{condition.inside(EQUALITY)} ? {then.inside(EQUALITY)} : {otherwise.inside(EQUALITY)}", SELECT
        )


def _either(conditions: list[C]) -> C:
    if len(conditions) == 1:
        return conditions[0]
    return C(" || ".join([c.inside(EQUALITY) for c in conditions]), OR)


def at(depth: int | None, view: str) -> str:
    """What stands in C before a member of the view at a depth."""
    return view if depth is None else f"c->memcg_at_{depth}."


def address(view: str) -> str:
    """The C pointer to a view."""
    return view.removesuffix("->") if view.endswith("->") else "&" + view.removesuffix(".")


def number(value: int) -> str:
    """A number as C writes it, where its type does not matter."""
    return f"{value}LL" if abs(value) > 2**31 - 1 else str(value)
