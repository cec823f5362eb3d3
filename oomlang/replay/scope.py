"""What the scope of an event says about the cgroups of its candidates.

In: a policy and the memory cgroup that ran out. Out: the policy for this event: a report names no candidate's cgroup but
the victim's, yet all of them lie in the scope or below it. So `memcg under P` is true for all where P covers the scope,
and false for all where P leads elsewhere; only a P below the scope is left open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from oomlang.facts.patterns import PathPattern
from oomlang.host.model import MemcgPath
from oomlang.ir import nodes as ir


def within(policy: ir.Policy, scope: MemcgPath) -> ir.Policy:
    """The policy as it is for an event in `scope`, wherever below it the candidates are."""
    if not scope:
        return policy
    rules = (*policy.event_rules, *policy.never, *policy.keys)
    expressions = [let.value for let in policy.lets] + [
        e for rule in rules for e in ir.rule_expressions(rule)
    ]
    # A let that is read at a depth has its facts read there, and what it says of a depth of its own does not count.
    deep = any(isinstance(node, ir.Let) and node.depth is not None for e in expressions for node in _all(e))

    def plain(node: ir.Expression) -> ir.Expression:
        return _rewritten(node, lambda under: _answer(under, scope, under.depth))

    def of_let(node: ir.Expression) -> ir.Expression:
        if not deep:
            return plain(node)
        return _rewritten(node, lambda under: 0 if _elsewhere(under.pattern, scope) else None)

    return replace(
        policy,
        lets=tuple(replace(let, value=of_let(let.value)) for let in policy.lets),
        event_rules=tuple(replace(r, condition=plain(r.condition)) for r in policy.event_rules),
        never=tuple(replace(r, condition=plain(r.condition)) for r in policy.never),
        keys=tuple(_key(key, plain) for key in policy.keys),
    )


def _answer(under: ir.Under, scope: MemcgPath, depth: int | None) -> int | None:
    """Whether the pattern covers every cgroup in the scope (1) or none (0)."""
    size = len(under.pattern.components)
    if depth is not None and depth < size:
        return 0  # an ancestor so high up has fewer components
    if _elsewhere(under.pattern, scope):
        return 0
    return 1 if size <= len(scope) else None


def _elsewhere(pattern: PathPattern, scope: MemcgPath) -> bool:
    return not all(g.matches(name) for g, name in zip(pattern.components, scope, strict=False))


def _all(node: ir.Expression) -> list[ir.Expression]:
    found, pending = [], [node]
    while pending:
        found.append(pending.pop())
        pending.extend(ir.children(found[-1]))
    return found


def _key(key: ir.Key, change: Callable[[ir.Expression], ir.Expression]) -> ir.Key:
    match key:
        case ir.FlagKey():
            return replace(key, condition=change(key.condition))
        case ir.ValueKey() | ir.EachDepthKey():
            when = change(key.when) if key.when is not None else None
            return replace(key, value=change(key.value), when=when)


def _rewritten(node: ir.Expression, answer: Callable[[ir.Under], int | None]) -> ir.Expression:
    def again(child: ir.Expression) -> ir.Expression:
        return _rewritten(child, answer)

    match node:
        case ir.Under(fact="memcg"):
            value = answer(node)
            return node if value is None else ir.Number(value)
        case ir.Negate(x) | ir.Absolute(x) | ir.Not(x):
            return replace(node, operand=again(x))
        case ir.OneOf(x, _):
            return replace(node, subject=again(x))
        case ir.Binary() | ir.Compare():
            return replace(node, left=again(node.left), right=again(node.right))
        case ir.Logical(_, operands):
            return replace(node, operands=tuple(map(again, operands)))
        case ir.Select(c, a, b):
            return replace(node, condition=again(c), then=again(a), otherwise=again(b))
        case _:
            return node
