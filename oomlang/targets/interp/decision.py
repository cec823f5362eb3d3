"""What a policy decides in an OOM event, and why.

In: the IR of a policy and a machine. Out: a `Decision`. It has the exact meaning of `oomlang.ir.nodes`, which
it reaches by computing each expression for all candidates at once; what explains it is computed when it is
asked for.

Unobservable facts. `certain` means: whatever they are, the event ends like this and with this victim. Where
it is false, `possible` holds all ends that the known part leaves open and `contenders` all candidates that
could be the victim. Both may name too much, never too little: each rule is taken by itself, as if an
unobservable fact could have one value in one rule and another in the next. `verdict`, `ranking` and `victim`
are the answer then in which event rules and `never kill` rules that cannot be evaluated do not hold, and
every key has the least number that it can have. Where the machine may lack candidates, one of those could be the victim,
too (`others`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from itertools import pairwise

from oomlang.facts import FACTS, Interval
from oomlang.facts.table import TEXT_BYTES
from oomlang.ir import nodes as ir
from oomlang.ir.reads import Read, Reads
from oomlang.targets.interp import values
from oomlang.targets.interp.keys import Builtin, Decider, KeyColumn
from oomlang.targets.interp.machine import Candidate, Guard, Machine
from oomlang.targets.interp.ranking import Ranking
from oomlang.targets.interp.results import (
    Assessment,
    Comparison,
    Exclusion,
    KeyValue,
    LevelValue,
    Reading,
    Unevaluated,
    Verdict,
)

STOCK = ir.Policy(name="stock", inputs=(), lets=(), rules=())
"""The empty policy: what the kernel itself would do."""


def decide(policy: ir.Policy, machine: Machine) -> Decision:
    """Decide an event. Raises ValueError where two candidates have the same pid."""
    return Decision(policy, machine)


class Decision:
    """The decision of one event.

    event_rule: the one that ended the event, if any. open_event_rules: those before it that cannot be
    evaluated. candidates: those in the event's scope, in the machine's order.
    """

    def __init__(self, policy: ir.Policy, machine: Machine) -> None:
        self.policy = policy
        self.machine = machine
        self._ranking = Ranking(policy, machine)
        self.candidates: tuple[Candidate, ...] = tuple(self._ranking.candidates)
        self.event_rule: ir.EventRule | None = None
        self.open_event_rules: tuple[ir.EventRule, ...] = ()
        for rule in policy.event_rules:
            holds = self._ranking.evaluation.column(rule.condition).values[0]
            if isinstance(holds, Interval):
                self.open_event_rules += (rule,)
            elif holds:
                self.event_rule = rule
                break

    # The answer

    @property
    def verdict(self) -> Verdict:
        """How the event ends."""
        if self.event_rule is not None:
            return _action(self.event_rule)
        return self._scan[0]

    @cached_property
    def possible(self) -> frozenset[Verdict]:
        """How the event could end."""
        ends = [_action(self.event_rule)] if self.event_rule is not None else self._scan
        return frozenset((*map(_action, self.open_event_rules), *ends))

    @cached_property
    def _scan(self) -> list[Verdict]:
        """How the scan of the candidates could end, the likeliest first."""
        ranking, found = self._ranking, []
        if ranking.dying():
            sysrq = ranking.evaluation.readers.number("oom.sysrq").values[0]
            if sysrq == 0:
                return [Verdict.ABORTED]
            if sysrq != 1:
                found.append(Verdict.ABORTED)
        if ranking.order:
            found.append(Verdict.VICTIM)
        if all(i in ranking.maybe_excluded for i in ranking.order):
            found.append(Verdict.NONE_LEFT)
        if not self.machine.complete and not ranking.order:
            found.append(Verdict.VICTIM)
        return found

    @property
    def certain(self) -> bool:
        """Whether the verdict, and the victim if there is one, follow from what is known."""
        if len(self.possible) > 1:
            return False
        if self.verdict is not Verdict.VICTIM:
            return True
        return len(self._ranking.contenders) == 1 and self.machine.complete

    @property
    def others(self) -> bool:
        """Whether the victim could also be one that the machine lacks (`Machine.complete`)."""
        return not self.machine.complete and Verdict.VICTIM in self.possible

    @cached_property
    def ranking(self) -> tuple[Candidate, ...]:
        """The candidates that are not excluded, the first to die first, whatever the verdict is."""
        return tuple(self.candidates[i] for i in self._ranking.order)

    @property
    def victim(self) -> Candidate | None:
        """The one that dies, None where the verdict is another."""
        return self.ranking[0] if self.verdict is Verdict.VICTIM else None

    @cached_property
    def contenders(self) -> tuple[Candidate, ...]:
        """All that could be the victim; more than one only where something is unknown. See `others`."""
        if Verdict.VICTIM not in self.possible:
            return ()
        return tuple(self.candidates[i] for i in self._ranking.contenders)

    @cached_property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Those that are skipped, and why; in the machine's order."""
        found = sorted(self._ranking.excluded.items())
        return tuple(Exclusion(candidate=self.candidates[i], cause=cause) for i, cause in found)

    @cached_property
    def _places(self) -> dict[Candidate, int]:
        return {candidate: i for i, candidate in enumerate(self.candidates)}

    @cached_property
    def _rank(self) -> dict[int, int]:
        return {i: place for place, i in enumerate(self._ranking.order, start=1)}

    def has(self, candidate: Candidate) -> bool:
        """Whether it is one of this event."""
        return candidate in self._places

    def _index(self, candidate: Candidate) -> int:
        if candidate not in self._places:
            raise ValueError(f"pid {candidate.pid} is no candidate of this event")
        return self._places[candidate]

    # Why

    def exclusion(self, candidate: Candidate) -> Exclusion | None:
        """What excludes a candidate. Raises ValueError where it is none of this event."""
        cause = self._ranking.excluded.get(self._index(candidate))
        return Exclusion(candidate=candidate, cause=cause) if cause is not None else None

    def compare(self, a: Candidate, b: Candidate) -> Comparison:
        """Which of two different candidates goes first, and why. Raises ValueError where one is none of this
        event.
        """
        i, j = self._index(a), self._index(b)
        if i == j:
            raise ValueError("a candidate is compared with itself")
        excluded = [self.exclusion(c) for c in (a, b)]
        if None not in excluded:
            return Comparison(first=a, second=b, cause=None)
        if excluded[0] is not None:
            return Comparison(
                first=b, second=a, cause=excluded[0], certain=j not in self._ranking.maybe_excluded
            )
        if excluded[1] is not None:
            return Comparison(
                first=a, second=b, cause=excluded[1], certain=i not in self._ranking.maybe_excluded
            )
        if self._rank[i] > self._rank[j]:
            i, j = j, i
        difference = self._ranking.difference(i, j)
        key = self._ranking.keys[difference.key]
        return Comparison(
            first=self.candidates[i],
            second=self.candidates[j],
            cause=key.decider,
            first_value=self._key_value(key, i),
            second_value=self._key_value(key, j),
            level=self._level(key, i, j),
            certain=difference.signs == {1} and i not in self._ranking.maybe_excluded,
            undecided=tuple(self._ranking.keys[p].decider for p in difference.undecided),
        )

    def certain_order(self, first: int) -> bool:
        """Whether the first places of the order are certain: whatever is unknown, each goes before all that follow."""
        order, maybe = self._ranking.order, self._ranking.maybe_excluded
        if any(i in maybe for i in order[:first]):
            return False
        if all(key.exact for key in self._ranking.keys):
            return True
        return all(
            self._ranking.difference(i, j).signs == {1}
            for place, i in enumerate(order[:first], start=1)
            for j in order[place:]
        )

    def neighbours(self) -> Iterator[Comparison]:
        """For each candidate of the order and the next one what tells them apart."""
        for a, b in pairwise(self.ranking):
            yield self.compare(a, b)

    def assess(self, candidate: Candidate) -> Assessment:
        """All about one candidate. Raises ValueError where it is none of this event."""
        i = self._index(candidate)
        return Assessment(
            candidate=candidate,
            place=self._rank.get(i),
            exclusion=self.exclusion(candidate),
            maybe_excluded=tuple(self._ranking.maybe_excluded.get(i, ())),
            readings=tuple(self._reading(name, depth, i) for name, depth in self._reads),
            keys=tuple(self._key_value(key, i) for key in self._ranking.keys),
        )

    @cached_property
    def unevaluated(self) -> tuple[Unevaluated, ...]:
        """The rules and keys that could not be evaluated, for whom, and the facts that they lacked."""
        found = []
        for event_rule in self.open_event_rules:
            asked = self._asks.of(event_rule.condition)
            readers = self._ranking.evaluation.readers
            missing = dict.fromkeys(
                lacked
                for name, _ in asked
                if name in FACTS
                for lacked in readers.missing(name, None, (0,).__getitem__)
            )
            found.append(Unevaluated(rule=event_rule.origin, candidates=(), missing=tuple(missing)))
        for never in self.policy.never:
            lacking = [
                i for i, causes in sorted(self._ranking.maybe_excluded.items()) if never.origin in causes
            ]
            found += self._unevaluated(
                never.origin, lacking, partial(self._missing, self._asks.of(never.condition))
            )
        for key in self._ranking.keys:
            if not key.exact:
                lacking = [i for i in range(len(self.candidates)) if key.low[i] != key.high[i]]
                found += self._unevaluated(key.decider, lacking, partial(self._key_missing, key))
        return tuple(found)

    def _unevaluated(
        self, rule: Decider, lacking: list[int], missing: Callable[[int], Iterable[str]]
    ) -> list[Unevaluated]:
        if not lacking:
            return []
        candidates = tuple(self.candidates[i] for i in lacking)
        names = dict.fromkeys(name for i in lacking for name in missing(i))
        return [Unevaluated(rule=rule, candidates=candidates, missing=tuple(names))]

    @cached_property
    def _asks(self) -> Reads:
        return Reads(self.policy)

    def _missing(self, asked: tuple[Read, ...], i: int) -> Iterator[str]:
        """What of all that is asked keeps the answer from being known for a candidate."""
        evaluation = self._ranking.evaluation
        for name, depth in asked:
            if name in FACTS:
                yield from evaluation.readers.missing(name, depth, evaluation.view.member(i))
            elif self.candidates[i].memcg is None and name in self._asks.per_memcg:
                yield "memcg"

    def _key_missing(self, key: KeyColumn, i: int) -> Iterator[str]:
        if key.decider is Builtin.YOUNGER:
            yield "start"
        elif key.key is None:
            yield from self._missing((("badness", None),), i)
        elif key.tree is not None and isinstance(key.key, ir.EachDepthKey):
            if key.key.when is not None:
                yield from self._missing(self._asks.of(key.key.when), i)
            asked = self._asks.of(key.key.value)
            yield from key.tree.missing(
                self.candidates[i].memcg, [name for name, _ in asked if name in FACTS]
            )
        else:
            yield from self._missing(self._asks.of(*ir.rule_expressions(key.key)), i)

    # Values

    @cached_property
    def _reads(self) -> tuple[Read, ...]:
        """What the policy or a built-in key reads: facts in the order of the table, then inputs."""
        asked = self._asks.of(*[e for rule in self.policy.rules for e in ir.rule_expressions(rule)])
        places = {name: i for i, name in enumerate((*FACTS, *(i.name for i in self.policy.inputs)))}
        return tuple(sorted({*asked, ("badness", None)}, key=lambda read: (places[read[0]], read[1] or 0)))

    def _reading(self, name: str, depth: int | None, i: int) -> Reading:
        evaluation = self._ranking.evaluation
        member = evaluation.view.member(i)
        value: int | bytes | tuple[bytes, ...] | None
        if name not in FACTS or FACTS[name].range is not None:
            column = evaluation.column(ir.Fact(name, depth) if name in FACTS else ir.Input(name, depth))
            value = values.known(column.values[member(column.level)])
        elif name in TEXT_BYTES:
            level, texts = evaluation.readers.texts(name, depth)
            value = texts[member(level)]
        else:
            level, paths = evaluation.readers.paths(name, depth)
            value = paths[member(level)]
        return Reading(name=name, depth=depth, value=value)

    def _key_value(self, key: KeyColumn, i: int) -> KeyValue:
        holds: bool | None = True
        member = self._ranking.evaluation.view.member(i)
        if key.condition is not None:
            condition = key.condition.values[member(key.condition.level)]
            holds = None if isinstance(condition, Interval) else bool(condition)
        if key.tree is not None:
            tree, memcg = key.tree, self.candidates[i].memcg
            levels = tuple(
                LevelValue(memcg=m, value=values.known(tree.value[m]), number=values.known(tree.number[m]))
                for m in (tree.levels[memcg] if memcg is not None else ())
            )
            return KeyValue(decider=key.decider, holds=holds, levels=levels)
        low, high = key.low[i], key.high[i]
        exact = low == high
        if key.value is not None:
            value = values.known(key.value.values[member(key.value.level)])
        else:
            value = low if key.key is None and exact else None
        return KeyValue(
            decider=key.decider,
            holds=holds,
            value=value,
            number=int(low) if exact else None,
            possible=Interval(low, high) if not exact and key.decider is not Builtin.YOUNGER else None,
        )

    def _level(self, key: KeyColumn, i: int, j: int) -> int | None:
        a, b = self.candidates[i].memcg, self.candidates[j].memcg
        if key.tree is None or a is None or b is None or not (key.low[i] and key.low[j]):
            return None
        return key.tree.first_difference(a, b)

    # Which rules had a say

    @cached_property
    def deciders(self) -> frozenset[Decider]:
        """The rules and built-in keys that decided something.

        The event rule that ended the event; else for each candidate the first `never kill` rule that covers
        it, and for each two neighbours in the order what tells them apart.
        """
        if self.event_rule is not None:
            return frozenset((self.event_rule.origin,))
        if self.verdict is Verdict.ABORTED:
            return frozenset()
        found: set[Decider] = {c for c in self._ranking.excluded.values() if not isinstance(c, Guard)}
        order, keys = self._ranking.order, self._ranking.keys
        for i, j in pairwise(order):
            found.add(next(k.decider for k in keys if k.low[i] != k.low[j]))
        return frozenset(found)


def _action(rule: ir.EventRule) -> Verdict:
    return Verdict.KERNEL_DECIDES if rule.kernel_decides else Verdict.KILL_NOTHING
