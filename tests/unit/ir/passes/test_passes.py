"""No pass changes what a policy means, alone or with the others."""

import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oomlang.compiler import Compilation
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Summary, fold
from oomlang.ir.passes import PASSES, Pass, run
from oomlang.ir.passes.share import MAX_NESTING
from oomlang.lowering import lower
from oomlang.targets.interp import Decision, decide
from tests.strategies.policies import policies
from tests.unit.growth import assert_linear
from tests.unit.targets.interp.machines import blinded, machines

OFF = {f"without {p.__name__}": tuple(q for q in PASSES if q is not p) for p in PASSES}
ALONE = {f"only {p.__name__}": (p,) for p in PASSES}
TURNED = {"backwards": PASSES[::-1], "twice": (*PASSES, *PASSES), "all": PASSES}
CHOICES: dict[str, tuple[Pass, ...]] = {**OFF, **ALONE, **TURNED}


def meaning(text: str) -> ir.Policy:
    compilation = Compilation(text.encode())
    assume(not any(d.severity == "error" for d in compilation.diagnostics))
    return compilation.ir


def outcome(decision: Decision) -> object:
    """All that a target has to decide alike."""
    return (
        decision.verdict,
        decision.event_rule and decision.event_rule.origin,
        [c.pid for c in decision.ranking],
        [(e.candidate.pid, e.cause) for e in decision.exclusions],
        {d.number if isinstance(d, ir.Origin) else d for d in decision.deciders},
    )


def expressions(policy: ir.Policy) -> Iterator[ir.Expression]:
    for rule in policy.rules:
        yield from ir.rule_expressions(rule)
    yield from (let.value for let in policy.lets)


@pytest.mark.parametrize("passes", CHOICES.values(), ids=CHOICES.keys())
@given(data=st.data())
@settings(max_examples=max(10, settings().max_examples // 8))  # there are ten choices
def test_the_interpreter_decides_alike_before_and_after(
    passes: tuple[Pass, ...], data: st.DataObject
) -> None:
    policy = meaning(data.draw(policies()))
    after = run(policy, passes)
    machine = data.draw(machines(policy))
    assert outcome(decide(after, machine)) == outcome(decide(policy, machine))


@given(data=st.data())
def test_what_is_certain_stays_certain(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    partial, _ = data.draw(blinded(data.draw(machines(policy))))
    before, after = decide(policy, partial), decide(run(policy), partial)
    assert after.possible <= before.possible
    assert {c.pid for c in after.contenders} <= {c.pid for c in before.contenders}
    if before.certain:
        assert after.certain
        assert outcome(after) == outcome(before)


@given(policies())
def test_every_let_uses_only_earlier_ones_and_each_is_used(text: str) -> None:
    policy = run(meaning(text))
    known: set[str] = set()
    for let in policy.lets:
        assert _lets(let.value) <= known
        known.add(let.name)
    assert known == set().union(*map(_lets, expressions(policy)))
    assert all(let.shared for let in policy.lets)


class _Lets(Summary[frozenset[str]]):
    def leaf(self, node: ir.Leaf) -> frozenset[str]:
        return frozenset([node.name] if isinstance(node, ir.Let) else [])

    def join(self, node: ir.Expression, parts: tuple[frozenset[str], ...]) -> frozenset[str]:
        return frozenset().union(*parts)


def _lets(expression: ir.Expression) -> frozenset[str]:
    return fold(expression, _Lets())


class _Height(Summary[int]):
    def leaf(self, node: ir.Leaf) -> int:
        return 1

    def join(self, node: ir.Expression, parts: tuple[int, ...]) -> int:
        return 1 + max(parts)


def chain(length: int, step: Callable[[ir.Expression, int], ir.Expression]) -> ir.Policy:
    """A policy whose lets each use the one before."""
    policy = Compilation(b"let sum = rss + swap\nkill highest sum\n").ir
    (first,) = policy.lets
    (rule,) = policy.rules
    assert isinstance(rule, ir.ValueKey)
    lets = [first]
    for i in range(length):
        lets.append(_named(f"l{i}", step(ir.Let(lets[-1].name), i), first))
    key = _with_value(rule, ir.Let(lets[-1].name))
    return ir.Policy(name="chain", inputs=(), lets=tuple(lets), rules=(key,))


def _named(name: str, value: ir.Expression, like: ir.LetDeclaration) -> ir.LetDeclaration:
    return ir.LetDeclaration(
        name=name, type=like.type, interval=like.interval, value=value, line=1, column=1, text=""
    )


def _with_value(rule: ir.ValueKey, value: ir.Expression) -> ir.ValueKey:
    return ir.ValueKey(
        origin=rule.origin,
        value=value,
        interval=rule.interval,
        type=rule.type,
        highest=rule.highest,
        step=rule.step,
        when=rule.when,
    )


@pytest.mark.parametrize("uses", [1, 2])
def test_a_thousand_lets_in_each_other_neither_nest_nor_multiply(uses: int) -> None:
    def step(before: ir.Expression, i: int) -> ir.Expression:
        high = ir.Compare(">", before, ir.Number(i))
        other = before if uses == 2 else ir.Fact("swap")
        return ir.Select(high, ir.Fact("vm"), other)

    policy = chain(1023, step)
    began = time.process_time()
    after = run(policy)
    assert time.process_time() - began < 5  # some 0.1 s; what doubles with each let would never end
    assert max(fold(e, _Height()) for e in expressions(after)) <= MAX_NESTING
    assert len(after.lets) <= 1024


@pytest.mark.parametrize("term", ["uid == {}", 'comm == "c{}"', 'memcg.name == "m{}"', 'memcg under "/m{}"'])
def test_a_long_or_takes_time_in_proportion_to_it(term: str) -> None:
    def make(size: int) -> ir.Policy:
        text = " or ".join([term.format(n) for n in range(size)])
        return lower(Compilation(f"kill first when invoker or {text}\n".encode()).policy)

    (rule,) = run(make(50)).rules
    (value,) = ir.rule_expressions(rule)
    assert isinstance(value, ir.Logical)
    assert len(value.operands) == 2
    assert_linear(make, run, 4000)


def test_the_passes_take_time_in_proportion_to_the_policy() -> None:
    def make(size: int) -> ir.Policy:
        lets = [f"let l{i} = rss > {i + 1}MiB and swap > {i + 1}MiB" for i in range(size)]
        rules = [f"kill first when l{i} or l{(7 * i) % size} and vm > {i + 1}MiB" for i in range(size)]
        return lower(Compilation("\n".join([*lets, *rules, ""]).encode()).policy)

    assert len(run(make(50)).lets) == 50
    assert_linear(make, run, 1000)
