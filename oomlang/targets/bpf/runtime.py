"""C that never changes: the pieces of the runtime that a program needs.

In: C that calls some of them. Out: their text, each with what it needs itself before it. A piece is a file of
`templates/bpf/runtime/`; it is found by its name in the C that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from oomlang.data import data_path

_LICENSE = "// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\n"
_CALL = re.compile(r"([A-Za-z_]\w*)[(.]|struct (\w+)")

EARLY = (
    "fresh",
    "minimum",
    "maximum",
    "clamp",
    "absolute",
    "divide",
    "ratio",
    "share",
    "floor_steps",
    "by",
    "page_bytes",
    "badness_bytes",
    "comm",
    "comm_length",
    "comm_end",
    "guard",
)
"""Pieces that need nothing of a policy, each after those that it needs itself."""

LATE = (
    "limit_bytes",
    "age",
    "cgroup_name",
    "cgroup_id",
    "ancestor",
    "ancestor_at",
    "task_cgroup",
    "mem_cgroup",
    "swap_bytes",
    "oom_kills",
    "subject",
    "take_comm",
    "glob_matches",
    "long_glob_matches",
)
"""Pieces that refer to what a policy declares: its event, its candidate, its patterns."""

_PIECES = {name: name for name in (*EARLY, *LATE)} | {
    "read_comm": "comm",
    "before_nul": "comm",
    "take_name": "subject",
}
"""What C calls or declares, and the piece that has it."""


@cache
def piece(name: str) -> str:
    """The text of a piece, without the line that names its license."""
    with open(data_path("templates", "bpf", "runtime", f"{name}.h"), encoding="utf-8") as file:
        return file.read().removeprefix(_LICENSE)


@cache
def _needs(name: str) -> frozenset[str]:
    return _pieces_in(piece(name)) - {name}


def _pieces_in(text: str) -> frozenset[str]:
    return frozenset(_PIECES[word] for found in _CALL.findall(text) for word in found if word in _PIECES)


def needed(texts: Iterable[str]) -> frozenset[str]:
    """The pieces that some C needs, directly or not."""
    pending = [name for text in texts for name in _pieces_in(text)]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += _needs(name)
    return frozenset(found)
