"""What a policy means, for every target.

Numbers are 64-bit signed integers in base units (bytes, ms, 1/10000, plain). Intervals were checked before: no operation
here can overflow. A condition is 0 or 1. The meaning of each node:

    Number(n)              n
    Fact(f, d)             the fact f. A memcg fact is read from the *view*: the cgroup that the expression is evaluated
                           for (the candidate's own memory cgroup, unless said otherwise). With a depth d it is read from
                           the candidate's ancestor d levels below the root instead, or from its own memory cgroup where
                           that is not so deep.
    Input(i, d)            the input i: one value, or (per memcg) the value set for the cgroup that a memcg fact with the
                           same view and depth would be read from, the default where none is set
    Let(l, d)              the let's expression; with a depth, every memcg fact and per-memcg input in it is read at it
                           (in a policy none of them has a depth of its own then)
    Apply(o, xs)           the arithmetic operation o of the operands, as its module in `oomlang.operations` says
    Compare(op, a, b)      1 where a op b holds, else 0
    OneOf(x, values)       1 where x is one of the values
    Match(f, d, patterns)  1 where the text fact f matches one of the patterns, byte for byte
    Under(f, d, pattern)   1 where the cgroup f (`memcg` or `oom.memcg`) is named by the pattern or lies below such a one
    Asked(f, d, questions) 1 where one of these questions about the cgroup f holds; they are numbers of `Policy.questions`.
                           Only the passes make this node, in the place of `Under` and of `Match` on memcg.name.
    Logical(op, xs) Not(x) and, or, not
    Select(c, a, b)        a where c holds, else b

A policy decides an event like this:

 1. The event rules, in order: the first whose condition holds decides the whole event, which goes to the kernel's own
    policy or ends with no kill.
 2. A candidate that one of the kernel's guards covers, or for which one of `never` holds, is skipped.
 3. Each key gives the candidate a number. `FlagKey`: whether the condition holds, or (`first` false) whether it does not.
    `ValueKey`: floor(value / step), negated for `lowest`; LEAST where `when` does not hold. `EachDepthKey`: see there.
    The candidates are ordered by these numbers, the higher first; an earlier key goes before a later one.
 4. Ties: the higher badness, then the later start, then the higher pid.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property
from typing import TypeAlias

from oomlang.diagnostics import Span
from oomlang.facts import Interval, Type
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.operations import Operation
from oomlang.records import dataclass

LEAST = -(2**63)
"""Below every value: the key of a candidate for which `when` does not hold."""


class Level(IntEnum):
    """What a value depends on; see `oomlang.ir.levels`."""

    EVENT = 0
    MEMCG = 1
    TASK = 2


@dataclass(frozen=True, slots=True)
class Number:
    value: int


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    depth: int | None = None
    per_memcg: bool = False


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """An arithmetic operation. `ranges` holds what each operand can be, as was proved: it lets a target leave out what
    cannot happen (a negative dividend, a divisor of 0).
    """

    operation: Operation
    operands: tuple[Expression, ...]
    ranges: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class OneOf:
    subject: Expression
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Match:
    fact: str
    depth: int | None
    patterns: tuple[Glob, ...]


@dataclass(frozen=True, slots=True)
class Under:
    fact: str
    depth: int | None
    pattern: PathPattern


@dataclass(frozen=True, slots=True)
class Asked:
    fact: str
    depth: int | None
    questions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Logical:
    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Select:
    condition: Expression
    then: Expression
    otherwise: Expression


Leaf: TypeAlias = Number | Fact | Input | Let | Match | Under | Asked
"""A node without operands."""

Expression: TypeAlias = Leaf | Apply | Compare | OneOf | Logical | Not | Select

Question: TypeAlias = PathPattern | Glob
"""What is asked about a cgroup: whether a pattern covers its path, or whether a glob matches its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a rule stands in the policy: its number among all rules from 1, its span, line and column, its text."""

    number: int
    span: Span
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    origin: Origin
    kernel_decides: bool
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    origin: Origin
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagKey:
    origin: Origin
    condition: Expression
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKey:
    """`interval` holds floor(value / step)."""

    origin: Origin
    value: Expression
    interval: Interval
    type: Type
    highest: bool
    step: int
    when: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EachDepthKey:
    """The candidates' ancestors, compared level by level from the one below the OOM scope downwards.

    At level i (from 1 to 16) the candidate's ancestor is the one i levels below the scope, or its own memory cgroup where
    that is not so deep. The number of a level is floor(value / step), the ancestor as the view, negated for `lowest`; equal
    numbers are told apart by the higher cgroup id. The first level with different ancestors decides. Where `when` does not
    hold for a candidate, it comes after all for which it does, and such candidates are equal.
    """

    origin: Origin
    value: Expression
    interval: Interval
    type: Type
    highest: bool
    step: int
    when: Expression | None


Key: TypeAlias = FlagKey | ValueKey | EachDepthKey
Rule: TypeAlias = EventRule | Never | Key


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDeclaration:
    name: str
    type: Type
    interval: Interval
    per_memcg: bool
    default: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetDeclaration:
    """level: what the value depends on, TASK where no pass has found out. shared: whether a target should compute it once
    (for the event, the cgroup or the candidate, by its level), since it would else be computed more often.
    """

    name: str
    type: Type
    interval: Interval
    value: Expression
    line: int
    column: int
    text: str
    level: Level = Level.TASK
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    name: str
    inputs: tuple[InputDeclaration, ...]
    lets: tuple[LetDeclaration, ...]
    rules: tuple[Rule, ...]
    questions: tuple[Question, ...] = ()


class Policy(_Policy):
    """A whole policy. `lets` come in an order in which each uses only earlier ones, `rules` in that of the policy.

    questions: what `Asked` asks about cgroups, each once. event_rules, never, keys: the rules by what they do, each in the
    policy's order.
    """

    @cached_property
    def event_rules(self) -> tuple[EventRule, ...]:
        return tuple([r for r in self.rules if isinstance(r, EventRule)])

    @cached_property
    def never(self) -> tuple[Never, ...]:
        return tuple([r for r in self.rules if isinstance(r, Never)])

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        return tuple([r for r in self.rules if not isinstance(r, EventRule | Never)])


def children(node: Expression) -> tuple[Expression, ...]:
    """The operands of an expression, left to right."""
    match node:
        case Number() | Fact() | Input() | Let() | Match() | Under() | Asked():
            return ()
        case Not(operand) | OneOf(operand, _):
            return (operand,)
        case Compare(_, left, right):
            return (left, right)
        case Apply(_, operands, _) | Logical(_, operands):
            return operands
        case Select(condition, then, otherwise):
            return (condition, then, otherwise)


def rule_expressions(rule: Rule) -> tuple[Expression, ...]:
    """The expressions of a rule."""
    match rule:
        case EventRule(condition=condition) | Never(condition=condition) | FlagKey(condition=condition):
            return (condition,)
        case ValueKey(value=value, when=when) | EachDepthKey(value=value, when=when):
            return (value,) if when is None else (value, when)
