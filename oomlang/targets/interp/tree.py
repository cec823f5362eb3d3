"""How `at each depth` orders cgroups.

In: an `EachDepthKey` and the cgroups of an event's candidates. Out: a rank for each, the higher first, so
that candidates are compared by one integer; and what the levels hold, for explanations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from oomlang.facts.types import MAX_DEPTH
from oomlang.ir import nodes as ir
from oomlang.ir.levels import Level
from oomlang.targets.interp import values
from oomlang.targets.interp.expressions import Evaluation
from oomlang.targets.interp.machine import Machine, Memcg
from oomlang.targets.interp.readers import View
from oomlang.targets.interp.values import Value


class Tree:
    """The cgroups below an event's scope, as one key sees them.

    low, high: for each of the given cgroups the least and the most that its rank can be, from 1; the same
    list where all is known (`exact`). value: what the key's expression gives for each cgroup that stands on
    some level, before steps. number: the same in steps, negated for `lowest`. levels: for each of the given
    cgroups its ancestors at levels 1, 2, … below the scope, itself the last; below the last level it stands
    for itself.
    """

    def __init__(
        self, policy: ir.Policy, key: ir.EachDepthKey, machine: Machine, memcgs: Sequence[Memcg | None]
    ) -> None:
        scope = machine.event.scope
        below = (len(scope.path) if scope is not None else 0) + 1
        self.levels: dict[Memcg, tuple[Memcg, ...]] = {
            m: m.chain[below : below + MAX_DEPTH] or (m,) for m in memcgs if m is not None
        }
        found = list(dict.fromkeys(m for own in self.levels.values() for m in own))
        evaluation = Evaluation(policy, View(event=machine.event, memcgs=found), machine.knobs)
        self._readers = evaluation.readers
        self._place = {m: i for i, m in enumerate(found)}
        value, ids = evaluation.column(key.value), self._readers.number("memcg.id")
        spread = list(evaluation.view.spread(value, Level.MEMCG))
        self.exact = value.exact and ids.exact and None not in memcgs
        self.value: dict[Memcg, Value] = dict(zip(found, spread, strict=True))
        self.number = {m: key_number(key, v) for m, v in self.value.items()}
        self._id: dict[Memcg, Value] = dict(zip(found, ids.values, strict=True))
        self.low, self.high = self._ranks(memcgs)

    def _ranks(self, memcgs: Sequence[Memcg | None]) -> tuple[list[int], list[int]]:
        low = {m: self._vector(m, values.low) for m in self.levels}
        high = low if self.exact else {m: self._vector(m, values.high) for m in self.levels}
        order = sorted({*low.values(), *high.values()})
        rank = {vector: place for place, vector in enumerate(order, start=1)}
        lows = [rank[low[m]] if m is not None else 0 for m in memcgs]
        return lows, lows if self.exact else [
            rank[high[m]] if m is not None else len(rank) + 1 for m in memcgs
        ]

    def _vector(self, memcg: Memcg, end: Callable[[Value], int]) -> tuple[int, ...]:
        """Number and id at each level, one behind the other: so cgroups compare as the key is defined to."""
        found: list[int] = []
        for ancestor in self.levels[memcg]:
            found += (end(self.number[ancestor]), end(self._id[ancestor]))
        return (*found, *(found[-2:] * (MAX_DEPTH - len(found) // 2)))

    def missing(self, memcg: Memcg | None, facts: Iterable[str]) -> Iterator[str]:
        """Which of the facts that the key reads keep the rank of a cgroup from being known."""
        if memcg is None:
            yield "memcg"
            return
        for ancestor in self.levels[memcg]:
            place = self._place[ancestor]
            for name in (*facts, "memcg.id"):
                yield from self._readers.missing(name, None, (0, place).__getitem__)

    def at(self, memcg: Memcg, level: int) -> Memcg:
        """The cgroup that stands for `memcg` at a level, counted from 1."""
        levels = self.levels[memcg]
        return levels[min(level, len(levels)) - 1]

    def first_difference(self, a: Memcg, b: Memcg) -> int | None:
        """The first level with different ancestors, None where there is none."""
        return next((n for n in range(1, MAX_DEPTH + 1) if self.at(a, n) is not self.at(b, n)), None)

    def signs(self, a: Memcg | None, b: Memcg | None) -> frozenset[int]:
        """How two cgroups can compare: +1 where `a` comes first, -1 where `b` does, 0 where they are equal."""
        if a is None or b is None:
            return frozenset((-1, 0, 1))
        level = self.first_difference(a, b)
        if level is None:
            return frozenset((0,))
        x, y = self.at(a, level), self.at(b, level)
        found = values.signs(self.number[x], self.number[y])
        if 0 in found:  # two cgroups never have the same id
            found = (found | values.signs(self._id[x], self._id[y])) - {0}
        return found


def key_number(key: ir.ValueKey | ir.EachDepthKey, value: Value) -> Value:
    """What candidates or cgroups are ordered by: floor(value / step), negated for `lowest`."""
    number = values.step(value, key.step)
    return number if key.highest else values.negate(number)
