"""The syntax tree: what a policy says, word for word, before anything is known of names and types.

Every node has the span of its text. Literals keep their spelling; nothing is evaluated here.
"""

from __future__ import annotations

from collections.abc import Iterator

from oomlang.diagnostics import Source, Span
from oomlang.facts import Type
from oomlang.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    span: Span


# Expressions


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Node):
    """A number literal: `value` base units of `type`."""

    value: int
    type: Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable(Node):
    """An expression with a mistake that has been reported: whatever it is part of has no type and says nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Node):
    """A text literal; `value` is UTF-8 with the escapes resolved, and holds no NUL."""

    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Node):
    """A fact, an input or a let."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    function: Name
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negative(Node):
    """`-operand`."""

    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic(Node):
    """`left operator right` with `+`, `-`, `*` or `/`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Node):
    """`left operator right` with `==`, `!=`, `<`, `<=`, `>` or `>=`."""

    operator: str
    operator_span: Span
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class In(Node):
    """`subject in (items)`."""

    subject: Expression
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Like(Node):
    """`subject like pattern`."""

    subject: Expression
    pattern: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Under(Node):
    """`subject under pattern`."""

    subject: Expression
    pattern: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDepth(Node):
    """`operand at depth N`."""

    operand: Expression
    depth: Number | Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Logical(Node):
    """A chain of `and` or of `or`."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Node):
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional(Node):
    """`then if condition else otherwise`."""

    then: Expression
    condition: Expression
    otherwise: Expression


Expression = (
    Number
    | Unreadable
    | Text
    | Truth
    | Name
    | Call
    | Negative
    | Arithmetic
    | Compare
    | In
    | Like
    | Under
    | AtDepth
    | Logical
    | Not
    | Conditional
)


def operands(node: Expression) -> tuple[Expression, ...]:
    """The expressions that an expression is made of, in the order of its text."""
    match node:
        case Number() | Unreadable() | Text() | Truth() | Name():
            return ()
        case Call(arguments=arguments):
            return arguments
        case Negative(operand=operand) | AtDepth(operand=operand) | Not(operand=operand):
            return (operand,)
        case Arithmetic(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case In(subject=subject, items=items):
            return (subject, *items)
        case Like(subject=subject, pattern=pattern) | Under(subject=subject, pattern=pattern):
            return (subject, pattern)
        case Logical(operands=parts):
            return parts
        case Conditional(then=then, condition=condition, otherwise=otherwise):
            return (then, condition, otherwise)


def walk(node: Expression) -> Iterator[Expression]:
    """An expression and everything in it, in the order of its text."""
    pending = [node]
    while pending:
        part = pending.pop()
        yield part
        pending.extend(reversed(operands(part)))


# Statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(Node):
    """`oomlang 1`."""

    version: Number | Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyName(Node):
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Node):
    name: Name
    per_memcg: bool
    type: Name
    default: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Let(Node):
    name: Name
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelDecides(Node):
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class KillNothing(Node):
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverKill(Node):
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class KillFlag(Node):
    """`kill first when` (`first` true) or `kill last when`."""

    first: bool
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class KillBy(Node):
    """`kill highest` (`highest` true) or `kill lowest`, with what may follow."""

    highest: bool
    value: Expression
    each_depth: Span | None
    step: Expression | None
    when: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Node):
    """A statement that could not be read.

    declares: the name that it would have brought, so that its uses are not reported as well.
    """

    declares: str | None


# Tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Node):
    """`fact value` inside the braces of a test's memcg or task."""

    name: Name
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMemory(Node):
    size: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSwap(Node):
    size: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOrder(Node):
    """`order N`: the size of the failed allocation, -1 for sysrq."""

    order: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScope(Node):
    path: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TestInvoker(Node):
    task: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet(Node):
    name: Name
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMemcg(Node):
    path: Text
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTask(Node):
    comm: Text
    id: Text | None
    path: Text
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectVictim(Node):
    task: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectOrder(Node):
    tasks: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectSafe(Node):
    task: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectNone(Node):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectKernel(Node):
    """`expect kernel decides`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectNothing(Node):
    """`expect kill nothing`."""


Expectation = ExpectVictim | ExpectOrder | ExpectSafe | ExpectNone | ExpectKernel | ExpectNothing
TestStatement = (
    TestMemory
    | TestSwap
    | TestOrder
    | TestScope
    | TestInvoker
    | TestSet
    | TestMemcg
    | TestTask
    | Expectation
    | Broken
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Test(Node):
    name: Text
    statements: tuple[TestStatement, ...]


Rule = KernelDecides | KillNothing | NeverKill | KillFlag | KillBy
Statement = Language | PolicyName | Input | Let | Rule | Test | Broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole file."""

    source: Source
    statements: tuple[Statement, ...]
