"""The task table of a report: its header says which columns this kernel prints.

In: the header, then rows. Out: `TaskRow`s. Which columns are facts says the table of facts, in its cells `Column`. Most are
in pages, whose size the caller knows only at the report's end, so that rows are kept as numbers until then.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field

from oomlang.facts import FACTS
from oomlang.facts.cells import Column, Unit
from oomlang.host.reports.model import TaskRow

# The group is not possessive: the `re` of Debian 12's Python, 3.11.2, then goes on where the look ahead says no.
_HEADER = re.compile(rb"\[\s*+pid\s*+\]((?:\s++(?!name\s*+\Z)[a-z_]{1,32}+){1,32})\s++name\s*+\Z")
"""No kernel has more than a dozen columns."""

_COLUMNS = {f.name: f.report for f in FACTS.values() if isinstance(f.report, Column)}
_PLAIN = {cell.name.encode(): fact for fact, cell in _COLUMNS.items() if cell.unit is Unit.PLAIN}
_PAGES = {cell.name.encode(): fact for fact, cell in _COLUMNS.items() if cell.unit is Unit.PAGES}
_SUMMED = {name.encode(): fact for fact, cell in _COLUMNS.items() for name in cell.older}
"""Columns of older kernels, in pages, which add up to a fact."""

_LIKE_ROW = re.compile(rb"\[ *+\d++(?:\] | *+\Z)")
"""Not `[drm] …`: other messages may stand between the rows."""

MOST_ROWS = 1 << 22
"""As many processes as Linux can have."""


def is_header(text: bytes) -> bool:
    """Whether a message is the table's header."""
    return b"oom_score_adj" in text and _HEADER.match(text) is not None


@dataclass(slots=True)
class Table:
    """A table being read. broken: lines that began like a row and were none. padded: a terminal has added blanks to the
    lines: they end the header, too, and belong to no name.
    """

    columns: tuple[bytes, ...]
    rows: dict[int, tuple[int, bytes, tuple[int, ...]]] = field(default_factory=dict)
    broken: int = 0
    padded: bool = False
    _row: re.Pattern[bytes] = field(init=False)
    _tgid: int | None = field(init=False)

    def __post_init__(self) -> None:
        self._tgid = self.columns.index(b"tgid") if b"tgid" in self.columns else None
        numbers = rb"".join(rb"\s++(-?+\d{1,19}+)" for _ in self.columns)
        self._row = re.compile(rb"\[\s*+(\d{1,10}+)\]" + numbers + rb" (.*)", re.DOTALL)

    @classmethod
    def of(cls, header: bytes) -> Table:
        """The empty table below a header."""
        match = _HEADER.match(header)
        assert match is not None  # `is_header` has said so
        return cls(tuple(match[1].split()), padded=header != header.rstrip(b" \t"))

    def add(self, text: bytes) -> bool:
        """Take a message that begins with `[`; false where it is no row."""
        match = self._row.fullmatch(text)
        if match is None:
            self.broken += _LIKE_ROW.match(text) is not None
            return False
        pid, *numbers, name = match.groups()
        if self.padded:
            name = name.rstrip(b" \t")
        values = tuple(map(int, numbers))
        tgid = values[self._tgid] if self._tgid is not None else int(pid)
        if len(self.rows) < MOST_ROWS:
            # Before Linux 5.3 a memcg's table had a line for each thread (f168a9a54ec3); the first stands for all.
            self.rows.setdefault(tgid, (int(pid), name, values))
        return True

    def name_of(self, pid: int) -> bytes | None:
        """A task's name, by the id of the process or of the thread that has the memory."""
        return next((name for tgid, (thread, name, _) in self.rows.items() if pid in (tgid, thread)), None)

    def pages_of(self, pid: int) -> int | None:
        """The address space of a process in pages, by the id of the process or of the thread that has the memory."""
        if b"total_vm" not in self.columns:
            return None
        place = self.columns.index(b"total_vm")
        for tgid, (thread, _, values) in self.rows.items():
            if pid in (tgid, thread):
                return values[place]
        return None

    def tasks(self, page_size: int, reaped: Container[tuple[int, bytes]]) -> tuple[TaskRow, ...]:
        """The rows, in their order. reaped: pids and names of those whose memory the kernel has taken already."""
        plain = [(_PLAIN[c], i) for i, c in enumerate(self.columns) if c in _PLAIN]
        paged = [(_PAGES[c], i) for i, c in enumerate(self.columns) if c in _PAGES]
        summed = [(_SUMMED[c], i) for i, c in enumerate(self.columns) if c in _SUMMED]

        def facts_of(values: tuple[int, ...]) -> dict[str, int]:
            facts = {name: values[i] for name, i in plain}
            for name, i in paged:
                facts[name] = values[i] * page_size
            for name, i in summed:
                facts[name] = facts.get(name, 0) + values[i] * page_size
            return facts

        return tuple(
            TaskRow(
                pid=pid,
                tgid=tgid,
                comm=name,
                facts=facts_of(values),
                reaped=(tgid, name) in reaped,
            )
            for tgid, (pid, name, values) in self.rows.items()
        )
