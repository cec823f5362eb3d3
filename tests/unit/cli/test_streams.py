"""What reaches a terminal, a pipe, a stream of another encoding."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import RIGHT, UNFORMATTED, WRONG, Outcome

Call = Callable[..., Outcome]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.oom"
    path.write_bytes(WRONG)
    return path


@pytest.mark.parametrize(
    "environment, colored",
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colors_unless_it_may_not(
    on_terminal: Callable[..., str], wrong: Path, environment: dict[str, str], colored: bool
) -> None:
    for arguments in (["check", wrong], ["check", "/nonexistent"], ["facts"], ["fmt", "--diff", wrong]):
        if arguments[0] == "fmt":
            wrong.write_bytes(UNFORMATTED)
        assert ("\x1b[" in on_terminal(*arguments, environment=environment)) is colored, arguments


def test_a_pipe_gets_no_colors(program: Call, wrong: Path) -> None:
    outcome = program("check", wrong, environment={"FORCE_COLOR": "1"})
    assert "\x1b" not in outcome.err
    assert b"\x1b" not in program("facts", environment={"FORCE_COLOR": "1"}).out


@pytest.mark.parametrize(
    "verb", [("check",), ("fmt", "--check"), ("fmt", "--diff"), ("compile", "--emit", "c", "-o", "-")]
)
def test_no_file_name_steers_a_terminal(
    call: Call, tmp_path: Path, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = b"a\x1b]0;owned\x07\r\x9b\xc2\x9b31m\xe2\x80\xae.oom"
    for content in (RIGHT, WRONG, UNFORMATTED, b"\xff", b"kill highest \x1b[31m\n"):
        (tmp_path / os.fsdecode(hostile)).write_bytes(content)
        outcome = call(*verb, os.fsdecode(hostile))
        text = outcome.out.decode() + outcome.err
        assert outcome.code in (0, 1)
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text) is None, text


def test_a_source_keeps_its_bytes_in_a_pipe_and_not_on_a_terminal(
    call: Call, on_terminal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "a.oom"
    path.write_bytes(b"kill   highest rss # \xc2\x9b31m\n")
    assert b"\xc2\x9b31m" in call("fmt", "--diff", path).out
    assert "\x9b" not in on_terminal("fmt", "--diff", path)


def test_a_stream_without_box_drawing_gets_ascii(call: Call, wrong: Path) -> None:
    outcome = call("check", wrong, encoding="ascii")
    assert "  --> " in outcome.err
    assert "\n1 | kill highest rrs\n" in outcome.err


def test_text_that_the_stream_lacks_is_shown_by_number(program: Call) -> None:
    assert b"<U+00B7>" in program("facts", "badness", environment={"PYTHONIOENCODING": "ascii"}).out


def test_json_is_utf_8_in_every_locale(program: Call) -> None:
    assert (
        "·".encode()
        in program("facts", "badness", "--format", "json", environment={"PYTHONIOENCODING": "ascii"}).out
    )
