"""The IR as text, for people and for the corpus of tests: one line an event rule, `never` or key, in their order."""

from __future__ import annotations

from typing import assert_never

from oomlang.facts import spell
from oomlang.ir import nodes as ir

_SIGNS = {
    ir.Operation.ADD: "+",
    ir.Operation.SUBTRACT: "-",
    ir.Operation.MULTIPLY: "*",
    ir.Operation.DIVIDE: "/",
}


def policy_text(policy: ir.Policy) -> str:
    """A whole policy. Every operation stands in parentheses, every number in base units."""
    lines = [f"policy {policy.name}"]
    for declared in policy.inputs:
        kind = "memcg input" if declared.per_memcg else "knob"
        default = spell(declared.default, declared.type)
        lines.append(f"{kind} {declared.name}: {declared.type.value} = {default}")
    for let in policy.lets:
        low, high = let.interval.low, let.interval.high
        lines.append(f"let {let.name}: {let.type.value} in [{low}, {high}] = {expression_text(let.value)}")
    for rule in policy.event_rules:
        action = "kernel decides" if rule.kernel_decides else "kill nothing"
        lines.append(f"{rule.origin.line}: {action} if {expression_text(rule.condition)}")
    for never in policy.never:
        lines.append(f"{never.origin.line}: never {expression_text(never.condition)}")
    lines += [f"{key.origin.line}: {_key(key)}" for key in policy.keys]
    return "\n".join(lines) + "\n"


def _key(key: ir.Key) -> str:
    match key:
        case ir.FlagKey(condition=condition, first=first):
            return f"key {expression_text(condition)}" if first else f"key not {expression_text(condition)}"
        case ir.ValueKey(value=value) | ir.EachDepthKey(value=value):
            number = expression_text(value)
            if key.step != 1:
                number = f"floor({number} / {key.step})"
            if not key.highest:
                number = f"-{number}"
            each = " at each depth" if isinstance(key, ir.EachDepthKey) else ""
            when = f" if {expression_text(key.when)} else LEAST" if key.when is not None else ""
            return f"key {number}{each}{when}"


def _at(name: str, depth: int | None) -> str:
    return name if depth is None else f"{name}@{depth}"


def expression_text(node: ir.Expression) -> str:
    """An expression. `memcg.usage@2` is a fact at depth 2."""
    match node:
        case ir.Number(value):
            return str(value)
        case ir.Fact(name, depth) | ir.Input(name, depth) | ir.Let(name, depth):
            return _at(name, depth)
        case ir.Negate(operand):
            return f"-{expression_text(operand)}"
        case ir.Absolute(operand):
            return f"|{expression_text(operand)}|"
        case ir.Binary(operation, left, right, _, _):
            sides = expression_text(left), expression_text(right)
            sign = _SIGNS.get(operation)
            return f"({sides[0]} {sign} {sides[1]})" if sign else f"{operation.value}({', '.join(sides)})"
        case ir.Compare(operator, left, right):
            return f"({expression_text(left)} {operator} {expression_text(right)})"
        case ir.OneOf(subject, values):
            return f"({expression_text(subject)} in {{{', '.join(map(str, values))}}})"
        case ir.Match(fact, depth, patterns):
            texts = ", ".join(repr(p.text)[1:] for p in patterns)
            return f"({_at(fact, depth)} matches {texts})"
        case ir.Under(fact, depth, pattern):
            return f"({_at(fact, depth)} under {repr(pattern.text)[1:]})"
        case ir.Logical(operator, operands):
            return f"({f' {operator} '.join(map(expression_text, operands))})"
        case ir.Not(operand):
            return f"not {expression_text(operand)}"
        case ir.Select(condition, then, otherwise):
            return (
                f"({expression_text(then)} if {expression_text(condition)} else {expression_text(otherwise)})"
            )
        case _:
            assert_never(node)
