"""A machine costs what it has: tasks, cgroups, depth; in time, and in memory where it is written out."""

from __future__ import annotations

import io
import json
import os
import sys
import tracemalloc
from collections.abc import Callable
from math import isqrt
from pathlib import Path

import jsonschema
import pytest

from oomlang.cli import streams
from oomlang.compiler import Compilation
from oomlang.explanation.cgroup_map import tiles
from oomlang.explanation.event import Explanation, Situation
from oomlang.explanation.focus import focus
from oomlang.explanation.page import page
from oomlang.explanation.structure import structure
from oomlang.host import MachineFacts, TaskFacts, read_snapshot, redact, write_snapshot
from oomlang.live import machine
from tests.unit.explanation.hosts import explained, host, task
from tests.unit.growth import assert_linear

ROOT = Path(__file__).parents[3]
_DEEP = Compilation(
    b"""policy "deep"
never kill when memcg under "/a/a/b"
kill first when memcg under "/a/*/z"
kill highest memcg.usage at each depth
kill highest memcg.usage at depth 3
kill highest memcg.depth
"""
).ir


def _tasks(n: int) -> MachineFacts:
    """In a handful of cgroups."""
    return host(
        *(task(pid, b"task%d" % (pid % 97), (b"g%d" % (pid % 7),), pid % 1009) for pid in range(2, n))
    )


def _cgroups(n: int) -> MachineFacts:
    """A task in each."""
    return host(*(task(pid, b"x", (b"a.slice", b"g%d" % pid), pid % 1009) for pid in range(2, n)))


def _deep(n: int) -> MachineFacts:
    """Cgroups in each other, a task in every tenth; their paths have about n components together."""
    depth = isqrt(2 * n)
    return host(*(task(2 + at, b"x", (b"a",) * at, 1 + at % 97) for at in range(1, depth, 10)))


MACHINES: dict[str, tuple[Callable[[int], MachineFacts], int]] = {
    "tasks": (_tasks, 8_000),
    "cgroups": (_cgroups, 4_000),
    "depth": (_deep, 400_000),
}


def _explained(facts: MachineFacts) -> Explanation:
    situation = Situation(machine=machine(facts), kind="snapshot", title="x", unseen=facts.unseen)
    return Explanation(_DEEP, "deep.oom", situation)


def _say_json(found: Explanation) -> None:
    streams.print_json(structure(found))


def _say_page(found: Explanation) -> None:
    page(found)


class _Nowhere(io.TextIOWrapper):
    """A standard output of which nobody keeps anything."""

    def __init__(self) -> None:
        super().__init__(io.FileIO(os.devnull, "wb"), encoding="utf-8", write_through=True)


@pytest.mark.parametrize("name", MACHINES)
def test_a_snapshot_takes_time_in_proportion_to_the_machine(name: str) -> None:
    make, size = MACHINES[name]
    assert_linear(make, lambda facts: write_snapshot(redact(facts)), size, f"writing {name}")
    assert_linear(lambda n: write_snapshot(make(n)).encode(), read_snapshot, size, f"reading {name}")


@pytest.mark.parametrize("say", [_say_json, _say_page])
@pytest.mark.parametrize("name", MACHINES)
def test_an_explanation_takes_time_in_proportion_to_the_machine(
    name: str, say: Callable[[Explanation], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, size = MACHINES[name]
    with monkeypatch.context() as patch, _Nowhere() as out:
        patch.setattr(sys, "stdout", out)
        assert_linear(make, lambda facts: say(_explained(facts)), size // 2, name)


def test_writing_all_candidates_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _explained(_tasks(1_000))
    assert found.decision.ranking
    with monkeypatch.context() as patch, _Nowhere() as out:
        patch.setattr(sys, "stdout", out)
        streams.print_json(structure(found, limit=2))  # what is computed once
        tracemalloc.start()
        streams.print_json(structure(found))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 1 << 20


def test_what_is_written_piece_by_piece_is_the_same_json(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    found = explained()
    streams.print_json(structure(found, (focus(found, found.decision.candidates[0]),)))
    written = capfdbinary.readouterr().out
    whole = {
        k: v if isinstance(v, str | int | dict | list | None) else list(v)
        for k, v in structure(found).items()
    }
    whole["tasks"] = json.loads(written)["tasks"]
    assert written == json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"
    schema = json.loads((ROOT / "docs/schemas/explain.schema.json").read_text())
    jsonschema.validate(json.loads(written), schema)


@pytest.mark.parametrize(
    "value", [{}, [], {"a": iter(())}, {"a": iter([1, {"b": []}]), "c": "x\n\x1b"}, [1, {"a": 2}]]
)
def test_json_has_one_form(value: object, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    known = {"a": [1, {"b": []}], "c": "x\n\x1b"}
    streams.print_json(value)  # type: ignore[arg-type]  # each is a dict or a list
    written = capfdbinary.readouterr().out.decode()
    read = json.loads(written)
    assert read in ({}, [], {"a": []}, known, [1, {"a": 2}])
    assert written == json.dumps(read, indent=2) + "\n"


# --- Depth


@pytest.mark.parametrize("depth", [29, 200, 900, 1_000, 2_000])
def test_cgroups_of_any_depth_are_drawn_or_said_to_be_cut(depth: int) -> None:
    tasks: list[TaskFacts] = [task(2 + at, b"x", (b"a",) * at, 5) for at in range(1, depth, 50)]
    facts = read_snapshot(write_snapshot(host(*tasks, task(9_999, b"leaf", (b"a",) * depth, 500))).encode())
    found = _explained(facts)
    drawn = tiles(found, frozenset())
    assert sum(tile.kind == "memcg" for tile in drawn) + sum(tile.cut for tile in drawn) == depth + 1
    text = page(found, [focus(found, found.decision.candidates[-1])])
    assert ("lie too deep to be drawn" in text) is (depth > 29)
    assert found.why()
    json.dumps(
        [list(v) for v in structure(found).values() if not isinstance(v, str | int | dict | list | None)]
    )


def test_all_cgroups_are_drawn_where_there_is_room() -> None:
    assert "too deep" not in page(explained())
