"""Each node's meaning, by formulas of unbounded integers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang import operations
from oomlang.diagnostics import Span
from oomlang.facts import FACTS, Interval, Type
from oomlang.facts.patterns import glob, path_pattern
from oomlang.ir import nodes as ir
from oomlang.ir.levels import Level
from oomlang.operations import OPERATIONS, Operation
from oomlang.targets.interp import UNLIMITED, Candidate, Event, Machine, Memcg
from oomlang.targets.interp.expressions import Evaluation
from oomlang.targets.interp.readers import View
from oomlang.targets.interp.values import Value, interval

INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
SIZES = st.integers(0, 2**50)
ROOT = Memcg(path=(), parent=None)
A = Memcg(
    path=(b"a",), parent=ROOT, id=7, facts={"memcg.usage": 100, "memcg.limit": UNLIMITED, "memcg.high": 9}
)
AB = Memcg(
    path=(b"a", b"b"), parent=A, id=8, facts={"memcg.usage": 60, "memcg.limit": 2**60}, inputs={"tag": 5}
)
SPAN = Span(0, 0)


def task(**facts: int) -> Candidate:
    return Candidate(pid=10, comm=b"sshd", memcg=AB, start=0, facts=facts)


def tagged(*lets: ir.LetDeclaration) -> ir.Policy:
    tag = ir.InputDeclaration(
        name="tag", type=Type.INT, interval=Interval(-9, 9), per_memcg=True, default=1, line=1
    )
    knob = ir.InputDeclaration(
        name="knob", type=Type.INT, interval=Interval(-9, 9), per_memcg=False, default=2, line=2
    )
    return ir.Policy(name="p", inputs=(tag, knob), lets=lets, rules=())


def let(name: str, value: ir.Expression) -> ir.LetDeclaration:
    return ir.LetDeclaration(
        name=name, type=Type.INT, interval=Interval(0, 2**50), value=value, line=1, column=1, text=""
    )


def value(
    node: ir.Expression,
    candidate: Candidate | None = None,
    *,
    policy: ir.Policy | None = None,
    event: Event | None = None,
    knobs: dict[str, int] | None = None,
) -> Value:
    machine = Machine(event=event or Event(total=2**30), candidates=(candidate or task(),), knobs=knobs or {})
    view = View.of(machine.event, machine.candidates)
    evaluation = Evaluation(policy or tagged(), view, machine.knobs)
    found: list[Value] = list(view.spread(evaluation.column(node), Level.TASK))
    assert len(found) == 1
    return found[0]


def apply(operation: Operation, *operands: int, tight: bool) -> Value:
    """An operation on numbers; `tight` ranges let the interpreter take its short ways."""
    ranges = tuple(Interval(x, x) if tight else Interval(-(2**63), 2**63) for x in operands)
    return value(ir.Apply(operation, tuple(map(ir.Number, operands)), ranges))


def toward_zero(numerator: int, divisor: int) -> int:
    return int(Fraction(numerator, divisor)) if divisor else 0


@given(INT64, INT64, st.booleans())
def test_sums_products_and_extremes(a: int, b: int, tight: bool) -> None:
    assert apply(operations.ADD, a, b, tight=tight) == a + b
    assert apply(operations.SUBTRACT, a, b, tight=tight) == a - b
    assert apply(operations.MULTIPLY, a, b, tight=tight) == a * b
    assert apply(operations.MINIMUM, a, b, tight=tight) == sorted((a, b))[0]
    assert apply(operations.MAXIMUM, a, b, tight=tight) == sorted((a, b))[1]


@given(INT64, INT64 | st.integers(-5, 5), st.booleans())
def test_division_truncates_towards_zero_and_by_zero_gives_zero(a: int, b: int, tight: bool) -> None:
    assert apply(operations.DIVIDE, a, b, tight=tight) == toward_zero(a, b)


@given(INT64, INT64 | st.integers(-5, 5), st.booleans())
def test_a_ratio_is_exact_and_saturates(a: int, b: int, tight: bool) -> None:
    expected = max(-(10**12), min(10**12, toward_zero(a * 10_000, b)))
    assert apply(operations.RATIO, a, b, tight=tight) == expected


@pytest.mark.parametrize(
    "a, b, expected", [(1, 3, 3333), (-1, 3, -3333), (2**50, 1, 10**12), (-(2**50), 1, -(10**12)), (5, 0, 0)]
)
def test_ratios_by_hand(a: int, b: int, expected: int) -> None:
    assert apply(operations.RATIO, a, b, tight=False) == expected


@given(INT64, INT64, st.booleans())
def test_a_share_is_exact_and_truncates(a: int, r: int, tight: bool) -> None:
    assert apply(operations.SHARE, a, r, tight=tight) == toward_zero(a * r, 10_000)


@given(INT64, st.booleans())
def test_negation_and_absolute_value(a: int, tight: bool) -> None:
    assert apply(operations.NEGATE, a, tight=tight) == -a
    assert apply(operations.ABSOLUTE, a, tight=tight) == max(a, -a)


@given(INT64, INT64, INT64, st.booleans())
def test_a_clamped_value_is_the_nearest_in_the_range_and_its_end_where_that_is_empty(
    a: int, low: int, high: int, tight: bool
) -> None:
    expected = high if high < low else sorted((low, a, high))[1]
    assert apply(operations.CLAMP, a, low, high, tight=tight) == expected


@given(INT64, INT64 | st.just(0))
def test_comparisons(a: int, b: int) -> None:
    for left, right in ((a, b), (a, a)):
        expected = {
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }
        for sign, holds in expected.items():
            assert value(ir.Compare(sign, ir.Number(left), ir.Number(right))) == holds


@given(st.lists(st.booleans(), min_size=2, max_size=5))
def test_logic(conditions: list[bool]) -> None:
    operands = tuple(ir.Number(int(c)) for c in conditions)
    assert value(ir.Logical("and", operands)) == all(conditions)
    assert value(ir.Logical("or", operands)) == any(conditions)
    assert value(ir.Not(operands[0])) == (not conditions[0])
    assert value(ir.Select(operands[0], ir.Number(7), ir.Number(8))) == (7 if conditions[0] else 8)


def test_membership() -> None:
    assert value(ir.OneOf(ir.Number(3), (1, 3))) == 1
    assert value(ir.OneOf(ir.Number(2), (1, 3))) == 0


def test_texts_match_byte_for_byte() -> None:
    assert value(ir.Match("comm", None, (glob(b"x"), glob(b"ss*")))) == 1
    assert value(ir.Match("comm", None, (glob(b"SSHD"), glob(b"ssh")))) == 0
    assert value(ir.Match("memcg.name", None, (glob(b"b"),))) == 1
    assert value(ir.Match("memcg.name", 1, (glob(b"a"),))) == 1


def test_a_comm_is_cut_after_15_bytes_as_the_kernel_does() -> None:
    long = Candidate(pid=1, comm=b"0123456789abcdefgh", memcg=AB, start=0, facts={})
    assert value(ir.Match("comm", None, (glob(b"0123456789abcde"),)), long) == 1


@pytest.mark.parametrize(
    "pattern, own, at_1", [(b"/a", 1, 1), (b"/a/b", 1, 0), (b"/", 1, 1), (b"/a/b/c", 0, 0), (b"/b", 0, 0)]
)
def test_under_holds_for_the_cgroup_itself_and_all_below(pattern: bytes, own: int, at_1: int) -> None:
    assert value(ir.Under("memcg", None, path_pattern(pattern))) == own
    assert value(ir.Under("memcg", 1, path_pattern(pattern))) == at_1
    assert value(ir.Under("oom.memcg", None, path_pattern(pattern)), event=Event(total=1, scope=AB)) == own


@pytest.mark.parametrize("depth, expected", [(None, 60), (1, 100), (2, 60), (3, 60), (16, 60)])
def test_a_depth_reads_the_ancestor_or_the_own_cgroup(depth: int | None, expected: int) -> None:
    assert value(ir.Fact("memcg.usage", depth)) == expected
    assert value(ir.Let("usage", depth), policy=tagged(let("usage", ir.Fact("memcg.usage")))) == expected


def test_a_depth_reaches_through_lets() -> None:
    inner, outer = let("inner", ir.Fact("memcg.usage")), let("outer", ir.Let("inner"))
    policy = tagged(inner, outer)
    assert value(ir.Let("outer", 1), policy=policy) == 100
    assert value(ir.Let("outer"), policy=policy) == 60


def test_a_thousand_lets_that_use_each_other() -> None:
    lets = [let("l0", ir.Number(1))]
    for i in range(1, 1024):
        both = ir.Apply(
            operations.ADD, (ir.Let(f"l{i - 1}"), ir.Number(1)), (Interval(0, 2000), Interval(1, 1))
        )
        lets.append(let(f"l{i}", both))
    assert value(ir.Let("l1023"), policy=tagged(*lets)) == 1024


def test_inputs_have_the_value_of_the_cgroup_that_facts_are_read_from_or_the_default() -> None:
    assert value(ir.Input("tag", per_memcg=True)) == 5
    assert value(ir.Input("tag", 1, per_memcg=True)) == 1
    assert value(ir.Input("knob")) == 2
    assert value(ir.Input("knob"), knobs={"knob": 3}) == 3


def test_values_are_clamped_to_their_ranges() -> None:
    assert value(ir.Input("knob"), knobs={"knob": 1000}) == 9
    assert value(ir.Fact("rss"), task(rss=-1)) == 0
    assert value(ir.Fact("rss"), task(rss=2**60)) == 2**50
    assert value(ir.Fact("memcg.limit")) == 2**51
    assert value(ir.Fact("oom.total"), event=Event(total=2**60)) == 2**51


def test_an_unlimited_limit_reads_as_the_total_of_the_event() -> None:
    assert value(ir.Fact("memcg.limit", 1)) == 2**30
    assert value(ir.Fact("memcg.high", 1)) == 9


def test_the_facts_of_the_root() -> None:
    at_root = Candidate(pid=1, comm=b"", memcg=ROOT, start=0, facts={})
    expected = {
        **dict.fromkeys(("usage", "min", "low", "swap", "oom_kills", "oom_group", "depth"), 0),
        **dict.fromkeys(("limit", "high"), 2**30),
        "id": 1,
    }
    assert {n: value(ir.Fact(f"memcg.{n}"), at_root) for n in expected} == expected
    assert value(ir.Match("memcg.name", None, (glob(b""),)), at_root) == 1


@pytest.mark.parametrize(
    "scope, order, expected", [(None, 0, (1, 0, 0)), (A, 3, (0, 3, 0)), (None, -1, (1, -1, 1))]
)
def test_the_facts_of_the_event(scope: Memcg | None, order: int, expected: tuple[int, int, int]) -> None:
    event = Event(total=1, order=order, scope=scope)
    assert tuple(value(ir.Fact(f"oom.{n}"), event=event) for n in ("global", "order", "sysrq")) == expected


@given(
    SIZES,
    SIZES,
    SIZES,
    st.integers(-1000, 1000),
    st.integers(0, 2**51),
    st.sampled_from((4096, 16384, 65536)),
)
def test_badness_divides_the_total_before_it_multiplies(
    rss: int, swap: int, tables: int, adj: int, total: int, page: int
) -> None:
    found = value(
        ir.Fact("badness"),
        task(rss=rss, swap=swap, pgtables=tables, oom_score_adj=adj),
        event=Event(total=total, page_size=page),
    )
    assert found == (rss // page + swap // page + tables // page + adj * (total // page // 1000)) * page


def test_the_invoker_is_told_by_its_pid() -> None:
    assert value(ir.Fact("invoker"), event=Event(total=1, invoker=10)) == 1
    assert value(ir.Fact("invoker"), event=Event(total=1, invoker=11)) == 0


# Unobservable facts

UNKNOWN = ir.Fact("rss")  # of a task without facts
MAYBE = ir.Compare(">", UNKNOWN, ir.Number(5))


def test_an_unobservable_fact_is_its_whole_range_and_never_0() -> None:
    assert value(UNKNOWN) == Interval(0, 2**50)
    assert value(ir.Fact("memcg.min")) == Interval(0, 2**50)
    assert value(ir.Fact("oom.total"), event=Event(total=None)) == FACTS["oom.total"].range
    assert value(ir.Fact("oom.sysrq"), event=Event(total=1, order=None)) == Interval(0, 1)
    assert value(ir.Fact("invoker"), event=Event(total=1, invoker=None)) == Interval(0, 1)
    assert value(ir.Fact("memcg.limit", 1), event=Event(total=None)) == FACTS["oom.total"].range
    nowhere = Candidate(pid=1, comm=None, memcg=None, start=0, facts={})
    assert value(ir.Fact("memcg.usage", 1), nowhere) == Interval(0, 2**50)
    assert value(ir.Input("tag", per_memcg=True), nowhere) == Interval(-9, 9)
    assert value(ir.Match("comm", None, (glob(b"a"),)), nowhere) == Interval(0, 1)
    assert value(ir.Under("memcg", None, path_pattern(b"/a")), nowhere) == Interval(0, 1)


@pytest.mark.parametrize(
    "pattern, depth, expected",
    [
        (b"/a", None, 1),
        (b"/*/b", None, 1),
        (b"/a/b/c", None, Interval(0, 1)),
        (b"/x", None, 0),
        (b"/a/x/c", None, 0),
        (b"/a", 1, 1),
        (b"/a/b", 1, 0),
        (b"/a/b", 2, 1),
        (b"/a/b/c", 2, 0),
        (b"/a/b/c", 3, Interval(0, 1)),
        (b"/a/b/c/d", 3, 0),
    ],
)
def test_of_an_unseen_cgroup_the_scope_tells_what_it_can(
    pattern: bytes, depth: int | None, expected: object
) -> None:
    nowhere = Candidate(pid=1, comm=None, memcg=None, start=0, facts={})
    node = ir.Under("memcg", depth, path_pattern(pattern))
    assert value(node, nowhere, event=Event(total=1, scope=AB)) == expected


def test_what_the_known_part_decides_is_decided() -> None:
    nowhere = Candidate(pid=1, comm=None, memcg=None, start=0, facts={})
    zero, one = ir.Number(0), ir.Number(1)
    assert value(ir.Logical("and", (MAYBE, zero))) == 0
    assert value(ir.Logical("or", (MAYBE, one))) == 1
    assert value(ir.Logical("and", (MAYBE, one))) == Interval(0, 1)
    assert value(ir.Not(MAYBE)) == Interval(0, 1)
    assert value(ir.Select(MAYBE, ir.Number(3), ir.Number(3))) == 3
    assert value(ir.Select(MAYBE, ir.Number(3), ir.Number(5))) == Interval(3, 5)
    assert value(ir.Compare(">=", UNKNOWN, zero)) == 1
    assert value(ir.OneOf(UNKNOWN, (-1, -2))) == 0
    assert value(ir.OneOf(UNKNOWN, (-1, 2))) == Interval(0, 1)
    assert value(ir.Under("memcg", None, path_pattern(b"/")), nowhere) == 1
    assert value(ir.Match("comm", None, (glob(b"*"),)), nowhere) == 1


@given(st.data())
def test_the_interval_of_an_operation_holds_every_result(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    known, real = data.draw(st.integers(-(2**50), 2**50) | st.integers(-3, 3)), data.draw(SIZES)
    for place in range(operation.arity):
        operands: list[ir.Expression] = [ir.Number(known)] * operation.arity
        operands[place] = UNKNOWN
        node = ir.Apply(operation, tuple(operands), (Interval(-(2**63), 2**63),) * operation.arity)
        result = value(node, task(rss=real))
        assert isinstance(result, int)
        assert result in interval(value(node))
