"""JSON over several lines, as `journalctl -o json-pretty` and `jq` write it, made into a line an object.

In: blocks of whole lines, of a log that begins like one object after another. Out: blocks of whole objects, in which the
line ends inside of an object are carriage returns: white space in JSON too, and never inside of its strings. So an object
can be read like a line of `journalctl -o json`, and the lines of the file can still be counted.
"""

from __future__ import annotations

import re

INNER_END = b"\r"
"""Stands for a line end inside of an object."""

_BEGINNING = re.compile(rb'(?:[^\n]*\n)?(?:\}\s*\n)?(?:\{\s*\n)?[ \t]+"\w+"\s*:\s')
"""Also of a log that is cut off inside of its first object, in the middle of a line perhaps."""

_END = b"\n}\n"
"""Of an object: all that is inside of one is indented."""

MOST = 4 << 20
"""Bytes of an object. Those of the kernel's messages have a few hundred."""


def is_pretty(block: bytes) -> bool:
    """Whether a log that begins with this block holds objects over several lines."""
    return _BEGINNING.match(block) is not None


class Objects:
    """The objects of a log. It holds less than two blocks and `MOST` at a time."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, block: bytes) -> bytes:
        """The objects that a block completes."""
        if INNER_END in block:
            block = block.replace(b"\r\n", b"\n")
        data = self._rest + block
        # The end may lie across the border of two blocks.
        end = data.rfind(_END, max(0, len(self._rest) - len(_END)))
        if end >= 0:
            end += len(_END)
            self._rest = data[end:]
            return _joined(data[:end])
        if len(data) <= MOST:
            self._rest = data
            return b""
        # No message of the kernel's: only its lines count.
        self._rest = b""
        return INNER_END * (data.count(b"\n") - 1) + b"\n"

    def rest(self) -> bytes:
        """What follows the last object that is complete, at the end of the log."""
        data, self._rest = self._rest, b""
        return _joined(data if data.endswith(b"\n") else data + b"\n") if data else b""


def _joined(objects: bytes) -> bytes:
    joined = objects.replace(b"\n", INNER_END).replace(b"\r}\r", b"\r}\n")
    # The last of them, and where the log is cut off.
    return joined[:-1] + b"\n" if joined.endswith(INNER_END) else joined
