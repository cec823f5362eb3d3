"""What `oomlang explain` prints for people: the answer first, then the table that it comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from oomlang.cli import streams
from oomlang.diagnostics.visible import visible, wrapped
from oomlang.explanation import name_text, path_text, size
from oomlang.explanation.columns import columns
from oomlang.explanation.rows import Row, ranked, skipped
from oomlang.targets.interp import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oomlang.explanation.event import Explanation
    from oomlang.explanation.focus import Focus

_WIDTH = 110
_SKIPPED = 5
"""Skipped processes that are listed; the others are counted."""

_HEAD = ("", "pid", "comm", "memcg", "rss", "swap", "before the next one by")
_RIGHT = (0, 1, 4, 5)


def print_explanation(explanation: Explanation, focuses: Sequence[Focus], limit: int) -> None:
    """The explanation on standard output. limit: how many candidates the table shows."""
    words, decision = explanation.words, explanation.decision
    perhaps = "" if decision.certain else " (uncertain)"
    _line(f"if {explanation.event}:")
    _line()
    _line(words.verdict() + perhaps, "title")
    _sentences(explanation.why())
    _sentences([explanation.kernel_says()])
    doubts = explanation.doubts()
    _sentences(doubts[:1], "uncertain", "warning")
    _sentences(doubts[1:])
    print_table(explanation, limit)
    for focus in focuses:
        _focus(explanation, focus)
    _line(f"policy {visible(explanation.policy.name)}; {explanation.taken}")
    _sentences(explanation.unseen(), "not seen")


def print_table(explanation: Explanation, limit: int) -> None:
    """The first of those who can die, and some of those who are skipped."""
    words, decision = explanation.words, explanation.decision
    rows = ranked(words, limit)
    never = skipped(words)
    _line()
    if rows:
        _table(_HEAD, [_cells(row) for row in rows], _RIGHT, strong=1 if decision.victim is not None else 0)
        if more := len(decision.ranking) - len(rows):
            _line(f"… and {more} more (--limit)")
    if never:
        _line()
        _line(f"never killed: {len(never)}", "title")
        cells = [_cells(row) for row in never[:_SKIPPED]]
        _table(("", "pid", "comm", "memcg", "rss", "swap", "because"), cells, _RIGHT)
        if (more := len(never) - _SKIPPED) > 0:
            _line(f"… and {more} more")
    _line()


def _cells(row: Row) -> tuple[str, ...]:
    candidate = row.candidate
    place = "-" if row.place is None else str(row.place)
    note = " ".join(part for part in (row.note, "" if row.certain else "(uncertain)") if part)
    return (place, *_who(candidate), note)


def _who(candidate: Candidate) -> tuple[str, str, str, str, str]:
    path = path_text(candidate.memcg.path if candidate.memcg is not None else None)
    return (
        str(candidate.pid),
        name_text(candidate.comm),
        _end(path) if streams.is_terminal(sys.stdout) else path,
        size(candidate.facts.get("rss")),
        size(candidate.facts.get("swap")),
    )


def _end(path: str) -> str:
    """The end of a path, which says most, where a terminal has no room for all of it."""
    room = max(20, streams.width_of(sys.stdout, _WIDTH) // 3 - 4)
    return path if len(path) <= room else f"…{path[1 - room :]}"


def _focus(explanation: Explanation, focus: Focus) -> None:
    words = explanation.words
    _line(f"why not {words.name(focus.candidate)}", "title")
    _sentences(focus.answer)
    if len(focus.beside) < 2:
        _line()
        return
    names = tuple(words.name(c) for c in focus.beside)
    _line()
    _table(("what the policy reads", *names), [(name, *values) for name, values in focus.facts], ())
    _line()
    rows = [(row.rule, *row.values, row.decides) for row in focus.keys]
    _table(("what its rules say", *names, ""), rows, ())
    _line()


# --- lines ------------------------------------------------------------------------------------------------------------


def _line(text: str = "", style: str = "") -> None:
    shown = streams.shown(text, sys.stdout)
    streams.print_painted((streams.paint(shown, style, sys.stdout) if style else shown) + "\n")


def _sentences(sentences: Iterable[str], label: str = "", style: str = "") -> None:
    """Sentences below each other, their further lines indented."""
    room = streams.width_of(sys.stdout, _WIDTH) - 4
    for sentence in sentences:
        text = f"{label}: {sentence}" if label else sentence
        first, *more = wrapped(streams.shown(text, sys.stdout), room)
        if label and style:
            first = streams.paint(label, style, sys.stdout) + first.removeprefix(label)
        streams.print_painted("".join(f"{line}\n" for line in [f"  {first}", *(f"    {m}" for m in more)]))


def _table(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], right: Sequence[int], strong: int = 0
) -> None:
    """A table; on a terminal it keeps to the width. strong: so many first rows stand out."""
    if not streams.is_terminal(sys.stdout):
        for line in columns([head, *rows], right=right):
            _line(line)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    color = streams.wants_color(sys.stdout)
    console = Console(
        file=sys.stdout,
        force_terminal=True,
        color_system="standard" if color else None,
        no_color=not color,
        width=streams.width_of(sys.stdout, _WIDTH),
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold" if color else "")
    for place, title in enumerate(head):
        last = place == len(head) - 1
        table.add_column(
            Text(title),
            justify="right" if place in right else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
            min_width=len(title) if place in right else 4,
            ratio=None,
        )
    for number, row in enumerate(rows):
        style = "bold" if color and number < strong else ""
        table.add_row(*(Text(streams.shown(cell, sys.stdout), style=style) for cell in row))
    console.print(table)
