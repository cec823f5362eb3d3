"""Limits that come from the machine a policy is compiled for, not from the language.

In: the IR of a policy. Out: a diagnostic at the rule that goes over a limit. The kernel's verifier walks at most a million
instructions of a program, and a program has at most 256 functions, of which each rule `at each depth` is two.
"""

from __future__ import annotations

from typing import TypeAlias

from oomlang.diagnostics import Code, Diagnostics
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.facts.types import MAX_EACH_DEPTH, MAX_OPERATIONS, MAX_PATTERNS
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary, fold, lets_in
from oomlang.operations import SHARE

Pattern: TypeAlias = tuple[str, Glob | PathPattern]


def check_limits(policy: ir.Policy, diagnostics: Diagnostics) -> None:
    """Say which rule is the first to need more than a program can have."""
    patterns = Lets(policy.lets, _Patterns())
    work = _Work(policy)
    seen: set[Pattern] = set()
    each_depth = 0
    for rule in policy.rules:
        done = work.total
        work.add(rule)
        if done <= MAX_OPERATIONS < work.total:
            diagnostics.error(
                Code.TOO_MANY,
                rule.origin.span,
                f"up to here this policy has {work.total} operations; the limit is {MAX_OPERATIONS}",
                help="a named value counts once for each depth that it is used at: use fewer at fewer depths",
            )
        before = len(seen)
        for expression in ir.rule_expressions(rule):
            seen |= patterns.fold(expression)
        if before <= MAX_PATTERNS < len(seen):
            diagnostics.error(
                Code.TOO_MANY,
                rule.origin.span,
                f"up to here this policy matches {len(seen)} different names and paths; the limit is {MAX_PATTERNS}",
                help="join some with `*`; plain names of `comm` do not count",
            )
        if isinstance(rule, ir.EachDepthKey):
            each_depth += 1
            if each_depth == MAX_EACH_DEPTH + 1:
                diagnostics.error(
                    Code.TOO_MANY,
                    rule.origin.span,
                    f"this policy has more than {MAX_EACH_DEPTH} rules `at each depth`",
                    help="the first few decide almost everything; remove the rest",
                )


class _Work:
    """The operations of rules, as far as they were added; each let counts once for each view that it is computed for."""

    def __init__(self, policy: ir.Policy) -> None:
        self.total = 0
        self._lets = {let.name: let.value for let in policy.lets}
        self._cost: dict[str, int] = {}
        self._uses: dict[str, tuple[ir.Let, ...]] = {}
        self._seen: set[tuple[str, int | None, int]] = set()

    def add(self, rule: ir.Rule) -> None:
        """Count a rule, and the lets that no rule before it needs."""
        each = rule.origin.number if isinstance(rule, ir.EachDepthKey) else 0
        pending: list[tuple[str, int | None, int]] = []
        for expression in ir.rule_expressions(rule):
            self.total += fold(expression, _COST)
            pending += [(let.name, let.depth, each) for let in lets_in(expression)]
        while pending:
            name, depth, view = use = pending.pop()
            if use in self._seen:
                continue
            self._seen.add(use)
            if name not in self._cost:
                self._cost[name] = fold(self._lets[name], _COST)
                self._uses[name] = lets_in(self._lets[name])
            self.total += self._cost[name]
            pending += [
                (let.name, depth if let.depth is None else let.depth, view) for let in self._uses[name]
            ]


class _Cost(Summary[int]):
    """Operations, those that BPF has no instruction for as what they come to."""

    def leaf(self, node: ir.Leaf) -> int:
        return 4 * len(node.patterns) if isinstance(node, ir.Match) else 1

    def join(self, node: ir.Expression, parts: tuple[int, ...]) -> int:
        match node:
            case ir.OneOf(_, values):
                own = len(values)
            case ir.Apply(operation):
                own = _CALLS if operation.divides or operation is SHARE else 1
            case _:
                own = 1
        return own + sum(parts)


_CALLS = 6
"""A quotient or a share: signs, and the case of 0."""

_COST = _Cost()


class _Patterns(Summary[frozenset[Pattern]]):
    """Everything that becomes a matching function."""

    def leaf(self, node: ir.Leaf) -> frozenset[Pattern]:
        match node:
            case ir.Match("comm", _, patterns):
                return frozenset([("comm", p) for p in patterns if p.literal is None])
            case ir.Match(_, _, patterns):
                return frozenset([("name", p) for p in patterns])
            case ir.Under(_, _, path):
                return frozenset(
                    [("path", path), *(("name", c) for c in path.components if not c.matches_all)]
                )
            case _:
                return _NONE

    def join(self, node: ir.Expression, parts: tuple[frozenset[Pattern], ...]) -> frozenset[Pattern]:
        return _NONE.union(*parts)


_NONE: frozenset[Pattern] = frozenset()
