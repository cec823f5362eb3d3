"""Rows as lines of text with their cells below each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oomlang.diagnostics.visible import visible, width


def columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """A line for each row. right: the places of columns that end flush, such as numbers."""
    shown = [[visible(cell) for cell in row] for row in rows]
    sizes = [max(map(width, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = []
        for place, (cell, room) in enumerate(zip(row, sizes, strict=True)):
            padding = " " * (room - width(cell))
            cells.append(padding + cell if place in right else cell + padding)
        lines.append("  ".join(cells).rstrip())
    return lines
