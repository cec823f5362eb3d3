"""Events to point at: what a policy says once an event is known.

In: a policy, and conditions of its `never kill` rules. Out: an event that no event rule takes away and in which the
conditions cover every task, or None where none was found. Cells (see `cells`) hold too many events: an order of -1
without sysrq, a global event of a cgroup. What is claimed of *some* event is claimed of one that is here in full.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from oomlang.facts import FACTS, Scope
from oomlang.facts.patterns import ANY, Glob, PathPattern
from oomlang.ir import nodes as ir
from oomlang.ir.cells import Cells, Context, TooManyCells
from oomlang.ir.fold import Summary, fold
from oomlang.ir.passes.simplify import FALSE, TRUE, Simpler, Term, simplified
from oomlang.operations.comparisons import ALWAYS, NEVER
from oomlang.records import dataclass

_EVENTS = 256
"""Events that are looked at; none found among them, none is claimed."""

Path = tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEvent:
    """An event in full. scope: the path of the cgroup that ran out, () for the machine. facts: those of the event that are
    numbers, by name. knobs: the inputs that are not per memcg.
    """

    scope: Path
    facts: Mapping[str, int]
    knobs: Mapping[str, int]


def event_that_kills_nobody(policy: ir.Policy, covering: Sequence[ir.Expression]) -> KnownEvent | None:
    """An event that goes to no event rule, and for every task of which, whatever it is, one of the conditions holds."""
    asked = [rule.condition for rule in policy.event_rules] + list(covering)
    # What ranks candidates has no say in it, and may be long.
    policy = ir.Policy(name=policy.name, inputs=policy.inputs, lets=policy.lets, rules=policy.event_rules)
    for event in _events(policy, asked):
        known = simplified(policy, lambda p, event=event: _InEvent(p, event))  # type: ignore[misc]  # a default binds it
        if any(rule.condition != FALSE for rule in known.event_rules):
            continue
        algebra = _InEvent(known, event)
        for let in known.lets:
            algebra.lets[let.name] = let.value, let.interval
        left = [fold(c, algebra)[0] for c in covering]
        if TRUE in left or _cover([c for c in left if c != FALSE], known):
            return event
    return None


def _cover(conditions: list[ir.Expression], policy: ir.Policy) -> bool:
    """Whether one of the conditions holds for every task."""
    context = Context({i.name: i for i in policy.inputs}, {let.name: let for let in policy.lets})
    try:
        cells = Cells(conditions, context)
    except TooManyCells:
        return False
    return cells.where(*conditions) == cells.everything


class _InEvent(Simpler):
    """Expressions in an event that is known: its facts and the knobs are numbers."""

    def __init__(self, policy: ir.Policy, event: KnownEvent) -> None:
        super().__init__(policy)
        self._event = event

    def fact(self, node: ir.Fact) -> Term:
        value = self._event.facts.get(node.name)
        return super().fact(node) if value is None else self.number(ir.Number(value))

    def input(self, node: ir.Input) -> Term:
        return super().input(node) if node.per_memcg else self.number(ir.Number(self._event.knobs[node.name]))

    def under(self, node: ir.Under) -> Term:
        if FACTS[node.fact].scope is not Scope.EVENT:
            return super().under(node)
        return (TRUE, ALWAYS) if node.pattern.covers(self._event.scope) else (FALSE, NEVER)


# Events


class _Questions(Summary[tuple[ir.Expression, ...]]):
    """The comparisons, memberships and paths in expressions."""

    def leaf(self, node: ir.Leaf) -> tuple[ir.Expression, ...]:
        return (node,) if isinstance(node, ir.Under) else ()

    def join(
        self, node: ir.Expression, parts: tuple[tuple[ir.Expression, ...], ...]
    ) -> tuple[ir.Expression, ...]:
        own = (node,) if isinstance(node, ir.Compare | ir.OneOf) else ()
        return tuple(dict.fromkeys((*own, *itertools.chain.from_iterable(parts))))


def _events(policy: ir.Policy, asked: Iterable[ir.Expression]) -> Iterator[KnownEvent]:
    """Events that the conditions tell apart, the plain ones first."""
    questions = [q for e in (*asked, *(let.value for let in policy.lets)) for q in fold(e, _Questions())]
    numbers = {
        name: _values(ir.Fact(name), questions, first)
        for name, first in (("oom.order", 0), ("oom.total", 2**33))
    }
    knobs = {
        i.name: _values(ir.Input(i.name), questions, i.default, range(i.interval.low, i.interval.high + 1))
        for i in policy.inputs
        if not i.per_memcg
    }
    # `product` lists what it is given before it begins: another product, of 64 knobs, never ends.
    events = (
        (scope, given)
        for scope in _scopes(questions)
        for given in itertools.product(*numbers.values(), *knobs.values())
    )
    for scope, given in itertools.islice(events, _EVENTS):
        order, total, *chosen = given
        yield KnownEvent(
            scope=scope,
            facts={
                "oom.order": order,
                "oom.total": total,
                "oom.global": int(not scope),
                "oom.sysrq": int(order == -1),
            },
            knobs=dict(zip(knobs, chosen, strict=True)),
        )


def _values(
    subject: ir.Expression, questions: Iterable[ir.Expression], first: int, allowed: range | None = None
) -> list[int]:
    """Numbers on both sides of each that a fact or knob is compared with."""
    found = {first: None}
    if isinstance(subject, ir.Fact):
        bounds = FACTS[subject.name].range
        assert bounds is not None  # of all facts that are numbers
        allowed = range(bounds.low, bounds.high + 1)
        if subject.name == "oom.order":
            found[-1] = None
    for question in questions:
        match question:
            case ir.Compare(_, left, ir.Number(value)) | ir.Compare(_, ir.Number(value), left) if (
                left == subject
            ):
                found.update(dict.fromkeys((value - 1, value, value + 1)))
            case ir.OneOf(left, values) if left == subject:
                found.update(dict.fromkeys(values))
            case _:
                pass
    if allowed is not None and len(allowed) == 2:  # a condition by itself
        found.update(dict.fromkeys(allowed))
    return [value for value in found if allowed is None or value in allowed]


def _scopes(questions: Iterable[ir.Expression]) -> list[Path]:
    """Scopes: the machine, a cgroup that nothing names, and one for each pattern with one below it."""
    found: dict[Path, None] = {(): None, (b"elsewhere",): None}
    for question in questions:
        if isinstance(question, ir.Under) and FACTS[question.fact].scope is Scope.EVENT:
            path = _example(question.pattern)
            found.update(dict.fromkeys((path, (*path, b"below"))))
    return list(found)


def _example(pattern: PathPattern) -> Path:
    """A path that a pattern names."""
    return tuple(_name(glob) for glob in pattern.components)


def _name(glob: Glob) -> bytes:
    text = b"".join(glob.parts).replace(bytes([ANY]), b"x")
    return text or b"x"
