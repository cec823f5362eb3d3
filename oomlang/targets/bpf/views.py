"""Which cgroups a policy looks at, and what it asks about each.

A view is a cgroup seen from a candidate: its own memory cgroup (None), its ancestor at a depth (an int), or the ancestors
that a rule `at each depth` walks through (("each", rule number)). The program reads just what is asked of each view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from oomlang.facts import FACTS
from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir

ViewKey: TypeAlias = int | tuple[str, int] | None


@dataclass(slots=True)
class View:
    """What is asked of one view: memcg facts by name, per-memcg inputs by name, and whether its path or name matter."""

    key: ViewKey
    facts: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)

    @property
    def member(self) -> str:
        """Its name in `struct candidate`."""
        return "memcg" if self.key is None else f"memcg_at_{self.key}"

    @property
    def name(self) -> str:
        """Its name in the reader's function."""
        if self.key is None:
            return "memcg"
        return f"each_{self.key[1]}" if isinstance(self.key, tuple) else self.member

    @property
    def changes(self) -> bool:
        """Whether what is read can change while an event lasts (a cgroup's path and id cannot)."""
        return bool(self.inputs or self.facts - {"memcg", "memcg.name", "memcg.depth", "memcg.id"})


@dataclass(slots=True)
class Needs:
    """Everything that a policy's expressions read."""

    task: set[str] = field(default_factory=set)
    event: set[str] = field(default_factory=set)
    knobs: set[str] = field(default_factory=set)
    views: dict[ViewKey, View] = field(default_factory=dict)
    lets: set[str] = field(default_factory=set)

    def view(self, key: ViewKey) -> View:
        return self.views.setdefault(key, View(key))

    @property
    def facts(self) -> set[str]:
        """All facts, of whatever they are."""
        return self.task | self.event | {f for v in self.views.values() for f in v.facts}


class Collector:
    """Walks expressions, lets included, and notes what they read."""

    def __init__(self, policy: ir.Policy) -> None:
        self._inputs = {i.name: i for i in policy.inputs}
        self._lets = {let.name: let for let in policy.lets}

    def policy(self, policy: ir.Policy) -> Needs:
        """What a whole policy reads."""
        needs = Needs()
        for rule in (*policy.event_rules, *policy.never, *policy.keys):
            self.rule(rule, needs)
        return needs

    def rule(self, rule: ir.EventRule | ir.Never | ir.Key, needs: Needs) -> None:
        """Add what one rule reads."""
        seen: set[tuple[str, ViewKey]] = set()
        if isinstance(rule, ir.EachDepthKey):
            needs.view(None)
            self._walk(rule.value, ("each", rule.origin.number), needs, seen)
            if rule.when is not None:
                self._walk(rule.when, None, needs, seen)
            return
        for expression in ir.rule_expressions(rule):
            self._walk(expression, None, needs, seen)

    def _walk(self, node: ir.Expression, view: ViewKey, needs: Needs, seen: set[tuple[str, ViewKey]]) -> None:
        match node:
            case ir.Fact(name, depth) | ir.Match(name, depth, _) | ir.Under(name, depth, _):
                scope = FACTS[name].scope
                if scope is Scope.MEMCG:
                    needs.view(depth or view).facts.add(name)
                else:
                    (needs.task if scope is Scope.TASK else needs.event).add(name)
            case ir.Input(name, depth):
                if self._inputs[name].per_memcg:
                    needs.view(depth or view).inputs.add(name)
                else:
                    needs.knobs.add(name)
            case ir.Let(name, depth):
                needs.lets.add(name)
                if (name, depth or view) not in seen:
                    seen.add((name, depth or view))
                    self._walk(self._lets[name].value, depth or view, needs, seen)
            case _:
                for child in ir.children(node):
                    self._walk(child, view, needs, seen)
