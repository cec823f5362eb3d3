"""`oomlang.records.dataclass` against the standard decorator, whose place it takes."""

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from oomlang import records
from oomlang.diagnostics import Span
from oomlang.syntax import tree


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    low: int
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("empty")


@records.dataclass(frozen=True, slots=True)
class Ours:
    low: int
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("empty")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StandardNode:
    line: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StandardLeaf(StandardNode):
    name: str
    tags: tuple[str, ...] = ()


@records.dataclass(frozen=True, slots=True, kw_only=True)
class OurNode:
    line: int = 1


@records.dataclass(frozen=True, slots=True, kw_only=True)
class OurLeaf(OurNode):
    name: str
    tags: tuple[str, ...] = ()


both = pytest.mark.parametrize("cls", [Standard, Ours])
both_leaves = pytest.mark.parametrize("cls", [StandardLeaf, OurLeaf])


@both
def test_fields_are_given_by_place_or_name(cls: Any) -> None:
    assert cls(1) != cls(1, 8)
    assert cls(1) == cls(low=1) == cls(1, 9) == cls(1, high=9) == cls(high=9, low=1)


@both
@pytest.mark.parametrize("given, named", [((), {}), ((1, 2, 3), {}), ((1,), {"low": 1}), ((), {"high": 1})])
def test_what_does_not_fit_the_fields_is_refused(cls: Any, given: Any, named: Any) -> None:
    with pytest.raises(TypeError):
        cls(*given, **named)


@pytest.mark.parametrize("named", [{"low": 1, "wide": 2}, {"low": 1, "high": 2, "wide": 3}])
def test_a_name_that_is_no_field_is_refused(named: dict[str, int]) -> None:
    with pytest.raises(AttributeError, match="wide"):
        Ours(**named)


@both
def test_post_init_runs(cls: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        cls(10)


@both_leaves
def test_keyword_only_fields_take_no_place(cls: Any) -> None:
    with pytest.raises(TypeError):
        cls("a")
    assert cls.__match_args__ == ()


@both_leaves
def test_a_base_s_fields_come_first(cls: Any) -> None:
    assert [f.name for f in dataclasses.fields(cls)] == ["line", "name", "tags"]
    assert repr(cls(name="a")) == f"{cls.__name__}(line=1, name='a', tags=())"
    assert not hasattr(cls(name="a"), "__dict__")


@both
def test_nothing_can_be_changed(cls: Any) -> None:
    item = cls(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.low = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del item.low
    assert item == cls(1)


@both
def test_equal_values_are_equal_and_have_one_hash(cls: Any) -> None:
    assert len({cls(1), cls(1, 9), cls(1, 8)}) == 2
    assert hash(cls(1)) == hash((1, 9))


def test_equal_values_of_two_classes_are_not_equal() -> None:
    assert OurNode(line=1) != OurLeaf(line=1, name="")


@both
def test_it_is_matched_by_place(cls: Any) -> None:
    match cls(1):
        case Standard(low, high) | Ours(low, high):
            assert (low, high) == (1, 9)
        case _:
            pytest.fail("no match")


@both
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))])
def test_it_is_copied(cls: Any, again: Any) -> None:
    assert again(cls(1, 2)) == cls(1, 2)


@both
def test_it_is_replaced(cls: Any) -> None:
    assert dataclasses.replace(cls(1, 2), high=3) == cls(1, 3)


def test_a_class_s_own_words_and_methods_stay() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Own:
        """Words."""

        value: int

        def __repr__(self) -> str:
            return "own"

    assert (Own.__doc__, repr(Own(1)), Own(1) == Own(1)) == ("Words.", "own", True)


def test_a_class_without_fields_of_its_own_is_a_class_of_its_own() -> None:
    here = Span(0, 1)
    none, kernel = tree.ExpectNone(span=here), tree.ExpectKernel(span=here)
    assert len({none, tree.ExpectNone(span=here), kernel}) == 2


def test_what_it_does_not_do_is_refused() -> None:
    with pytest.raises(TypeError, match="standard"):
        records.dataclass(frozen=False, slots=True)

    class Hidden:
        key: int = dataclasses.field(repr=False)

    with pytest.raises(TypeError, match="standard"):
        records.dataclass(frozen=True, slots=True)(Hidden)
