"""Typing of comparisons: `==` to `>=`, `in`, `like`, `under`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from oomlang.diagnostics import Code, Label
from oomlang.facts import Fact, Interval, Type, spell
from oomlang.facts.patterns import ANY, STAR, BadPath, Glob, exactly, glob, path_pattern
from oomlang.facts.table import TEXT_BYTES
from oomlang.facts.types import MAX_LIST
from oomlang.semantics import mends, model
from oomlang.semantics.reads import contains_depth, needs_memcg
from oomlang.semantics.typing import BOOL, Typing, range_text
from oomlang.syntax import tree

_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}

_Subject: TypeAlias = tuple[Fact, int | None]
"""A text or path fact, and the depth that it is read at."""


class Comparisons(Typing):
    """Types what makes conditions out of facts and literals."""

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
        self._one_depth(node, left, right)
        return model.Comparison(
            span=node.span, type=Type.BOOL, interval=BOOL, operator=node.operator, left=left, right=right
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
        lies = f"`{self._text(subject)}` lies in {range_text(subject)}"
        verdict = "always true" if answer else "never true"
        code = Code.ALWAYS_TRUE if answer else Code.ALWAYS_FALSE
        literal = isinstance(other, model.Constant) and not isinstance(subject, model.Constant)
        if literal and other.interval.low not in subject.interval:
            self._diagnostics.error(
                Code.OUT_OF_RANGE,
                other.span,
                f"{spell(other.interval.low, other.type)} is outside the range of `{self._text(subject)}`, "
                f"so this is {verdict}",
                label=f"not in {range_text(subject)}",
            )
            return False
        if isinstance(subject, model.Constant):
            lies = "both sides are constants"
        elif not isinstance(other, model.Constant):
            lies += f", `{self._text(other)}` in {range_text(other)}"
        self._diagnostics.error(
            code, node.span, f"this is {verdict}: {lies}", help="remove it, or mend the bound"
        )
        return False

    def _one_depth(self, node: tree.Compare, left: model.Expression, right: model.Expression) -> None:
        """Warn where only one side is read at a depth: it is easily meant for both."""
        for deep, other in ((left, right), (right, left)):
            if contains_depth(deep) and not contains_depth(other) and needs_memcg(other):
                self._diagnostics.error(
                    Code.MIXED_DEPTH,
                    deep.span,
                    f"only this side is read at a depth; `{self._text(other)}` is read from the task's own cgroup",
                    help=f"for both sides write `({self._bare(left)} {node.operator} {self._bare(right)}) at depth N`",
                )

    def _bare(self, node: model.Expression) -> str:
        """An operand's text, without its `at depth`."""
        return self._text(node.operand if isinstance(node, model.AtDepth) else node)

    def _compare_text(
        self, node: tree.Compare, subject: tree.Expression, texts: list[tree.Text]
    ) -> model.Expression | None:
        found = self._text_fact(subject, node)
        if found is None:
            return None
        fact, depth = found
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
        matched = _matched(node, fact, depth, (exactly(value),))
        if node.operator == "==":
            return matched
        return model.Not(span=node.span, type=Type.BOOL, interval=BOOL, operand=matched)

    def _text_fact(self, subject: tree.Expression, node: tree.Node) -> _Subject | None:
        """The text fact on the left of a text operator, and the depth that it is read at."""
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
        found = _fact_at(typed)
        if found is not None and typed.type is Type.TEXT:
            return found
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
        found = self._text_fact(node.subject, node)
        if found is None:
            return None
        fact, depth = found
        pattern = self._pattern(node.pattern, fact)
        if pattern is None:
            return None
        return _matched(node, fact, depth, (pattern,))

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
        subject = node.subject.operand if isinstance(node.subject, tree.AtDepth) else node.subject
        of_text = isinstance(subject, tree.Name) and subject.name in TEXT_BYTES
        if of_text or any(isinstance(item, tree.Text) for item in node.items):
            found = self._text_fact(node.subject, node)
            if found is None:
                return None
            fact, depth = found
            patterns = [self._pattern(item, fact) for item in node.items]
            present = [p for p in patterns if p is not None]
            if len(present) < len(patterns):
                return None
            self._repeated(node.items, present)
            return _matched(node, fact, depth, tuple(sorted(set(present), key=lambda p: p.parts)))
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
            span=node.span, type=Type.BOOL, interval=BOOL, subject=subject, values=tuple(sorted(set(values)))
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
                label=f"not in {range_text(subject)}",
            )
        else:
            return True
        return False

    def _under(self, node: tree.Under) -> model.Expression | None:
        subject = self.expression(node.subject)
        if subject is None:
            return None
        found = _fact_at(subject)
        if found is None or subject.type is not Type.PATH:
            self._diagnostics.error(
                Code.PATH_MISUSE,
                node.subject.span,
                f"`under` needs a cgroup on its left, and this is {subject.type.phrase}",
                label=subject.type.value,
                help="write `memcg under …` or `oom.memcg under …`",
            )
            return None
        if isinstance(node.pattern, tree.AtDepth):
            self._diagnostics.error(
                Code.DEPTH_MISUSE,
                node.pattern.span,
                "a path has no depth; the cgroup on the left has",
                help=f"write `{self._text(node.subject)} at depth {node.pattern.depth.value} under …`"
                if isinstance(node.pattern.depth, tree.Number)
                else "",
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
        fact, depth = found
        under = model.Under(span=node.span, type=Type.BOOL, interval=BOOL, fact=fact, pattern=pattern)
        return _read_at(depth, under)


def _fact_at(node: model.Expression) -> _Subject | None:
    """A bare fact, or one `at depth`."""
    match node:
        case model.FactRef(fact=fact):
            return fact, None
        case model.AtDepth(operand=model.FactRef(fact=fact), depth=depth):
            return fact, depth
        case _:
            return None


def _read_at(depth: int | None, condition: model.Expression) -> model.Expression:
    if depth is None:
        return condition
    return model.AtDepth(span=condition.span, type=Type.BOOL, interval=BOOL, operand=condition, depth=depth)


def _matched(node: tree.Node, fact: Fact, depth: int | None, patterns: tuple[Glob, ...]) -> model.Expression:
    matched = model.Match(span=node.span, type=Type.BOOL, interval=BOOL, fact=fact, patterns=patterns)
    return _read_at(depth, matched)


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
