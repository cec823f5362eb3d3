"""The candidates of an event in the order of a policy.

In: a policy and a machine. Out: who is excluded and by what, and the order of the others, with the least that
has to be known for more: explanations are made from it when somebody asks
(`oomlang.targets.interp.decision`).

Unknown values. Each key's number lies between two ends (`KeyColumn`). Candidates compare lexicographically,
so that a goes before b whatever the unobservable facts are if a with all its numbers at their least goes
before b with all at their most. Two candidates in one cgroup have the same number, known or not, in a key
that depends on the cgroup alone. The order is the one with every number at its least: wherever the known part
leaves it open, a candidate stands as late as it can; and wherever one certainly goes before another, it does
so in this order, too.

Badness is linear in oom.total, which is the same for all: who has more at both ends of what an unknown total can be has
more in between. So there the ends are compared (`KeyColumn.ends`). The order stays right: whose oom_score_adj is above 0
has its least at the one end, whose is below 0 at the other, and who goes first at both has the higher least.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import compress

from oomlang.diagnostics import InternalError
from oomlang.facts import Interval
from oomlang.ir import nodes as ir
from oomlang.ir.levels import Level
from oomlang.targets.interp import values
from oomlang.targets.interp.expressions import Evaluation
from oomlang.targets.interp.keys import KeyColumn, key_columns
from oomlang.targets.interp.machine import Candidate, Guard, Machine, Memcg
from oomlang.targets.interp.readers import View

ADJ_MIN = -1000
"""`OOM_SCORE_ADJ_MIN`: never a victim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How candidate a stands to candidate b.

    signs: what is possible: +1 a first, -1 b first. key: the place of the key that tells them apart in the
    order. undecided: the places of keys up to there whose numbers overlap.
    """

    signs: frozenset[int]
    key: int
    undecided: tuple[int, ...]


class Ranking:
    """The order of one event's candidates; candidates are meant by their place in `candidates`."""

    def __init__(self, policy: ir.Policy, machine: Machine) -> None:
        self.policy = policy
        self.machine = machine
        scope = machine.event.scope
        self.candidates = list(machine.candidates)
        if scope is not None and scope.path:
            self.candidates = list(filter(_Inside(scope), machine.candidates))
        self.evaluation = Evaluation(policy, View.of(machine.event, self.candidates), machine.knobs)
        if len(set(self.evaluation.view.tasks.pids)) < len(self.candidates):
            raise ValueError("two candidates have the same pid")
        self.excluded: dict[int, Guard | ir.Origin] = {}
        self.maybe_excluded: dict[int, list[Guard | ir.Origin]] = {}
        self._exclude()

    # Who is left

    def _exclude(self) -> None:
        adj = self.evaluation.readers.number("oom_score_adj")
        sysrq = self.evaluation.readers.number("oom.sysrq").values[0]
        guards = self.evaluation.view.tasks.guards
        free = Guard.NONE
        for i in [
            i
            for i, (guard, value) in enumerate(zip(guards, adj.values, strict=True))
            if guard is not free or value.__class__ is Interval or value == ADJ_MIN
        ]:
            guard, value = guards[i], adj.values[i]
            if guard is Guard.DYING:
                if sysrq == 0:
                    self.excluded[i] = guard
                    continue
                if sysrq != 1:
                    self._maybe(i, guard)
                guard = Guard.NONE
            if guard is not Guard.NO_MM and value == ADJ_MIN:
                guard = Guard.UNKILLABLE
            if guard is not Guard.NONE:
                self.excluded[i] = guard
            elif isinstance(value, Interval):
                self._maybe(i, Guard.UNKILLABLE)
        for rule in self.policy.never:
            condition = self.evaluation.column(rule.condition)
            if condition.exact and not any(condition.values):
                continue
            found = list(self.evaluation.view.spread(condition, Level.TASK))
            for i in compress(range(len(found)), found):
                if isinstance(found[i], Interval):
                    self._maybe(i, rule.origin)
                else:
                    self.excluded.setdefault(i, rule.origin)

    def _maybe(self, i: int, cause: Guard | ir.Origin) -> None:
        self.maybe_excluded.setdefault(i, []).append(cause)

    def dying(self) -> bool:
        """Whether a victim that is not yet reaped is among the candidates (it ends the scan, but for sysrq)."""
        return Guard.DYING in self.evaluation.view.tasks.guards

    # Their order

    @cached_property
    def keys(self) -> list[KeyColumn]:
        """The keys of the policy, then the built-in ones."""
        return key_columns(self.policy, self.evaluation, self.machine)

    @cached_property
    def order(self) -> list[int]:
        """Those that are not excluded, the first to die first."""
        size = len(self.candidates)
        kept = bytearray(b"\1") * size
        for i in self.excluded:
            kept[i] = 0
        # The place comes last: no two pids are the same, so it is carried along and never compared.
        rows = list(compress(zip(*(k.low for k in self.keys), range(size), strict=True), kept))
        rows.sort(reverse=True)
        return [row[-1] for row in rows]

    @cached_property
    def contenders(self) -> list[int]:
        """Those that could be first, in their order, whatever the unobservable facts are; maybe some more."""
        order = self.order
        sure = next((i for i in order if i not in self.maybe_excluded), None)
        if sure is None:
            return order
        if all(k.exact for k in self.keys):
            return order[: order.index(sure) + 1]
        best = tuple(k.low[sure] for k in self.keys)
        high = list(zip(*(k.high for k in self.keys), strict=True))
        first_of: dict[Memcg | None, int] = {}
        for i in order:
            if i not in self.maybe_excluded:
                first_of.setdefault(self.candidates[i].memcg, i)
        found = []
        for i in order:
            if high[i] < best:
                continue
            rivals = {sure, first_of.get(self.candidates[i].memcg, i)} - {i}
            if not any(self.difference(rival, i).signs == {1} for rival in rivals):
                found.append(i)
        return found

    def difference(self, a: int, b: int) -> Difference:
        """How two different candidates compare, exclusions aside."""
        same_memcg = self.candidates[a].memcg is self.candidates[b].memcg is not None
        possible: set[int] = set()
        undecided: list[int] = []
        closed = False  # nothing further down can change who is first
        for place, key in enumerate(self.keys):
            low_a, low_b = key.low[a], key.low[b]
            if not closed and not (same_memcg and key.of_memcg):
                found = self._signs(key, a, b)
                if len(found) > 1:
                    undecided.append(place)
                possible |= found - {0}
                closed = 0 not in found
            if low_a != low_b:
                decisive = place
                break
        else:
            raise InternalError("two candidates that nothing tells apart")  # their pids differ
        for place in range(decisive + 1, len(self.keys)):
            if closed:
                break
            key = self.keys[place]
            if not (same_memcg and key.of_memcg):
                found = self._signs(key, a, b)
                possible |= found - {0}
                closed = 0 not in found
        return Difference(signs=frozenset(possible), key=decisive, undecided=tuple(undecided))

    def _signs(self, key: KeyColumn, a: int, b: int) -> frozenset[int]:
        if key.exact:
            low_a, low_b = key.low[a], key.low[b]
            return frozenset((0 if low_a == low_b else 1 if low_a > low_b else -1,))
        if key.ends is not None:
            first, last = (values.signs(end.values[a], end.values[b]) for end in key.ends)
            return first | last | ({0} if {1, -1} <= first | last else set())
        if key.tree is None:
            return values.signs(Interval(key.low[a], key.high[a]), Interval(key.low[b], key.high[b]))
        both = key.low[a] and key.low[b]
        precise = key.tree.signs(self.candidates[a].memcg, self.candidates[b].memcg)
        if both:
            return precise
        may_a, may_b = bool(key.high[a]), bool(key.high[b])
        found: set[int] = set()
        if may_a and may_b:
            found |= precise
        if may_a and not key.low[b]:
            found.add(1)
        if may_b and not key.low[a]:
            found.add(-1)
        if not key.low[a] and not key.low[b]:
            found.add(0)
        return frozenset(found)


class _Inside:
    """Whether a candidate belongs to the event's scope."""

    def __init__(self, scope: Memcg) -> None:
        self._scope = scope
        self._answers: dict[Memcg | None, bool] = {None: True}

    def __call__(self, candidate: Candidate) -> bool:
        memcg = candidate.memcg
        if memcg is not None and memcg not in self._answers:
            self._answers[memcg] = self._scope in memcg.chain
        return self._answers[memcg]
