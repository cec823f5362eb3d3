"""Whether work grows no faster than what is given to it: measured on two sizes in one run, the best of several turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FACTOR = 4
_MOST = 8.0
"""Times as long for `_FACTOR` times as much: n log n stays far below, n² takes 16."""


def seconds(run: Callable[[T], object], given: T, turns: int = 1) -> float:
    """The CPU time of the fastest of several turns, without what the collector takes for all that other tests left."""
    best = float("inf")
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(turns):
            begin = time.process_time()
            run(given)
            best = min(best, time.process_time() - begin)
    finally:
        if collects:
            gc.enable()
    return best


def assert_linear(make: Callable[[int], T], run: Callable[[T], object], size: int, what: str = "") -> None:
    """`run` takes no more than about four times as long for what `make` makes of a size than for that of a quarter.

    Work that a few milliseconds are enough for is not measured any closer: it is not what somebody waits for.
    """
    small, large = make(size // _FACTOR), make(size)
    said = ""
    for turns in (1, 3, 5):  # a busy machine gets another chance
        before, after = seconds(run, small, turns), seconds(run, large, turns)
        if after < _MOST * max(before, 0.0005):
            return
        said = f"{what or run}: {size // _FACTOR}: {before:.4f} s, {size}: {after:.4f} s"
    raise AssertionError(said)
