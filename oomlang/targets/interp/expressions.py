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
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Algebra, Lets
from oomlang.ir.levels import Level
from oomlang.operations.comparisons import SIGNS
from oomlang.targets.interp import values
from oomlang.targets.interp.readers import Column, Path, Readers, View, column

T = TypeVar("T")


class Evaluation:
    """Evaluates the expressions of one policy for one view."""

    def __init__(self, policy: ir.Policy, view: View, knobs: Mapping[str, int]) -> None:
        self.view = view
        self.readers = Readers(view)
        self._columns = Columns(policy, view, self.readers, knobs)
        self._lets = Lets(policy.lets, self._columns)

    def column(self, node: ir.Expression) -> Column:
        """The values of an expression."""
        return self._lets.fold(node)

    def select(self, condition: Column, then: Column, otherwise: Column) -> Column:
        """`then` where the condition holds, else `otherwise`."""
        return self._columns.chosen(condition, then, otherwise)


class Columns(Algebra[Column]):
    """What each node gives for all members of a view."""

    def __init__(self, policy: ir.Policy, view: View, readers: Readers, knobs: Mapping[str, int]) -> None:
        self._view = view
        self._readers = readers
        self._knobs = knobs
        self._inputs = {i.name: i for i in policy.inputs}
        self._questions = policy.questions
        self._answers: dict[tuple[str, int | None, int], Column] = {}

    # Leaves

    def number(self, node: ir.Number) -> Column:
        return Column(level=Level.EVENT, values=[node.value], exact=True)

    def fact(self, node: ir.Fact) -> Column:
        return self._readers.number(node.name, node.depth)

    def input(self, node: ir.Input) -> Column:
        declared = self._inputs[node.name]
        if not declared.per_memcg:
            value = values.clamp(self._knobs.get(node.name, declared.default), declared.interval)
            return Column(level=Level.EVENT, values=[value], exact=True)
        found: list[values.Value] = []
        for memcg in self._readers.ancestors(node.depth):
            if memcg is None:
                found.append(values.simplify(declared.interval))
            else:
                found.append(values.clamp(memcg.inputs.get(node.name, declared.default), declared.interval))
        return column(Level.MEMCG, found)

    def let(self, node: ir.Let) -> Column:
        raise AssertionError(node)  # `Lets` looks into them

    def match(self, node: ir.Match) -> Column:
        level, texts = self._readers.texts(node.fact, node.depth)
        return _matched(level, texts, node.patterns)

    def under(self, node: ir.Under) -> Column:
        level, paths = self._readers.paths(node.fact, node.depth)
        return self._covered(level, paths, node.pattern, node.depth)

    def asked(self, node: ir.Asked) -> Column:
        result, *rest = (self._answer(node.fact, node.depth, number) for number in node.questions)
        for other in rest:
            result = self._zip(operator.or_, values.either, result, other)
        return result

    def _answer(self, fact: str, depth: int | None, number: int) -> Column:
        key = fact, depth, number
        if key not in self._answers:
            question = self._questions[number]
            if isinstance(question, PathPattern):
                self._answers[key] = self.under(ir.Under(fact, depth, question))
            else:
                self._answers[key] = self.match(ir.Match("memcg.name", depth, (question,)))
        return self._answers[key]

    # Nodes

    def apply(self, node: ir.Apply, operands: tuple[Column, ...]) -> Column:
        level, rows, exact = self._rows(*operands)
        if exact:
            return Column(level=level, values=list(map(node.operation.exact(node.ranges), *rows)), exact=True)
        return column(level, list(map(node.operation.unknown, zip(*rows, strict=False))))

    def compare(self, node: ir.Compare, left: Column, right: Column) -> Column:
        sign = node.operator
        return self._zip(SIGNS[sign], lambda a, b: values.compare(sign, a, b), left, right)

    def one_of(self, node: ir.OneOf, subject: Column) -> Column:
        members = frozenset(node.values)
        return _map(members.__contains__, lambda v: values.one_of(v, members), subject)

    def logical(self, node: ir.Logical, operands: tuple[Column, ...]) -> Column:
        exact, general = (
            (operator.and_, values.both) if node.operator == "and" else (operator.or_, values.either)
        )
        result, *rest = operands
        for other in rest:
            result = self._zip(exact, general, result, other)
        return result

    def not_(self, node: ir.Not, operand: Column) -> Column:
        return _map(operator.not_, values.invert, operand)

    def select(self, node: ir.Select, condition: Column, then: Column, otherwise: Column) -> Column:
        return self.chosen(condition, then, otherwise)

    def chosen(self, condition: Column, then: Column, otherwise: Column) -> Column:
        """`then` where the condition holds, else `otherwise`."""
        level, rows, exact = self._rows(condition, then, otherwise)
        if exact:
            return Column(
                level=level, values=[a if c else b for c, a, b in zip(*rows, strict=True)], exact=True
            )
        return column(level, [values.select(c, a, b) for c, a, b in zip(*rows, strict=True)])

    # Columns of several levels

    def _rows(self, *columns: Column) -> tuple[Level, list[Iterable[Any]], bool]:
        level = max(c.level for c in columns)
        return level, [self._view.spread(c, level) for c in columns], all(c.exact for c in columns)

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

    # Cgroups

    def _covered(
        self, level: Level, paths: Sequence[Path | None], pattern: PathPattern, depth: int | None
    ) -> Column:
        return _each(level, paths, pattern.covers, self._in_scope(pattern, depth))

    def _in_scope(self, pattern: PathPattern, depth: int | None) -> values.Value:
        """Whether a pattern covers a cgroup of which only is known that it lies in the event's scope or is the scope.
        depth: the cgroup's ancestor so many levels below the root is meant.
        """
        scope = self._view.event.scope
        path = scope.path if scope is not None else ()
        size = len(pattern.components)
        if depth is not None and depth < size:
            return 0  # so high up none has as many components
        if not all(g.matches(name) for g, name in zip(pattern.components, path, strict=False)):
            return 0  # it leads elsewhere
        return 1 if size <= len(path) else values.MAYBE


def _map(exact: Callable[[Any], Any], general: Callable[[Any], values.Value], operand: Column) -> Column:
    if operand.exact:
        return Column(level=operand.level, values=list(map(exact, operand.values)), exact=True)
    return column(operand.level, list(map(general, operand.values)))


def _matched(level: Level, texts: Sequence[bytes | None], patterns: tuple[Glob, ...]) -> Column:
    anyway = 1 if any(p.matches_all for p in patterns) else values.MAYBE
    return _each(level, texts, lambda t: any(p.matches(t) for p in patterns), anyway)


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
