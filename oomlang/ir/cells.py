"""Cases that a set of conditions can tell apart.

A condition asks a few questions: how a number compares with constants, which patterns a text matches, below which paths a
cgroup lies. `Cells` lists every combination of answers that could be true at once. Where nothing is known of two questions
(two globs, say) it lists all combinations, so the cells are never too few: what holds in all cells holds for every
candidate. It gives up (`TooManyCells`) rather than take long.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from oomlang.facts import FACTS, Interval
from oomlang.facts.patterns import PathPattern
from oomlang.facts.table import Scope
from oomlang.facts.types import Type
from oomlang.ir import nodes as ir
from oomlang.ir.levels import Level, levels
from oomlang.operations.comparisons import SIGNS
from oomlang.records import dataclass

_T = TypeVar("_T")

LIMIT = 256
_FREE_PATTERNS = 5
_ATOMS = 64

Variable: TypeAlias = tuple[object, ...]
"""What a question is about: ("number", expression), ("order", left, right), ("text", fact, depth), ("path", fact, depth)."""

Answer: TypeAlias = int | tuple[bytes | None, frozenset[object]]


class TooManyCells(Exception):
    """There are more cases than are worth listing; nothing is claimed then."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A condition with its lets written out. atoms: the questions that it asks, as often as it does."""

    expression: ir.Expression
    atoms: tuple[ir.Expression, ...] = ()


class Context:
    """What the cells of a policy need to know of it."""

    def __init__(
        self, inputs: Mapping[str, ir.InputDeclaration], lets: Mapping[str, ir.LetDeclaration]
    ) -> None:
        self.inputs = inputs
        self.lets = lets
        self._levels = levels(lets.values())
        self._plain: dict[ir.Expression, Plain | None] = {}

    def plain(self, condition: ir.Expression) -> Plain:
        """A condition with its lets written out. Raises `TooManyCells` where it asks too much."""
        if condition not in self._plain:
            try:
                self._plain[condition] = self._written_out(condition)
            except TooManyCells:
                self._plain[condition] = None
        found = self._plain[condition]
        if found is None:
            raise TooManyCells
        return found

    @cached_property
    def _conditions(self) -> dict[str, Plain | None]:
        """The lets that are conditions, None for one that asks too much. Each is made of earlier ones, so nothing recurses
        from one into the next.
        """
        found: dict[str, Plain | None] = {}
        self.__dict__["_conditions"] = found  # those that come later ask for the earlier ones
        for let in self.lets.values():
            if let.type is Type.BOOL:
                try:
                    found[let.name] = self._written_out(let.value)
                except TooManyCells:
                    found[let.name] = None
        return found

    def _written_out(self, node: ir.Expression) -> Plain:
        match node:
            case ir.Logical(sign, operands):
                return _joined(sign, [self._written_out(o) for o in operands])
            case ir.Not(operand):
                return _negated(self._written_out(operand))
            case ir.Select(test, then, otherwise):
                parts = [self._written_out(part) for part in (test, then, otherwise)]
                return Plain(ir.Select(*(p.expression for p in parts)), _together(parts))
            case ir.Let(name, None):
                found = self._conditions[name]
                if found is None:
                    raise TooManyCells
                return found
            case ir.Number():
                return Plain(node)
            case _:
                return Plain(node, (node,))

    def event_only(self, variable: Variable) -> bool:
        """Whether all candidates of one event give the same answer."""
        kind, subject, *rest = variable
        if kind in ("text", "path"):
            return FACTS[str(subject)].scope is Scope.EVENT
        expressions = [subject, *rest] if kind == "order" else [subject]
        return not any(self.differs(e) for e in expressions)  # type: ignore[arg-type]  # numbers and orders hold expressions

    def differs(self, node: ir.Expression) -> bool:
        """Whether a value can differ between two candidates of one event."""
        return self._levels.fold(node) is not Level.EVENT

    def interval(self, node: ir.Expression) -> Interval | None:
        """The interval of what a number question is about, where it is at hand."""
        match node:
            case ir.Fact(name):
                return FACTS[name].range
            case ir.Input(name):
                return self.inputs[name].interval
            case ir.Let(name):
                return self.lets[name].interval
            case _:
                return None


