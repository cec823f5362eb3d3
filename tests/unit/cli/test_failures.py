"""Whatever goes wrong ends in a message and an exit code of the table, and never in a traceback."""

import importlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomlang.diagnostics import EnvironmentLacks, InternalError
from tests.unit.cli.conftest import RIGHT, WRONG, Outcome

Call = Callable[..., Outcome]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.oom"
    path.write_bytes(RIGHT)
    return path


def _let_facts_raise(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def callback(**_: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("oomlang.cli.facts").command, "callback", callback)


def test_a_right_policy_is_0(call: Call, policy: Path) -> None:
    assert call("check", policy).code == 0


def test_a_wrong_policy_is_1(call: Call) -> None:
    outcome = call("check", "-", stdin=WRONG)
    assert outcome.code == 1
    assert "<stdin>:1:14" in outcome.err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "Usage: oomlang"),
        (("chekc",), "error: there is no command `chekc`\nhelp: did you mean `check`?\n"),
        (("check",), "error: missing argument 'FILE...'\nhelp: see `oomlang check --help`\n"),
        (("check", "--formt"), "error: no such option"),
        (("facts", "uidd"), "error: there is no fact `uidd`\nhelp: did you mean `uid`?\n"),
        (("explain-code", "E9999"), "error: unknown code `E9999`"),
        (("check", "-", "-"), "error: standard input can only be read once\n"),
        (("check", "no\x1b[31m.oom"), "error: cannot read no␛[31m.oom: no such file or directory\n"),
    ],
)
def test_wrong_usage_is_2_and_says_what_to_do(call: Call, arguments: tuple[str, ...], message: str) -> None:
    outcome = call(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(message)
    assert outcome.out == b""


def test_a_lack_of_the_environment_is_3(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_facts_raise(monkeypatch, EnvironmentLacks("there is no clang:\nit says this", mend="install it"))
    outcome = call("facts")
    assert (outcome.code, outcome.err) == (3, "error: there is no clang:\n  it says this\nhelp: install it\n")


def test_no_clang_is_3(call: Call, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMLANG_CLANG", "/nonexistent/clang")
    monkeypatch.chdir(policy.parent)
    outcome = call("compile", policy)
    assert outcome.code == 3
    assert "/nonexistent/clang" in outcome.err
    assert os.listdir(policy.parent) == ["policy.oom"]


def test_a_bug_is_4_with_one_line_and_no_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OOMLANG_DEBUG", raising=False)
    _let_facts_raise(monkeypatch, ZeroDivisionError("a\x1b[2J\nmore"))
    outcome = call("facts")
    assert outcome.code == 4
    error, mend = outcome.err.splitlines()
    assert error.startswith("error: this is a bug in oomlang ")
    assert ": ZeroDivisionError: a␛[2J (oomlang/cli/" in error
    assert mend.startswith("help: please report it")


def test_a_bug_s_traceback_can_be_asked_for(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMLANG_DEBUG", "1")
    _let_facts_raise(monkeypatch, ZeroDivisionError("a\x1b[2J"))
    outcome = call("facts")
    assert outcome.code == 4
    assert "Traceback (most recent call last)" in outcome.err
    assert "\x1b" not in outcome.err


def test_an_internal_error_is_said_in_full(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_facts_raise(monkeypatch, InternalError("clang refuses the C; it says:\npolicy.c:1: no"))
    outcome = call("facts")
    assert outcome.code == 4
    assert "\n  policy.c:1: no\n" in outcome.err


def test_an_interrupt_is_130_and_silent(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_facts_raise(monkeypatch, KeyboardInterrupt())
    assert call("facts") == Outcome(code=130, out=b"", err="")


def test_too_little_memory_is_3(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_facts_raise(monkeypatch, MemoryError())
    assert call("facts").code == 3


def test_control_c_while_waiting_for_input_is_silent(start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "policy.oom"
    os.mkfifo(fifo)
    # A shell that starts the tests in the background has them, and all below them, ignore SIGINT.
    process = start("check", fifo, prefix=("env", "--default-signal=INT"))
    with fifo.open("wb"):  # waits until the other end is open, too
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_left_is_no_error(start: Start) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("facts", "--format", "json", stdout=write)
    os.close(write)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 141


@pytest.mark.parametrize(
    "arguments", [("facts",), ("facts", "--format", "json"), ("--help",), ("--version",)]
)
def test_a_full_disk_behind_standard_output_is_said(program: Call, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        outcome = program(*arguments, stdout=full)
    assert outcome.code == 3
    assert outcome.err.startswith("error: ")
    assert "no space left on device" in outcome.err.lower()
    assert outcome.err.count("\n") == 1


def test_closed_streams_are_said(program: Call) -> None:
    closed = ("sh", "-c", 'exec "$@" <&- >&-', "sh")
    assert program("facts", prefix=closed).err == "error: standard output is closed\n"
    closed = ("sh", "-c", 'exec "$@" <&-', "sh")
    assert program("check", "-", prefix=closed).err == "error: standard input is closed\n"
    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    assert program("check", "/nonexistent", prefix=closed).code == 2


def test_a_directory_is_no_policy(call: Call, tmp_path: Path) -> None:
    outcome = call("check", tmp_path)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: cannot read {tmp_path}: is a directory\nhelp: name the files in it: {tmp_path}/*.oom\n"
    )


def test_an_endless_file_is_no_policy(call: Call) -> None:
    outcome = call("check", "/dev/zero")
    assert outcome.code == 2
    assert "larger than 16 MiB" in outcome.err
