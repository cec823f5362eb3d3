"""Typed policy → IR, the only bridge between the two."""

from __future__ import annotations

from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir
from oomlang.semantics import model


def lower(policy: model.Policy) -> ir.Policy:
    """The meaning of a policy that has no errors."""
    return _Lowering(policy).run()


class _Lowering:
    def __init__(self, policy: model.Policy) -> None:
        self._policy = policy

    def run(self) -> ir.Policy:
        return ir.Policy(
            name=self._policy.name,
            inputs=tuple(
                ir.InputDeclaration(
                    name=i.name,
                    type=i.type,
                    interval=i.interval,
                    per_memcg=i.per_memcg,
                    default=i.default,
                    line=self._policy.source.position(i.span.start)[0],
                )
                for i in self._policy.inputs
            ),
            lets=tuple(self._let(let) for let in self._policy.lets),
            rules=tuple(
                _rule(self._origin(number, rule), rule)
                for number, rule in enumerate(self._policy.rules, start=1)
            ),
        )

    def _let(self, let: model.Let) -> ir.LetDeclaration:
        source = self._policy.source
        line, column = source.position(let.span.start)
        return ir.LetDeclaration(
            name=let.name,
            type=let.value.type,
            interval=let.value.interval,
            value=_expression(let.value, None),
            line=line,
            column=column,
            text=source.slice(let.span),
        )

    def _origin(self, number: int, rule: model.Rule) -> ir.Origin:
        source = self._policy.source
        line, column = source.position(rule.span.start)
        return ir.Origin(
            number=number, span=rule.span, line=line, column=column, text=source.slice(rule.span)
        )


def _rule(origin: ir.Origin, rule: model.Rule) -> ir.Rule:
    match rule:
        case model.EventRule(action=action, condition=condition):
            return ir.EventRule(
                origin=origin,
                kernel_decides=action is model.Action.KERNEL_DECIDES,
                condition=_expression(condition, None),
            )
        case model.NeverKill(condition=condition):
            return ir.Never(origin=origin, condition=_expression(condition, None))
        case model.KillFlag(first=first, condition=condition):
            return ir.FlagKey(origin=origin, condition=_expression(condition, None), first=first)
        case model.KillBy():
            return _key(origin, rule)


def _key(origin: ir.Origin, rule: model.KillBy) -> ir.Key:
    kind = ir.EachDepthKey if rule.each_depth else ir.ValueKey
    return kind(
        origin=origin,
        value=_expression(rule.value, None),
        interval=rule.value.interval.steps(rule.step),
        type=rule.value.type,
        highest=rule.highest,
        step=rule.step,
        when=_expression(rule.when, None) if rule.when is not None else None,
    )


def _expression(node: model.Expression, depth: int | None) -> ir.Expression:
    """Lower an expression whose memcg facts are read at `depth` (None: from the view)."""
    match node:
        case model.Constant(value=value):
            return ir.Number(value)
        case model.FactRef(fact=fact):
            return ir.Fact(fact.name, depth if fact.scope is Scope.MEMCG else None)
        case model.InputRef(input=declared):
            return ir.Input(declared.name, depth if declared.per_memcg else None, declared.per_memcg)
        case model.LetRef(let=let):
            return ir.Let(let.name, depth)
        case model.Apply(operation=operation, operands=operands):
            return ir.Apply(
                operation,
                tuple([_expression(o, depth) for o in operands]),
                tuple([o.interval for o in operands]),
            )
        case model.Comparison(operator=operator, left=left, right=right):
            return ir.Compare(operator, _expression(left, depth), _expression(right, depth))
        case model.OneOf(subject=subject, values=values):
            return ir.OneOf(_expression(subject, depth), values)
        case model.Match(fact=fact, patterns=patterns):
            return ir.Match(fact.name, depth if fact.scope is Scope.MEMCG else None, patterns)
        case model.Under(fact=fact, pattern=pattern):
            return ir.Under(fact.name, depth if fact.scope is Scope.MEMCG else None, pattern)
        case model.Logical(operator=operator, operands=operands):
            return ir.Logical(operator, tuple(_expression(o, depth) for o in operands))
        case model.Not(operand=operand):
            return ir.Not(_expression(operand, depth))
        case model.Select(condition=condition, then=then, otherwise=otherwise):
            return ir.Select(
                _expression(condition, depth), _expression(then, depth), _expression(otherwise, depth)
            )
        case model.AtDepth(operand=operand, depth=inner):
            return _expression(operand, inner)
