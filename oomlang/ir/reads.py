"""What expressions read: facts, inputs and the lets in between, with the depths at which they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary

Read: TypeAlias = tuple[str, int | None]
"""The name of a fact or an input, and the depth that it is read at (None: from the view)."""


class _Reads(Summary[dict[Read, None]]):
    def leaf(self, node: ir.Leaf) -> dict[Read, None]:
        match node:
            case ir.Fact(name, depth) | ir.Match(name, depth) | ir.Under(name, depth) | ir.Asked(name, depth):
                return {(name, depth): None}
            case ir.Input(name, depth):
                return {(name, depth): None}
            case _:
                return {}

    def join(self, node: ir.Expression, parts: tuple[dict[Read, None], ...]) -> dict[Read, None]:
        found: dict[Read, None] = {}
        for part in parts:
            found.update(part)
        return found


class Reads:
    """The reads of a policy's expressions; what is known of its lets is kept. per_memcg: the inputs that are."""

    def __init__(self, policy: ir.Policy) -> None:
        self.per_memcg = frozenset(i.name for i in policy.inputs if i.per_memcg)
        self._lets = Lets(policy.lets, _Reads())

    def of(self, *expressions: ir.Expression) -> tuple[Read, ...]:
        """What expressions read, lets looked into, in the order in which it stands in them."""
        found: dict[Read, None] = {}
        for expression in expressions:
            found.update(self._lets.fold(expression))
        return tuple(found)


def reads(expressions: Sequence[ir.Expression], policy: ir.Policy) -> tuple[Read, ...]:
    """What expressions of a policy read, for who asks once."""
    return Reads(policy).of(*expressions)
