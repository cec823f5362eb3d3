"""Cases that a set of conditions can tell apart.

A condition asks a few questions: how a number compares with constants, which patterns a text matches, below which paths a
cgroup lies. `Cells` lists every combination of answers that could be true at once. Where nothing is known of two questions
(two globs, say) it lists all combinations, so the cells are never too few: what holds in all cells holds for every
candidate. It gives up (`TooManyCells`) rather than take long.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from oomlang.facts import FACTS, Interval
from oomlang.facts.patterns import PathPattern
from oomlang.facts.table import Scope
from oomlang.ir import nodes as ir
from oomlang.ir.levels import Level, levels

_T = TypeVar("_T")

LIMIT = 256
_FREE_PATTERNS = 5
_ATOMS = 64

Variable: TypeAlias = tuple[object, ...]
"""What a question is about: ("number", expression), ("order", left, right), ("text", fact, depth), ("path", fact, depth)."""

Answer: TypeAlias = int | tuple[bytes | None, frozenset[object]]
Cell: TypeAlias = Mapping[Variable, Answer]


class TooManyCells(Exception):
    """There are more cases than are worth listing; nothing is claimed then."""


class Context:
    """What the cells of a policy need to know of it."""

    def __init__(
        self, inputs: Mapping[str, ir.InputDeclaration], lets: Mapping[str, ir.LetDeclaration]
    ) -> None:
        self.inputs = inputs
        self.lets = lets
        self._levels = levels(lets.values())

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


def atoms(condition: ir.Expression, context: Context) -> list[ir.Expression]:
    """The questions of a condition, conditions that have a name written out. Raises `TooManyCells`."""
    found: list[ir.Expression] = []
    pending: list[tuple[ir.Expression, int | None]] = [(condition, None)]
    while pending:
        node, depth = pending.pop()
        match node:
            case ir.Logical(_, operands):
                pending.extend((o, depth) for o in operands)
            case ir.Not(operand):
                pending.append((operand, depth))
            case ir.Select(test, then, otherwise):
                pending.extend(((test, depth), (then, depth), (otherwise, depth)))
            case ir.Let(name, at) if at is None:
                pending.append((context.lets[name].value, depth))
            case ir.Number():
                pass
            case _:
                found.append(node)
        if len(found) + len(pending) > _ATOMS:
            raise TooManyCells
    return found


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
    """The cells of several conditions.

    The answers to the first condition's questions change fastest, so that a search for two cells that differ in it, or for
    one in which it holds, ends soon where there are such.
    """

    def __init__(self, conditions: Iterable[ir.Expression], context: Context) -> None:
        self._context = context
        found: dict[Variable, list[ir.Expression]] = {}
        for condition in conditions:
            for atom in atoms(condition, context):
                found.setdefault(variable(atom), []).append(atom)
        self._answers: dict[Variable, list[Answer]] = {}
        count = 1
        for name in reversed(found):
            self._answers[name] = list(self._possible(name, found[name]))
            count *= len(self._answers[name])
            if count > LIMIT:
                raise TooManyCells
        self._event_only = {v for v in self._answers if context.event_only(v)}

    def __iter__(self) -> Iterator[Cell]:
        names = list(self._answers)
        for answers in itertools.product(*self._answers.values()):
            yield dict(zip(names, answers, strict=True))

    def event_part(self, cell: Cell) -> tuple[Answer, ...]:
        """The answers that all candidates of an event share."""
        return tuple(a for v, a in cell.items() if v in self._event_only)

    def holds(self, condition: ir.Expression, cell: Cell) -> bool:
        """Whether a condition holds in a cell."""
        match condition:
            case ir.Logical("and", operands):
                return all(self.holds(o, cell) for o in operands)
            case ir.Logical(_, operands):
                return any(self.holds(o, cell) for o in operands)
            case ir.Not(operand):
                return not self.holds(operand, cell)
            case ir.Select(test, then, otherwise):
                return self.holds(then if self.holds(test, cell) else otherwise, cell)
            case ir.Let(name, None):
                return self.holds(self._context.lets[name].value, cell)
            case ir.Number(value):
                return value != 0
            case _:
                return _answer(condition, cell[variable(condition)])

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


def _answer(atom: ir.Expression, answer: Answer) -> bool:
    match atom, answer:
        case ir.Compare(sign, _, ir.Number(value)), int(number):
            return compare(sign, number, value)
        case ir.Compare(sign, ir.Number(value), _), int(number):
            return compare(sign, value, number)
        case ir.Compare(sign, _, _), int(order):
            return compare(sign, order, 0)
        case ir.OneOf(_, values), int(number):
            return number in values
        case ir.Match(_, _, patterns), (bytes(text), _):
            return any(p.matches(text) for p in patterns)
        case ir.Match(_, _, patterns), (_, matched):
            return any(p in matched for p in patterns)
        case ir.Under(_, _, pattern), (_, matched):
            return pattern in matched
        case _:
            return answer != 0


def compare(sign: str, a: int, b: int) -> bool:
    """`a sign b`."""
    return _OPERATORS[sign](a, b)


_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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
