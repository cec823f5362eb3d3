"""Every fact of the table, read by the dry-run program in the VM, against /proc and cgroupfs for the same tasks.

There the memory controller is on cgroup v2 and swap is on; tests/differential does the same on the machine that runs the
tests, whatever it has. BPF reads between two readings of /proc; a value has to lie between theirs, give or take what
the kernel itself does not know to the page: rss and swap are per-CPU counters (batches of max(32, 2·CPUs) pages on each
CPU, mm/percpu_counter.c), usage is charged in batches of 64 pages on each CPU (mm/memcontrol.c).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import oomlang
from oomlang.compiler import Compilation
from oomlang.facts import FACTS
from oomlang.facts.table import Scope
from oomlang.facts.types import UNLIMITED, Type
from tests.vm.scenarios.stage import LIMIT, Hog, Stage, trouble
from vm.harness import Vm

pytestmark = pytest.mark.needs("qemu", "clang")

PAGE, CPUS, TICK_MS = 4096, 2, 10
COUNTER = max(32, 2 * CPUS) * CPUS * PAGE
CHARGE = 64 * CPUS * PAGE
COUNTERS = {"rss": 3, "rss.anon": 1, "rss.file": 1, "rss.shmem": 1, "swap": 1, "badness": 4}
"""Facts of a task that per-CPU counters add up to, and how many."""
MIB = 1 << 20
DEPTHS = (None, 1, 2, 12)

CGROUPS: dict[str, dict[str, str | int]] = {
    "/f": {"memory.max": 600 * MIB, "memory.high": 590 * MIB, "memory.min": 3 * MIB, "memory.low": 5 * MIB},
    "/f/a": {"memory.min": MIB, "memory.low": 2 * MIB, "memory.high": 300 * MIB, "memory.oom.group": 1},
    "/f/a/deep": {"memory.max": 200 * MIB},
    "/f/b 1": {},
    "/f/swapping": {"memory.max": 8 * MIB},
    "/f/killed": dict(LIMIT),
    "/f/reaped": dict(LIMIT),
    "/g": {},
}
HOGS = {
    "big": Hog(cgroup="/f/a/deep", size="48M"),
    "small": Hog(cgroup="/f/a/deep", size="5M"),
    "shared": Hog(cgroup="/f/a/flat", size="22M", options={"kind": "shmem"}),
    "nice": Hog(cgroup="/f/b 1", size="9M", nice=7),
    "user": Hog(cgroup="/f/b 1", size="11M", uid=65534, options={"adj": 17}),
    "likely": Hog(cgroup="/f/b 1", size="3M", options={"adj": 1000}),
    "spared": Hog(cgroup="/f/b 1", size="3M", options={"adj": -1000}),
    "threads": Hog(cgroup="/g", size="7M", options={"threads": 4}),
    "leaderless": Hog(cgroup="/g", size="17M", options={"mode": "leader-exits"}),
    "vforker": Hog(cgroup="/g", size="2M", options={"mode": "vfork"}),
    "hostile": Hog(cgroup="/g", size="1M", comm='a) R 1 "\\ü'),
    "root": Hog(cgroup=None, size="4M"),
    "swapped": Hog(cgroup="/f/swapping", size="24M"),
    "survivor": Hog(cgroup="/f/killed", size="1M"),
    "victim": Hog(cgroup="/f/killed", size="16M"),
    "stuck": Hog(cgroup="/f/reaped", size="6M", options={"mode": "stuck"}),
    "witness": Hog(cgroup="/f/reaped", size="6M"),
}


def _policy(depth: int | None) -> str:
    """Reads every fact, those of memcgs at this depth (None: the task's own)."""
    at = f" at depth {depth}" if depth is not None else ""
    rules = ['kernel decides when oom.order == 63 and oom.sysrq and oom.global and oom.memcg under "/no"']
    for fact in FACTS.values():
        if fact.type in (Type.TEXT, Type.PATH) or fact.scope is Scope.EVENT or fact.name == "pid":
            continue
        verb = "kill first when" if fact.type is Type.BOOL else "kill highest"
        rules.append(f"{verb} {fact.name}{at if fact.scope is Scope.MEMCG else ''}")
    rules += [
        "kill last when rss > oom.total / 2",
        'kill first when comm == "big"',
        'kill first when memcg.name == "b 1"',
        'kill first when memcg.name like "d*e*p"',
        'kill first when memcg under "/f/a"',
        'kill first when memcg under "/*/b*1"',
        "kill highest pid",  # after it, nothing is left to decide
    ]
    return "\n".join(rules)


@functools.cache
def _rules(depth: int | None) -> dict[str, int]:
    """The keys' numbers by their text."""
    text = _policy(depth)
    keys = Compilation(text.encode(), "facts.oom").ir.keys
    return {text.splitlines()[key.origin.number - 1]: key.origin.number for key in keys}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass of BPF between two of /proc."""

    request: dict[str, int]
    victim: int | None
    records: dict[int, dict[str, Any]]
    readings: tuple[dict[str, Any], dict[str, Any]]

    def facts(self, pid: int) -> dict[tuple[str, int | None], int | str]:
        """What BPF read about a process."""
        return {(name, depth): value for name, depth, value in self.records[pid]["facts"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was read. pids: of the hogs; passes: by the depth of the policy; scoped: inside /f only."""

    pids: dict[str, int]
    ids: dict[str, int]
    threads: dict[str, list[int]]
    passes: dict[int | None, Pass]
    scoped: Pass


@pytest.fixture(scope="module", params=[None, "debian"], ids=["patched", "debian"])
def facts(request: pytest.FixtureRequest) -> Iterator[Facts]:
    """The hogs in a machine with swap, and what BPF and /proc say about them."""
    files: dict[str, Path | bytes] = {
        f"facts-{depth}.o": oomlang.compile(_policy(depth), name="facts.oom", target="dry-run").object
        for depth in DEPTHS
    }
    files["live_facts.py"] = Path(__file__).parent / "scenarios" / "live_facts_guest.py"
    with Vm(files=files, swap_mib=128, flavour=request.param) as vm:
        vm.call("swapon")
        stage = Stage(vm)
        mark = vm.log_mark()
        stage.cgroups({**CGROUPS, "/f/a/flat": {}})
        stage.start(HOGS)
        reports = {name: vm.call("report", name=name) for name in HOGS}
        assert not reports["victim"]["running"]
        pids = {name: report["pid"] for name, report in reports.items()}
        said = {
            name: [int(word) for word in r["stdout"].split() if word.isdigit()] for name, r in reports.items()
        }
        ids = {path: vm.cgroup(path) for path in CGROUPS}
        sizes = dict(re.findall(r"^(MemTotal|SwapTotal): +(\d+) kB", vm.read("/proc/meminfo"), re.MULTILINE))
        total_pages = sum(int(size) << 10 for size in sizes.values()) // PAGE
        wish = {"total_pages": total_pages, "order": 2, "invoker": pids["nice"]}
        scope = {**wish, "scope_id": ids["/f"], "scope_path": ["f"]}
        wanted = [{"object": f"/payload/facts-{depth}.o", "request": wish} for depth in DEPTHS]
        wanted.append({"object": "/payload/facts-None.o", "request": scope})
        done = vm.python(["/payload/live_facts.py", json.dumps(wanted)], timeout=180, adj=-1000)
        assert done["exit"] == 0, done["stderr"]
        passes = [
            Pass(
                request=want["request"],  # type: ignore[arg-type]  # the dictionaries above
                victim=p["run"]["victim"],
                records={int(pid): record for pid, record in p["run"]["records"].items()},
                readings=(p["before"], p["after"]),
            )
            for want, p in zip(wanted, json.loads(done["stdout"]), strict=True)
        ]
        assert trouble(vm.log(mark)) == []
        yield Facts(
            pids=pids,
            ids=ids,
            threads=said,
            passes=dict(zip(DEPTHS, passes, strict=False)),
            scoped=passes[-1],
        )


def _shown(done: Pass, reading: dict[str, Any], pid: int, name: str, depth: int | None) -> int | str:
    """What /proc and cgroupfs say a fact is, in the event that BPF was asked about."""
    task, total = reading["tasks"][str(pid)], done.request["total_pages"] * PAGE
    if FACTS[name].scope is Scope.MEMCG:
        parts = [part for part in task["memcg"].split("/") if part]
        parts = parts[: len(parts) if depth is None else depth]
        memcg = reading["memcgs"]["/" + "/".join(parts)]
        if name == "memcg.id":
            return int(memcg["id"])
        if name == "memcg.depth":
            return len(parts)
        value = int(memcg[name]) if parts else 0
        return total if FACTS[name].unlimited and (not parts or value == UNLIMITED) else value
    if name == "pid":
        return pid
    if name == "invoker":
        return int(pid == done.request["invoker"])
    if name == "badness":
        pages = sum(task[part] // PAGE for part in ("rss", "swap", "pgtables"))
        return int(pages + task["oom_score_adj"] * (done.request["total_pages"] // 1000)) * PAGE
    value = task[name]
    assert isinstance(value, int | str)
    return value


def _tolerance(name: str) -> int:
    if name in COUNTERS:
        return COUNTERS[name] * COUNTER
    if FACTS[name].test.summed:  # charged in batches
        return CHARGE
    return (
        3 * TICK_MS if name == "age" else 0
    )  # the tick of the start, that of the uptime, and one to read in


def _candidates(done: Pass) -> list[int]:
    both = set(done.readings[0]["tasks"]) & set(done.readings[1]["tasks"])
    return [pid for pid, record in done.records.items() if record["guard"] == "NONE" and str(pid) in both]


def test_the_machine_is_what_these_tests_are_about(facts: Facts) -> None:
    reading = facts.passes[None].readings[0]
    assert reading["hierarchy"] == "v2"
    assert reading["swap"] >= 100 * MIB
    assert reading["page"] == PAGE


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_fact_is_what_proc_and_cgroupfs_show(facts: Facts, depth: int | None) -> None:
    done = facts.passes[depth]
    wanted = {
        (fact.name, depth if fact.scope is Scope.MEMCG else None)
        for fact in FACTS.values()
        if fact.scope is not Scope.EVENT and fact.type is not Type.PATH and fact.name != "memcg.name"
    }  # a cgroup's name and path show in the numbers of rules
    candidates = _candidates(done)
    assert len(candidates) >= len(HOGS) - 4
    wrong = []
    for pid in candidates:
        read = done.facts(pid)
        assert set(read) == wanted
        for (name, at), value in read.items():
            ends = [_shown(done, reading, pid, name, at) for reading in done.readings]
            if isinstance(value, str):
                agrees = value in ends
            else:
                low, high = sorted(int(end) for end in ends)
                agrees = low - _tolerance(name) <= value <= high + _tolerance(name)
            if not agrees:
                wrong.append(
                    f"{done.facts(pid)['comm', None]}: {name} at {at}: BPF {value!r}, /proc {ends!r}"
                )
    assert wrong == []


def test_names_and_paths_of_cgroups_are_those_of_proc(facts: Facts) -> None:
    done, rules = facts.passes[None], _rules(None)
    for pid in _candidates(done):
        path = done.readings[0]["tasks"][str(pid)]["memcg"]
        name = path.rsplit("/", 1)[-1]
        for rule, holds in (
            ('kill first when memcg.name == "b 1"', name == "b 1"),
            ('kill first when memcg.name like "d*e*p"', name == "deep"),
            ('kill first when memcg under "/f/a"', path == "/f/a" or path.startswith("/f/a/")),
            ('kill first when memcg under "/*/b*1"', path == "/f/b 1"),
            ('kill first when comm == "big"', pid == facts.pids["big"]),
        ):
            assert done.records[pid]["numbers"][str(rules[rule])] == int(holds), (path, rule)


def test_hogs_are_what_they_were_told_to_be(facts: Facts) -> None:
    """So that the comparison above compares something."""

    def fact(hog: str, name: str, depth: int | None = None) -> Any:
        return facts.passes[depth].facts(facts.pids[hog])[name, depth if name.startswith("memcg") else None]

    assert fact("nice", "nice") == 7
    assert (fact("nice", "invoker"), fact("big", "invoker")) == (1, 0)
    assert (fact("user", "uid"), fact("user", "oom_score_adj")) == (65534, 17)
    assert fact("threads", "threads") == 5
    assert fact("hostile", "comm").encode("latin-1") == 'a) R 1 "\\ü'.encode()
    assert 48 * MIB <= fact("big", "rss.anon") + COUNTER <= 50 * MIB
    assert fact("shared", "rss.shmem") >= 22 * MIB - COUNTER
    assert fact("leaderless", "rss.anon") >= 17 * MIB - COUNTER
    assert fact("swapped", "swap") >= 14 * MIB
    assert fact("swapped", "memcg.swap") >= 14 * MIB
    assert fact("swapped", "memcg.swap", 1) >= 14 * MIB
    assert fact("swapped", "memcg.limit") == 8 * MIB
    assert fact("big", "memcg.limit") == 200 * MIB
    assert fact("big", "memcg.limit", 2) == facts.passes[2].request["total_pages"] * PAGE  # has none
    assert fact("big", "memcg.high", 2) == 300 * MIB
    assert (fact("big", "memcg.min", 2), fact("big", "memcg.low", 2)) == (MIB, 2 * MIB)
    assert (fact("big", "memcg.oom_group"), fact("big", "memcg.oom_group", 2)) == (0, 1)
    assert fact("big", "memcg.usage", 1) >= fact("big", "memcg.usage", 2) >= 48 * MIB
    assert [fact("big", "memcg.depth", depth) for depth in DEPTHS] == [3, 1, 2, 3]
    assert fact("big", "memcg.id", 1) == facts.ids["/f"]
    assert fact("survivor", "memcg.oom_kills") == 1
    assert fact("survivor", "memcg.oom_kills", 1) == 2  # the victim, and the one that is stuck
    assert [fact("root", f"memcg.{name}") for name in ("usage", "depth", "id", "swap")] == [0, 0, 1, 0]
    assert fact("root", "memcg.limit") == facts.passes[None].request["total_pages"] * PAGE


def test_guards_cover_just_whom_they_should(facts: Facts) -> None:
    done = facts.passes[None]
    guards = {pid: record["guard"] for pid, record in done.records.items()}
    assert guards[1] == "GLOBAL_INIT"
    assert guards[2] == "KERNEL_THREAD"
    for hog in HOGS:
        if hog in ("victim", "vforker", "stuck", "spared"):
            continue
        assert guards[facts.pids[hog]] == "NONE", hog
    assert guards[facts.pids["spared"]] == "OOM_SCORE_ADJ_MIN"
    parent, child = facts.threads["vforker"]
    assert (guards[child], guards[parent]) == ("IN_VFORK", "NONE")
    tracer, stuck = facts.threads["stuck"]
    assert guards[tracer] == "OOM_SCORE_ADJ_MIN"
    assert guards[stuck] in ("OOM_REAPED", "VICTIM")
    # Whatever has no memory map in /proc is none of the candidates, and the other way round.
    for reading in done.readings:
        for pid, task in reading["tasks"].items():
            if int(pid) in guards and task["has_mm"] is False:
                assert guards[int(pid)] in ("NO_MM", "OOM_SCORE_ADJ_MIN", "VICTIM", "OOM_REAPED"), task
    assert sum(guard == "KERNEL_THREAD" for guard in guards.values()) > 10


def test_a_scope_holds_its_tasks_and_no_others(facts: Facts) -> None:
    done = facts.scoped
    for hog, pid in facts.pids.items():
        if hog in ("victim", "stuck"):
            continue
        outside = not (HOGS[hog].cgroup or "/").startswith("/f/")
        assert (done.records[pid]["guard"] == "OUTSIDE") == outside, hog
    assert done.victim in done.records
    assert done.records[done.victim]["guard"] == "NONE"


def test_points_are_the_kernel_s_own_score(facts: Facts) -> None:
    """/proc/PID/oom_score is the kernel's badness of the task for the whole machine, in its own unit."""
    done = facts.passes[None]
    total = done.request["total_pages"]
    for pid in _candidates(done):
        points = done.records[pid]["points"]
        assert done.facts(pid)["badness", None] == points * PAGE
        score = (1000 + int(points * 1000 / total)) * 2 // 3  # fs/proc/base.c: proc_oom_score()
        shown = [reading["tasks"][str(pid)]["oom_score"] for reading in done.readings]
        assert min(shown) - 1 <= score <= max(shown) + 1, (pid, shown)