def _together(parts: Iterable[Plain]) -> tuple[ir.Expression, ...]:
    found = tuple(atom for part in parts for atom in part.atoms)
    if len(found) > _ATOMS:
        raise TooManyCells
    return found


def _joined(sign: str, parts: list[Plain]) -> Plain:
    """`and` or `or`, without what is always so: a chain of lets nests no deeper than it has questions."""
    neutral = sign == "and"
    kept = [
        p for p in parts if not (isinstance(p.expression, ir.Number) and bool(p.expression.value) is neutral)
    ]
    if not kept:
        return Plain(ir.Number(int(neutral)))
    if len(kept) == 1:
        return kept[0]
    return Plain(ir.Logical(sign, tuple(p.expression for p in kept)), _together(kept))


def _negated(part: Plain) -> Plain:
    match part.expression:
        case ir.Not(inner):
            return Plain(inner, part.atoms)
        case ir.Number(value):
            return Plain(ir.Number(int(not value)))
        case _:
            return Plain(ir.Not(part.expression), part.atoms)


def variable(atom: ir.Expression) -> Variable:
    """What a question is about."""
    match atom:
        case ir.Compare(_, left, ir.Number()):
            return ("number", left)
        case ir.Compare(_, ir.Number(), right):
            return ("number", right)
        case ir.Compare(_, left, right):
            return ("order", left, right)
        case ir.OneOf(subject, _):
            return ("number", subject)
        case ir.Match(fact, depth, _):
            return ("text", fact, depth)
        case ir.Under(fact, depth, _):
            return ("path", fact, depth)
        case _:  # a bool fact or input
            return ("number", atom)


