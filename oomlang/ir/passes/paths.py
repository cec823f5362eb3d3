"""What a policy asks about cgroups becomes numbered questions.

`memcg under "/a"` and `memcg.name like "b*"` become `Asked`, with the places of the patterns in `Policy.questions`. There
each stands once, in the order in which the rules ask first. So a target can answer all of them in one walk over a cgroup's
path, once for the cgroup. Several that stand in one `or`, about the same cgroup, are one `Asked`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary, at_depth, fold
from oomlang.ir.passes.rewrite import Rewrite, with_expressions

NAME = "memcg.name"
MEMCG = "memcg"


def paths(policy: ir.Policy) -> ir.Policy:
    """The policy, its questions about cgroups numbered."""
    asked = Lets(policy.lets, _Questions(policy.questions))
    found: dict[ir.Question, None] = {}
    for rule in policy.rules:
        for expression in ir.rule_expressions(rule):
            found.update(asked.fold(expression))
    for let in policy.lets:  # some may be unused by now
        found.update(asked.fold(ir.Let(let.name)))
    numbering = _Numbering(policy.questions, {question: number for number, question in enumerate(found)})
    lets = []
    for let in policy.lets:  # each after those that it uses
        numbering.lets[let.name] = value = fold(let.value, numbering)
        lets.append(replace(let, value=value))
    return replace(
        policy,
        lets=tuple(lets),
        rules=tuple([with_expressions(rule, lambda e: fold(e, numbering)) for rule in policy.rules]),
        questions=tuple(found),
    )


def _asks(node: ir.Expression, before: tuple[ir.Question, ...]) -> tuple[ir.Question, ...]:
    """The questions of a leaf, in its order."""
    match node:
        case ir.Under(_, _, pattern):
            return (pattern,)
        case ir.Match(fact, _, patterns) if fact == NAME:
            return patterns
        case ir.Asked(_, _, questions):
            return tuple([before[number] for number in questions])
        case _:
            return ()


class _Questions(Summary[dict[ir.Question, None]]):
    def __init__(self, before: tuple[ir.Question, ...]) -> None:
        self._before = before

    def leaf(self, node: ir.Leaf) -> dict[ir.Question, None]:
        return dict.fromkeys(_asks(node, self._before))

    def join(
        self, node: ir.Expression, parts: tuple[dict[ir.Question, None], ...]
    ) -> dict[ir.Question, None]:
        found: dict[ir.Question, None] = {}
        for part in parts:
            found.update(part)
        return found


class _Numbering(Rewrite):
    def __init__(self, before: tuple[ir.Question, ...], numbers: dict[ir.Question, int]) -> None:
        self.lets: dict[str, ir.Expression] = {}
        self._before = before
        self._numbers = numbers

    def let(self, node: ir.Let) -> ir.Expression:
        # A let that only asks about a cgroup is written out, so that what is asked beside it is asked at once.
        match self.lets[node.name]:
            case ir.Asked() as asked:
                return at_depth(asked, node.depth)
            case ir.Not(ir.Asked() as asked):
                return ir.Not(at_depth(asked, node.depth))
            case _:
                return node

    def leaf(self, node: ir.Leaf) -> ir.Expression:
        questions = _asks(node, self._before)
        if not questions:
            return node
        numbers = tuple(sorted({self._numbers[question] for question in questions}))
        match node:
            case ir.Under(fact, depth) | ir.Asked(fact, depth):
                return ir.Asked(fact, depth, numbers)
            case ir.Match(_, depth):
                return ir.Asked(MEMCG, depth, numbers)
            case _:
                raise AssertionError(node)  # no other asks

    def logical(self, node: ir.Logical, operands: tuple[ir.Expression, ...]) -> ir.Expression:
        merged = _merged(operands, negated=node.operator == "and")
        if len(merged) == len(operands):
            return super().logical(node, operands)
        return merged[0] if len(merged) == 1 else ir.Logical(node.operator, tuple(merged))


def _merged(operands: Iterable[ir.Expression], *, negated: bool) -> list[ir.Expression]:
    """The operands of an `or`, what is asked about one cgroup asked at once. negated: those of an `and`, where
    `not a and not b` is `not (a or b)`.
    """
    found: dict[object, ir.Expression] = {}
    asked: dict[tuple[str, int | None], set[int]] = {}
    for place, operand in enumerate(operands):
        inner = operand.operand if negated and isinstance(operand, ir.Not) else operand
        if not isinstance(inner, ir.Asked) or negated is (inner is operand):
            found[place] = operand
        else:
            about = inner.fact, inner.depth
            asked.setdefault(about, set()).update(inner.questions)
            found[about] = operand
    for about, questions in asked.items():
        question = ir.Asked(*about, tuple(sorted(questions)))
        found[about] = ir.Not(question) if negated else question
    return list(found.values())
