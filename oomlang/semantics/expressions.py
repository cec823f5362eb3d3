"""Typing of expressions.

Each method takes a node of the syntax tree and returns its typed form, or None after adding a diagnostic; an operand that
is None makes its whole expression None in silence, so that one mistake gives one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from oomlang.diagnostics import Code, Diagnostics, Label, Span
from oomlang.facts import FACTS, Fact, Interval, Type, spell
from oomlang.facts.patterns import ANY, STAR, BadPath, Glob, exactly, glob, path_pattern
from oomlang.facts.table import TEXT_BYTES
from oomlang.facts.types import MAX_DEPTH, MAX_LIST, MAX_NESTING
from oomlang.semantics import mends, model, operators
from oomlang.semantics.model import Operation
from oomlang.semantics.reads import contains_depth, needs_memcg
from oomlang.semantics.scope import FUNCTIONS, Names
from oomlang.syntax import tree
from oomlang.syntax.suggest import did_you_mean

_BOOL = Interval(0, 1)
_NOTHING = Interval(0, 0)
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class Expressions:
    """Types the expressions of one policy. Lets are typed when first used, and once."""

    def __init__(self, names: Names, diagnostics: Diagnostics) -> None:
        self._names = names
        self._diagnostics = diagnostics
        self._lets: dict[str, model.Let | None] = {}
        self._let_depth: dict[str, int] = {}
        self._typing: list[str] = []

    @property
    def lets(self) -> tuple[model.Let, ...]:
        """The lets typed so far, each after those that it uses."""
        return tuple(let for let in self._lets.values() if let is not None)

    # What statements ask for

    def condition(self, node: tree.Expression) -> model.Expression | None:
        """An expression that must be a condition."""
        return self._condition(node, self._whole(node))

    def _condition(self, node: tree.Expression, typed: model.Expression | None) -> model.Expression | None:
        if typed is None or typed.type is Type.BOOL:
            return typed
        mend = ""
        if typed.type.is_number:
            mend = f"compare it with something: `{self._text(node)} > {mends.example(typed.type)}`"
        elif isinstance(typed, model.FactRef):
            mend = f'write `{typed.fact.name} {"under" if typed.type is Type.PATH else "=="} "…"`'
        self._diagnostics.error(
            Code.NOT_A_CONDITION,
            node.span,
            f"a condition is needed here, and this is {typed.type.phrase}",
            label=typed.type.value,
            help=mend,
        )
        return None

    def rank(self, node: tree.Expression, need: str, flag: str) -> model.Expression | None:
        """An expression that must be a number of any unit; flag: the rule that says the same of a condition."""
        typed = self._whole(node)
        if typed is None or typed.type.is_number:
            return typed
        text = self._text(node)
        condition = {Type.BOOL: text, Type.PATH: f'{text} under "/…"'}.get(typed.type, f'{text} == "…"')
        self._diagnostics.error(
            Code.NOT_RANKABLE,
            node.span,
            need,
            label=typed.type.value,
            help=f"for a condition write `{flag} {condition}`",
        )
        return None

    def let(self, name: str) -> model.Let | None:
        """Type a let, or find it typed already."""
        if name in self._lets:
            return self._lets[name]
        declared = self._names.lets[name]
        if name in self._typing:
            cycle = [*self._typing[self._typing.index(name) :], name]
            self._diagnostics.error(
                Code.LET_CYCLE,
                declared.name.span,
                f"`{name}` is defined by itself: {' → '.join(cycle)}",
                help="a let may only use facts, inputs and lets that do not lead back to it",
            )
            return None
        self._typing.append(name)
        value = self._whole(declared.value)
        self._typing.pop()
        if value is not None and value.type in (Type.TEXT, Type.PATH):
            self._diagnostics.error(
                Code.WRONG_OPERAND,
                declared.value.span,
                "a let is a number or a condition",
                label=value.type.value,
                help=f"name the condition instead: let {name} = {self._text(declared.value)} "
                + ("under" if value.type is Type.PATH else "==")
                + ' "…"',
            )
            value = None
        if value is not None:
            self._let_depth[name] = self._depth(value)
        if name not in self._lets:  # a cycle through this let has reported it already
            self._lets[name] = (
                model.Let(span=declared.span, name=name, value=value) if value is not None else None
            )
        return self._lets[name]

    def _whole(self, node: tree.Expression) -> model.Expression | None:
        """A whole expression: not nested deeper, the lets that it uses written out, than later passes recurse."""
        typed = self.expression(node)
        if typed is not None and self._depth(typed) > MAX_NESTING:
            self._diagnostics.error(
                Code.TOO_DEEP,
                node.span,
                f"with the lets that it uses this nests more than {MAX_NESTING} levels deep",
                help="use fewer lets on top of each other",
            )
            return None
        return typed

    def _depth(self, node: model.Expression) -> int:
        if isinstance(node, model.LetRef):
            return 1 + self._let_depth[node.let.name]
        return 1 + max(map(self._depth, model.children(node)), default=0)

    # Expressions

    def expression(self, node: tree.Expression) -> model.Expression | None:
        """Type any expression."""
        match node:
            case tree.Number():
                return self._constant(node, node.value, node.type)
            case tree.Unreadable():
                return None
            case tree.Truth():
                return model.Constant(
                    span=node.span,
                    type=Type.BOOL,
                    interval=Interval(node.value, node.value),
                    value=int(node.value),
                )
            case tree.Text():
                self._diagnostics.error(
                    Code.WRONG_OPERAND,
                    node.span,
                    "a text can only be compared with a text fact",
                    help='write `comm == "…"`, `comm like "…"` or `memcg under "…"`',
                )
                return None
            case tree.Name():
                return self._name(node)
            case tree.Call():
                return self._call(node)
            case tree.Negative():
                return self._negative(node)
            case tree.Arithmetic():
                return self._arithmetic(node)
            case tree.Compare():
                return self._compare(node)
            case tree.In():
                return self._in(node)
            case tree.Like():
                return self._like(node)
            case tree.Under():
                return self._under(node)
            case tree.AtDepth():
                return self._at_depth(node)
            case tree.Logical():
                operands = [self._condition(o, self.expression(o)) for o in node.operands]
                present = tuple(o for o in operands if o is not None)
                if len(present) < len(operands):
                    return None
                return model.Logical(
                    span=node.span, type=Type.BOOL, interval=_BOOL, operator=node.operator, operands=present
                )
            case tree.Not():
                operand = self._condition(node.operand, self.expression(node.operand))
                if operand is None:
                    return None
                return model.Not(span=node.span, type=Type.BOOL, interval=_BOOL, operand=operand)
            case tree.Conditional():
                return self._conditional(node)
            case _:
                assert_never(node)

    def _text(self, node: tree.Node | model.Typed) -> str:
        text = self._diagnostics.source.slice(node.span)
        return text if len(text) <= 40 and "\n" not in text else "…"

    def _constant(self, node: tree.Node, value: int, type: Type) -> model.Constant:
        return model.Constant(span=node.span, type=type, interval=Interval(value, value), value=value)

    def _name(self, node: tree.Name) -> model.Expression | None:
        name = node.name
        self._names.used.add(name)
        if (fact := FACTS.get(name)) is not None:
            return model.FactRef(span=node.span, type=fact.type, interval=fact.range or _NOTHING, fact=fact)
        if name in self._names.broken:
            return None
        if (declared := self._names.inputs.get(name)) is not None:
            return model.InputRef(
                span=node.span, type=declared.type, interval=declared.interval, input=declared
            )
        if name in self._names.lets:
            let = self.let(name)
            if let is None:
                return None
            return model.LetRef(span=node.span, type=let.value.type, interval=let.value.interval, let=let)
        self._diagnostics.error(
            Code.UNKNOWN_NAME, node.span, f"unknown name `{name}`", help=self._names.suggestion(name)
        )
        return None

    def _operands(self, *nodes: tree.Expression) -> list[model.Expression] | None:
        typed = [self.expression(n) for n in nodes]
        present = [t for t in typed if t is not None]
        return present if len(present) == len(typed) else None

    def _numbers(self, operands: list[model.Expression], what: str) -> bool:
        """Whether all operands are numbers; a diagnostic for each that is not."""
        for operand in operands:
            if not operand.type.is_number:
                self._diagnostics.error(
                    Code.WRONG_OPERAND,
                    operand.span,
                    f"{what} needs numbers, and this is {operand.type.phrase}",
                    label=operand.type.value,
                )
        return all(o.type.is_number for o in operands)

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
                labels=tuple(Label(span=o.span, text=_range(o)) for o in (left, right) if o.span != span),
                help="bound an operand with min, max or clamp, or divide it first",
            )
            return None
        return model.Binary(
            span=span, type=type, interval=interval, operation=operation, left=left, right=right
        )

    def _unit_mismatch(
        self, span: Span, message: str, left: model.Expression, right: model.Expression
    ) -> None:
        self._diagnostics.error(
            Code.UNIT_MISMATCH,
            span,
            message,
            labels=(
                Label(span=left.span, text=left.type.value),
                Label(span=right.span, text=right.type.value),
            ),
            help=mends.one_unit(left, self._text(left), right, self._text(right)),
        )

    # Comparisons

    def _compare(self, node: tree.Compare) -> model.Expression | None:
        texts = [n for n in (node.left, node.right) if isinstance(n, tree.Text)]
        if texts:
            subject = node.right if texts[0] is node.left else node.left
            return self._compare_text(node, subject, texts)
        for word, subject in ((node.right, node.left), (node.left, node.right)):
            if self._without_quotes(word, subject):
                return None
        operands = self._operands(node.left, node.right)
        if operands is None:
            return None
        left, right = operands
        for operand in operands:
            if operand.type is Type.PATH:
                self._path_misuse(operand)
                return None
            if operand.type is Type.TEXT:
                other = right if operand is left else left
                text = self._text(other) if isinstance(other, model.Constant) else "…"
                self._diagnostics.error(
                    Code.WRONG_OPERAND,
                    other.span,
                    f"`{self._text(operand)}` can only be compared with a text in quotes",
                    label=other.type.value,
                    help=f'{self._text(operand)} {node.operator} "{text}"',
                )
                return None
        if left.type is not right.type:
            phrase = f"cannot compare {left.type.phrase} with {right.type.phrase}"
            self._unit_mismatch(node.operator_span, phrase, left, right)
            return None
        if left.type is Type.BOOL and node.operator not in ("==", "!="):
            self._diagnostics.error(
                Code.WRONG_OPERAND,
                node.operator_span,
                f"conditions have no order: `{node.operator}` compares numbers",
                help="use `==`, `!=`, `and`, `or`, `not`",
            )
            return None
        if not self._undecided(node, left, right):
            return None
        return model.Comparison(
            span=node.span, type=Type.BOOL, interval=_BOOL, operator=node.operator, left=left, right=right
        )

    def _without_quotes(self, word: tree.Expression, subject: tree.Expression) -> bool:
        """Whether a text fact meets an unknown name, which is then a text that lacks its quotes; says so."""
        if not (
            isinstance(word, tree.Name) and isinstance(subject, tree.Name) and subject.name in TEXT_BYTES
        ):
            return False
        if self._names.knows(word.name):
            return False
        self._diagnostics.error(
            Code.UNKNOWN_NAME,
            word.span,
            f"unknown name `{word.name}`",
            help=f'a text stands in quotes: "{word.name}"',
        )
        return True

    def _undecided(self, node: tree.Compare, left: model.Expression, right: model.Expression) -> bool:
        """Whether the intervals leave both answers possible; a diagnostic where they do not."""
        answer = decided(node.operator, left.interval, right.interval)
        if answer is None:
            return True
        subject, other, operator = left, right, node.operator
        if isinstance(left, model.Constant) and not isinstance(right, model.Constant):
            subject, other, operator = right, left, _MIRROR[operator]
        lies = f"`{self._text(subject)}` lies in {_range(subject)}"
        verdict = "always true" if answer else "never true"
        code = Code.ALWAYS_TRUE if answer else Code.ALWAYS_FALSE
        literal = isinstance(other, model.Constant) and not isinstance(subject, model.Constant)
        if literal and other.interval.low not in subject.interval:
            self._diagnostics.error(
                Code.OUT_OF_RANGE,
                other.span,
                f"{spell(other.interval.low, other.type)} is outside the range of `{self._text(subject)}`, "
                f"so this is {verdict}",
                label=f"not in {_range(subject)}",
            )
            return False
        if isinstance(subject, model.Constant):
            lies = "both sides are constants"
        elif not isinstance(other, model.Constant):
            lies += f", `{self._text(other)}` in {_range(other)}"
        self._diagnostics.error(
            code, node.span, f"this is {verdict}: {lies}", help="remove it, or mend the bound"
        )
        return False

    def _compare_text(
        self, node: tree.Compare, subject: tree.Expression, texts: list[tree.Text]
    ) -> model.Expression | None:
        fact = self._text_fact(subject, node)
        if fact is None:
            return None
        if node.operator not in ("==", "!="):
            self._diagnostics.error(
                Code.WRONG_OPERAND,
                node.operator_span,
                f"texts have no order: `{node.operator}` compares numbers",
                help="use `==`, `!=`, `like` or `in (…)`",
            )
            return None
        value = texts[0].value
        if not self._text_fits(texts[0], len(value), fact.name):
            return None
        if STAR in value or ANY in value:
            self._diagnostics.error(
                Code.BAD_PATTERN,
                texts[0].span,
                f"`{node.operator}` compares letter by letter, and this looks like a pattern",
                help=f"write `{'not ' if node.operator == '!=' else ''}{fact.name} like {self._text(texts[0])}`",
            )
            return None
        matched = model.Match(
            span=node.span, type=Type.BOOL, interval=_BOOL, fact=fact, patterns=(exactly(value),)
        )
        if node.operator == "==":
            return matched
        return model.Not(span=node.span, type=Type.BOOL, interval=_BOOL, operand=matched)

    def _text_fact(self, subject: tree.Expression, node: tree.Node) -> Fact | None:
        """The text fact on the left of a text operator."""
        if isinstance(subject, tree.Text):
            self._diagnostics.error(
                Code.WRONG_OPERAND,
                node.span,
                "this compares two literals",
                help='compare a fact: comm == "…"',
            )
            return None
        typed = self.expression(subject)
        if typed is None:
            return None
        if isinstance(typed, model.FactRef) and typed.type is Type.TEXT:
            return typed.fact
        if typed.type is Type.PATH:
            self._path_misuse(typed)
            return None
        self._diagnostics.error(
            Code.UNIT_MISMATCH if typed.type.is_number else Code.WRONG_OPERAND,
            node.span,
            f"cannot compare {typed.type.phrase} with a text",
            labels=(Label(span=typed.span, text=typed.type.value),),
            help=f"a number stands without quotes: {mends.example(typed.type)}"
            if typed.type.is_number
            else "the text facts are " + ", ".join(f"`{n}`" for n in TEXT_BYTES),
        )
        return None

    def _path_misuse(self, operand: model.Expression) -> None:
        name = self._text(operand)
        self._diagnostics.error(
            Code.PATH_MISUSE,
            operand.span,
            f"`{name}` can only stand on the left of `under`",
            label="path",
            help=f'write `{name} under "/…"`'
            + (", or `memcg.name == …` for the last component alone" if name == "memcg" else ""),
        )

    def _text_fits(self, node: tree.Text, shortest: int, fact: str) -> bool:
        limit = TEXT_BYTES[fact]
        if shortest <= limit:
            return True
        cut = node.value[:limit].decode("utf-8", "ignore")
        mend = ""
        if len(node.value) > shortest:
            mend = "`*` can stand for nothing: what else is in the pattern has to fit"
        elif fact == "comm" and cut.isprintable():
            mend = f'the kernel cuts the name to {limit} bytes: "{cut}"'
        self._diagnostics.error(
            Code.TEXT_TOO_LONG,
            node.span,
            f"`{fact}` has at most {limit} bytes, and this text has {shortest}: it can never match",
            help=mend,
        )
        return False

    def _pattern(self, node: tree.Expression, fact: Fact) -> Glob | None:
        """A text literal as the pattern of `like` or `in`."""
        if not isinstance(node, tree.Text):
            word = node.name if isinstance(node, tree.Name) and not self._names.knows(node.name) else "name"
            self._diagnostics.error(
                Code.NOT_A_LITERAL,
                node.span,
                "a text in quotes is needed here",
                help=f'"{word}" or "pattern*"',
            )
            return None
        pattern = glob(node.value)
        if not self._text_fits(node, pattern.shortest, fact.name):
            return None
        if pattern.matches_all:
            self._diagnostics.error(
                Code.ALWAYS_TRUE, node.span, f"this pattern matches every `{fact.name}`", help="remove it"
            )
            return None
        return pattern

    def _like(self, node: tree.Like) -> model.Expression | None:
        fact = self._text_fact(node.subject, node)
        if fact is None:
            return None
        pattern = self._pattern(node.pattern, fact)
        if pattern is None:
            return None
        return model.Match(span=node.span, type=Type.BOOL, interval=_BOOL, fact=fact, patterns=(pattern,))

    def _in(self, node: tree.In) -> model.Expression | None:
        if not node.items:
            self._diagnostics.error(
                Code.ALWAYS_FALSE,
                node.span,
                "this list is empty, so nothing is in it",
                help="put values in it",
            )
            return None
        if len(node.items) > MAX_LIST:
            self._diagnostics.error(
                Code.TOO_MANY, node.span, f"this list has {len(node.items)} elements; the limit is {MAX_LIST}"
            )
            return None
        of_text = isinstance(node.subject, tree.Name) and node.subject.name in TEXT_BYTES
        if of_text or any(isinstance(item, tree.Text) for item in node.items):
            fact = self._text_fact(node.subject, node)
            if fact is None:
                return None
            patterns = [self._pattern(item, fact) for item in node.items]
            present = [p for p in patterns if p is not None]
            if len(present) < len(patterns):
                return None
            self._repeated(node.items, present)
            return model.Match(
                span=node.span,
                type=Type.BOOL,
                interval=_BOOL,
                fact=fact,
                patterns=tuple(sorted(set(present), key=lambda p: p.parts)),
            )
        return self._in_numbers(node)

    def _repeated(self, items: tuple[tree.Expression, ...], values: Sequence[int | Glob]) -> None:
        first: dict[int | Glob, tree.Expression] = {}
        for item, value in zip(items, values, strict=True):
            if value in first:
                self._diagnostics.error(
                    Code.DUPLICATE,
                    item.span,
                    f"{self._text(item)} is in this list twice",
                    labels=(Label(span=first[value].span, text="here already"),),
                    help="remove one",
                )
            first.setdefault(value, item)

    def _in_numbers(self, node: tree.In) -> model.Expression | None:
        operands = self._operands(node.subject, *node.items)
        if operands is None:
            return None
        subject, *items = operands
        if subject.type is Type.PATH:
            self._path_misuse(subject)
            return None
        if not self._numbers([subject], "`in`") or not all(self._list_item(subject, item) for item in items):
            return None
        values = [item.value for item in items if isinstance(item, model.Constant)]
        self._repeated(node.items, values)
        return model.OneOf(
            span=node.span, type=Type.BOOL, interval=_BOOL, subject=subject, values=tuple(sorted(set(values)))
        )

    def _list_item(self, subject: model.Expression, item: model.Expression) -> bool:
        """Whether an element of `in (…)` is a literal of the subject's unit inside its range."""
        if not isinstance(item, model.Constant):
            self._diagnostics.error(
                Code.NOT_A_LITERAL,
                item.span,
                "a list holds literals only",
                help=f"write `or {self._text(subject)} == {self._text(item)}` behind the list",
            )
        elif item.type is not subject.type:
            message = f"cannot compare {subject.type.phrase} with {item.type.phrase}"
            self._unit_mismatch(item.span, message, subject, item)
        elif item.value not in subject.interval:
            self._diagnostics.error(
                Code.OUT_OF_RANGE,
                item.span,
                f"{spell(item.value, item.type)} is outside the range of `{self._text(subject)}`, "
                "so it is never equal to it",
                label=f"not in {_range(subject)}",
            )
        else:
            return True
        return False

    def _under(self, node: tree.Under) -> model.Expression | None:
        subject = self.expression(node.subject)
        if subject is None:
            return None
        if not (isinstance(subject, model.FactRef) and subject.type is Type.PATH):
            self._diagnostics.error(
                Code.PATH_MISUSE,
                node.subject.span,
                f"`under` needs a cgroup on its left, and this is {subject.type.phrase}",
                label=subject.type.value,
                help="write `memcg under …` or `oom.memcg under …`",
            )
            return None
        if not isinstance(node.pattern, tree.Text):
            self._diagnostics.error(
                Code.NOT_A_LITERAL,
                node.pattern.span,
                "a path in quotes is needed here",
                help='"/system.slice"',
            )
            return None
        try:
            pattern = path_pattern(node.pattern.value)
        except BadPath as error:
            self._diagnostics.error(Code.BAD_PATH, node.pattern.span, str(error), help=error.help)
            return None
        if not pattern.components:
            self._diagnostics.error(
                Code.ALWAYS_TRUE,
                node.span,
                "every cgroup is under the root, so this is always true",
                help="remove it, or name a cgroup below the root",
            )
            return None
        return model.Under(span=node.span, type=Type.BOOL, interval=_BOOL, fact=subject.fact, pattern=pattern)

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


def decided(operator: str, a: Interval, b: Interval) -> bool | None:
    """What a comparison of two intervals always gives, or None where it depends."""
    match operator:
        case "<":
            return True if a.high < b.low else False if a.low >= b.high else None
        case "<=":
            return True if a.high <= b.low else False if a.low > b.high else None
        case ">":
            return decided("<", b, a)
        case ">=":
            return decided("<=", b, a)
        case "==":
            if a.high < b.low or b.high < a.low:
                return False
            return True if a.is_point and b.is_point else None
        case _:
            equal = decided("==", a, b)
            return None if equal is None else not equal


def _one(type: Type) -> int:
    return 100 if type is Type.RATIO else 1


def _range(node: model.Expression) -> str:
    """An expression's interval for a message: `0B…1024TiB`."""
    low, high = (spell(v, node.type) for v in (node.interval.low, node.interval.high))
    return low if low == high else f"{low}…{high}"
