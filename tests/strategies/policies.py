"""Well-typed policies as source text.

The generator is directed by types and intervals from the table of facts: it writes only what the language takes, but
for what several rules together make impossible (a rule that earlier ones leave without effect). The checker takes more
than nine in ten; a test that needs a right policy assumes that there are no errors.

Constants lie near the ends of what they are compared with, sub-expressions and texts repeat, and everything shrinks
towards few rules on plain facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from oomlang.facts import FACTS, INPUT_RANGES, Interval, Scope, Type
from oomlang.facts.table import TEXT_BYTES
from tests.strategies import terms
from tests.strategies.terms import CANDIDATE, Level, Term

_T = TypeVar("_T")

NUMBERS = (Type.BYTES, Type.INT, Type.RATIO, Type.DURATION)
EVERYTHING = frozenset(Scope)
EVENT = frozenset({Scope.EVENT})
MEMCG = frozenset({Scope.MEMCG})

_ROUND_VALUES = {
    Type.BYTES: (0, 1, 4096, 2**20, 64 * 2**20, 2**30, 8 * 2**30),
    Type.INT: (0, 1, -1, 2, 10, 100, 1000, 999, -1000, -999),
    Type.RATIO: (0, 100, 5000, 9000, 10000, 20000),
    Type.DURATION: (0, 1, 1000, 30_000, 3_600_000),
}

COMMS = ("a", "b", "sh", "sshd", "systemd", "python3", "kworker/0:1", "exactly-15-byte", 'q"\\', "é", "")
GLOBS = ("s*", "*d", "system*", "p*n?", "*", "?", "??", "*a*", "k*/*:*")
CGROUPS = ("a", "b", "batch.slice", "user.slice", "system.slice", "ssh.service", "job-1")
COMPONENTS = (*CGROUPS, "*.slice", "job-*", "?", "*")
"""Few and shared, so that rules meet each other's cases; test blocks take their tasks and cgroups from them too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the policies may use. Nothing is left out by default; `none()` leaves out all that can be."""

    comparisons: bool = True
    lists: bool = True  # `in (…)`
    texts: bool = True  # `==`, `like` and `in` on text facts
    paths: bool = True  # `under`
    logic: bool = True  # and, or, not
    arithmetic: bool = True
    division: bool = True
    ratios: bool = True  # literals and inputs of type ratio, products with them
    functions: bool = True  # min, max, abs, clamp
    conditionals: bool = True
    at_depth: bool = True
    each_depth: bool = True
    steps: bool = True
    whens: bool = True
    inputs: bool = True
    memcg_inputs: bool = True
    lets: bool = True
    event_rules: bool = True
    never_kill: bool = True
    name: bool = True
    facts: frozenset[str] = frozenset(FACTS)  # those that may be read; rss is needed
    rules: int = 8
    fuel: int = 3  # how deep expressions nest, roughly

    @classmethod
    def none(cls, **chosen: Any) -> Features:
        """Only the features named."""
        off: dict[str, Any] = {f.name: False for f in fields(cls) if f.type in (bool, "bool")}
        return replace(cls(**off), **chosen)


