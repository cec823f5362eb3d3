import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.diagnostics.visible import visible, width


@pytest.mark.parametrize(
    "text, expected",
    [
        ("rss > 1GiB", "rss > 1GiB"),
        ("\x1b[31m", "␛[31m"),
        ("a\tb\r\n\0\x7f", "a␉b␍␊␀␡"),
        ("\x9b31m", "<U+009B>31m"),  # CSI as one C1 control
        ("safe\u202eevil", "safe<U+202E>evil"),  # turns the rest of the line around
        ("a\u200bb\ufeff", "a<U+200B>b<U+FEFF>"),
        ("rss\u00a0> 1", "rss<U+00A0>> 1"),  # looks like a blank, and is none
        ("\u3164", "<U+3164>"),
        ("\ud800", "<U+D800>"),
        ("x\udcff.oom", "x\\xff.oom"),
        ("日本é", "日本é"),
    ],
)
def test_what_could_deceive_is_shown_as_a_picture_or_a_number(text: str, expected: str) -> None:
    assert visible(text) == expected


@pytest.mark.parametrize(
    "encoding, expected", [("ascii", "<U+00E9><U+001B>"), ("latin-1", "é<U+001B>"), ("utf-8", "é␛")]
)
def test_characters_that_the_stream_cannot_carry_are_shown_by_number(encoding: str, expected: str) -> None:
    assert visible("é\x1b", encoding) == expected


@pytest.mark.parametrize(
    "text, columns", [("abc", 3), ("日本", 4), ("e\u0301", 1), ("\u1112\u1161\u11ab", 2), ("ｗ", 2), ("", 0)]
)
def test_width_counts_columns(text: str, columns: int) -> None:
    assert width(text) == columns


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "cp437", "koi8-r"]))
def test_nothing_that_moves_the_cursor_comes_through(text: str, encoding: str) -> None:
    shown = visible(text, encoding)
    assert [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Co")] == []
    shown.encode(encoding)  # does not raise


@given(st.text())
def test_different_texts_stay_different_in_ascii(text: str) -> None:
    assert (visible(text, "ascii") == text) == (text.isascii() and (text.isprintable()))
