"""The IR as text, for people and for the corpus of tests: one line an event rule, `never` or key, in their order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from oomlang.facts import spell
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Algebra, fold


def policy_text(policy: ir.Policy) -> str:
    """A whole policy. Every operation stands in parentheses, every number in base units."""
    text = partial(expression_text, questions=policy.questions)
    lines = [f"policy {policy.name}"]
    for declared in policy.inputs:
        kind = "memcg input" if declared.per_memcg else "knob"
        default = spell(declared.default, declared.type)
        lines.append(f"{kind} {declared.name}: {declared.type.value} = {default}")
    for let in policy.lets:
        low, high = let.interval.low, let.interval.high
        lines.append(f"let {let.name}: {let.type.value} in [{low}, {high}] = {text(let.value)}")
    for rule in policy.event_rules:
        action = "kernel decides" if rule.kernel_decides else "kill nothing"
        lines.append(f"{rule.origin.line}: {action} if {text(rule.condition)}")
    for never in policy.never:
        lines.append(f"{never.origin.line}: never {text(never.condition)}")
    lines += [f"{key.origin.line}: {_key(key, text)}" for key in policy.keys]
    return "\n".join(lines) + "\n"


def _key(key: ir.Key, text: Callable[[ir.Expression], str]) -> str:
    match key:
        case ir.FlagKey(condition=condition, first=first):
            return f"key {text(condition)}" if first else f"key not {text(condition)}"
        case ir.ValueKey(value=value) | ir.EachDepthKey(value=value):
            number = text(value)
            if key.step != 1:
                number = f"floor({number} / {key.step})"
            if not key.highest:
                number = f"-{number}"
            each = " at each depth" if isinstance(key, ir.EachDepthKey) else ""
            when = f" if {text(key.when)} else LEAST" if key.when is not None else ""
            return f"key {number}{each}{when}"


class _Text(Algebra[str]):
    def __init__(self, questions: tuple[ir.Question, ...]) -> None:
        self._questions = questions

    def number(self, node: ir.Number) -> str:
        return str(node.value)

    def fact(self, node: ir.Fact) -> str:
        return _at(node.name, node.depth)

    def input(self, node: ir.Input) -> str:
        return _at(node.name, node.depth)

    def let(self, node: ir.Let) -> str:
        return _at(node.name, node.depth)

    def match(self, node: ir.Match) -> str:
        return f"({_at(node.fact, node.depth)} matches {', '.join(map(_quoted, node.patterns))})"

    def under(self, node: ir.Under) -> str:
        return f"({_at(node.fact, node.depth)} under {_quoted(node.pattern)})"

    def asked(self, node: ir.Asked) -> str:
        about = _at(node.fact, node.depth)
        asked = [self._questions[number] for number in node.questions]
        return f"({' or '.join([f'{about} {_KINDS[type(q)]} {_quoted(q)}' for q in asked])})"

    def apply(self, node: ir.Apply, operands: tuple[str, ...]) -> str:
        return node.operation.text(operands)

    def compare(self, node: ir.Compare, left: str, right: str) -> str:
        return f"({left} {node.operator} {right})"

    def one_of(self, node: ir.OneOf, subject: str) -> str:
        return f"({subject} in {{{', '.join(map(str, node.values))}}})"

    def logical(self, node: ir.Logical, operands: tuple[str, ...]) -> str:
        return f"({f' {node.operator} '.join(operands)})"

    def not_(self, node: ir.Not, operand: str) -> str:
        return f"not {operand}"

    def select(self, node: ir.Select, condition: str, then: str, otherwise: str) -> str:
        return f"({then} if {condition} else {otherwise})"


_KINDS = {PathPattern: "under", Glob: "named"}


def _at(name: str, depth: int | None) -> str:
    return name if depth is None else f"{name}@{depth}"


def _quoted(pattern: ir.Question) -> str:
    return repr(pattern.text)[1:]


def expression_text(node: ir.Expression, questions: tuple[ir.Question, ...] = ()) -> str:
    """An expression. `memcg.usage@2` is a fact at depth 2. questions: the policy's."""
    return fold(node, _Text(questions))
