"""What passes that change expressions have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from oomlang.ir import nodes as ir
from oomlang.ir.fold import Summary


class Rewrite(Summary[ir.Expression]):
    """Leaves every expression as it is; a pass says what becomes of the nodes that it is about."""

    def leaf(self, node: ir.Leaf) -> ir.Expression:
        return node

    def join(self, node: ir.Expression, parts: tuple[ir.Expression, ...]) -> ir.Expression:
        return with_operands(node, parts)


def with_operands(node: ir.Expression, parts: tuple[ir.Expression, ...]) -> ir.Expression:
    """A node with other operands; itself where they are the same objects."""
    if all(a is b for a, b in zip(ir.children(node), parts, strict=True)):
        return node
    match node:
        case ir.Apply(operation, _, ranges):
            return ir.Apply(operation, parts, ranges)
        case ir.Compare(operator, _, _):
            return ir.Compare(operator, *parts)
        case ir.OneOf(_, values):
            return ir.OneOf(parts[0], values)
        case ir.Logical(operator, _):
            return ir.Logical(operator, parts)
        case ir.Not():
            return ir.Not(*parts)
        case ir.Select():
            return ir.Select(*parts)
        case _:
            return node


def with_expressions(rule: ir.Rule, change: Callable[[ir.Expression], ir.Expression]) -> ir.Rule:
    """A rule with its expressions changed."""
    match rule:
        case ir.ValueKey(value=value, when=when) | ir.EachDepthKey(value=value, when=when):
            return replace(rule, value=change(value), when=None if when is None else change(when))
        case (
            ir.EventRule(condition=condition)
            | ir.Never(condition=condition)
            | ir.FlagKey(condition=condition)
        ):
            return replace(rule, condition=change(condition))
