"""Figures in docs/performance.md: each benchmark owns the text between two marks that bear its name."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def write_block(name: str, text: str) -> None:
    """Replace what stands between the marks. Errors: `ValueError` where the page has no such marks."""
    begin, end = f"<!-- written by {name} -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE} has no place for the figures of {name}")
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")