class Cells:
    """The cells of several conditions. A set of cells is an int with a bit for each, so that one operation on numbers
    answers for all of them. everything: the set of all.
    """

    def __init__(self, conditions: Iterable[ir.Expression], context: Context) -> None:
        self._context = context
        found: dict[Variable, list[ir.Expression]] = {}
        for condition in conditions:
            for atom in context.plain(condition).atoms:
                found.setdefault(variable(atom), []).append(atom)
        self._answers: dict[Variable, tuple[list[Answer], int]] = {}
        count = 1
        for name, asked in found.items():
            answers = list(self._possible(name, asked))
            self._answers[name] = answers, count
            count *= len(answers)
            if count > LIMIT:
                raise TooManyCells
        self.everything = (1 << count) - 1

    def where(self, *conditions: ir.Expression) -> int:
        """The cells in which one of the conditions holds."""
        found = 0
        for condition in conditions:
            found |= self._where(self._context.plain(condition).expression)
        return found

    def events(self) -> list[int]:
        """The cells of each event: those that share the answers that all candidates of an event share."""
        found = [self.everything]
        for name, (answers, _) in self._answers.items():
            if self._context.event_only(name):
                each = [self._with(name, lambda a, answer=answer: a is answer) for answer in answers]  # type: ignore[misc]  # a default binds it
                found = [cells & part for cells in found for part in each]
        return found

    def _where(self, condition: ir.Expression) -> int:
        match condition:
            case ir.Logical("and", operands):
                return functools.reduce(operator.and_, map(self._where, operands))
            case ir.Logical(_, operands):
                return functools.reduce(operator.or_, map(self._where, operands))
            case ir.Not(operand):
                return self.everything & ~self._where(operand)
            case ir.Select(test, then, otherwise):
                holds = self._where(test)
                return holds & self._where(then) | ~holds & self._where(otherwise)
            case ir.Number(value):
                return self.everything if value else 0
            case _:
                return self._with(variable(condition), _holds_with(condition))

    def _with(self, name: Variable, chosen: Callable[[Answer], bool]) -> int:
        """The cells that have one of the chosen answers to a question. The first question's answers change from each cell to
        the next, the second's after all answers to the first, and so on.
        """
        answers, stride = self._answers[name]
        if not answers:
            return 0
        block = (1 << stride) - 1
        once = sum(block << place * stride for place, answer in enumerate(answers) if chosen(answer))
        return once * (self.everything // ((1 << len(answers) * stride) - 1))

    def _possible(self, name: Variable, found: list[ir.Expression]) -> Iterator[Answer]:
        match name:
            case ("number", subject):
                yield from _regions(found, self._context.interval(subject))  # type: ignore[arg-type]  # an expression
            case ("order", *_):
                yield from (-1, 0, 1)
            case ("text", *_):
                yield from _texts([a for a in found if isinstance(a, ir.Match)])
            case _:
                yield from _paths([a.pattern for a in found if isinstance(a, ir.Under)])


def _holds_with(atom: ir.Expression) -> Callable[[Any], bool]:
    """Whether an atom holds, by the answer to its question."""
    match atom:
        case ir.Compare(sign, _, ir.Number(value)):
            return lambda number: SIGNS[sign](number, value)
        case ir.Compare(sign, ir.Number(value), _):
            return lambda number: SIGNS[sign](value, number)
        case ir.Compare(sign, _, _):
            return lambda order: SIGNS[sign](order, 0)
        case ir.OneOf(_, values):
            return lambda number: number in values
        case ir.Match(_, _, patterns):
            return lambda text: (
                any(p in text[1] for p in patterns)
                if text[0] is None
                else any(p.matches(text[0]) for p in patterns)
            )
        case ir.Under(_, _, pattern):
            return lambda path: pattern in path[1]
        case _:
            return lambda number: number != 0


def _regions(found: list[ir.Expression], interval: Interval | None) -> Iterator[int]:
    """One number out of each region that the constants cut the line into."""
    cuts: set[int] = set()
    for atom in found:
        match atom:
            case ir.Compare(_, _, ir.Number(value)) | ir.Compare(_, ir.Number(value), _):
                cuts.add(value)
            case ir.OneOf(_, values):
                cuts.update(values)
            case _:
                cuts.update((0, 1))  # a condition as such
    points = {p for cut in cuts for p in (cut - 1, cut, cut + 1)}
    for point in sorted(points):
        # Two neighbours that no constant separates are one region.
        if point - 1 in points and point not in cuts and point - 1 not in cuts:
            continue
        if interval is None or point in interval:
            yield point


def _texts(found: list[ir.Match]) -> Iterator[Answer]:
    patterns = {p for match in found for p in match.patterns}
    literals = sorted({p.literal for p in patterns if p.literal is not None})
    globs = [p for p in patterns if p.literal is None]
    if len(globs) > _FREE_PATTERNS or len(literals) > LIMIT:
        raise TooManyCells
    for matched in _subsets(sorted(globs, key=lambda p: p.parts)):
        yield (None, frozenset(matched))
    for literal in literals:
        yield (literal, frozenset())


def _paths(patterns: list[PathPattern]) -> Iterator[Answer]:
    unique = sorted(set(patterns), key=lambda p: p.text)
    if len(unique) > _FREE_PATTERNS:
        raise TooManyCells
    # Which patterns must, and which cannot, hold together with each: worked out once, not for every subset.
    follows = [{b for b in unique if b != a and _implies(a, b)} for a in unique]
    excluded = [{b for b in unique if b != a and _exclude(a, b)} for a in unique]
    relations = dict(zip(unique, zip(follows, excluded, strict=True), strict=True))
    for matched in _subsets(unique):
        inside = frozenset(matched)
        if all(inside >= relations[p][0] and not inside & relations[p][1] for p in matched):
            yield (None, inside)


def _subsets(items: list[_T]) -> Iterator[tuple[_T, ...]]:
    for size in range(len(items) + 1):
        yield from itertools.combinations(items, size)


def _implies(a: PathPattern, b: PathPattern) -> bool:
    """Whether everything under `a` surely is under `b`."""
    if len(b.components) > len(a.components):
        return False
    return all(
        p == q or q.matches_all or (p.literal is not None and q.matches(p.literal))
        for p, q in zip(a.components, b.components, strict=False)
    )


def _exclude(a: PathPattern, b: PathPattern) -> bool:
    """Whether nothing can be under both."""
    return any(
        (p.literal is not None and not q.matches(p.literal))
        or (q.literal is not None and not p.matches(q.literal))
        for p, q in zip(a.components, b.components, strict=False)
    )
