"""Typing of numbers: arithmetic, functions, `if … else`, `at depth`."""

from __future__ import annotations

from oomlang.diagnostics import Code, Label, Span
from oomlang.facts import Type, spell
from oomlang.facts.types import MAX_ARGUMENTS, MAX_DEPTH
from oomlang.operations import FUNCTIONS, NEGATE, OPERATIONS, Operation, resolve
from oomlang.semantics import mends, model
from oomlang.semantics.reads import contains_depth, needs_memcg
from oomlang.semantics.typing import Typing, range_text
from oomlang.syntax import tree
from oomlang.syntax.suggest import did_you_mean


class Arithmetic(Typing):
    """Types what makes numbers out of numbers."""

    def _call(self, node: tree.Call) -> model.Expression | None:
        name = node.function.name
        if name not in FUNCTIONS:
            help = did_you_mean(name, FUNCTIONS) or "the functions are " + ", ".join(
                f"`{f}`" for f in FUNCTIONS
            )
            if name in self._names.known():
                help = f"`{name}` is not a function: leave the parentheses out"
            self._diagnostics.error(
                Code.UNKNOWN_FUNCTION, node.function.span, f"unknown function `{name}`", help=help
            )
            return None
        operation = FUNCTIONS[name]
        count, least = len(node.arguments), operation.arity
        if count < least or (count > least and not operation.repeats):
            expected = f"{least} or more" if operation.repeats else f"{least}"
            arguments = "argument" if expected == "1" else "arguments"
            self._diagnostics.error(
                Code.ARGUMENT_COUNT,
                node.span,
                f"`{name}` takes {expected} {arguments}, and gets {count}",
                help=f"{name}({operation.parameters})" if operation.parameters else "",
            )
            return None
        if count > MAX_ARGUMENTS:
            self._diagnostics.error(
                Code.TOO_MANY, node.span, f"`{name}` gets {count} arguments; the limit is {MAX_ARGUMENTS}"
            )
            return None
        operands = self._operands(*node.arguments)
        if operands is None or not self._numbers(operands, f"`{name}`"):
            return None
        if operation.result(tuple([o.type for o in operands[:least]])) is None or (
            operation.repeats and any(o.type is not operands[0].type for o in operands)
        ):
            other = next((o for o in operands if o.type is not operands[0].type), operands[0])
            self._unit_mismatch(node.span, f"`{name}` needs {operation.needs}", operands[0], other)
            return None
        result = self._apply(node.span, operation, operands[:least])
        for other in operands[least:]:
            result = result and self._apply(node.span, operation, [result, other])
        return result

    def _negative(self, node: tree.Negative) -> model.Expression | None:
        operand = self.expression(node.operand)
        if operand is None or not self._numbers([operand], "`-`"):
            return None
        return self._apply(node.span, NEGATE, [operand])

    def _arithmetic(self, node: tree.Arithmetic) -> model.Expression | None:
        operands = self._operands(node.left, node.right)
        if operands is None or not self._numbers(operands, f"`{node.operator}`"):
            return None
        left, right = operands
        resolved = resolve(node.operator, (left.type, right.type))
        if resolved is None:
            phrase = next(o.phrase for o in OPERATIONS if o.sign == node.operator and o.arity == 2)
            self._diagnostics.error(
                Code.BAD_ARITHMETIC,
                node.span,
                f"cannot {phrase.format(left.type.phrase, right.type.phrase)}",
                labels=(
                    Label(span=left.span, text=left.type.value),
                    Label(span=right.span, text=right.type.value),
                ),
                help=mends.arithmetic(
                    node.operator, left, right, self._text(left if left.type is Type.INT else right)
                ),
            )
            return None
        operation, turned = resolved
        if operation.divides and 0 in right.interval:
            if right.interval.is_point:
                self._diagnostics.error(
                    Code.DIVISOR_ZERO, node.right.span, "this divides by 0, which gives 0"
                )
            else:
                self._diagnostics.error(
                    Code.DIVISOR_ZERO,
                    node.right.span,
                    f"`{self._text(node.right)}` can be 0, and x / 0 is 0",
                    help=f"write max({self._text(node.right)}, {spell(_one(right.type), right.type)}) if 0 is not meant",
                )
        return self._apply(node.span, operation, [right, left] if turned else [left, right])

    def _apply(
        self, span: Span, operation: Operation, operands: list[model.Expression]
    ) -> model.Expression | None:
        type = operation.result(tuple([o.type for o in operands]))
        assert type is not None  # whoever applies it has looked
        ranges = tuple([o.interval for o in operands])
        if not operation.fits(ranges):
            self._diagnostics.error(
                Code.OVERFLOW,
                span,
                "this can leave the 64-bit range",
                labels=tuple(Label(span=o.span, text=range_text(o)) for o in operands if o.span != span),
                help="bound an operand with min, max or clamp, or divide it first",
            )
            return None
        return model.Apply(
            span=span,
            type=type,
            interval=operation.interval(ranges),
            operation=operation,
            operands=tuple(operands),
        )

    def _conditional(self, node: tree.Conditional) -> model.Expression | None:
        condition = self._condition(node.condition, self.expression(node.condition))
        operands = self._operands(node.then, node.otherwise)
        if condition is None or operands is None:
            return None
        then, otherwise = operands
        for operand in operands:
            if operand.type in (Type.TEXT, Type.PATH):
                self._diagnostics.error(
                    Code.WRONG_OPERAND,
                    operand.span,
                    "`if … else` chooses between numbers or conditions",
                    label=operand.type.value,
                )
                return None
        if then.type is not otherwise.type:
            self._diagnostics.error(
                Code.BRANCH_MISMATCH,
                node.span,
                "the two branches have different units",
                labels=(
                    Label(span=then.span, text=then.type.value),
                    Label(span=otherwise.span, text=otherwise.type.value),
                ),
                help=mends.one_unit(then, self._text(then), otherwise, self._text(otherwise)),
            )
            return None
        return model.Select(
            span=node.span,
            type=then.type,
            interval=then.interval.union(otherwise.interval),
            condition=condition,
            then=then,
            otherwise=otherwise,
        )

    def _at_depth(self, node: tree.AtDepth) -> model.Expression | None:
        operand = self.expression(node.operand)
        if isinstance(node.depth, tree.Unreadable):
            return None
        depth = node.depth.value
        if node.depth.type is not Type.INT or not 1 <= depth <= MAX_DEPTH:
            self._diagnostics.error(
                Code.DEPTH_LIMIT,
                node.depth.span,
                f"a depth is a plain number from 1 to {MAX_DEPTH}",
                help="depth 1 is the level right below the root" if depth == 0 else "",
            )
            return None
        if operand is None:
            return None
        if contains_depth(operand):
            self._diagnostics.error(
                Code.DEPTH_MISUSE, node.span, "`at depth` stands inside another `at depth`", help="remove one"
            )
            return None
        if not needs_memcg(operand):
            self._diagnostics.error(
                Code.DEPTH_MISUSE,
                node.operand.span,
                "`at depth` chooses the cgroup whose facts are read, and nothing here reads one",
                help="remove `at depth`, or use a memcg fact",
            )
            return None
        return model.AtDepth(
            span=node.span, type=operand.type, interval=operand.interval, operand=operand, depth=depth
        )


def _one(type: Type) -> int:
    return 100 if type is Type.RATIO else 1
