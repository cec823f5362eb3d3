"""Expressions, evaluated for many candidates at once.

In: a node of the IR. Out: a `Column` of the coarsest level that the node depends on, so that what a rule asks
about a cgroup is computed once for the cgroup and not for each task in it. Where all values are known the
work is done by plain integer operations over whole columns; else by the operations of `values`, which know of
unknown ones.

No expression is short-circuited: none has an effect or can fail, and the results are the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from oomlang.facts import Interval
from oomlang.facts.interval import divide
from oomlang.facts.patterns import PathPattern
from oomlang.facts.types import RATIO_LIMIT, RATIO_ONE
from oomlang.ir import nodes as ir
from oomlang.targets.interp import values
from oomlang.targets.interp.readers import Column, Level, Readers, View, column

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
T = TypeVar("T")


class Evaluation:
    """Evaluates the expressions of one policy for one view."""

    def __init__(self, policy: ir.Policy, view: View, knobs: Mapping[str, int]) -> None:
        self.view = view
        self._knobs = knobs
        self._inputs = {i.name: i for i in policy.inputs}
        self._lets = {let.name: (place, let.value) for place, let in enumerate(policy.lets)}
        self._let_columns: dict[tuple[str, int | None], Column] = {}
        self.readers = Readers(view)

    def column(self, node: ir.Expression, depth: int | None = None) -> Column:
        """The values of an expression. depth: the one at which all its memcg facts are read, if any."""
        match node:
            case ir.Number(value):
                return Column(level=Level.EVENT, values=[value], exact=True)
            case ir.Fact(name, own):
                return self.readers.number(name, own if depth is None else depth)
            case ir.Input(name, own):
                return self._input(self._inputs[name], own if depth is None else depth)
            case ir.Let(name, own):
                return self._let(name, own if depth is None else depth)
            case ir.Negate(operand):
                return self._map(operator.neg, values.negate, self.column(operand, depth))
            case ir.Absolute(operand):
                return self._map(abs, values.absolute, self.column(operand, depth))
            case ir.Binary(operation, left, right, left_range, right_range):
                exact = _arithmetic(operation, left_range, right_range)
                return self._zip(
                    exact,
                    lambda a, b: values.binary(operation, a, b),
                    self.column(left, depth),
                    self.column(right, depth),
                )
            case ir.Compare(op, left, right):
                return self._zip(
                    _COMPARE[op],
                    lambda a, b: values.compare(op, a, b),
                    self.column(left, depth),
                    self.column(right, depth),
                )
            case ir.OneOf(subject, found):
                members = frozenset(found)
                return self._map(
                    members.__contains__, lambda v: values.one_of(v, members), self.column(subject, depth)
                )
            case ir.Match(fact, own, patterns):
                level, texts = self.readers.texts(fact, own if depth is None else depth)
                anyway = 1 if _all_match(patterns) else values.MAYBE
                return _each(level, texts, lambda t: any(p.matches(t) for p in patterns), anyway)
            case ir.Under(fact, own, pattern):
                level, paths = self.readers.paths(fact, own if depth is None else depth)
                deepest = own if depth is None else depth
                return _each(level, paths, pattern.covers, self._in_scope(pattern, deepest))
            case ir.Logical(op, operands):
                exact, general = (
                    (operator.and_, values.both) if op == "and" else (operator.or_, values.either)
                )
                result, *rest = (self.column(o, depth) for o in operands)
                for other in rest:
                    result = self._zip(exact, general, result, other)
                return result
            case ir.Not(operand):
                return self._map(operator.not_, values.invert, self.column(operand, depth))
            case ir.Select(condition, then, otherwise):
                return self.select(*(self.column(n, depth) for n in (condition, then, otherwise)))

    def select(self, condition: Column, then: Column, otherwise: Column) -> Column:
        """`then` where the condition holds, else `otherwise`."""
        level, rows, exact = self._rows(condition, then, otherwise)
        if exact:
            return Column(
                level=level, values=[a if c else b for c, a, b in zip(*rows, strict=True)], exact=True
            )
        return column(level, [values.select(c, a, b) for c, a, b in zip(*rows, strict=True)])

    def _in_scope(self, pattern: PathPattern, depth: int | None) -> values.Value:
        """Whether a pattern covers a cgroup of which only is known that it lies in the event's scope or is the scope.
        depth: the cgroup's ancestor so many levels below the root is meant.
        """
        scope = self.view.event.scope
        path = scope.path if scope is not None else ()
        size = len(pattern.components)
        if depth is not None and depth < size:
            return 0  # so high up none has as many components
        if not all(g.matches(name) for g, name in zip(pattern.components, path, strict=False)):
            return 0  # it leads elsewhere
        return 1 if size <= len(path) else values.MAYBE

    def _rows(self, *columns: Column) -> tuple[Level, list[Iterable[Any]], bool]:
        level = max(c.level for c in columns)
        return level, [self.view.spread(c, level) for c in columns], all(c.exact for c in columns)

    def _map(
        self, exact: Callable[[Any], Any], general: Callable[[Any], values.Value], operand: Column
    ) -> Column:
        if operand.exact:
            return Column(level=operand.level, values=list(map(exact, operand.values)), exact=True)
        return column(operand.level, list(map(general, operand.values)))

    def _zip(
        self,
        exact: Callable[[Any, Any], Any],
        general: Callable[[Any, Any], values.Value],
        left: Column,
        right: Column,
    ) -> Column:
        level, rows, known = self._rows(left, right)
        if known:
            return Column(level=level, values=list(map(exact, *rows)), exact=True)
        return column(level, list(map(general, *rows)))

    def _input(self, declared: ir.InputDeclaration, depth: int | None) -> Column:
        if not declared.per_memcg:
            value = values.clamp(self._knobs.get(declared.name, declared.default), declared.interval)
            return Column(level=Level.EVENT, values=[value], exact=True)
        found: list[values.Value] = []
        for memcg in self.readers.ancestors(depth):
            if memcg is None:
                found.append(values.simplify(declared.interval))
            else:
                found.append(
                    values.clamp(memcg.inputs.get(declared.name, declared.default), declared.interval)
                )
        return column(Level.MEMCG, found)

    def _let(self, name: str, depth: int | None) -> Column:
        # In the order of declaration, so that a long chain of lets does not nest calls as deep as it is long.
        for needed, at in self._needed(name, depth):
            self._let_columns[needed, at] = self.column(self._lets[needed][1], at)
        return self._let_columns[name, depth]

    def _needed(self, name: str, depth: int | None) -> list[tuple[str, int | None]]:
        """The lets without a column that a let needs, itself included, each after those that it uses."""
        found: set[tuple[str, int | None]] = set()
        pending: list[tuple[ir.Expression, int | None]] = [(ir.Let(name, depth), None)]
        while pending:
            node, at = pending.pop()
            if isinstance(node, ir.Let):
                key = (node.name, node.depth if at is None else at)
                if key not in found and key not in self._let_columns:
                    found.add(key)
                    pending.append((self._lets[node.name][1], key[1]))
            pending.extend((child, at) for child in ir.children(node))
        return sorted(found, key=lambda key: self._lets[key[0]][0])


def _each(
    level: Level, subjects: Sequence[T | None], holds: Callable[[T], bool], unknown: values.Value
) -> Column:
    """A condition on texts or paths; each different one is asked about once. unknown: what is known of it where
    the text or path is not.
    """
    answers: dict[T | None, values.Value] = {s: int(holds(s)) for s in set(subjects) if s is not None}
    exact = True
    if None in subjects:
        answers[None] = unknown
        exact = not isinstance(unknown, Interval)
    return Column(level=level, values=list(map(answers.__getitem__, subjects)), exact=exact)


def _all_match(patterns: Iterable[Any]) -> bool:
    return any(p.matches_all for p in patterns)


# Arithmetic on known values. The ranges come from the IR: where a sign is proved, Python's own division will do.


def _arithmetic(operation: ir.Operation, left: Interval, right: Interval) -> Callable[[Any, Any], int]:
    positive = left.low >= 0 and right.low > 0
    match operation:
        case ir.Operation.ADD:
            return operator.add
        case ir.Operation.SUBTRACT:
            return operator.sub
        case ir.Operation.MULTIPLY:
            return operator.mul
        case ir.Operation.DIVIDE:
            return operator.floordiv if positive else divide
        case ir.Operation.RATIO:
            return _ratio_of_positive if left.low >= 0 and right.low >= 0 else ratio
        case ir.Operation.SHARE:
            return _share_of_positive if left.low >= 0 and right.low >= 0 else share
        case ir.Operation.MINIMUM:
            return min
        case ir.Operation.MAXIMUM:
            return max


def ratio(a: int, b: int) -> int:
    """a · 10000 / b, saturating."""
    return min(max(divide(a * RATIO_ONE, b), -RATIO_LIMIT), RATIO_LIMIT)


def _ratio_of_positive(a: int, b: int) -> int:
    quotient = a * RATIO_ONE // b if b else 0
    return quotient if quotient < RATIO_LIMIT else RATIO_LIMIT


def share(a: int, r: int) -> int:
    """a · r / 10000, truncated towards zero."""
    return divide(a * r, RATIO_ONE)


def _share_of_positive(a: int, r: int) -> int:
    return a * r // RATIO_ONE
