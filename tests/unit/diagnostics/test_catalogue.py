import pytest

from oomlang.compiler import check
from oomlang.diagnostics import Code
from oomlang.diagnostics.catalogue import UnknownCode, find_code, page, page_markdown, page_text, pages


def codes_of(policy: bytes) -> list[str]:
    _, diagnostics = check(policy, "policy.oom")
    return sorted({d.code.value for d in diagnostics})


@pytest.mark.parametrize("code", list(Code))
def test_the_wrong_example_gives_its_code_and_no_other(code: Code) -> None:
    assert codes_of(page(code).wrong_bytes) == [code.value]


@pytest.mark.parametrize("code", list(Code))
def test_the_right_example_gives_nothing(code: Code) -> None:
    assert codes_of(page(code).right_bytes) == []


def test_there_is_a_page_for_each_code_in_order() -> None:
    assert list(pages()) == list(Code)
    assert [entry.code for entry in pages().values()] == list(Code)


@pytest.mark.parametrize("code", list(Code))
def test_a_page_is_for_people(code: Code) -> None:
    entry = page(code)
    text = page_text(code)
    assert text.startswith(f"{code.value}: {entry.title}\n\n")
    assert text.endswith("\n")
    assert [line for line in text.splitlines() if len(line) > 84] == []
    assert entry.title[0] == entry.title[0].lower()
    assert not entry.title.endswith(".")
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("code", list(Code))
def test_markdown_pages_show_both_examples_and_balance_their_backticks(code: Code) -> None:
    markdown = page_markdown(code)
    assert markdown.startswith(f"## {code.value}: ")
    prose = markdown.split("```")[0::2]
    assert markdown.count("```oomlang\n") == 2
    assert len(prose) == 3
    assert [p for part in prose for p in part.split("\n\n") if p.count("`") % 2] == []


@pytest.mark.parametrize(
    "text", ["E0204", "e0204", " E0204\n", "0204", "error[E0204]", "error[E0204]:", "UNIT_MISMATCH"]
)
def test_a_code_is_found_however_it_is_copied(text: str) -> None:
    assert find_code(text) is Code.UNIT_MISMATCH


def test_warnings_are_found_too() -> None:
    assert find_code("warning[W0602]") is Code.UNUSED


@pytest.mark.parametrize(
    "text, message",
    [
        ("E204", "unknown code `E204`: did you mean E0204?"),
        ("W0204", "unknown code `W0204`: did you mean E0204?"),
        ("nonsense", "unknown code `nonsense`: codes look like E0204"),
        ("", "unknown code ``: codes look like E0204"),
    ],
)
def test_an_unknown_code_gets_a_suggestion(text: str, message: str) -> None:
    with pytest.raises(UnknownCode) as caught:
        find_code(text)
    assert str(caught.value) == message


def test_a_byte_that_is_no_character_is_shown_as_an_escape() -> None:
    assert 'comm == "caf\\xe9"' in page_text(Code.NOT_TEXT)
