"""What the C function of a let takes.

In: the lets of a policy. Out: for each whether it needs the candidate, and whether it needs the view that it is read from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from oomlang.facts import FACTS, Scope
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Summary, fold
from oomlang.ir.levels import Level

Uses: TypeAlias = tuple[bool, bool]
"""The candidate, the view."""


def let_uses(lets: Iterable[ir.LetDeclaration]) -> dict[str, Uses]:
    """What the function of each let takes, by name; each let uses earlier ones only."""
    found: dict[str, Uses] = {}
    declared: dict[str, ir.LetDeclaration] = {}
    for let in lets:
        declared[let.name] = let
        found[let.name] = fold(let.value, _Uses(declared, found))
    return found


class _Uses(Summary[Uses]):
    def __init__(self, lets: Mapping[str, ir.LetDeclaration], found: Mapping[str, Uses]) -> None:
        self._lets = lets
        self._found = found

    def join(self, node: ir.Expression, parts: tuple[Uses, ...]) -> Uses:
        return any(c for c, _ in parts), any(v for _, v in parts)

    def leaf(self, node: ir.Leaf) -> Uses:
        match node:
            case ir.Number():
                return False, False
            case ir.Fact(name, depth) | ir.Match(name, depth) | ir.Asked(name, depth) | ir.Under(name, depth):
                scope = FACTS[name].scope
                return scope is Scope.TASK, scope is Scope.MEMCG and depth is None
            case ir.Input(_, depth, per_memcg):
                return False, per_memcg and depth is None
            case ir.Let(name, depth):
                let = self._lets[name]
                if let.shared:
                    return let.level is Level.TASK, let.level is Level.MEMCG and depth is None
                candidate, view = self._found[name]
                return candidate, view and depth is None
