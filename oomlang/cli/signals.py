"""Signals that ask the program to end: it ends as by ^C, so that what it has begun is put away first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from oomlang.interrupts import are_postponed

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_AGAIN = 2.0
"""Seconds after which a program that still runs is interrupted once more."""
_SOON = 0.01
"""Seconds between two looks at whether what must not be torn apart is done."""


class Asked:
    """Which signal asked for the end; None for none. The first one counts."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def code(self) -> int | None:
        """What a shell shows for a program that a signal ended."""
        return None if self.number is None else 128 + self.number


@contextmanager
def as_interrupts() -> Iterator[Asked]:
    """Turn those signals into `KeyboardInterrupt`, except where the environment ignores or handles them (`nohup`).

    It is raised wherever the program is just then, and may come out as another exception, or be lost where Python can only
    report exceptions (in a finalizer, say): who catches one asks what came, and what is still running hears of it again.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread gets signals
        return

    def end(number: int, _: FrameType | None) -> None:
        if asked.number is None:  # whoever holds ^C down must not keep us from tidying up
            asked.number = number
            interrupt()

    def interrupt(*_: object) -> None:
        postponed = are_postponed()
        signal.setitimer(signal.ITIMER_REAL, _SOON if postponed else _AGAIN)
        if not postponed:
            raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    for asking in _ASKING:
        if signal.getsignal(asking) in (signal.SIG_DFL, signal.default_int_handler):
            before[asking] = signal.signal(asking, end)
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield asked
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for asking, handler in before.items():
            signal.signal(asking, handler)
