"""Logs that the command line names, read report by report, with a bar on a terminal where that takes a while."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from oomlang.cli import streams
from oomlang.cli.failures import Failure, file_failure
from oomlang.cli.files import STDIN, called, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from oomlang.host.reports import Report

SLOW = 32 << 20
"""Bytes from which a bar is worth it."""


def reports(path: str, bar: Bar | None = None) -> Iterator[Report]:
    """The reports of a log; `-` is standard input. Raises `Failure` where it cannot be read (to its end)."""
    from oomlang.host.reports import LogError, read_reports

    try:
        with _opened(path) as file, (bar or Bar()).over(path, file) as progress:
            yield from read_reports(file, progress)
    except LogError as error:
        raise Failure(f"cannot read all of {name_of(path)}: {error}") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise file_failure("read", name_of(path), error) from error


def size(text: str | None) -> int | None:
    """Bytes of a size as the language writes it; 0 needs no unit. Errors: `Failure`."""
    from oomlang.facts import UNITS, Type

    if text is None or text == "0":
        return None if text is None else 0
    match = re.fullmatch(r"([0-9]{1,15})([A-Za-z]+)", text)
    unit = UNITS.get(match[2]) if match is not None else None
    if match is None or unit is None or unit.type is not Type.BYTES:
        raise Failure(f"`{text}` is no size", mend="write it like 8GiB, or 0")
    return int(match[1]) * unit.scale


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        if sys.stdin is None:
            raise Failure("standard input is closed")
        yield sys.stdin.buffer
        return
    with open(path, "rb", buffering=0) as file:
        yield file


class Bar:
    """How far the reading is, on standard error where that is a terminal and the log is large."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    @contextmanager
    def over(self, path: str, file: BinaryIO) -> Iterator[Callable[[int], None] | None]:
        """Where to say how many bytes are done; None where nobody would see it, or before it is over anyway."""
        size = _size(file)
        if not streams.is_terminal(sys.stderr) or size is None or size < SLOW:
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        color = streams.wants_color(sys.stderr)
        console = Console(file=sys.stderr, force_terminal=True, no_color=not color)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
        )
        # Results are no business of the bar's: they may go elsewhere.
        with Progress(
            *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as progress:
            self._progress = progress
            task = progress.add_task(os.path.basename(called(path)), total=size)
            last = 0.0

            def update(done: int) -> None:
                nonlocal last
                if (now := time.monotonic()) - last > 0.1:
                    last = now
                    progress.update(task, completed=done)

            try:
                yield update
            finally:
                self._progress = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile it is not there, so that a result can be printed on the same terminal."""
        if self._progress is None or not streams.is_terminal(sys.stdout):
            yield
            return
        self._progress.stop()
        yield
        streams.flush()
        self._progress.start()


def _size(file: BinaryIO) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size or None
    except (OSError, ValueError):
        return None
