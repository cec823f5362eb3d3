from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.facts import FACTS
from oomlang.facts.table import Scope
from oomlang.host import (
    UNLIMITED,
    MachineFacts,
    MemcgFacts,
    SnapshotError,
    TaskFacts,
    Unseen,
    read_machine,
    read_snapshot,
    redact,
    write_snapshot,
)
from tests.unit.host.machines import MOUNTED_V2, V2_FILES, FakeMachine

_SCHEMA = json.loads((Path(__file__).parents[3] / "docs/schemas/snapshot.schema.json").read_text())

_names = st.binary(min_size=1, max_size=15).map(lambda b: b.replace(b"\0", b"0").replace(b"/", b"|")).filter(
    lambda b: b not in (b".", b"..")
)  # fmt: skip
_sizes = st.integers(0, 2**63 - 2)
_MEMCG_FACTS = [
    fact.name
    for fact in FACTS.values()
    if fact.scope is Scope.MEMCG and fact.range is not None and fact.name not in ("memcg.id", "memcg.depth")
]


@st.composite
def machines(draw: st.DrawFn) -> MachineFacts:
    """Machines with a handful of cgroups and tasks, whatever their names are."""
    paths: list[tuple[bytes, ...]] = [()]
    for name in draw(st.lists(_names, max_size=5)):
        path = (*draw(st.sampled_from(paths)), name)
        if path not in paths:
            paths.append(path)
    memcgs = {
        path: MemcgFacts(
            path=path,
            id=draw(st.none() | st.just(place + 1)),
            facts=draw(st.dictionaries(st.sampled_from(_MEMCG_FACTS), _sizes | st.just(UNLIMITED)))
            if path
            else {},
            swap_room=draw(st.none() | _sizes) if path else None,
        )
        for place, path in enumerate(paths)
    }
    tasks = tuple(
        TaskFacts(
            pid=pid,
            comm=draw(st.none() | _names),
            memcg=draw(st.none() | st.sampled_from(paths)),
            start=draw(st.none() | _sizes),
            has_mm=draw(st.none() | st.booleans()),
            facts=draw(
                st.dictionaries(st.sampled_from(["rss", "age", "uid"]), _sizes)
                | st.dictionaries(st.sampled_from(["oom_score_adj"]), st.integers(-1000, 1000))
            ),
        )
        for pid in draw(st.lists(st.integers(1, 2**22), unique=True, max_size=5))
    )
    return MachineFacts(
        taken_at=draw(st.integers(0, 4 * 10**9)) / 1,
        kernel=draw(st.text(st.characters(codec="utf-8"))),
        ram=draw(_sizes),
        swap=draw(_sizes),
        page_size=4096,
        ticks_per_second=100,
        hierarchy=draw(st.sampled_from(["v1", "v2", "none"])),
        memcgs=memcgs,
        tasks=tasks,
        unseen=(
            Unseen(what=("uid",), why="so", pids=(3,)),
            Unseen(what=("memcg",), why="x", memcgs=(paths[-1],)),
        ),
    )


@pytest.mark.parametrize("file", ["memory.low", "memory.min"])
def test_a_protection_of_everything_is_written_and_read_again(tmp_path: Path, file: str) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, swap_kb=5)
    fake.cgroup("a", V2_FILES | {file: "max"})
    fake.process(7, cgroup=b"0::/a\n")
    facts = read_machine(str(tmp_path))
    text = write_snapshot(facts)
    jsonschema.validate(json.loads(text), _SCHEMA)
    assert read_snapshot(text.encode()).memcgs[(b"a",)].facts[file.replace("memory", "memcg")] == UNLIMITED


@given(machines())
def test_what_is_written_is_read_again(machine: MachineFacts) -> None:
    text = write_snapshot(machine)
    assert text.isascii()
    assert read_snapshot(text.encode()) == machine
    jsonschema.validate(json.loads(text), _SCHEMA)


@given(machines())
def test_redacted_snapshots_keep_the_structure_and_no_name(machine: MachineFacts) -> None:
    hidden = redact(machine, secret=b"s")
    assert hidden.redacted
    assert [len(path) for path in hidden.memcgs] == [len(path) for path in machine.memcgs]
    for before, after in zip(machine.tasks, hidden.tasks, strict=True):
        assert dataclasses.replace(after, comm=None, memcg=None) == dataclasses.replace(
            before, comm=None, memcg=None
        )
        assert after.comm is None or len(after.comm) <= 15
    comms = {(b.comm, a.comm) for b, a in zip(machine.tasks, hidden.tasks, strict=True)}
    assert len(comms) == len({b for b, _ in comms}) == len({a for _, a in comms})
    assert read_snapshot(write_snapshot(hidden).encode()) == hidden


