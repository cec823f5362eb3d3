"""Lets are typed in the order of their use, however long the chain and however it closes."""

import pytest

from oomlang.compiler import check
from oomlang.facts.types import MAX_LETS


def messages(text: str) -> list[tuple[str, str]]:
    return [(d.code.value, d.message) for d in check(text.encode())[1]]


def cycle(count: int, more: str = "") -> str:
    lets = "".join(f"let a{i} = a{(i + 1) % count}{more}\n" for i in range(count))
    return f"{lets}kill highest a0\n"


@pytest.mark.parametrize("more", ["", " + 1"])
@pytest.mark.parametrize("count", [250, MAX_LETS])
def test_a_long_cycle_is_named_by_its_beginning_and_its_end(count: int, more: str) -> None:
    way = f"a0 → a1 → a2 → a3 → a4 → a5 → … → a{count - 1} → a0"
    assert messages(cycle(count, more)) == [("E0213", f"`a0` is defined by itself: {way}")]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_short_cycle_is_named_whole(count: int) -> None:
    way = " → ".join([*(f"a{i}" for i in range(count)), "a0"])
    assert messages(cycle(count)) == [("E0213", f"`a0` is defined by itself: {way}")]


@pytest.mark.parametrize("signs", ["", "-" * 60])
def test_a_chain_of_lets_that_refer_forward_is_too_deep_once(signs: str) -> None:
    last = MAX_LETS - 1
    lets = "".join(f"let a{i} = {signs}a{i + 1}{'' if signs else ' + 1'}\n" for i in range(last))
    found = messages(f"{lets}let a{last} = nice\nkill highest a0\n")
    assert found == [("E0109", "with the lets that it uses this nests more than 128 levels deep")]


def test_lets_that_refer_forward_mean_the_same_as_those_that_refer_back() -> None:
    lets = [f"let a{i} = a{i + 1} + 1" for i in range(60)] + ["let a60 = nice"]
    for order in (lets, lets[::-1]):
        assert messages("\n".join([*order, "kill highest a0"])) == []


def test_what_is_wrong_in_a_let_on_a_cycle_is_said_as_well() -> None:
    found = messages("let a = b + nothing\nlet b = a\nkill highest a\n")
    assert sorted(code for code, _ in found) == ["E0201", "E0213"]
