"""What a value depends on: the one definition, for the checker, the interpreter and the emitter.

    EVENT   it is the same for all candidates of an event
    MEMCG   it depends on the cgroup that it is read from (the *view* of `oomlang.ir.nodes`), and on the event
    TASK    it can differ between any two candidates

What is read at a depth is TASK: it belongs to an ancestor of the candidate, and the view does not tell which.
"""

from __future__ import annotations

from collections.abc import Iterable

from oomlang.facts import FACTS, Scope
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary
from oomlang.ir.nodes import Level

__all__ = ["Level", "Levels", "leaf_level", "levels"]

_LEVELS = {Scope.EVENT: Level.EVENT, Scope.MEMCG: Level.MEMCG, Scope.TASK: Level.TASK}


def leaf_level(node: ir.Leaf) -> Level:
    """The level of a leaf that is no let."""
    match node:
        case ir.Number():
            return Level.EVENT
        case ir.Fact(name, depth) | ir.Match(name, depth) | ir.Under(name, depth) | ir.Asked(name, depth):
            return _LEVELS[FACTS[name].scope] if depth is None else Level.TASK
        case ir.Input(_, depth, per_memcg):
            return Level.EVENT if not per_memcg else Level.MEMCG if depth is None else Level.TASK
        case ir.Let():
            raise AssertionError(node)  # whoever asks has looked into it


class Levels(Summary[Level]):
    """An expression has the level of the finest thing in it."""

    def leaf(self, node: ir.Leaf) -> Level:
        return leaf_level(node)

    def join(self, node: ir.Expression, parts: tuple[Level, ...]) -> Level:
        return max(parts)


def levels(lets: Iterable[ir.LetDeclaration]) -> Lets[Level]:
    """What folds expressions with these lets to their levels."""
    return Lets(lets, Levels())
