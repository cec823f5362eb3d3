from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oomlang.facts import FACTS
from oomlang.facts.table import Scope
from oomlang.host import TaskFacts, read_machine
from oomlang.host import procfs as procfs_module
from oomlang.host.files import read_file
from tests.unit.host.machines import MOUNTED_V1, MOUNTED_V2, V1_FILES, V2_FILES, FakeMachine


def _tasks(fake: FakeMachine) -> dict[int, TaskFacts]:
    return {task.pid: task for task in read_machine(os.fspath(fake.root)).tasks}


def test_a_process_with_all_its_facts(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, swap_kb=2000)
    fake.cgroup("a", V2_FILES)
    fake.process(77, comm=b"a) b", cgroup=b"0::/a\n", adj=-5, threads=3, nice=-7, uid=42, rss=100)
    machine = read_machine(os.fspath(tmp_path))
    assert (machine.ram, machine.swap, machine.hierarchy) == (1000 * 1024, 2000 * 1024, "v2")
    (task,) = machine.tasks
    assert (task.pid, task.comm, task.memcg, task.start, task.has_mm) == (77, b"a) b", (b"a",), 100_000, True)
    assert task.facts == {
        "rss": 102400,
        "rss.anon": 86016,
        "rss.file": 10240,
        "rss.shmem": 6144,
        "swap": 8192,
        "pgtables": 45056,
        "vm": 4096000,
        "oom_score_adj": -5,
        "uid": 42,
        "nice": -7,
        "threads": 3,
        "age": 1000500 - 100_000 * 1000 // os.sysconf("SC_CLK_TCK"),
    }
    assert [unseen.what for unseen in machine.unseen] == [("guard",)]


def test_every_fact_of_the_table_with_a_source_here_is_read(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, swap_kb=2000)
    fake.cgroup("a", V2_FILES)
    fake.process(77, cgroup=b"0::/a\n")
    machine = read_machine(os.fspath(tmp_path))
    read = {*machine.tasks[0].facts, *machine.memcgs[(b"a",)].facts}
    read |= {"comm", "pid", "memcg", "memcg.id"}  # in fields of their own
    read |= {"badness", "memcg.depth", "memcg.name"}  # follow from the rest
    shown = {f.name for f in FACTS.values() if f.scope is not Scope.EVENT and (f.procfs or f.cgroupfs)}
    assert read == shown


def test_kernel_threads_and_init_are_no_candidates(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.process(1)
    fake.process(2, flags=0x00208040, mm=False)
    fake.process(3)
    assert set(_tasks(fake)) == {3}


def test_init_of_another_pid_namespace_is_a_candidate(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, namespaces={"pid": 4026532000})
    fake.process(1)
    machine = read_machine(os.fspath(tmp_path))
    assert [task.pid for task in machine.tasks] == [1]
    assert ("task", "pid") in [unseen.what for unseen in machine.unseen]


def test_uids_of_another_user_namespace_are_not_taken_for_real_ones(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, namespaces={"user": 4026532001, "cgroup": 4026532002})
    fake.process(5)
    machine = read_machine(os.fspath(tmp_path))
    assert "uid" not in machine.tasks[0].facts
    assert {("uid",), ("memcg",)} <= {unseen.what for unseen in machine.unseen}


def test_a_process_without_memory_map_has_sizes_of_0(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.process(5, mm=False)
    task = _tasks(fake)[5]
    assert (task.has_mm, task.facts["rss"], task.facts["vm"]) == (False, 0, 0)


@pytest.mark.parametrize("mounted", [MOUNTED_V1, MOUNTED_V2], ids=["v1", "v2"])
def test_a_leader_that_has_exited_has_the_memory_of_its_threads(tmp_path: Path, mounted: bytes) -> None:
    fake = FakeMachine(tmp_path, mounted)
    v1 = mounted is MOUNTED_V1
    fake.cgroup("a", V1_FILES if v1 else V2_FILES, mount="sys/fs/cgroup/memory" if v1 else "sys/fs/cgroup")
    line = b"4:memory:/a\n" if v1 else b"0::/a\n"
    # Version 1 shows the root for a task that is exiting (proc_cgroup_show() of the kernel).
    fake.process(5, mm=False, threads=2, flags=0x4, cgroup=b"4:memory:/\n" if v1 else line, uid=9)
    fake.thread(5, 5, mm=False)
    fake.thread(5, 6, mm=True, rss=900, cgroup=line)
    task = _tasks(fake)[5]
    assert (task.has_mm, task.facts["rss"], task.facts["uid"]) == (True, 900 * 1024, 9)
    assert task.memcg == (b"a",)


def test_an_exited_process_of_version_1_has_no_known_cgroup(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V1)
    fake.process(5, mm=False, flags=0x4, cgroup=b"4:memory:/\n")
    machine = read_machine(os.fspath(tmp_path))
    assert machine.tasks[0].memcg is None
    assert [(u.what, u.pids) for u in machine.unseen if u.pids] == [(("memcg",), (5,))]


def test_a_process_that_may_not_be_read_is_there_without_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.process(5)
    fake.process(6)
    refused = (tmp_path / "proc/6").stat().st_ino

    def read(path: str, directory: int | None = None) -> bytes:
        if directory is not None and os.fstat(directory).st_ino == refused:
            raise PermissionError(1, "no")
        return read_file(path, directory)

    monkeypatch.setattr(procfs_module, "read_file", read)
    machine = read_machine(os.fspath(tmp_path))
    task = machine.tasks[1]
    assert (task.pid, task.comm, task.memcg, task.start, task.has_mm, dict(task.facts)) == (
        6, None, None, None, None, {}
    )  # fmt: skip
    why = "/proc/PID: operation not permitted; it may be a kernel thread"
    assert [(u.what, u.why, u.pids) for u in machine.unseen if u.pids] == [(("task",), why, (6,))]


@pytest.mark.parametrize("file", ["stat", "status", "cgroup", "oom_score_adj"])
@pytest.mark.parametrize("error", [FileNotFoundError(2, ""), ProcessLookupError(3, "")], ids=str)
def test_a_process_that_vanishes_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, error: OSError
) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.process(5)
    fake.process(6)
    vanishes = (tmp_path / "proc/6").stat().st_ino

    def read(path: str, directory: int | None = None) -> bytes:
        if path == file and directory is not None and os.fstat(directory).st_ino == vanishes:
            raise error
        return read_file(path, directory)

    monkeypatch.setattr(procfs_module, "read_file", read)
    assert set(_tasks(fake)) == {5}


def test_a_file_that_makes_no_sense_hides_no_process(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    (fake.process(5) / "stat").write_bytes(b"5 (x")
    task = _tasks(fake)[5]
    assert (task.comm, dict(task.facts)) == (None, {})


def test_this_very_process() -> None:
    child = subprocess.Popen([sys.executable, "-SEc", "input()"], stdin=subprocess.PIPE)
    try:
        machine = read_machine()
        tasks = {task.pid: task for task in machine.tasks}
        own = tasks[os.getpid()]
        assert own.facts["uid"] == os.getuid()
        assert own.facts["nice"] == os.nice(0)
        assert own.facts["rss"] >= own.facts["rss.anon"] > 0
        assert own.comm == Path("/proc/self/comm").read_bytes().rstrip(b"\n")
        assert tasks[child.pid].start is not None
        assert own.start is not None
        assert tasks[child.pid].start >= own.start  # type: ignore[operator]  # the line above
        assert own.memcg is None or own.memcg in machine.memcgs
    finally:
        child.communicate(b"\n")
