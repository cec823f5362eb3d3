"""How these tests call oomlang: in this process where only the outcome counts, as a program where the streams do."""

import contextlib
import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from oomlang import cli

RIGHT = b"kill highest rss\n"
WRONG = b"kill highest rrs\n"
UNFORMATTED = b"kill   highest rss\n"

ROOT = os.fspath(Path(__file__).parents[3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`call("check", path, stdin=b"…")`: run a command in this process."""

    def run(*arguments: object, stdin: bytes = b"", encoding: str = "utf-8") -> Outcome:
        out, err = io.BytesIO(), io.BytesIO()
        code = _run(monkeypatch, arguments, stdin, out, err, encoding)
        return Outcome(code=code, out=out.getvalue(), err=err.getvalue().decode(encoding))

    return run


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command with standard output and standard error on a terminal, and return what it got."""

    def run(*arguments: object, environment: dict[str, str] | None = None) -> str:
        ours, theirs = pty.openpty()
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.extend(iter(lambda: _read_terminal(ours), b"")))
        reader.start()
        with monkeypatch.context() as patch, open(theirs, "wb", buffering=0) as terminal:
            patch.delenv("NO_COLOR", raising=False)
            patch.setenv("TERM", "xterm")
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            _run(monkeypatch, arguments, b"", terminal, terminal, "utf-8")
        reader.join()
        os.close(ours)
        return b"".join(got).decode()

    return run


def _run(
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    stdin: bytes,
    out: BinaryIO,
    err: BinaryIO,
    encoding: str,
) -> int:
    streams = [io.TextIOWrapper(stream, encoding=encoding, write_through=True) for stream in (out, err)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        code = cli.run([os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in arguments])
    for stream in streams:
        stream.detach()
    return code


def _read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # EIO: the other end was closed
        return b""


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """`start("check", "-")`: a process with pipes, of which options to Popen replace any."""
    with contextlib.ExitStack() as started:

        def run(
            *arguments: object,
            prefix: tuple[str, ...] = (),
            environment: dict[str, str] | None = None,
            **options: Any,
        ) -> "subprocess.Popen[bytes]":
            variables = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "OOMLANG_DEBUG")}
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "oomlang", *map(str, arguments)],
                env={**variables, "TERM": "xterm", "PYTHONPATH": ROOT, **(environment or {})},
                **{**streams, **options},
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield run


@pytest.fixture
def program(start: Callable[..., "subprocess.Popen[bytes]"]) -> Callable[..., Outcome]:
    """`program("check", path)`: run a command as a process of its own."""

    def run(*arguments: object, stdin: bytes | None = None, **options: Any) -> Outcome:
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        process = start(*arguments, **options)
        out, err = process.communicate(stdin, timeout=120)
        return Outcome(code=process.returncode, out=out or b"", err=(err or b"").decode())

    return run
