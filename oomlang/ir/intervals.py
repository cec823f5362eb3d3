"""All that an expression can be: the interval of its values, from those of facts, inputs and operations."""

from __future__ import annotations

from oomlang.facts import FACTS, Interval
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Algebra, Lets
from oomlang.operations.comparisons import MAYBE


class Intervals(Algebra[Interval]):
    """Intervals for the expressions of a policy."""

    def __init__(self, policy: ir.Policy) -> None:
        self._inputs = {i.name: i.interval for i in policy.inputs}

    def number(self, node: ir.Number) -> Interval:
        return Interval(node.value, node.value)

    def fact(self, node: ir.Fact) -> Interval:
        interval = FACTS[node.name].range
        assert interval is not None  # a text is only ever matched
        return interval

    def input(self, node: ir.Input) -> Interval:
        return self._inputs[node.name]

    def let(self, node: ir.Let) -> Interval:
        raise AssertionError(node)  # `Lets` looks into them

    def match(self, node: ir.Match) -> Interval:
        return MAYBE

    def under(self, node: ir.Under) -> Interval:
        return MAYBE

    def asked(self, node: ir.Asked) -> Interval:
        return MAYBE

    def apply(self, node: ir.Apply, operands: tuple[Interval, ...]) -> Interval:
        return node.operation.interval(operands)

    def compare(self, node: ir.Compare, left: Interval, right: Interval) -> Interval:
        return MAYBE

    def one_of(self, node: ir.OneOf, subject: Interval) -> Interval:
        return MAYBE

    def logical(self, node: ir.Logical, operands: tuple[Interval, ...]) -> Interval:
        return MAYBE

    def not_(self, node: ir.Not, operand: Interval) -> Interval:
        return MAYBE

    def select(self, node: ir.Select, condition: Interval, then: Interval, otherwise: Interval) -> Interval:
        return then.union(otherwise)


def intervals(policy: ir.Policy) -> Lets[Interval]:
    """What folds the expressions of a policy to their intervals."""
    return Lets(policy.lets, Intervals(policy))
