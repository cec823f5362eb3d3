from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.objects import BadFormat
from oomlang.objects.json_records import from_json, to_json
from oomlang.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    text: str
    number: int
    flag: bool
    time: float
    parts: tuple[Part, ...]
    maybe: Part | None
    word: str | None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
PARTS = st.builds(Part, name=TEXTS, spans=st.lists(st.tuples(NUMBERS, NUMBERS)).map(tuple))
WHOLES = st.builds(
    Whole,
    text=TEXTS,
    number=NUMBERS,
    flag=st.booleans(),
    time=st.floats(-1e15, 1e15),
    parts=st.lists(PARTS).map(tuple),
    maybe=st.none() | PARTS,
    word=st.none() | TEXTS,
)
GOOD: dict[str, Any] = {
    "text": "",
    "number": 1,
    "flag": True,
    "time": 1,
    "parts": [{"name": "x", "spans": [[1, 2]]}],
}


@given(WHOLES)
def test_a_record_is_the_same_after_a_way_through_json(whole: Whole) -> None:
    assert from_json(Whole, json.loads(json.dumps(to_json(whole)))) == whole


def test_what_is_none_is_left_out_and_more_is_let_through() -> None:
    read = from_json(Whole, {**GOOD, "later": []})
    assert (read.maybe, read.word) == (None, None)
    assert to_json(read) == GOOD


@pytest.mark.parametrize(
    "change, message",
    [
        ({"text": 1}, "`text` is no text"),
        ({"text": "\udc80"}, "`text` is no text"),
        ({"number": "1"}, "`number` is no number"),
        ({"number": True}, "`number` is no number"),
        ({"number": 1.0}, "`number` is no number"),
        ({"number": 1 << 63}, "`number` is no number"),
        ({"time": float("inf")}, "`time` is no number"),
        ({"flag": 1}, "`flag` is neither true nor false"),
        ({"parts": {}}, "`parts` is no list"),
        ({"parts": [[]]}, "`parts[0]` is no object"),
        ({"parts": [{"name": "x"}]}, "`parts[0].spans` is missing"),
        ({"parts": [{"name": "x", "spans": [[1]]}]}, "`parts[0].spans[0]` is no list of 2"),
        ({"parts": [{"name": "x", "spans": [[1, None]]}]}, "`parts[0].spans[0][1]` is no number"),
        ({"maybe": 1}, "`maybe` is no object"),
        ({"word": 1}, "`word` is no text"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadFormat) as raised:
        from_json(Whole, {**GOOD, **change})
    assert str(raised.value) == message


@pytest.mark.parametrize("value", [None, [], "text", 1])
def test_what_is_no_object(value: Any) -> None:
    with pytest.raises(BadFormat, match="it is no JSON object"):
        from_json(Whole, value)
