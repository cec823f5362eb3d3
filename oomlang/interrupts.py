"""Short stretches of work that an interrupt must not tear apart: what was made is known to who puts it away.

Here it is only noted that one is under way; `cli.signals`, which raises the interrupts, waits for its end. In a program that
handles signals in its own way it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_under_way = 0


@contextmanager
def postponed() -> Iterator[None]:
    """A stretch of work that is over in an instant."""
    global _under_way
    _under_way += 1
    try:
        yield
    finally:
        _under_way -= 1


def are_postponed() -> bool:
    """Whether such a stretch is under way."""
    return _under_way > 0
