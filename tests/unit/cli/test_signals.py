"""A signal that asks oomlang to end finds everything put away afterwards, and the conventional exit code."""

import importlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oomlang.cli import run, signals
from oomlang.interrupts import postponed
from tests.unit.cli.conftest import RIGHT

Start = Callable[..., "subprocess.Popen[bytes]"]
LIMIT = 60.0
"""Seconds; what is awaited comes in a fraction of one."""


def await_(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie, which some other process has yet to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def compiling(start: Start, tmp_path: Path) -> Callable[..., tuple["subprocess.Popen[bytes]", list[int]]]:
    """An `oomlang compile` whose clang hangs, and the process ids of that clang and of its child."""

    def begin(*prefix: str) -> tuple["subprocess.Popen[bytes]", list[int]]:
        clang = tmp_path / "clang"
        clang.write_text(
            '#!/bin/sh\nif [ "$1" = --version ]; then echo clang version 19; exit; fi\n'
            f"trap '' HUP TERM INT QUIT\nsleep 1000 & echo $$ $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids\nwait\n"
        )
        clang.chmod(0o755)
        (tmp_path / "policy.oom").write_bytes(RIGHT)
        (tmp_path / "tmp").mkdir()
        process = start(
            "compile", "policy.oom",
            # A shell that starts the tests in the background has them, and all below them, ignore SIGINT.
            prefix=("env", "--default-signal=INT,HUP,TERM,QUIT", *prefix), cwd=tmp_path,
            environment={"OOMLANG_CLANG": str(clang), "TMPDIR": str(tmp_path / "tmp")},
        )  # fmt: skip
        await_((tmp_path / "pids").exists)
        return process, [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    return begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("times", [1, 5])
def test_clang_and_its_directory_go_too(
    compiling: Callable[..., tuple["subprocess.Popen[bytes]", list[int]]],
    tmp_path: Path,
    number: signal.Signals,
    times: int,
) -> None:
    process, pids = compiling()
    for _ in range(times):
        process.send_signal(number)
    assert process.communicate(timeout=LIMIT) == (b"", b"")
    assert process.returncode == 128 + number
    await_(lambda: not any(map(alive, pids)))
    assert sorted(os.listdir(tmp_path)) == ["clang", "pids", "policy.oom", "tmp"]
    assert os.listdir(tmp_path / "tmp") == []


def test_nohup_is_heeded(
    compiling: Callable[..., tuple["subprocess.Popen[bytes]", list[int]]],
) -> None:
    process, _ = compiling("nohup")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=LIMIT) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_waiting_for_input_is_ended_without_a_word(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    fifo = tmp_path / "policy.oom"
    os.mkfifo(fifo)
    process = start("check", fifo, prefix=("env", "--default-signal=HUP,TERM"))
    with fifo.open("wb"):  # waits until the other end is open, too
        process.send_signal(number)
        assert process.communicate(timeout=LIMIT) == (b"", b"")
    assert process.returncode == 128 + number


def test_a_caller_s_handlers_are_left_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert run(["facts", "uid"]) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


# --- the mechanism ----------------------------------------------------------------------------------------------------


@pytest.fixture
def defaults() -> Iterator[None]:
    """The handlers that a program starts with; pytest itself has some of them replaced, and a background shell others."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ask(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # handlers run between two steps of the interpreter


@pytest.mark.usefixtures("defaults")
def test_an_interrupt_that_got_lost_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_AGAIN", 0.05)
    heard = 0
    with signals.as_interrupts() as asked:
        for _ in range(3):
            try:
                if not heard:
                    ask(signal.SIGHUP)
                time.sleep(LIMIT)
            except KeyboardInterrupt:
                heard += 1
    assert heard == 3
    assert asked.code == 129
    time.sleep(0.1)  # and not after the end


@pytest.mark.usefixtures("defaults")
def test_an_interrupt_waits_for_what_must_not_be_torn_apart() -> None:
    steps = []
    with signals.as_interrupts() as asked:
        try:
            with postponed():
                ask(signal.SIGTERM)
                time.sleep(0.05)
                steps.append("whole")
            time.sleep(LIMIT)
            steps.append("never")
        except KeyboardInterrupt:
            steps.append("interrupted")
    assert steps == ["whole", "interrupted"]
    assert asked.code == 143


@pytest.mark.usefixtures("defaults")
def test_an_interrupt_that_comes_out_as_another_exception_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def callback(**_: object) -> None:
        try:
            ask(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    monkeypatch.setattr(importlib.import_module("oomlang.cli.facts").command, "callback", callback)
    assert run(["facts"]) == 143
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("defaults")
def test_another_thread_has_no_handlers() -> None:
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(["facts", "uid"])))
    thread.start()
    thread.join(LIMIT)
    assert codes == [0]
