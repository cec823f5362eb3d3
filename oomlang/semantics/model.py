"""The typed policy.

Every name is resolved, every operation chosen by the types of its operands, every number in the base unit of its type. An
expression's `interval` holds all values that it can take, and always fits into 64 bits.
"""

from __future__ import annotations

from enum import Enum

from oomlang.diagnostics import Source, Span
from oomlang.facts import Fact, Interval, Type
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.operations import Operation
from oomlang.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    span: Span
    type: Type
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Typed):
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRef(Typed):
    """A fact. The interval of a text or path is meaningless and [0, 0]."""

    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRef(Typed):
    input: Input


@dataclass(frozen=True, slots=True, kw_only=True)
class LetRef(Typed):
    let: Let


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply(Typed):
    operation: Operation
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Typed):
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf(Typed):
    """Whether a number equals one of several; `values` is sorted and has no repetitions."""

    subject: Expression
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Typed):
    """Whether a text fact matches one of several patterns."""

    fact: Fact
    patterns: tuple[Glob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Under(Typed):
    """Whether a cgroup (`memcg` or `oom.memcg`) is one that the pattern names, or below it."""

    fact: Fact
    pattern: PathPattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Logical(Typed):
    """`and` or `or` of two or more conditions."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Typed):
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(Typed):
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDepth(Typed):
    """The operand, its memcg facts read from the candidate's ancestor `depth` levels below the root."""

    operand: Expression
    depth: int


Expression = (
    Constant
    | FactRef
    | InputRef
    | LetRef
    | Apply
    | Comparison
    | OneOf
    | Match
    | Under
    | Logical
    | Not
    | Select
    | AtDepth
)


def children(node: Expression) -> tuple[Expression, ...]:
    """The operands of an expression, left to right; a let's own expression is not among them."""
    match node:
        case Constant() | FactRef() | InputRef() | LetRef() | Match() | Under():
            return ()
        case Not(operand=operand) | AtDepth(operand=operand):
            return (operand,)
        case Comparison(left=left, right=right):
            return (left, right)
        case OneOf(subject=subject):
            return (subject,)
        case Apply(operands=operands) | Logical(operands=operands):
            return operands
        case Select(condition=condition, then=then, otherwise=otherwise):
            return (condition, then, otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value that user space fills while the policy runs. A bool is 0 or 1."""

    span: Span
    name: str
    type: Type
    interval: Interval
    per_memcg: bool
    default: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What an expression reads, lets looked into.

    what: each fact and input once, in the order of the text, with the part of the expression that reads it first.
    at_depth: whether it holds an `at depth`.
    """

    what: tuple[tuple[Fact | Input, Expression], ...]
    at_depth: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Let:
    """`reads` is what the value reads: asked of a let, it need not be looked for again."""

    span: Span
    name: str
    value: Expression
    reads: Reads


class Action(Enum):
    """What an event rule does."""

    KERNEL_DECIDES = "kernel decides"
    KILL_NOTHING = "kill nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    span: Span
    action: Action
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverKill:
    span: Span
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class KillFlag:
    """`kill first when` or `kill last when`."""

    span: Span
    first: bool
    condition: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class KillBy:
    """`kill highest` or `kill lowest`; `step` is 1 where none is given."""

    span: Span
    highest: bool
    value: Expression
    step: int
    when: Expression | None
    each_depth: bool


Rule = EventRule | NeverKill | KillFlag | KillBy


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMemcg:
    """A cgroup of a test: `facts` by name (`memcg.usage`), `inputs` by name."""

    span: Span
    path: tuple[bytes, ...]
    facts: dict[str, int]
    inputs: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTask:
    """A candidate of a test; `facts` by name, numbers only."""

    span: Span
    id: str
    comm: bytes
    path: tuple[bytes, ...]
    facts: dict[str, int]


class Expect(Enum):
    """What a test can expect."""

    VICTIM = "victim"
    ORDER = "order"
    SAFE = "safe"
    NONE = "none"
    KERNEL_DECIDES = "kernel decides"
    KILL_NOTHING = "kill nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    span: Span
    expect: Expect
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test block: the event, the machine's cgroups and tasks, and what has to come out.

    memory, swap: bytes. scope: the components of the memcg that is out of memory, None for a global event.
    """

    span: Span
    name: str
    memory: int
    swap: int
    order: int
    scope: tuple[bytes, ...] | None
    invoker: str | None
    inputs: dict[str, int]
    memcgs: tuple[TestMemcg, ...]
    tasks: tuple[TestTask, ...]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy that is right, apart from what only all its rules together show (see `oomlang.ir.reach`)."""

    source: Source
    name: str
    inputs: tuple[Input, ...]
    lets: tuple[Let, ...]
    rules: tuple[Rule, ...]
    tests: tuple[Test, ...]
