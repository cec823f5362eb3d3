"""A row is all that a fact needs which its sources read in a known way (docs/internals.md)."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, get_args

import pytest

from oomlang.facts import cells
from oomlang.facts.table import Fact

ROOT = Path(__file__).parents[3]
OF_THE_FACT = ("name", "type", "scope", "doc", "range", "longest", "sum_of", "unlimited", "kept")
"""Columns of a row that no source has a part in."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the readers make of four more rows: two tasks with them, one without; a cgroup of each version."""
    command = [sys.executable, "-m", "tests.unit.facts.more_rows", str(tmp_path_factory.mktemp("machine"))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_proc_shows_it(answers: dict[str, Any]) -> None:
    assert answers["procfs"]["77"] == {"huge": 2 << 20, "session": 3, "watched": 3}


def test_sizes_are_0_without_a_memory_map(answers: dict[str, Any]) -> None:
    assert answers["procfs"]["78"] == {"huge": 0, "session": 3, "watched": 4}


def test_what_a_kernel_does_not_show_is_said_to_be_unseen(answers: dict[str, Any]) -> None:
    assert answers["procfs"]["79"] == {"session": 3}
    assert ["huge", "watched", 79] in answers["unseen"]


def test_both_versions_of_cgroupfs_show_it(answers: dict[str, Any]) -> None:
    assert answers["cgroup v2"] == {"memcg.failures": 12}
    assert answers["cgroup v1"] == {"memcg.failures": 5}


def test_a_snapshot_holds_it(answers: dict[str, Any]) -> None:
    assert answers["snapshot"] == [answers["procfs"]["77"], answers["cgroup v2"]]


def test_reports_show_it_in_the_columns_of_new_and_of_old_kernels(answers: dict[str, Any]) -> None:
    assert answers["report"] == [6 * 4096, 3 * 4096]


def test_a_test_block_can_give_it_and_has_its_default(answers: dict[str, Any]) -> None:
    assert answers["test"]
    assert answers["test values"] == [4, 0, 7]
    assert answers["summed"] == 3 << 20


def test_diff_makes_values_up_and_spells_them(answers: dict[str, Any]) -> None:
    assert answers["diff"] == [True, True, True]


def test_names_that_others_have_for_it_are_mended(answers: dict[str, Any]) -> None:
    assert answers["mends"] == ["write `huge`"] * 3


def test_bpf_reads_a_page_counter(answers: dict[str, Any]) -> None:
    assert "memory.failcnt" in answers["c"]
    assert "unsigned long failcnt;" in answers["c"]


def test_the_page_of_facts_says_where_it_shows(answers: dict[str, Any]) -> None:
    assert [row.split(" | ", 4)[4] for row in answers["docs"]] == [
        "/proc/PID/status HugetlbPages |  | hugepages |",
        "/proc/PID/stat field 6 |  |  |",
        "/proc/PID/watched |  |  |",
        " | memory.numbers failures |  |",
    ]


def _page() -> str:
    text = (ROOT / "docs/internals.md").read_text(encoding="utf-8")
    return text.split("\n## To add a fact\n")[1].split("\n## ")[0]


def test_the_page_about_adding_a_fact_shows_the_row_that_there_is() -> None:
    page = _page()
    row = textwrap.indent(page.split("```python\n")[1].split("\n```")[0], "    ")
    table = (ROOT / "oomlang/facts/table.py").read_text(encoding="utf-8")
    assert row in "".join(f"{line}\n" for line in table.splitlines() if not line.lstrip().startswith("#"))


def test_the_page_about_adding_a_fact_names_every_cell_of_a_row_and_its_types() -> None:
    page = _page()
    sources = [f.name for f in dataclasses.fields(Fact) if f.name not in OF_THE_FACT]
    types = [
        *get_args(cells.Procfs),
        *get_args(cells.Cgroupfs),
        *get_args(cells.ReportCell),
        cells.PageCounter,
    ]
    missing = [word for word in [*sources, *(t.__name__ for t in types)] if f"`{word}`" not in page]
    assert missing == []
