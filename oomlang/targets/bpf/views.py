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
from oomlang.ir.reads import Reads

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
    """Notes what expressions read, lets looked into."""

    def __init__(self, policy: ir.Policy) -> None:
        self._reads = Reads(policy)

    def policy(self, policy: ir.Policy) -> Needs:
        """What a whole policy reads."""
        needs = Needs()
        for rule in policy.rules:
            self.rule(rule, needs)
        return needs

    def rule(self, rule: ir.Rule, needs: Needs) -> None:
        """Add what one rule reads."""
        if isinstance(rule, ir.EachDepthKey):
            needs.view(None)
            self._note(rule.value, ("each", rule.origin.number), needs)
            if rule.when is not None:
                self._note(rule.when, None, needs)
            return
        for expression in ir.rule_expressions(rule):
            self._note(expression, None, needs)

    def _note(self, expression: ir.Expression, view: ViewKey, needs: Needs) -> None:
        found = self._reads.of(expression)
        needs.lets |= self._reads.lets(expression)
        for name, depth in found:
            fact = FACTS.get(name)
            if fact is None:
                if name in self._reads.per_memcg:
                    needs.view(depth or view).inputs.add(name)
                else:
                    needs.knobs.add(name)
            elif fact.scope is Scope.MEMCG:
                needs.view(depth or view).facts.add(name)
            else:
                (needs.task if fact.scope is Scope.TASK else needs.event).add(name)
