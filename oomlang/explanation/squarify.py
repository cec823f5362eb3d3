"""Squarified treemaps (Bruls, Huizing and van Wijk, 2000): rectangles in a rectangle, areas by size, near to squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """A box for each size, in their order, together filling `box`. sizes: above 0, the largest first."""
    found: list[Box] = []
    rest, total = box, float(sum(sizes))
    start = 0
    while start < len(sizes):
        scale = rest.width * rest.height / total if total > 0 else 0.0
        short = min(rest.width, rest.height)
        end, best = start + 1, _worst(sizes[start], sizes[start], sizes[start] * scale, scale, short)
        row = float(sizes[start])
        while end < len(sizes):
            worst = _worst(sizes[start], sizes[end], (row + sizes[end]) * scale, scale, short)
            if worst > best:
                break
            best, row, end = worst, row + sizes[end], end + 1
        boxes, rest = _lay(sizes[start:end], row, rest, row / total if total > 0 else 1.0)
        found += boxes
        total -= row
        start = end
    return found


def _worst(largest: float, smallest: float, area: float, scale: float, short: float) -> float:
    """The worst ratio of sides in a row of this area along a side of this length."""
    if area <= 0 or short <= 0:
        return float("inf")
    square, row = short * short, area * area
    return max(square * largest * scale / row, row / (square * smallest * scale))


def _lay(sizes: Sequence[float], row: float, box: Box, share: float) -> tuple[list[Box], Box]:
    """A row of boxes along the shorter side, and what is left."""
    found: list[Box] = []
    along = 0.0
    if box.width >= box.height:
        thick = box.width * share
        for size in sizes:
            length = box.height * size / row
            found.append(Box(box.x, box.y + along, thick, length))
            along += length
        return found, Box(box.x + thick, box.y, max(0.0, box.width - thick), box.height)
    thick = box.height * share
    for size in sizes:
        length = box.width * size / row
        found.append(Box(box.x + along, box.y, length, thick))
        along += length
    return found, Box(box.x, box.y + thick, box.width, max(0.0, box.height - thick))
