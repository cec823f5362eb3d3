"""Programs that work for us are held to bounds, and heard."""

import sys

import pytest

from oomlang.tool import Ended, Endless, Tool, words


def finish(script: str, data: bytes = b"", time_limit: float = 60.0) -> Ended:
    with Tool(["sh", "-c", script], mend="") as tool:
        return tool.finish(data, time_limit=time_limit)


def test_all_that_goes_in_and_out_arrives() -> None:
    data = bytes(range(256)) * 3000
    assert finish("cat; echo done >&2; exit 7", data) == Ended(code=7, out=data, err=b"done\n")


def test_a_program_that_does_not_read_is_no_error() -> None:
    assert finish("exec <&-; echo read nothing", b"x" * 1_000_000).out == b"read nothing\n"
    assert finish("head -c 1", b"x" * 1_000_000).out == b"x"


def test_a_program_may_close_its_streams_and_go_on() -> None:
    assert finish("exec <&- >&- 2>&-; sleep 0.1; exit 3").code == 3


def test_the_last_words_before_a_signal_are_heard() -> None:
    assert finish("echo last words >&2; kill -9 $$") == Ended(code=-9, out=b"", err=b"last words\n")


def test_a_child_that_has_the_pipes_is_not_waited_for() -> None:
    assert finish("setsid sleep 200 & echo said").out == b"said\n"
    # It writes on, but not so fast that the bound on what is printed could be reached before the shell's end.
    assert finish("setsid sh -c 'while echo; do sleep 0.01; done' >&2 & exit 5").code == 5


@pytest.mark.parametrize(
    "script", ["sleep 1000", "exec >&- 2>&-; sleep 1000", "while :; do echo; sleep 0.01; done"]
)
def test_time_is_bounded(script: str) -> None:
    with pytest.raises(Endless, match=r"did not finish within 0\.2 s"):
        finish(script, time_limit=0.2)


def test_output_is_bounded() -> None:
    with pytest.raises(Endless, match="printed more than 1 MiB"):
        finish("yes & yes >&2")


def test_memory_is_bounded() -> None:
    # The limit comes while the program starts: it waits for its input first.
    script = [sys.executable, "-c", "input(); len(bytearray(2 << 30))"]
    with Tool(script, mend="", memory=1 << 30) as tool:
        ended = tool.finish(b"\n", time_limit=60.0)
    assert ended.code == 1
    assert ended.err.endswith(b"MemoryError\n")


def test_long_words_are_cut() -> None:
    assert words(b"") == "(nothing)"
    assert words(b" one\ntwo\n") == "one\ntwo"
    assert words(b"x" * 1000) == "x" * 300 + "…"
    assert words(b"x\n" * 100).splitlines()[-2:] == ["x", "… and 70 more lines"]
