"""Expressions as the generators hold them: source text with what is known of its value.

Each function makes one operation. It returns None where the language would refuse it: the result could leave the 64-bit
range, or a comparison would always give the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from oomlang.facts import FACTS, Interval, Scope, Type, spell
from oomlang.facts.types import RATIO_LIMIT, RATIO_ONE
from oomlang.operations import RATIO, SHARE

CANDIDATE = frozenset({Scope.TASK, Scope.MEMCG})
"""The scopes of what can differ between two candidates of one event."""

_LARGEST_DIVISOR_OF_RATIO = 2**57
BOOL = Interval(0, 1)


class Level(IntEnum):
    """How tightly an expression binds, loosest first; the grammar's rules."""

    CONDITIONAL = 0
    OR = 1
    AND = 2
    NOT = 3
    COMPARISON = 4
    DEPTH = 5
    SUM = 6
    PRODUCT = 7
    UNARY = 8
    VALUE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An expression.

    range: base units; [0, 1] for a condition. names: the facts, inputs and lets in it. scopes: whose facts it reads,
    lets looked into. deep: whether it holds an `at depth`. literal: whether it is a number.
    """

    text: str
    level: Level
    type: Type
    range: Interval
    names: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset()
    deep: bool = False
    literal: bool = False

    def at(self, level: Level) -> str:
        """The text where the grammar wants something that binds at least as tightly."""
        return self.text if self.level >= level else f"({self.text})"

    @property
    def varies(self) -> bool:
        """Whether it can differ between two candidates of one event."""
        return bool(self.scopes & CANDIDATE)


def combine(text: str, level: Level, type: Type, range: Interval, *parts: Term) -> Term:
    """A term made of others."""
    return Term(
        text=text,
        level=level,
        type=type,
        range=range,
        names=frozenset().union(*(p.names for p in parts)),
        scopes=frozenset().union(*(p.scopes for p in parts)),
        deep=any(p.deep for p in parts),
    )


def fact(name: str) -> Term:
    row = FACTS[name]
    return Term(
        text=name,
        level=Level.VALUE,
        type=row.type,
        range=row.range or Interval(0, 0),
        names=frozenset({name}),
        scopes=frozenset({row.scope}),
    )


def named(name: str, value: Term) -> Term:
    """A let."""
    return Term(
        text=name,
        level=Level.VALUE,
        type=value.type,
        range=value.range,
        names=frozenset({name}) | value.names,
        scopes=value.scopes,
        deep=value.deep,
    )


def constant(value: int, type: Type) -> Term:
    """A number literal; a ratio has to be a whole number of per cent."""
    return Term(
        text=spell(value, type),
        level=Level.UNARY if value < 0 else Level.VALUE,
        type=type,
        range=Interval(value, value),
        literal=True,
    )


# Numbers


def add(left: Term, operator: str, right: Term) -> Term | None:
    """`left + right` or `left - right`, of one type."""
    range = left.range + right.range if operator == "+" else left.range - right.range
    return _arithmetic(left, operator, right, left.type, range)


def multiply(left: Term, right: Term) -> Term | None:
    """A number times a plain number, or a plain number times a number."""
    type = right.type if left.type is Type.INT else left.type
    return _arithmetic(left, "*", right, type, left.range * right.range)


def share(left: Term, right: Term) -> Term | None:
    """A size or duration times a ratio, either way round; or two ratios."""
    size, ratio = (left, right) if right.type is Type.RATIO else (right, left)
    if ratio.range.absolute().high > RATIO_LIMIT:
        return None
    return _arithmetic(left, "*", right, size.type, SHARE.interval((size.range, ratio.range)))


def divide(left: Term, right: Term) -> Term | None:
    """A number divided by a plain number, or by one of its own unit, which makes a ratio."""
    if right.type is Type.INT:
        return _arithmetic(left, "/", right, left.type, left.range.divide(right.range))
    if right.range.absolute().high > _LARGEST_DIVISOR_OF_RATIO:
        return None
    return _arithmetic(left, "/", right, Type.RATIO, RATIO.interval((left.range, right.range)))


def _arithmetic(left: Term, operator: str, right: Term, type: Type, range: Interval) -> Term | None:
    level = Level.SUM if operator in "+-" else Level.PRODUCT
    text = f"{left.at(level)} {operator} {right.at(Level(level + 1))}"
    return combine(text, level, type, range, left, right) if range.fits else None


def negate(operand: Term) -> Term:
    if operand.literal:
        return operand
    return combine(f"-{operand.at(Level.UNARY)}", Level.UNARY, operand.type, -operand.range, operand)


def call(function: str, *arguments: Term) -> Term:
    """`min`, `max`, `abs` or `clamp`; arguments of one type."""
    first, *rest = (a.range for a in arguments)
    range = first
    match function:
        case "abs":
            range = first.absolute()
        case "clamp":
            range = first.maximum(rest[0]).minimum(rest[1])
        case _:
            for other in rest:
                range = range.minimum(other) if function == "min" else range.maximum(other)
    text = f"{function}({', '.join(a.text for a in arguments)})"
    return combine(text, Level.VALUE, arguments[0].type, range, *arguments)


def conditional(then: Term, condition: Term, otherwise: Term) -> Term:
    """`then if condition else otherwise`."""
    text = f"{then.at(Level.OR)} if {condition.at(Level.OR)} else {otherwise.at(Level.CONDITIONAL)}"
    return combine(
        text, Level.CONDITIONAL, then.type, then.range.union(otherwise.range), then, condition, otherwise
    )


def at_depth(operand: Term, depth: int) -> Term | None:
    """`operand at depth N`; needs something of a memcg in it, and no other `at depth`."""
    if operand.deep or Scope.MEMCG not in operand.scopes:
        return None
    text = f"{operand.at(Level.SUM)} at depth {depth}"
    return Term(
        text=text,
        level=Level.DEPTH,
        type=operand.type,
        range=operand.range,
        names=operand.names,
        scopes=operand.scopes,
        deep=True,
    )


# Conditions


def undecided(operator: str, left: Interval, right: Interval) -> bool:
    """Whether both answers are possible as far as the intervals say."""
    match operator:
        case "<" | ">=":
            return left.low < right.high and left.high >= right.low
        case "<=" | ">":
            return left.low <= right.high and left.high > right.low
        case _:
            return (
                left.low <= right.high and right.low <= left.high and not (left.is_point and right.is_point)
            )


def compare(left: Term, operator: str, right: Term) -> Term | None:
    if left.text == right.text or not undecided(operator, left.range, right.range):
        return None
    text = f"{left.at(Level.DEPTH)} {operator} {right.at(Level.DEPTH)}"
    return combine(text, Level.COMPARISON, Type.BOOL, BOOL, left, right)


def one_of(subject: Term, literals: list[str]) -> Term:
    """`subject in (…)`."""
    text = f"{subject.at(Level.DEPTH)} in ({', '.join(literals)})"
    return combine(text, Level.COMPARISON, Type.BOOL, BOOL, subject)


def relation(subject: Term, operator: str, literal: str) -> Term:
    """`==`, `!=`, `like` or `under` with a text literal on the right."""
    return combine(f"{subject.text} {operator} {literal}", Level.COMPARISON, Type.BOOL, BOOL, subject)


def logical(operator: str, operands: list[Term]) -> Term:
    """A chain of `and` or of `or`."""
    level = Level.OR if operator == "or" else Level.AND
    text = f" {operator} ".join(o.at(Level(level + 1)) for o in operands)
    return combine(text, level, Type.BOOL, BOOL, *operands)


def negation(operand: Term) -> Term:
    return combine(f"not {operand.at(Level.NOT)}", Level.NOT, Type.BOOL, BOOL, operand)


def ratio_constants(range: Interval) -> Interval | None:
    """The ratios in a range that a literal can write, in per cent."""
    percent = RATIO_ONE // 100
    low, high = -(-range.low // percent), range.high // percent
    return Interval(low, high) if low <= high else None
