"""Signals that ask the program to end: it ends as by an exception, so that what it has begun is put away first."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_INSISTING = 1.0
"""Seconds in which further signals change nothing: whoever holds ^C down must not keep us from tidying up."""


class Terminated(BaseException):
    """A signal asked the program to end; like `KeyboardInterrupt`, no error that anybody should handle."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Turn those signals into exceptions, except where the caller's environment ignores or handles them (`nohup`)."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    deaf_until = 0.0

    def end(number: int, _: FrameType | None) -> None:
        nonlocal deaf_until
        now = time.monotonic()
        if now < deaf_until:
            return
        deaf_until = now + _INSISTING
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    before: dict[signal.Signals, Any] = {}
    for asking in _ASKING:
        if signal.getsignal(asking) in (signal.SIG_DFL, signal.default_int_handler):
            before[asking] = signal.signal(asking, end)
    try:
        yield
    finally:
        deaf_until = math.inf  # the exit code stands
        for asking, handler in before.items():
            signal.signal(asking, handler)
