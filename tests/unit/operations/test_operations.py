"""Every operation agrees with itself, and a new one is a class and its line in the tuple."""

import copy
import pickle
import pkgutil
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang import operations
from oomlang.compiler import Compilation
from oomlang.facts import FACTS, Interval, Type
from oomlang.ir.text import policy_text
from oomlang.operations import FUNCTIONS, OPERATIONS, C, Operation, Ranges, resolve
from oomlang.operations.model import ATOM, PRODUCT, SUM, UNARY
from oomlang.targets.interp import Candidate, Event, Machine, Memcg, decide

VALUES = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-20_001, 20_001)


@st.composite
def applications(draw: st.DrawFn) -> tuple[Operation, tuple[int, ...], Ranges]:
    """An operation, operands, and ranges that hold them, some of them on one side of 0."""
    operation = draw(st.sampled_from(OPERATIONS))
    operands = draw(st.tuples(*[VALUES] * operation.arity))
    ranges = []
    for value in operands:
        ends = draw(st.sampled_from(((value, value), (0, value), (1, value), (value, 0))))
        ranges.append(Interval(min(*ends, value), max(*ends, value)))
    return operation, operands, tuple(ranges)


@given(applications())
def test_the_fast_ways_the_intervals_and_the_unknown_agree(
    application: tuple[Operation, tuple[int, ...], Ranges],
) -> None:
    operation, operands, ranges = application
    result = operation.exact(ranges)(*operands)
    wide = (Interval(-(2**63), 2**63),) * operation.arity
    assert operation.exact(wide)(*operands) == result
    assert result in operation.interval(ranges)
    assert operation.unknown(operands) == result
    same = operation.same_as(ranges)
    assert same is None or operands[same] == result
    partly = operation.unknown((ranges[0], *operands[1:]))
    assert result == partly if isinstance(partly, int) else result in partly


@given(applications())
def test_what_fits_has_results_that_fit(application: tuple[Operation, tuple[int, ...], Ranges]) -> None:
    operation, operands, ranges = application
    if operation.fits(ranges):
        assert -(2**63) < operation.exact(ranges)(*operands) < 2**63


def test_every_module_of_the_package_has_its_place_in_the_tuple() -> None:
    modules = {m.name for m in pkgutil.iter_modules(operations.__path__)} - {"model", "comparisons"}
    assert (
        {type(o).__module__.rpartition(".")[2] for o in OPERATIONS} == modules == {o.name for o in OPERATIONS}
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_one_object(operation: Operation) -> None:
    assert copy.deepcopy(operation) is operation
    assert pickle.loads(pickle.dumps(operation)) is operation
    assert getattr(operations, operation.name.upper()) is operation


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_has_one_way_to_be_written(operation: Operation) -> None:
    assert bool(operation.sign) != bool(operation.function)
    assert FUNCTIONS.get(operation.function) in (operation if operation.function else None,)
    pieces = tuple(C(name) for name in "abc"[: operation.arity])
    text = operation.c(pieces, (Interval(-9, 9),) * operation.arity).text
    assert all(piece.text in text for piece in pieces)
    assert operation.helper is None or text.startswith(f"{operation.helper}(")


@pytest.mark.parametrize(
    "sign, left, right, name, turned",
    [
        ("+", Type.BYTES, Type.BYTES, "add", False),
        ("+", Type.BYTES, Type.INT, None, False),
        ("*", Type.BYTES, Type.INT, "multiply", False),
        ("*", Type.INT, Type.RATIO, "multiply", False),
        ("*", Type.RATIO, Type.RATIO, "share", False),
        ("*", Type.DURATION, Type.RATIO, "share", False),
        ("*", Type.RATIO, Type.BYTES, "share", True),
        ("*", Type.BYTES, Type.BYTES, None, False),
        ("/", Type.INT, Type.INT, "divide", False),
        ("/", Type.RATIO, Type.INT, "divide", False),
        ("/", Type.RATIO, Type.RATIO, "ratio", False),
        ("/", Type.BYTES, Type.BYTES, "ratio", False),
        ("/", Type.INT, Type.BYTES, None, False),
        ("-", Type.BYTES, Type.DURATION, None, False),
    ],
)
def test_the_units_choose_the_operation(
    sign: str, left: Type, right: Type, name: str | None, turned: bool
) -> None:
    found = resolve(sign, (left, right))
    assert (found and (found[0].name, found[1])) == (name and (name, turned))


@pytest.mark.parametrize(
    "operation, operands, expected",
    [
        (operations.ADD, (C("a + b", SUM), C("c + d", SUM)), C("a + b + (c + d)", SUM)),
        (operations.MULTIPLY, (C("a + b", SUM), C("c * d", PRODUCT)), C("(a + b) * (c * d)", PRODUCT)),
        (operations.NEGATE, (C("-5LL", UNARY),), C("-(-5LL)", UNARY)),
        (operations.MINIMUM, (C("a + b", SUM), C("c")), C("minimum(a + b, c)", ATOM)),
    ],
)
def test_parentheses_stand_where_they_are_needed(
    operation: Operation, operands: tuple[C, ...], expected: C
) -> None:
    assert operation.c(operands, (Interval(-9, 9),) * len(operands)) == expected


def test_a_division_whose_signs_are_known_is_one_of_unsigned_numbers() -> None:
    pieces = (C("a"), C("4LL"))
    known, unknown = (Interval(0, 9), Interval(4, 4)), (Interval(-1, 9), Interval(4, 4))
    assert operations.DIVIDE.c(pieces, known).text == "(s64)((u64)a / 4ULL)"
    assert operations.DIVIDE.c(pieces, unknown).text == "divide(a, 4LL)"


class _Spread(Operation):
    """A function that no module has: how far two numbers are apart."""

    name = "spread"
    function = "spread"
    helper = "spread"

    def interval(self, ranges: Ranges) -> Interval:
        return (ranges[0] - ranges[1]).absolute()

    def exact(self, ranges: Ranges) -> Callable[..., int]:
        return lambda a, b: abs(a - b)


def test_a_function_is_its_class_and_its_place_in_the_tuple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FUNCTIONS, "spread", _Spread())
    compilation = Compilation(b"kill highest spread(rss, 2 * swap)\n")
    assert compilation.diagnostics == ()
    assert policy_text(compilation.ir).endswith("1: key spread(rss, (2 * swap))\n")
    assert "spread(c->rss, 2LL * c->swap)" in compilation.program("evaluate-task").c_source
    root = Memcg(path=(), parent=None)
    tasks = tuple(
        Candidate(pid=pid, comm=b"a", memcg=root, start=0, facts={"rss": rss, "swap": swap, **_REST})
        for pid, (rss, swap) in enumerate([(5, 1), (1, 4), (9, 4)], start=10)
    )
    decision = decide(compilation.ir, Machine(event=Event(total=2**30), candidates=tasks))
    assert [task.pid for task in decision.ranking] == [11, 10, 12]
    wrong = Compilation(b"kill highest spread(rss, nice)\n").diagnostics
    assert [d.code.name for d in wrong] == ["UNIT_MISMATCH"]
    counted = Compilation(b"kill highest spread(rss)\n").diagnostics
    assert [d.message for d in counted] == ["`spread` takes 2 arguments, and gets 1"]


_REST = {name: 0 for name, fact in FACTS.items() if fact.scope.name == "TASK" and fact.range is not None}
_REST = {name: value for name, value in _REST.items() if name not in ("rss", "swap")}
