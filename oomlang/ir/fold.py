"""The one walk over expressions.

In: an expression and an `Algebra`, which says what each node gives where its operands have given this and that. Out: what
the whole gives. Who wants to know something of expressions writes an algebra, and leaves operands, depths and lets to the
functions here. `Summary` is the algebra of those that only gather what the leaves and nodes have.

A walk recurses as deep as an expression nests, which the checker bounds (`MAX_NESTING`), and never from one let into
another.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from oomlang.facts.table import FACTS, Scope
from oomlang.ir import nodes as ir

T = TypeVar("T")


class Algebra(Generic[T]):
    """What each node gives. A leaf comes with the depth that it is read at: its own, or that of the whole walk."""

    @abstractmethod
    def number(self, node: ir.Number) -> T: ...

    @abstractmethod
    def fact(self, node: ir.Fact) -> T: ...

    @abstractmethod
    def input(self, node: ir.Input) -> T: ...

    @abstractmethod
    def let(self, node: ir.Let) -> T:
        """The use of a let. `Lets` answers in its place where lets are looked into."""

    @abstractmethod
    def match(self, node: ir.Match) -> T: ...

    @abstractmethod
    def under(self, node: ir.Under) -> T: ...

    @abstractmethod
    def asked(self, node: ir.Asked) -> T: ...

    @abstractmethod
    def apply(self, node: ir.Apply, operands: tuple[T, ...]) -> T: ...

    @abstractmethod
    def compare(self, node: ir.Compare, left: T, right: T) -> T: ...

    @abstractmethod
    def one_of(self, node: ir.OneOf, subject: T) -> T: ...

    @abstractmethod
    def logical(self, node: ir.Logical, operands: tuple[T, ...]) -> T: ...

    @abstractmethod
    def not_(self, node: ir.Not, operand: T) -> T: ...

    @abstractmethod
    def select(self, node: ir.Select, condition: T, then: T, otherwise: T) -> T: ...


class Summary(Algebra[T]):
    """An algebra that knows two kinds of nodes: leaves, and those that join what their operands have."""

    @abstractmethod
    def leaf(self, node: ir.Leaf) -> T:
        """What a node without operands has."""

    @abstractmethod
    def join(self, node: ir.Expression, parts: tuple[T, ...]) -> T:
        """What a node with operands has, which have `parts`."""

    def number(self, node: ir.Number) -> T:
        return self.leaf(node)

    def fact(self, node: ir.Fact) -> T:
        return self.leaf(node)

    def input(self, node: ir.Input) -> T:
        return self.leaf(node)

    def let(self, node: ir.Let) -> T:
        return self.leaf(node)

    def match(self, node: ir.Match) -> T:
        return self.leaf(node)

    def under(self, node: ir.Under) -> T:
        return self.leaf(node)

    def asked(self, node: ir.Asked) -> T:
        return self.leaf(node)

    def apply(self, node: ir.Apply, operands: tuple[T, ...]) -> T:
        return self.join(node, operands)

    def compare(self, node: ir.Compare, left: T, right: T) -> T:
        return self.join(node, (left, right))

    def one_of(self, node: ir.OneOf, subject: T) -> T:
        return self.join(node, (subject,))

    def logical(self, node: ir.Logical, operands: tuple[T, ...]) -> T:
        return self.join(node, operands)

    def not_(self, node: ir.Not, operand: T) -> T:
        return self.join(node, (operand,))

    def select(self, node: ir.Select, condition: T, then: T, otherwise: T) -> T:
        return self.join(node, (condition, then, otherwise))


def fold(expression: ir.Expression, algebra: Algebra[T], depth: int | None = None) -> T:
    """What an expression gives. depth: where memcg facts, per-memcg inputs and lets are read that have none of their own."""
    return _walk(expression, algebra, depth, algebra.let)


class Lets(Generic[T]):
    """Folds the expressions of a policy and looks into its lets: each, at each depth, is folded once and kept."""

    def __init__(self, lets: Iterable[ir.LetDeclaration], algebra: Algebra[T]) -> None:
        self._algebra = algebra
        self._values = {let.name: let.value for let in lets}
        self._place = {name: place for place, name in enumerate(self._values)}
        self._uses: dict[str, tuple[ir.Let, ...]] = {}
        self._kept: dict[tuple[str, int | None], T] = {}

    def fold(self, expression: ir.Expression, depth: int | None = None) -> T:
        """What an expression gives; of a let, what its own expression gives."""
        return _walk(expression, self._algebra, depth, self._let)

    def _let(self, node: ir.Let) -> T:
        key = (node.name, node.depth)
        if key not in self._kept:
            for name, depth in self._missing(key):
                self._kept[name, depth] = _walk(self._values[name], self._algebra, depth, self._let)
        return self._kept[key]

    def _missing(self, wanted: tuple[str, int | None]) -> list[tuple[str, int | None]]:
        """The lets that still have to be folded for one, itself included, each after those that it uses."""
        found = {wanted}
        pending = [wanted]
        while pending:
            name, depth = pending.pop()
            if name not in self._uses:
                self._uses[name] = lets_in(self._values[name])
            for use in self._uses[name]:
                key = (use.name, depth if use.depth is None else use.depth)
                if key not in found and key not in self._kept:
                    found.add(key)
                    pending.append(key)
        return sorted(found, key=lambda key: self._place[key[0]])


def parts(expression: ir.Expression) -> Iterator[ir.Expression]:
    """An expression and everything in it, lets not looked into: for who searches, and does not care for depths."""
    pending = [expression]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(ir.children(node)))


class _LetsIn(Summary[tuple[ir.Let, ...]]):
    def leaf(self, node: ir.Leaf) -> tuple[ir.Let, ...]:
        return (node,) if isinstance(node, ir.Let) else ()

    def join(self, node: ir.Expression, parts: tuple[tuple[ir.Let, ...], ...]) -> tuple[ir.Let, ...]:
        return tuple(dict.fromkeys([let for part in parts for let in part]))


def lets_in(expression: ir.Expression) -> tuple[ir.Let, ...]:
    """The lets that an expression itself uses, at their depths, each once."""
    return fold(expression, _LetsIn())


def _walk(node: Any, algebra: Algebra[T], depth: int | None, let: Callable[[ir.Let], T]) -> T:
    # The mapping from a node's class to what is done with it is spelled out: this is where the interpreter spends its time.
    kind = node.__class__
    if kind is ir.Apply:
        return algebra.apply(node, tuple([_walk(o, algebra, depth, let) for o in node.operands]))
    if kind is ir.Logical:
        return algebra.logical(node, tuple([_walk(o, algebra, depth, let) for o in node.operands]))
    if kind is ir.Compare:
        return algebra.compare(
            node, _walk(node.left, algebra, depth, let), _walk(node.right, algebra, depth, let)
        )
    if kind is ir.Number:
        return algebra.number(node)
    if kind is ir.Not:
        return algebra.not_(node, _walk(node.operand, algebra, depth, let))
    if kind is ir.OneOf:
        return algebra.one_of(node, _walk(node.subject, algebra, depth, let))
    if kind is ir.Select:
        return algebra.select(
            node,
            _walk(node.condition, algebra, depth, let),
            _walk(node.then, algebra, depth, let),
            _walk(node.otherwise, algebra, depth, let),
        )
    return _leaf(at_depth(node, depth), algebra, let)


def at_depth(node: ir.Leaf, depth: int | None) -> ir.Leaf:
    """A leaf as it is read at a depth, if it has none of its own and depends on the cgroup."""
    if depth is None:
        return node
    match node:
        case ir.Fact(name, None) if FACTS[name].scope is Scope.MEMCG:
            return ir.Fact(name, depth)
        case ir.Input(name, None, True):
            return ir.Input(name, depth, True)
        case ir.Let(name, None):
            return ir.Let(name, depth)
        case ir.Match(fact, None, patterns) if FACTS[fact].scope is Scope.MEMCG:
            return ir.Match(fact, depth, patterns)
        case ir.Under(fact, None, pattern) if FACTS[fact].scope is Scope.MEMCG:
            return ir.Under(fact, depth, pattern)
        case ir.Asked(fact, None, questions) if FACTS[fact].scope is Scope.MEMCG:
            return ir.Asked(fact, depth, questions)
        case _:
            return node


def _leaf(node: ir.Leaf, algebra: Algebra[T], let: Callable[[ir.Let], T]) -> T:
    match node:
        case ir.Number():
            return algebra.number(node)
        case ir.Fact():
            return algebra.fact(node)
        case ir.Input():
            return algebra.input(node)
        case ir.Let():
            return let(node)
        case ir.Match():
            return algebra.match(node)
        case ir.Under():
            return algebra.under(node)
        case ir.Asked():
            return algebra.asked(node)
