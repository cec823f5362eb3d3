"""Expressions without what is known: the same meaning, less to compute.

Each expression is folded to its simpler form and the interval of its values. Where that is a single value, the value takes
its place. So constants are folded, and comparisons are decided, by the intervals of facts, inputs and operations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from oomlang.facts import Interval
from oomlang.facts.patterns import Glob
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Algebra, at_depth, fold
from oomlang.ir.intervals import Intervals
from oomlang.ir.passes.rewrite import with_expressions
from oomlang.operations import NEGATE, Operation
from oomlang.operations.comparisons import ALWAYS, INVERSE, MAYBE, MIRRORED, NEVER, compare

Term: TypeAlias = tuple[ir.Expression, Interval]
"""An expression and all that it can be."""

TRUE, FALSE = ir.Number(1), ir.Number(0)


def simplify(policy: ir.Policy) -> ir.Policy:
    """The policy with simpler expressions. Lets that nothing uses any more are still there."""
    return simplified(policy, Simpler)


def simplified(policy: ir.Policy, simpler: Callable[[ir.Policy], Simpler]) -> ir.Policy:
    """The same by an algebra that may know more."""
    algebra = simpler(policy)
    lets = []
    for let in policy.lets:  # each after those that it uses
        value, interval = fold(let.value, algebra)
        # What the checker knows and what is found here are both right.
        interval = Interval(max(interval.low, let.interval.low), min(interval.high, let.interval.high))
        algebra.lets[let.name] = value, interval
        lets.append(replace(let, value=value, interval=interval))
    rules = [_rule(with_expressions(rule, lambda e: fold(e, algebra)[0])) for rule in policy.rules]
    return replace(policy, lets=tuple(lets), rules=tuple(rules))


def _rule(rule: ir.Rule) -> ir.Rule:
    if isinstance(rule, ir.ValueKey | ir.EachDepthKey) and rule.when == TRUE:
        return replace(rule, when=None)
    return rule


class Simpler(Algebra[Term]):
    """Each node, simpler, and all that it can be. lets: what is known of those that stand before the expression."""

    def __init__(self, policy: ir.Policy) -> None:
        self.lets: dict[str, Term] = {}
        self._intervals = Intervals(policy)

    # Leaves

    def number(self, node: ir.Number) -> Term:
        return node, Interval(node.value, node.value)

    def fact(self, node: ir.Fact) -> Term:
        return node, self._intervals.fact(node)

    def input(self, node: ir.Input) -> Term:
        return node, self._intervals.input(node)

    def let(self, node: ir.Let) -> Term:
        value, interval = self.lets[node.name]
        match value:
            case ir.Match("comm"):
                return node, interval  # matched once, whatever else the using expressions ask
            case ir.Number() | ir.Fact() | ir.Input() | ir.Let() | ir.Match() | ir.Under() | ir.Asked():
                return at_depth(value, node.depth), interval
            case _:
                return node, interval

    def match(self, node: ir.Match) -> Term:
        patterns = tuple(dict.fromkeys(node.patterns))
        if any(pattern.matches_all for pattern in patterns):
            return TRUE, ALWAYS
        return ir.Match(node.fact, node.depth, patterns), MAYBE

    def under(self, node: ir.Under) -> Term:
        return (node, MAYBE) if node.pattern.components else (TRUE, ALWAYS)

    def asked(self, node: ir.Asked) -> Term:
        return node, MAYBE

    # Numbers

    def apply(self, node: ir.Apply, operands: tuple[Term, ...]) -> Term:
        ranges = tuple([interval for _, interval in operands])
        same = node.operation.same_as(ranges)
        if same is not None:
            return operands[same]
        values = tuple([value for value, _ in operands])
        return _term(_applied(node.operation, values, ranges), node.operation.interval(ranges))

    def select(self, node: ir.Select, condition: Term, then: Term, otherwise: Term) -> Term:
        if condition[1].is_point:
            return then if condition[1].low else otherwise
        if isinstance(condition[0], ir.Not):
            condition = condition[0].operand, MAYBE
            then, otherwise = otherwise, then
        if then == otherwise:
            return then
        if (then[0], otherwise[0]) == (TRUE, FALSE):
            return condition
        if (then[0], otherwise[0]) == (FALSE, TRUE):
            return self.not_(ir.Not(condition[0]), condition)
        return ir.Select(condition[0], then[0], otherwise[0]), then[1].union(otherwise[1])

    # Conditions

    def compare(self, node: ir.Compare, left: Term, right: Term) -> Term:
        sign = node.operator
        if isinstance(left[0], ir.Number):
            sign, left, right = MIRRORED[sign], right, left
        if left[0] == right[0]:
            return (TRUE, ALWAYS) if sign in ("==", "<=", ">=") else (FALSE, NEVER)
        if sign in ("==", "!=") and left[1] == MAYBE and right[1].is_point and right[1].low in MAYBE:
            # A value that is 0 or 1 is the condition itself.
            wanted = right[1].low == (sign == "==")
            return left if wanted else self.not_(ir.Not(left[0]), left)
        return _term(ir.Compare(sign, left[0], right[0]), compare(sign, left[1], right[1]))

    def one_of(self, node: ir.OneOf, subject: Term) -> Term:
        value, interval = subject
        values = tuple([v for v in node.values if v in interval])
        if not values:
            return FALSE, NEVER
        if len(values) > interval.high - interval.low:
            return TRUE, ALWAYS
        if len(values) == 1:
            one = ir.Number(values[0])
            return self.compare(ir.Compare("==", value, one), subject, self.number(one))
        return ir.OneOf(value, values), MAYBE

    def not_(self, node: ir.Not, operand: Term) -> Term:
        match operand[0]:
            case ir.Number(value):
                return (TRUE, ALWAYS) if value == 0 else (FALSE, NEVER)
            case ir.Not(inner):
                return inner, MAYBE
            case ir.Compare(sign, left, right):
                return ir.Compare(INVERSE[sign], left, right), MAYBE
            case value:
                return ir.Not(value), MAYBE

    def logical(self, node: ir.Logical, operands: tuple[Term, ...]) -> Term:
        ends, neutral = (FALSE, TRUE) if node.operator == "and" else (TRUE, FALSE)
        found: dict[ir.Expression, None] = {}
        for value, _ in operands:
            inner = (
                value.operands
                if isinstance(value, ir.Logical) and value.operator == node.operator
                else (value,)
            )
            found.update(dict.fromkeys(inner))
        found.pop(neutral, None)
        if ends in found or any(isinstance(value, ir.Not) and value.operand in found for value in found):
            return self.number(ends)
        parts = list(found) if node.operator == "and" else _joined(found)
        if not parts:
            return self.number(neutral)
        if len(parts) == 1:
            return parts[0], MAYBE
        return ir.Logical(node.operator, tuple(parts)), MAYBE


def _term(node: ir.Expression, interval: Interval) -> Term:
    return (ir.Number(interval.low), interval) if interval.is_point else (node, interval)


def _applied(
    operation: Operation, operands: tuple[ir.Expression, ...], ranges: tuple[Interval, ...]
) -> ir.Expression:
    if operation is NEGATE and isinstance(operands[0], ir.Apply) and operands[0].operation is NEGATE:
        return operands[0].operands[0]
    return ir.Apply(operation, operands, ranges)


def _joined(operands: Iterable[ir.Expression]) -> list[ir.Expression]:
    """The operands of an `or`, those on one number or one text put together: `a == 1 or a in (2, 3)`."""
    numbers: dict[ir.Expression, set[int]] = {}
    texts: dict[tuple[str, int | None], dict[Glob, None]] = {}
    found: dict[object, ir.Expression] = {}
    for operand in operands:
        match operand:
            case ir.Compare("==", subject, ir.Number(value)):
                numbers.setdefault(subject, set()).add(value)
                found["number", subject] = operand
            case ir.OneOf(subject, values):
                numbers.setdefault(subject, set()).update(values)
                found["number", subject] = operand
            case ir.Match(fact, depth, patterns):
                texts.setdefault((fact, depth), {}).update(dict.fromkeys(patterns))
                found["text", (fact, depth)] = operand
            case _:
                found[operand] = operand
    for subject, members in numbers.items():
        if len(members) > 1:
            found["number", subject] = ir.OneOf(subject, tuple(sorted(members)))
    for (fact, depth), globs in texts.items():
        found["text", (fact, depth)] = ir.Match(fact, depth, tuple(globs))
    return list(found.values())
