"""Which cgroups a policy looks at, and what it asks about each.

A view is a cgroup seen from a candidate: its own memory cgroup (None), its ancestor at a depth (an int), or the ancestors
that a rule `at each depth` walks through (("each", rule number)). The program reads just what is asked of each view.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from oomlang.facts import FACTS, Scope
from oomlang.facts.patterns import PathPattern
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Summary, fold
from oomlang.ir.levels import Level

ViewKey: TypeAlias = int | tuple[str, int] | None
Use: TypeAlias = tuple[str, ViewKey]
"""A let and the view that it is computed for."""


@dataclass(slots=True)
class View:
    """What is asked of one view. facts, inputs, lets: by name; the lets are those that are kept for the cgroup.
    asks: whether its path or name matter.
    """

    key: ViewKey
    facts: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    lets: set[str] = field(default_factory=set)
    asks: bool = False

    @property
    def name(self) -> str:
        """Its name in C: of the variable that it is read into, of the function that reads it."""
        if self.key is None:
            return "memcg"
        return f"each_{self.key[1]}" if isinstance(self.key, tuple) else f"memcg_at_{self.key}"

    @property
    def each_depth(self) -> bool:
        """Whether it is a cgroup on the way down, for one rule."""
        return isinstance(self.key, tuple)

    @property
    def changes(self) -> bool:
        """Whether what is read can change while an event lasts (a cgroup's path, depth and id cannot)."""
        return bool(self.inputs or self.facts - {"memcg.depth", "memcg.id"})

    @property
    def reads_id(self) -> bool:
        """Whether the cgroup's id is read: asked for, a map's key, or to tell one cgroup from another."""
        return "memcg.id" in self.facts or self.asks or self.changes


@dataclass(slots=True)
class Needs:
    """Everything that a policy's expressions read. lets: all that are used. event_lets, task_lets: those that are computed
    once and kept; the others of that kind are in their views. asked: the facts that questions are about.
    """

    task: set[str] = field(default_factory=set)
    event: set[str] = field(default_factory=set)
    knobs: set[str] = field(default_factory=set)
    views: dict[ViewKey, View] = field(default_factory=dict)
    lets: set[str] = field(default_factory=set)
    event_lets: set[str] = field(default_factory=set)
    task_lets: set[tuple[str, int | None]] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    scope_asks: bool = False

    def view(self, key: ViewKey) -> View:
        return self.views.setdefault(key, View(key))

    @property
    def asks(self) -> bool:
        """Whether any cgroup's path or name matters."""
        return self.scope_asks or any(v.asks for v in self.views.values())

    @property
    def facts(self) -> set[str]:
        """All facts, of whatever they are."""
        return self.task | self.event | self.asked | {f for v in self.views.values() for f in v.facts}


class Collector:
    """Notes what the rules of a policy read, lets included."""

    def __init__(self, policy: ir.Policy) -> None:
        self.inputs = {i.name: i for i in policy.inputs}
        self.lets = {let.name: let for let in policy.lets}
        self.questions = policy.questions

    def policy(self, policy: ir.Policy) -> Needs:
        """What a whole policy reads."""
        return self.rules(policy.rules)

    def rules(self, rules: Iterable[ir.Rule]) -> Needs:
        """What some rules read."""
        needs = Needs()
        pending: list[tuple[ir.Expression, ViewKey]] = []
        for rule in rules:
            view: ViewKey = None
            if isinstance(rule, ir.EachDepthKey):
                view = ("each", rule.origin.number)
                needs.view(view)
                pending.append((rule.value, view))
                if rule.when is not None:
                    pending.append((rule.when, None))
            else:
                pending += [(e, None) for e in ir.rule_expressions(rule)]
        seen: set[Use] = set()
        while pending:
            node, view = pending.pop()
            found: list[Use] = []
            fold(node, _Reading(self, needs, view, found))
            for name, at in found:
                if (name, at) not in seen:
                    seen.add((name, at))
                    pending.append((self.lets[name].value, at))
        return needs


class _Reading(Summary[None]):
    """Notes what one expression reads from a view, and which lets it uses."""

    def __init__(self, collector: Collector, needs: Needs, view: ViewKey, used: list[Use]) -> None:
        self._collector = collector
        self._needs = needs
        self._view = view
        self._used = used

    def join(self, node: ir.Expression, parts: tuple[None, ...]) -> None:
        pass

    def leaf(self, node: ir.Leaf) -> None:
        needs = self._needs
        match node:
            case ir.Fact(name, depth) | ir.Match(name, depth):
                match FACTS[name].scope:
                    case Scope.MEMCG:
                        needs.view(self._at(depth)).facts.add(name)
                    case Scope.TASK:
                        needs.task.add(name)
                    case Scope.EVENT:
                        needs.event.add(name)
            case ir.Asked(name, depth, questions):
                asked = [self._collector.questions[q] for q in questions]
                needs.asked.update(name if isinstance(q, PathPattern) else "memcg.name" for q in asked)
                if FACTS[name].scope is Scope.EVENT:
                    needs.scope_asks = True
                else:
                    needs.view(self._at(depth)).asks = True
            case ir.Input(name, depth, per_memcg):
                if per_memcg:
                    needs.view(self._at(depth)).inputs.add(name)
                else:
                    needs.knobs.add(name)
            case ir.Let(name, depth):
                self._let(name, self._at(depth))
            case ir.Number():
                pass
            case ir.Under():
                raise AssertionError("the pass `paths` has made a question of it")

    def _at(self, depth: int | None) -> ViewKey:
        return self._view if depth is None else depth

    def _let(self, name: str, at: ViewKey) -> None:
        needs, let = self._needs, self._collector.lets[name]
        needs.lets.add(name)
        self._used.append((name, at))
        if not let.shared:
            return
        match let.level:
            case Level.EVENT:
                needs.event_lets.add(name)
            case Level.MEMCG:
                needs.view(at).lets.add(name)
            case Level.TASK:
                assert not isinstance(at, tuple)  # a rule at each depth reads facts of cgroups only
                needs.task_lets.add((name, at))
