"""Limits that come from the machine a policy is compiled for, not from the language.

In: the IR of a policy. Out: a diagnostic at the rule that goes over a limit. The kernel takes at most 256 functions in one
BPF program; patterns and rules `at each depth` are functions.
"""

from __future__ import annotations

from typing import TypeAlias

from oomlang.diagnostics import Code, Diagnostics
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.facts.types import MAX_EACH_DEPTH, MAX_PATTERNS
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary

Pattern: TypeAlias = tuple[str, Glob | PathPattern]


def check_limits(policy: ir.Policy, diagnostics: Diagnostics) -> None:
    """Say which rule is the first to need more than a program can have."""
    patterns = Lets(policy.lets, _Patterns())
    seen: set[Pattern] = set()
    each_depth = 0
    for rule in policy.rules:
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