def test_a_unit_keeps_its_kind_and_hides_its_name() -> None:
    paths = [(), (b"user.slice",), (b"user.slice", b"user.slice"), (b"user.slice", b"secret.service")]
    machine = dataclasses.replace(_MACHINE, tasks=(), memcgs={p: MemcgFacts(path=p, id=None) for p in paths})
    hidden = list(redact(machine).memcgs)
    assert hidden[2][0] == hidden[2][1] == hidden[3][0] == hidden[1][0]
    assert hidden[3][1].endswith(b".service")
    assert b"secret" not in hidden[3][1]
    assert list(redact(machine).memcgs) != hidden  # a fresh secret each time


def test_the_live_machine_is_a_snapshot_as_the_schema_says() -> None:
    machine = read_machine()
    text = write_snapshot(machine)
    jsonschema.validate(json.loads(text), _SCHEMA)
    read = read_snapshot(text.encode())
    assert (read.tasks, read.memcgs, read.unseen) == (machine.tasks, machine.memcgs, machine.unseen)


_MACHINE = MachineFacts(
    taken_at=0.0,
    kernel="6.12",
    ram=1,
    swap=2,
    page_size=4096,
    ticks_per_second=100,
    hierarchy="v2",
    memcgs={(): MemcgFacts(path=(), id=1), (b"a",): MemcgFacts(path=(b"a",), id=2)},
    tasks=(TaskFacts(pid=7, comm=b"x", memcg=(b"a",), start=5, has_mm=True, facts={"rss": 1}),),
)


def _with(change: dict[str, Any]) -> bytes:
    return json.dumps(json.loads(write_snapshot(_MACHINE)) | change).encode()


def _task(**change: Any) -> dict[str, Any]:
    return {
        "tasks": [{"pid": 7, "comm": "x", "memcg": "/a", "start": 5, "has_mm": True, "facts": {}} | change]
    }


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "this is no JSON"),
        (b"\xff\xfe\x00", "this is no JSON"),
        (b"[" * 100_000, "this is no JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "this is no JSON"),
        (b"[]", "it has no `oomlang_snapshot`"),
        (_with({"oomlang_snapshot": 2}), ".oomlang_snapshot: only format 1"),
        (_with({"oomlang_snapshot": True}), ".oomlang_snapshot: only format 1"),
        (_with({"ram": 1.5}), ".ram: no whole number"),
        (_with({"ram": 2**63}), ".ram: no whole number"),
        (_with({"page_size": 0}), ".page_size: no whole number"),
        (_with({"taken_at": "yesterday"}), ".taken_at: no date"),
        (_with({"hierarchy": ["v1"]}), ".hierarchy: none of v1"),
        (_with({"redacted": 1}), ".redacted: neither true nor false"),
        (_with({"tasks": {}}), ".tasks: no list"),
        (_with({"tasks": [7]}), ".tasks[0]: no object"),
        (_with(_task(pid=True)), ".tasks[0].pid: no whole number"),
        (_with(_task(pid=-1)), ".tasks[0].pid: no whole number"),
        (_with(_task(memcg="/b")), ".tasks[0].memcg: there is no such cgroup"),
        (_with(_task(memcg="a")), ".tasks[0].memcg: a path begins with /"),
        (_with(_task(memcg="/a/../b")), ".tasks[0].memcg: no path of a cgroup"),
        (_with(_task(comm="\\z")), ".tasks[0].comm: a backslash stands for"),
        (_with(_task(comm="\ud83d")), ".tasks[0].comm: half a character"),
        (_with(_task(facts={"rss": "1"})), ".tasks[0].facts.rss: no whole number"),
        (_with(_task(facts={"rss": -1})), ".tasks[0].facts.rss: no whole number"),
        (_with({"tasks": [_task()["tasks"][0]] * 2}), ".tasks[1].pid: there is another task"),
        (
            _with({"memcgs": [{"path": "/a/b", "facts": {}}]}),
            ".memcgs[0]: its parent does not stand before it",
        ),
        (_with({"memcgs": [{"path": "/", "facts": {}}] * 2}), ".memcgs[1]: the same cgroup"),
        (_with({"unseen": [3]}), ".unseen[0]: no object"),
        (_with({"taken_at": "0001-01-01T00:00:00+00:00"}), ".taken_at: no machine"),
        (_with({"taken_at": "9999-12-31T23:59:59-12:00"}), ".taken_at: no"),
    ],
)
def test_a_file_that_is_no_snapshot_says_where(data: bytes, words: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        read_snapshot(data)
    assert words in str(caught.value)


@given(st.binary())
def test_any_bytes_are_a_snapshot_or_an_error(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        read_snapshot(data)


@given(st.data())
def test_a_snapshot_with_any_value_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    parsed = json.loads(write_snapshot(_MACHINE))
    spots: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        members = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, inner in members:
            spots.append((value, key))
            visit(inner)

    visit(parsed)
    holder, key = data.draw(st.sampled_from(spots))
    holder[key] = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
    )
    try:
        read_snapshot(json.dumps(parsed).encode())
    except SnapshotError:
        pass


def test_members_of_later_versions_are_left_aside() -> None:
    later = _with({"new": 1} | _task(new={}, facts={"new.fact": "?", "rss": 5}))
    assert read_snapshot(later).tasks[0].facts == {"rss": 5}
