"""Limits that come from the machine a policy is compiled for, not from the language.

In: the IR of a policy. Out: a diagnostic at the rule that goes over a limit. The kernel takes at most 256 functions in one
BPF program; patterns and rules `at each depth` are functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from oomlang.diagnostics import Code, Diagnostics
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.facts.types import MAX_EACH_DEPTH, MAX_PATTERNS
from oomlang.ir import nodes as ir

Pattern: TypeAlias = tuple[str, Glob | PathPattern]


def check_limits(policy: ir.Policy, diagnostics: Diagnostics) -> None:
    """Say which rule is the first to need more than a program can have."""
    lets = {let.name: let for let in policy.lets}
    seen: set[Pattern] = set()
    each_depth = 0
    rules = [*policy.event_rules, *policy.never, *policy.keys]
    for rule in sorted(rules, key=lambda r: r.origin.number):
        before = len(seen)
        for expression in ir.rule_expressions(rule):
            seen.update(_patterns(expression, lets))
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


def _patterns(expression: ir.Expression, lets: dict[str, ir.LetDeclaration]) -> Iterator[Pattern]:
    """Everything in an expression that becomes a matching function."""
    pending, entered = [expression], set[str]()
    while pending:
        node = pending.pop()
        match node:
            case ir.Match("comm", _, patterns):
                yield from (("comm", p) for p in patterns if p.literal is None)
            case ir.Match(_, _, patterns):
                yield from (("name", p) for p in patterns)
            case ir.Under(_, _, path):
                yield ("path", path)
                yield from (("name", c) for c in path.components if not c.matches_all)
            case ir.Let(name, _):
                if name not in entered:
                    entered.add(name)
                    pending.append(lets[name].value)
            case _:
                pending.extend(ir.children(node))
