"""Which facts and inputs a rule reads, lets looked into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from oomlang.facts import FACTS
from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir

Read: TypeAlias = tuple[str, int | None]
"""The name of a fact or an input, and the depth that it is read at (None: from the view)."""


def reads(expressions: Sequence[ir.Expression], policy: ir.Policy) -> tuple[Read, ...]:
    """What expressions of a policy read, in the order in which it stands in them."""
    lets = {let.name: let.value for let in policy.lets}
    per_memcg = {i.name for i in policy.inputs if i.per_memcg}
    found: dict[Read, None] = {}
    seen: set[Read] = set()
    pending: list[tuple[ir.Expression, int | None]] = [(e, None) for e in reversed(expressions)]
    while pending:
        node, depth = pending.pop()
        match node:
            case ir.Fact(name, own) | ir.Match(name, own, _) | ir.Under(name, own, _):
                found[
                    name, (own if depth is None else depth) if FACTS[name].scope is Scope.MEMCG else None
                ] = None
            case ir.Input(name, own):
                found[name, (own if depth is None else depth) if name in per_memcg else None] = None
            case ir.Let(name, own):
                at = own if depth is None else depth
                if (name, at) not in seen:
                    seen.add((name, at))
                    pending.append((lets[name], at))
            case _:
                pending.extend((child, depth) for child in reversed(ir.children(node)))
    return tuple(found)
