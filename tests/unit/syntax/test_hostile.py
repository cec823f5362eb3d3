"""Any bytes into the parser, any text into the printer: an answer, and never an exception."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oomlang.syntax import tree
from oomlang.syntax.parser import parse
from oomlang.syntax.printer import format_text
from tests.strategies.blocks import policies_with_tests
from tests.strategies.layouts import tokens

FRAGMENTS = (
    "kill first when ", "kill highest ", "never kill when ", "let a = ", "input a per memcg: int = ", "test \"t\" {\n",
    "task \"a\" in \"/b\" { ", "memcg \"/a\" { ", "expect victim ", "expect ", "policy ", "oomlang 1", "memory ",
    "and ", "or ", "not ", "in ", "like ", "under ", "at depth ", "at each depth ", "step ", "when ",
    "if ", "else ", "true ",
    "rss ", "a", "5", "5GiB ", "90%", "3.5", "_", ".", "\"x\"", "\"", "\\", "'", "#", "# c\n", "\n", "\r\n", "\r", "\t",
    "(", ")", "{", "}", ",", ":", "=", "==", "!=", "<", ">=", "+", "-", "*", "/", "!", "&", "\x00", "\ufeff", "\u2028",
    "\u00a0", "é", "😀",
)  # fmt: skip


def squeezed(text: str) -> str:
    """A text without white space, and without the byte order mark that it may begin with."""
    return "".join(text.split()).lstrip("\ufeff")


def check(data: bytes) -> None:
    policy, diagnostics = parse(data, "policy.oom")
    length = len(policy.source.text)
    for item in diagnostics.items:
        assert item.message
        for span in (item.span, *(label.span for label in item.labels)):
            assert 0 <= span.start <= span.end <= length
    broken = [s for s in policy.statements if isinstance(s, tree.Broken)]
    assert not broken or diagnostics.failed
    text = policy.source.text
    once = format_text(text)
    assert format_text(once) == once
    assert once == "" or once.endswith("\n")
    assert squeezed(once) == squeezed(text)


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\xed\xa0\x80")  # a lone surrogate
@example(b"\xef\xbb\xbfkill highest rss")
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"kill highest rss\rkill lowest rss\r")
@example(b"\r\r\n")
@example(b'kill "\\\r\n')
@example(b'"\\')
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
@example("!")
@example("kill first when invoker !")
def test_any_pieces_of_a_policy(text: str) -> None:
    check(text.encode())


@given(st.text(max_size=100))
def test_any_text(text: str) -> None:
    check(text.encode())


@given(text=policies_with_tests(), data=st.data())
def test_a_policy_with_tokens_deleted_doubled_or_replaced(text: str, data: st.DataObject) -> None:
    words = tokens(text)
    for _ in range(data.draw(st.integers(1, 4))):
        if not words:
            break
        at = data.draw(st.integers(0, len(words) - 1))
        match data.draw(st.sampled_from(("delete", "double", "replace", "insert"))):
            case "delete":
                del words[at]
            case "double":
                words.insert(at, words[at])
            case "replace":
                words[at] = data.draw(st.sampled_from(words))
            case _:
                words.insert(at, data.draw(st.sampled_from(FRAGMENTS)))
    check(data.draw(st.sampled_from(("", " "))).join(words).encode())


@given(text=policies_with_tests(), data=st.data())
def test_a_policy_cut_off_anywhere(text: str, data: st.DataObject) -> None:
    check(text.encode()[: data.draw(st.integers(0, len(text)))])


DEEP = 10_000


@pytest.mark.parametrize(
    "text",
    [
        f"kill first when {'(' * DEEP}invoker{')' * DEEP}",
        f"kill first when {'(' * DEEP}",
        f"kill first when {'not ' * DEEP}invoker",
        f"kill first when {'invoker or ' * 10 * DEEP}invoker",
        f"kill highest {'-' * DEEP}rss",
        f"kill highest {'abs(' * DEEP}rss{')' * DEEP}",
        f"kill highest rss{' + rss' * DEEP}",
        f"kill highest {'1 if invoker else ' * DEEP}2",
        f"kill first when comm in ({'invoker in (' * DEEP}{')' * DEEP})",
        f'test "t" {"{" * DEEP}',
        f'test "t" {{\n{"{" * DEEP}{"}" * DEEP}\n}}',
        "(\n" * DEEP + ")\n" * DEEP,
        "}" * DEEP,
    ],
    ids=lambda text: str(text)[:40],
)
def test_deep_nesting(text: str) -> None:
    check(text.encode())


SIZE = 100_000
MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "piece",
    [b"\xff", b"a ", b"a\n", b"(", b"(\n", b"{\n", b")", b'"', b'"\n', b"#\n", b"\n", b"\r", b"5", b"=", b"\\",
     b'"\\x41', b"kill first when (\n", b'test "t" {\n', b'test "t" {\nmemory\n', b"let a = 1 # b\n", b"kill highest rss\n",
     b"\xe2\x80\xa8"],
)  # fmt: skip
def test_a_lot_of_one_thing(piece: bytes) -> None:
    data = piece * (SIZE // len(piece))
    parse(data, "policy.oom")
    format_text(data.decode("utf-8", "replace"))


@pytest.mark.parametrize("piece", [b"\0", b"a", b"\x80", b'"'])
def test_a_megabyte_of_garbage(piece: bytes) -> None:
    check(piece * (MEGABYTE // len(piece)))


def test_a_megabyte_in_one_text_or_comment() -> None:
    check(b'policy "' + b"\\x41" * (MEGABYTE // 4) + b'"')
    check(b"# " + b"a" * MEGABYTE)


def test_a_file_that_is_no_policy_gets_no_endless_list() -> None:
    for text in (b"garbage\n" * 10_000, b'test "t" {\n' + b"garbage\n" * 10_000 + b"}\ngarbage\n"):
        _, diagnostics = parse(text, "policy.oom")
        assert len(diagnostics.items) == 201
        assert diagnostics.items[-1].message.startswith("200 statements before this one cannot be read")
