"""An explanation as one page of HTML that needs nothing else: no network, no script.

In: an `Explanation`. Out: the page's text. Whatever a process or cgroup calls itself is escaped by the template engine and
made visible before; the page's own Content-Security-Policy allows its one style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from typing import Any

from oomlang.data import data_path
from oomlang.diagnostics.visible import visible
from oomlang.explanation.cgroup_map import HEIGHT, KINDS, MARKS, WIDTH, Tile, tiles
from oomlang.explanation.event import Explanation
from oomlang.explanation.focus import Focus
from oomlang.explanation.readable import name_text, path_text, size
from oomlang.explanation.rows import Row, ranked, skipped

_ROWS = 500
"""Rows of each table: more nobody reads, and a browser should open the page at once."""


def page(explanation: Explanation, focuses: Sequence[Focus] = ()) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = data_path("templates", "html")
    with open(os.path.join(folder, "explain.css"), encoding="utf-8") as file:
        css = file.read()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Our own style sheet, the hash of which has to be that of these very characters.
    values = {"css": Markup(css), "css_hash": f"sha256-{digest}"}  # no stranger's text is in it
    return environment.get_template("explain.html.j2").render(values | _values(explanation, focuses))


def _values(explanation: Explanation, focuses: Sequence[Focus]) -> dict[str, Any]:
    words, decision = explanation.words, explanation.decision
    rows, never = ranked(words, _ROWS), skipped(words)
    listed = frozenset(row.candidate.pid for row in [*rows, *never[:_ROWS]])
    drawn = tiles(explanation, listed)
    kinds = {tile.kind for tile in drawn}
    return {
        "event": explanation.event,
        "verdict": words.verdict(),
        "certain": decision.certain,
        "policy": visible(explanation.policy.name),
        "file": visible(explanation.file),
        "taken": explanation.taken,
        "why": [*explanation.why(), explanation.kernel_says()],
        "doubts": explanation.doubts(),
        "unseen": explanation.unseen(),
        "width": f"{WIDTH:g}",
        "height": f"{HEIGHT:g}",
        "tiles": [_tile(tile) for tile in drawn],
        "cut": sum(tile.cut for tile in drawn),
        "legend": [
            {"kind": kind, "mark": MARKS[kind], "meaning": meaning}
            for kind, meaning in KINDS.items()
            if kind in kinds
        ],
        "ranking": [{**_row(row), "victim": row.candidate is decision.victim} for row in rows],
        "ranked": len(decision.ranking),
        "more": len(decision.ranking) - len(rows),
        "skipped": [_row(row) for row in never[:_ROWS]],
        "all_skipped": len(never),
        "more_skipped": max(0, len(never) - _ROWS),
        "focuses": [_focus(explanation, focus) for focus in focuses],
    }


def _row(row: Row) -> dict[str, Any]:
    candidate = row.candidate
    return {
        "place": row.place,
        "pid": candidate.pid,
        "comm": name_text(candidate.comm),
        "memcg": path_text(candidate.memcg.path if candidate.memcg is not None else None),
        "rss": size(candidate.facts.get("rss")),
        "swap": size(candidate.facts.get("swap")),
        "note": row.note,
        "certain": row.certain,
    }


def _focus(explanation: Explanation, focus: Focus) -> dict[str, Any]:
    words = explanation.words
    facts = [{"title": name, "cells": values, "note": ""} for name, values in focus.facts]
    keys = [{"title": row.rule, "cells": row.values, "note": row.decides} for row in focus.keys]
    return {
        "who": words.name(focus.candidate),
        "answer": focus.answer,
        "names": [words.name(c) for c in focus.beside],
        "tables": [
            {"title": "what the policy reads", "rows": facts},
            {"title": "what its rules say", "rows": keys},
        ],
    }


def _tile(tile: Tile) -> dict[str, Any]:
    box = tile.box
    # A hair of space between neighbours, unless nothing would be left.
    gap = 1.5 if tile.kind != "memcg" and min(box.width, box.height) > 6 else 0.0
    return {
        "kind": tile.kind,
        "name": tile.name,
        "pid": tile.pid,
        "text": tile.text,
        "value": tile.value,
        "x": f"{box.x + gap:.1f}",
        "y": f"{box.y + gap:.1f}",
        "w": f"{max(0.5, box.width - 2 * gap):.1f}",
        "h": f"{max(0.5, box.height - 2 * gap):.1f}",
        "tx": f"{box.x + 6:.1f}",
        "ty": f"{box.y + 14:.1f}",
        "vy": f"{box.y + 28:.1f}",
    }