def quoted(text: str) -> str:
    """A text literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class _Writer:
    """Draws the parts of one policy."""

    def __init__(self, draw: DrawFn, features: Features) -> None:
        self._draw = draw
        self._on = features
        self._named: list[Term] = []
        self._pool: list[Term] = []
        self._used: set[str] = set()
        self._bodies: dict[str, str] = {}

    # The policy

    def policy(self) -> str:
        lines: list[str] = []
        if self._on.name and self._flip():
            lines += [f"policy {quoted(self._one_of(('p', 'batch_first', 'exactly-15-byte')))}", ""]
        for number in range(self._draw(st.integers(0, 3)) if self._on.inputs or self._on.memcg_inputs else 0):
            lines.append(self._input(number))
        for number in range(self._draw(st.integers(0, 3)) if self._on.lets else 0):
            lines.append(self._let(number))
        event_rules = self._draw(st.integers(0, 2)) if self._on.event_rules else 0
        lines += [rule for _ in range(event_rules) if (rule := self._event_rule())]
        lines += self._rules()
        return "\n".join(lines) + "\n"

    def _input(self, number: int) -> str:
        type = self._one_of([t for t in INPUT_RANGES if t is not Type.RATIO or self._on.ratios])
        per_memcg = self._on.memcg_inputs and (not self._on.inputs or self._flip())
        name, range = f"{'tag' if per_memcg else 'knob'}{number}", INPUT_RANGES[type]
        self._named.append(
            Term(
                text=name,
                level=Level.VALUE,
                type=type,
                range=range,
                names=frozenset({name}),
                scopes=MEMCG if per_memcg else frozenset(),
            )
        )
        if type is Type.BOOL:
            default = self._one_of(("false", "true"))
        else:
            default = self._constant(type, range).text
        return f"input {name}{' per memcg' if per_memcg else ''}: {type.value} = {default}"

    def _let(self, number: int) -> str:
        fuel = self._fuel()
        if self._flip():
            value = self.number(self._type(EVERYTHING), EVERYTHING, fuel)
        else:
            value = self.condition(EVERYTHING, CANDIDATE, fuel)
        name = f"part{number}"
        self._named.append(terms.named(name, value))
        self._bodies[name] = self._spelled_out(value)
        return f"let {name} = {value.text}"

    def _event_rule(self) -> str | None:
        condition = self.condition(EVENT, EVENT, self._fuel())
        if not self._new("event", condition):
            return None
        return f"{self._one_of(('kernel decides', 'kill nothing'))} when {condition.text}"

    def _rules(self) -> list[str]:
        lines: list[str] = []
        same_memcg = False
        for _ in range(self._draw(st.integers(0, self._on.rules))):
            kinds = ["highest", "lowest"]
            if self._has_conditions:
                kinds += ["first", "last", "never"] if self._on.never_kill else ["first", "last"]
            if self._on.each_depth and not same_memcg:
                kinds.append("each")
            kind = self._one_of(kinds)
            if kind == "each":
                line, settles = self._each_depth()
                same_memcg = same_memcg or settles
            elif kind in ("highest", "lowest"):
                line = self._ranking(kind, same_memcg)
                if line.split(" ", 2)[2:] == ["pid"]:  # no two candidates are level behind it
                    lines.append(line)
                    break
            else:
                line = self._flag(kind, same_memcg)
            if line:
                lines.append(line)
        return lines

    @property
    def _has_conditions(self) -> bool:
        return self._on.comparisons or self._on.texts or self._on.paths or "invoker" in self._on.facts

    def _flag(self, kind: str, same_memcg: bool) -> str:
        # A `never kill` that asks only about the event would cover every task of some events.
        condition = self.condition(EVERYTHING, CANDIDATE, self._fuel())
        if same_memcg and kind != "never" and Scope.TASK not in condition.scopes:
            return ""
        if not self._new("condition", condition):
            return ""
        return (
            f"never kill when {condition.text}" if kind == "never" else f"kill {kind} when {condition.text}"
        )

    def _ranking(self, kind: str, same_memcg: bool) -> str:
        type = self._type(EVERYTHING)
        value = self.number(type, EVERYTHING, self._fuel())
        if not value.varies or (same_memcg and Scope.TASK not in value.scopes):
            value = self._plain(CANDIDATE if not same_memcg else frozenset({Scope.TASK}), type)
        if not self._new("value", value):
            return ""
        return f"kill {kind} {value.text}{self._step(value)}{self._when()}"

    def _each_depth(self) -> tuple[str, bool]:
        value = self.number(self._type(MEMCG), MEMCG, self._fuel(), deep=False)
        if Scope.MEMCG not in value.scopes:
            value = self._plain(MEMCG, value.type)
        if not self._new("each", value):
            return "", False
        when = self._when()
        word = self._one_of(("highest", "lowest"))
        return f"kill {word} {value.text} at each depth{self._step(value)}{when}", not when

    def _step(self, value: Term) -> str:
        """`step S` such that the value's range has at least two steps in it."""
        most = value.range.high - value.range.low
        if not self._on.steps or most < 1 or not self._flip():
            return ""
        step = self._constant(value.type, Interval(1, min(max(1, most // 2), 2**62)))
        below = value.range.steps(max(1, step.range.low))
        return "" if step.range.low < 1 or below.is_point else f" step {step.text}"

    def _when(self) -> str:
        if not self._on.whens or not self._has_conditions or not self._flip():
            return ""
        condition = self.condition(EVERYTHING, CANDIDATE, self._fuel())
        return f" when {condition.text}" if self._new("condition", condition) else ""

    def _new(self, kind: str, term: Term) -> bool:
        """Whether no earlier rule asks the same: it would leave this one without effect."""
        spelled = f"{kind} {self._spelled_out(term)}"
        if spelled in self._used:
            return False
        self._used.add(spelled)
        return True

    def _spelled_out(self, term: Term) -> str:
        text = term.text
        for name in sorted(term.names & self._bodies.keys(), reverse=True):
            text = text.replace(name, f"({self._bodies[name]})")
        return text

    # Numbers

    def number(self, type: Type, allowed: frozenset[Scope], fuel: int, *, deep: bool = True) -> Term:
        """A number. allowed: the scopes that it may read. deep: whether `at depth` may stand in it."""
        if fuel <= 0:
            return self._leaf(type, allowed, deep)
        makers: list[Callable[[], Term | None]] = [lambda: self._leaf(type, allowed, deep)]

        def part(of: Type = type) -> Term:
            return self.number(of, allowed, fuel - 1, deep=deep)

        def condition() -> Term:
            return self.condition(allowed, allowed, fuel - 1, deep=deep)

        on = self._on
        makers.append(lambda: self._again(type, allowed, deep))
        if on.arithmetic:
            makers += [lambda: terms.add(part(), "+", part()), lambda: terms.add(part(), "-", part())]
            makers += [lambda: self._product(type, part)]
            makers += [lambda: terms.negate(part())]
        if on.division:
            makers += [lambda: terms.divide(part(), self._divisor())]
            if type is Type.RATIO:
                sizes = [t for t in (Type.BYTES, Type.DURATION) if self._leaves(t, allowed, deep)]
                if sizes:
                    makers += [lambda: self._quotient(self._one_of(sizes), part)] * 3
        if on.functions:
            makers += [
                lambda: terms.call(self._one_of(("min", "max")), part(), part()),
                lambda: terms.call("abs", part()),
                lambda: self._clamp(part()),
            ]
        if on.conditionals and self._has_conditions:
            makers += [lambda: terms.conditional(part(), condition(), part())]
        if on.at_depth and deep and Scope.MEMCG in allowed:
            makers += [lambda: self._at_depth(self.number(type, allowed, fuel - 1, deep=False))]
        made = self._one_of(makers)()
        if made is None:
            return self._leaf(type, allowed, deep)
        self._pool.append(made)
        return made

    def _product(self, type: Type, part: Callable[..., Term]) -> Term | None:
        if self._on.ratios and self._flip():
            ratio = self._constant(Type.RATIO, Interval(0, 100_000))
            size = part()
            if type is not Type.INT:
                return terms.share(size, ratio) if self._flip() else terms.share(ratio, size)
        if self._flip():
            factor = self._constant(Type.INT, Interval(-16, 1000))
        else:
            factor = self._leaf(Type.INT, frozenset(), False)
        return terms.multiply(part(), factor) if self._flip() else terms.multiply(factor, part())

    def _quotient(self, type: Type, part: Callable[..., Term]) -> Term | None:
        return terms.divide(part(type), part(type))

    def _divisor(self) -> Term:
        return self._constant(Type.INT, Interval(-3, 1000))

    def _clamp(self, value: Term) -> Term:
        low = self._constant(value.type, value.range)
        high = self._constant(value.type, Interval(low.range.low, max(low.range.low, value.range.high)))
        return terms.call("clamp", value, low, high)

    def _at_depth(self, operand: Term) -> Term | None:
        return terms.at_depth(operand, self._one_of((1, 2, 3, 16)))

    def _again(self, type: Type, allowed: frozenset[Scope], deep: bool) -> Term:
        """A sub-expression that stands elsewhere already."""
        fitting = [t for t in self._pool if self._fits(t, type, allowed, deep)]
        return self._one_of(fitting) if fitting else self._leaf(type, allowed, deep)

    def _leaf(self, type: Type, allowed: frozenset[Scope], deep: bool) -> Term:
        leaves = self._leaves(type, allowed, deep)
        if leaves and self._draw(st.integers(0, 3)) < 3:
            return self._one_of(leaves)
        return self._constant(type, self._one_of(leaves).range if leaves else INPUT_RANGES[type])

    def _leaves(self, type: Type, allowed: frozenset[Scope], deep: bool) -> list[Term]:
        known = [terms.fact(name) for name in FACTS if name in self._on.facts] + self._named
        return [t for t in known if self._fits(t, type, allowed, deep)]

    def _fits(self, term: Term, type: Type, allowed: frozenset[Scope], deep: bool) -> bool:
        return term.type is type and term.scopes <= allowed and (deep or not term.deep)

    def _plain(self, scopes: frozenset[Scope], type: Type) -> Term:
        """A fact or a name that differs between candidates, of the type if there is one."""
        for wanted in (type, *NUMBERS):
            found = [t for t in self._leaves(wanted, scopes, False) if t.scopes & scopes & CANDIDATE]
            if found:
                return self._one_of(found)
        return terms.fact("rss")

    def _type(self, allowed: frozenset[Scope]) -> Type:
        """A number type of which there is something to read, or which arithmetic makes."""
        found = [
            t for t in NUMBERS if any(not x.literal and x.scopes for x in self._leaves(t, allowed, True))
        ]
        if self._on.division and self._on.ratios and Type.RATIO not in found:
            found.append(Type.RATIO)
        return self._one_of(found or [Type.BYTES])

    def _constant(self, type: Type, range: Interval) -> Term:
        """A literal in a range: near its ends, a round number, or any."""
        if type is Type.RATIO:
            percent = terms.ratio_constants(range)
            if percent is None:
                return terms.constant(0, type)
            return terms.constant(100 * self._value(type, percent, scale=100), type)
        return terms.constant(self._value(type, range), type)

    def _value(self, type: Type, range: Interval, scale: int = 1) -> int:
        ends = {range.low, range.low + 1, range.high - 1, range.high, (range.low + range.high) // 2}
        ends |= {v // scale for v in _ROUND_VALUES[type]}
        likely = sorted((v for v in ends if v in range), key=lambda v: (abs(v), v < 0))
        if self._draw(st.integers(0, 3)) < 3:
            return self._one_of(likely)
        return self._draw(st.integers(range.low, range.high))

    # Conditions

    def condition(
        self, allowed: frozenset[Scope], about: frozenset[Scope], fuel: int, *, deep: bool = True
    ) -> Term:
        """A condition. allowed: the scopes it may read. about: each question in it reads at least one of these."""
        makers: list[Callable[[], Term | None]] = []

        def part() -> Term:
            return self.condition(allowed, about, fuel - 1, deep=deep)

        on = self._on
        if on.comparisons:
            makers += [lambda: self._comparison(allowed, about, fuel - 1, deep)] * 2
        if bools := [t for t in self._leaves(Type.BOOL, allowed, deep) if t.scopes & about]:
            makers.append(lambda: self._one_of(bools))
        if on.texts and about & CANDIDATE:
            names = [n for n in TEXT_BYTES if n in on.facts and FACTS[n].scope in allowed]
            if names:
                makers.append(lambda: self._text(terms.fact(self._one_of(names))))
        if on.paths:
            paths = [n for n in ("memcg", "oom.memcg") if n in on.facts and FACTS[n].scope in allowed & about]
            if paths:
                makers.append(lambda: self._under(terms.fact(self._one_of(paths))))
        if on.lists:
            makers.append(lambda: self._list(allowed, about, fuel - 1, deep))
        if fuel > 0 and on.logic:
            makers += [lambda: self._logical("and", part), lambda: self._logical("or", part)]
            makers += [lambda: terms.negation(part())]
        if fuel > 0 and on.conditionals:
            makers.append(lambda: terms.conditional(part(), part(), part()))
        if fuel > 0 and on.at_depth and deep and Scope.MEMCG in allowed:
            makers.append(lambda: self._at_depth(self.condition(allowed, about, fuel - 1, deep=False)))
        if fuel > 0 and on.comparisons:
            makers.append(lambda: terms.compare(part(), self._one_of(("==", "!=")), part()))
        made = self._one_of(makers)() if makers else None
        if made is None:
            return self._plain_condition(about)
        self._pool.append(made)
        return made

    def _plain_condition(self, about: frozenset[Scope]) -> Term:
        """What always works."""
        name = (
            "invoker" if Scope.TASK in about else "memcg.oom_group" if Scope.MEMCG in about else "oom.global"
        )
        return terms.fact(name)

    def _subject(
        self, allowed: frozenset[Scope], about: frozenset[Scope], fuel: int, deep: bool
    ) -> Term | None:
        """A number that is about the right thing and can take more than one value."""
        found = [t for t in NUMBERS if any(x.scopes & about for x in self._leaves(t, allowed, deep))]
        if not found:
            return None
        value = self.number(self._one_of(found), allowed, fuel, deep=deep)
        if not value.scopes & about or value.range.is_point:
            value = self._one_of([t for t in self._leaves(value.type, allowed, deep) if t.scopes & about])
        return None if value.range.is_point else value

    def _comparison(
        self, allowed: frozenset[Scope], about: frozenset[Scope], fuel: int, deep: bool
    ) -> Term | None:
        left = self._subject(allowed, about, fuel, deep)
        if left is None:
            return None
        operator = self._one_of(("<", "<=", ">", ">=", "==", "!="))
        if self._flip():
            right = self.number(left.type, allowed, fuel, deep=deep)
            if not right.literal and (made := terms.compare(left, operator, right)):
                return made
        low, high = left.range.low, left.range.high
        inside = Interval(low + (operator in ("<", ">=")), high - (operator in ("<=", ">")))
        bound = self._constant(left.type, inside)
        if self._draw(st.integers(0, 7)) == 7:
            return terms.compare(
                bound, {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator), left
            )
        return terms.compare(left, operator, bound)

    def _list(self, allowed: frozenset[Scope], about: frozenset[Scope], fuel: int, deep: bool) -> Term | None:
        subject = self._subject(allowed, about, fuel, deep)
        if subject is None:
            return None
        count = self._draw(st.integers(1, 4))
        values = [self._constant(subject.type, subject.range) for _ in range(count)]
        inside = dict.fromkeys(v.text for v in values if v.range.low in subject.range)
        return terms.one_of(subject, list(inside)) if inside else None

    def _text(self, subject: Term) -> Term:
        limit = TEXT_BYTES[subject.text]
        operator = self._one_of(("==", "!=", "like", "in"))
        plain = self._one_of(COMMS) if subject.text == "comm" else self._one_of((*COMMS, *CGROUPS))
        if operator in ("==", "!="):
            return terms.relation(subject, operator, quoted(plain))
        if operator == "like":
            return terms.relation(subject, operator, quoted(self._glob(limit)))
        items = dict.fromkeys(
            self._glob(limit) if self._flip() else self._one_of(COMMS)
            for _ in range(self._draw(st.integers(1, 4)))
        )
        return terms.one_of(subject, [quoted(i) for i in items])

    def _glob(self, limit: int) -> str:
        if self._draw(st.integers(0, 3)) < 3:
            return self._one_of([g for g in GLOBS if g != "*"])
        drawn = self._draw(st.text(st.sampled_from("ab*?/é"), min_size=1, max_size=min(limit // 2, 6)))
        return drawn if drawn.strip("*") else "a*"

    def _under(self, subject: Term) -> Term:
        count = self._draw(st.integers(1, 3))
        return terms.relation(
            subject, "under", quoted("/" + "/".join(self._one_of(COMPONENTS) for _ in range(count)))
        )

    def _logical(self, operator: str, part: Callable[[], Term]) -> Term:
        operands: list[Term] = []
        for _ in range(self._draw(st.integers(2, 3))):
            operand = part()
            # Two questions about one fact can contradict each other, so that is rare.
            if not any(operand.names & o.names for o in operands) or self._draw(st.integers(0, 7)) == 7:
                operands.append(operand)
        return terms.logical(operator, operands) if len(operands) > 1 else operands[0]

    # Drawing

    def _one_of(self, options: Sequence[_T]) -> _T:
        return self._draw(st.sampled_from(options))

    def _flip(self) -> bool:
        return self._draw(st.booleans())

    def _fuel(self) -> int:
        return self._draw(st.integers(0, self._on.fuel))


@st.composite
def _policies(draw: DrawFn, features: Features) -> str:
    return _Writer(draw, features).policy()


def policies(features: Features | None = None) -> SearchStrategy[str]:
    """Policies without test blocks; see `blocks` for those."""
    return _policies(features or Features())
