"""The lines of the emitted C, and which of them were made for one rule or one named value alone.

In: what the templates rendered. Out: the C, and for each owner the ranges of its lines, which the object carries so that a
complaint about a line of C leads to the policy. The templates mark an owner's lines with a line of their own before them,
`MARK` and its name, and with `MARK` alone behind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

MARK = "\x01"
"""Nothing else in the C begins so: `escape` lets no control character through."""

Owned: TypeAlias = Mapping[str, Sequence[tuple[int, int]]]
"""Ranges of lines by their owner, `rule_NUMBER` or `let_NAME`: first and last line, from 1. No two overlap."""


def lay_out(rendered: str) -> tuple[str, Owned]:
    """The C without marks, at most one empty line in a row, one line end at the end; and whose lines are whose."""
    lines: list[str] = []
    owned: dict[str, list[tuple[int, int]]] = {}
    owner, begin = "", 1
    for line in rendered.splitlines():
        line = line.rstrip()
        if line.startswith(MARK):
            if owner:
                owned.setdefault(owner, []).append((begin, len(lines)))
            owner, begin = line[len(MARK) :], len(lines) + 1
        elif line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n", owned
