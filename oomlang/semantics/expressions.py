"""Typing of expressions.

Each method takes a node of the syntax tree and returns its typed form, or None after adding a diagnostic; an operand
that is None makes its whole expression None in silence, so that one mistake gives one message.
"""

from __future__ import annotations

from typing import assert_never

from oomlang.diagnostics import Code, Diagnostics
from oomlang.facts import FACTS, Interval, Type
from oomlang.facts.types import MAX_NESTING
from oomlang.semantics import model
from oomlang.semantics.arithmetic import Arithmetic
from oomlang.semantics.comparisons import Comparisons
from oomlang.semantics.let_order import let_order
from oomlang.semantics.reads import reads_of
from oomlang.semantics.scope import Names
from oomlang.semantics.typing import BOOL
from oomlang.syntax import tree

_NOTHING = Interval(0, 0)


class Expressions(Arithmetic, Comparisons):
    """Types the expressions of one policy; the lets first."""

    def __init__(self, names: Names, diagnostics: Diagnostics) -> None:
        super().__init__(names, diagnostics)
        self._lets: dict[str, model.Let | None] = {}
        self._let_depth: dict[str, int] = {}

    @property
    def lets(self) -> tuple[model.Let, ...]:
        """The lets typed so far, each after those that it uses."""
        return tuple(let for let in self._lets.values() if let is not None)

    def condition(self, node: tree.Expression) -> model.Expression | None:
        """An expression that must be a condition."""
        return self._condition(node, self._whole(node))

    def rank(self, node: tree.Expression, need: str, flag: str) -> model.Expression | None:
        """An expression that must be a number of any unit; flag: the rule that says the same of a condition."""
        typed = self._whole(node)
        if typed is None or typed.type.is_number:
            return typed
        text = self._text(node)
        condition = {Type.BOOL: text, Type.PATH: f'{text} under "/…"'}.get(typed.type, f'{text} == "…"')
        self._diagnostics.error(
            Code.NOT_RANKABLE,
            node.span,
            need,
            label=typed.type.value,
            help=f"for a condition write `{flag} {condition}`",
        )
        return None

    def type_lets(self) -> None:
        """Type all lets, each after those that it uses."""
        order = let_order(self._names.lets)
        for cycle in order.cycles:
            self._cycle(cycle)
        for name in order.names:
            self._lets[name] = self._let(self._names.lets[name])

    def _cycle(self, cycle: tuple[str, ...]) -> None:
        self._diagnostics.error(
            Code.LET_CYCLE,
            self._names.lets[cycle[0]].name.span,
            f"`{cycle[0]}` is defined by itself: {' → '.join(cycle)}",
            help="a let may only use facts, inputs and lets that do not lead back to it",
        )

    def _let(self, declared: tree.Let) -> model.Let | None:
        value = self._whole(declared.value)
        if value is None:
            return None
        name = declared.name.name
        if value.type in (Type.TEXT, Type.PATH):
            self._diagnostics.error(
                Code.WRONG_OPERAND,
                declared.value.span,
                "a let is a number or a condition",
                label=value.type.value,
                help=f"name the condition instead: let {name} = {self._text(declared.value)} "
                + ("under" if value.type is Type.PATH else "==")
                + ' "…"',
            )
            return None
        self._let_depth[name] = self._depth(value)
        return model.Let(span=declared.span, name=name, value=value, reads=reads_of(value))

    def _whole(self, node: tree.Expression) -> model.Expression | None:
        """A whole expression: not nested deeper, the lets that it uses written out, than later passes recurse."""
        typed = self.expression(node)
        if typed is not None and self._depth(typed) > MAX_NESTING:
            self._diagnostics.error(
                Code.TOO_DEEP,
                node.span,
                f"with the lets that it uses this nests more than {MAX_NESTING} levels deep",
                help="use fewer lets on top of each other",
            )
            return None
        return typed

    def _depth(self, node: model.Expression) -> int:
        if isinstance(node, model.LetRef):
            return 1 + self._let_depth[node.let.name]
        return 1 + max(map(self._depth, model.children(node)), default=0)

    def expression(self, node: tree.Expression) -> model.Expression | None:
        """Type any expression."""
        match node:
            case tree.Number():
                return self._constant(node, node.value, node.type)
            case tree.Unreadable():
                return None
            case tree.Truth():
                return model.Constant(
                    span=node.span,
                    type=Type.BOOL,
                    interval=Interval(node.value, node.value),
                    value=int(node.value),
                )
            case tree.Text():
                self._diagnostics.error(
                    Code.WRONG_OPERAND,
                    node.span,
                    "a text can only be compared with a text fact",
                    help='write `comm == "…"`, `comm like "…"` or `memcg under "…"`',
                )
                return None
            case tree.Name():
                return self._name(node)
            case tree.Call():
                return self._call(node)
            case tree.Negative():
                return self._negative(node)
            case tree.Arithmetic():
                return self._arithmetic(node)
            case tree.Compare():
                return self._compare(node)
            case tree.In():
                return self._in(node)
            case tree.Like():
                return self._like(node)
            case tree.Under():
                return self._under(node)
            case tree.AtDepth():
                return self._at_depth(node)
            case tree.Logical():
                operands = [self._condition(o, self.expression(o)) for o in node.operands]
                present = tuple(o for o in operands if o is not None)
                if len(present) < len(operands):
                    return None
                return model.Logical(
                    span=node.span, type=Type.BOOL, interval=BOOL, operator=node.operator, operands=present
                )
            case tree.Not():
                operand = self._condition(node.operand, self.expression(node.operand))
                if operand is None:
                    return None
                return model.Not(span=node.span, type=Type.BOOL, interval=BOOL, operand=operand)
            case tree.Conditional():
                return self._conditional(node)
            case _:
                assert_never(node)

    def _name(self, node: tree.Name) -> model.Expression | None:
        name = node.name
        self._names.used.add(name)
        if (fact := FACTS.get(name)) is not None:
            return model.FactRef(span=node.span, type=fact.type, interval=fact.range or _NOTHING, fact=fact)
        if name in self._names.broken:
            return None
        if (declared := self._names.inputs.get(name)) is not None:
            return model.InputRef(
                span=node.span, type=declared.type, interval=declared.interval, input=declared
            )
        if name in self._names.lets:
            let = self._lets.get(name)
            if let is None:  # wrong, or on a cycle; it has been said
                return None
            return model.LetRef(span=node.span, type=let.value.type, interval=let.value.interval, let=let)
        self._diagnostics.error(
            Code.UNKNOWN_NAME, node.span, f"unknown name `{name}`", help=self._names.suggestion(name)
        )
        return None
