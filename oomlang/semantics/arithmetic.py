"""Typing of numbers: arithmetic, functions, `if … else`, `at depth`."""

from __future__ import annotations

from oomlang.diagnostics import Code, Label, Span
from oomlang.facts import Type, spell
from oomlang.facts.types import MAX_ARGUMENTS, MAX_DEPTH
from oomlang.semantics import mends, model, operators
from oomlang.semantics.model import Operation
from oomlang.semantics.reads import contains_depth, needs_memcg
from oomlang.semantics.scope import FUNCTIONS
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
        least, most = FUNCTIONS[name]
        count = len(node.arguments)
        if count < least or (most is not None and count > most):
            expected = f"{least}" if least == most else f"{least} or more"
            arguments = "argument" if expected == "1" else "arguments"
            self._diagnostics.error(
                Code.ARGUMENT_COUNT,
                node.span,
                f"`{name}` takes {expected} {arguments}, and gets {count}",
                help="clamp(value, lowest, highest)" if name == "clamp" else "",
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
        for other in operands[1:]:
            if other.type is not operands[0].type:
                self._unit_mismatch(node.span, f"`{name}` needs arguments of one unit", operands[0], other)
                return None
        if name == "abs":
            (operand,) = operands
            return model.Absolute(
                span=node.span, type=operand.type, interval=operand.interval.absolute(), operand=operand
            )
        if name == "clamp":
            value, low, high = operands
            raised = self._binary(node.span, Operation.MAXIMUM, value.type, value, low)
            return raised and self._binary(node.span, Operation.MINIMUM, value.type, raised, high)
        operation = Operation.MINIMUM if name == "min" else Operation.MAXIMUM
        result: model.Expression | None = operands[0]
        for other in operands[1:]:
            result = result and self._binary(node.span, operation, other.type, result, other)
        return result

    def _negative(self, node: tree.Negative) -> model.Expression | None:
        operand = self.expression(node.operand)
        if operand is None or not self._numbers([operand], "`-`"):
            return None
        return model.Negate(span=node.span, type=operand.type, interval=-operand.interval, operand=operand)

    def _arithmetic(self, node: tree.Arithmetic) -> model.Expression | None:
        operands = self._operands(node.left, node.right)
        if operands is None or not self._numbers(operands, f"`{node.operator}`"):
            return None
        left, right = operands
        resolved = operators.resolve(node.operator, left.type, right.type)
        if resolved is None:
            verb = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}[node.operator]
            join = {"+": "to", "-": "from", "*": "by", "/": "by"}[node.operator]
            first, second = (right, left) if node.operator in "+-" else (left, right)
            self._diagnostics.error(
                Code.BAD_ARITHMETIC,
                node.span,
                f"cannot {verb} {first.type.phrase} {join} {second.type.phrase}",
                labels=(
                    Label(span=left.span, text=left.type.value),
                    Label(span=right.span, text=right.type.value),
                ),
                help=mends.arithmetic(
                    node.operator, left, right, self._text(left if left.type is Type.INT else right)
                ),
            )
            return None
        operation, type = resolved
        if not operators.ratio_on_right(operation, left.type, right.type):
            left, right = right, left
        if operation in (Operation.DIVIDE, Operation.RATIO) and 0 in right.interval:
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
        return self._binary(node.span, operation, type, left, right)

    def _binary(
        self, span: Span, operation: Operation, type: Type, left: model.Expression, right: model.Expression
    ) -> model.Expression | None:
        interval = operators.apply(operation, left.interval, right.interval)
        fits = interval.fits
        if operation is Operation.RATIO:
            fits = max(right.interval.high, -right.interval.low) <= operators.MAX_RATIO_DIVISOR
        elif operation is Operation.SHARE:
            fits = fits and right.interval.absolute().high <= operators.MAX_SHARE
        if not fits:
            self._diagnostics.error(
                Code.OVERFLOW,
                span,
                "this can leave the 64-bit range",
                labels=tuple(Label(span=o.span, text=range_text(o)) for o in (left, right) if o.span != span),
                help="bound an operand with min, max or clamp, or divide it first",
            )
            return None
        return model.Binary(
            span=span, type=type, interval=interval, operation=operation, left=left, right=right
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
