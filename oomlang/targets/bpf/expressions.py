"""IR expressions → C expressions.

Parentheses stand only where C, or the reader, needs them. Every value is an `s64`; a condition is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oomlang.facts import FACTS
from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Algebra, fold
from oomlang.ir.levels import Level
from oomlang.operations.model import AND, ATOM, EQUALITY, OR, RELATION, SELECT, SUM, UNARY, C
from oomlang.targets.bpf.questions import Questions
from oomlang.targets.bpf.texts import Automata, comm_test

_SWITCH = 8
"""Values of `in` from which on a function with a switch, in which the compiler searches, reads better than a chain of ==."""


@dataclass(slots=True)
class Names:
    """What the expressions of one program refer to. lists: the long lists of `in`, each a function. fresh: whether each read
    of a fact is one of memory (runtime/fresh.h).
    """

    lets: Mapping[str, ir.LetDeclaration]
    let_uses: Mapping[str, tuple[bool, bool]]
    questions: Questions
    automata: Automata
    lists: dict[tuple[int, ...], str]
    fresh: bool = False

    def c(self, node: ir.Expression, view: str) -> C:
        """The C of an expression. view: what stands in C before a member of the cgroup that facts without a depth are read
        from: `memcg.` or `m->`.
        """
        return fold(node, _Emitter(self, view))

    def value(self, node: ir.Expression, view: str) -> str:
        """The text of it, where it stands alone."""
        return self.c(node, view).text

    def opposite(self, node: ir.Expression, view: str) -> str:
        """The text of what holds where a condition does not."""
        return self.value(node.operand if isinstance(node, ir.Not) else ir.Not(node), view)

    def call(self, name: str, view: str) -> str:
        """The call of a let's function for a view."""
        candidate, memcg = self.let_uses[name]
        return f"let_{name}({', '.join((['c'] if candidate else []) + ([address(view)] if memcg else []))})"


class _Emitter(Algebra[C]):
    def __init__(self, names: Names, view: str) -> None:
        self._names = names
        self._view = view

    def _at(self, depth: int | None) -> str:
        return at(depth, self._view)

    def _read(self, place: str) -> str:
        return f"fresh({place})" if self._names.fresh else place

    def number(self, node: ir.Number) -> C:
        # `LL`: arithmetic on two literals, or on what a ?: gives, must not be done in 32 bits.
        return C(f"{node.value}LL", ATOM if node.value >= 0 else UNARY)

    def fact(self, node: ir.Fact) -> C:
        fact = FACTS[node.name]
        place = {Scope.TASK: "c->", Scope.MEMCG: self._at(node.depth), Scope.EVENT: "event."}[fact.scope]
        return C(self._read(f"{place}{fact.c_name}"))

    def input(self, node: ir.Input) -> C:
        place = self._at(node.depth) if node.per_memcg else "event."
        return C(self._read(f"{place}in_{node.name}"))

    def let(self, node: ir.Let) -> C:
        let = self._names.lets[node.name]
        if not let.shared:
            return C(self._names.call(node.name, self._at(node.depth)))
        place = {Level.EVENT: "event.", Level.MEMCG: self._at(node.depth), Level.TASK: "c->"}[let.level]
        suffix = f"_at_{node.depth}" if let.level is Level.TASK and node.depth is not None else ""
        return C(self._read(f"{place}let_{node.name}{suffix}"))

    def match(self, node: ir.Match) -> C:
        tests = [comm_test(pattern, self._names.automata, self._read) for pattern in node.patterns]
        return C(" || ".join(tests), ATOM if len(tests) == 1 else OR)

    def under(self, node: ir.Under) -> C:
        raise AssertionError("the pass `paths` has made a question of it")

    def asked(self, node: ir.Asked) -> C:
        event = FACTS[node.fact].scope is Scope.EVENT
        words = f"{'event.' if event else self._at(node.depth)}answers.word"
        return self._names.questions.test(words, node.questions, self._read)

    def apply(self, node: ir.Apply, operands: tuple[C, ...]) -> C:
        return node.operation.c(operands, node.ranges)

    def compare(self, node: ir.Compare, left: C, right: C) -> C:
        sides = (
            number(n.value) if isinstance(n, ir.Number) else c.inside(SUM)
            for n, c in ((node.left, left), (node.right, right))
        )
        return C(f" {node.operator} ".join(sides), EQUALITY if node.operator in ("==", "!=") else RELATION)

    def one_of(self, node: ir.OneOf, subject: C) -> C:
        if len(node.values) >= _SWITCH:
            lists = self._names.lists
            return C(f"{lists.setdefault(node.values, f'in_list_{len(lists) + 1}')}({subject.text})")
        text = subject.inside(SUM)
        tests = [f"{text} == {number(v)}" for v in node.values]
        return C(" || ".join(tests), EQUALITY if len(tests) == 1 else OR)

    def logical(self, node: ir.Logical, operands: tuple[C, ...]) -> C:
        # gcc and clang alike warn of `a && b || c`; the parentheses are for people too.
        sign, precedence = (" && ", AND) if node.operator == "and" else (" || ", OR)
        return C(sign.join(o.inside(EQUALITY) for o in operands), precedence)

    def not_(self, node: ir.Not, operand: C) -> C:
        if operand.text.startswith("!!") and operand.precedence == UNARY:
            return C(operand.text[1:], UNARY)
        return C("!" + operand.inside(ATOM), UNARY)

    def select(self, node: ir.Select, condition: C, then: C, otherwise: C) -> C:
        parts = (o.inside(EQUALITY) for o in (condition, then, otherwise))
        return C("{} ? {} : {}".format(*parts), SELECT)


def at(depth: int | None, view: str) -> str:
    """What stands in C before a member of the view at a depth."""
    return view if depth is None else f"memcg_at_{depth}."


def address(view: str) -> str:
    """The C pointer to a view."""
    return view.removesuffix("->") if view.endswith("->") else "&" + view.removesuffix(".")


def number(value: int) -> str:
    """A number as C writes it, where its type does not matter."""
    return f"{value}LL" if abs(value) > 2**31 - 1 else str(value)
