#!/usr/bin/env python3
"""How much processor time the readers of /proc and cgroupfs take for a process.

    .venv/bin/python bench/host.py [PROCESSES]

Starts processes that sleep, in cgroups of their own where it may make some, and reads the whole machine. Prints the best
of several runs, user and system time together, over all processes that were read; and beside it what the bare system
calls take (open, read and close of the four files), which is the floor.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oomlang import live
from oomlang.host import read_machine
from oomlang.host.mounts import parse_mounts
from oomlang.targets.interp import STOCK, decide

GOAL = 60.0
"""µs of CPU for a process, everything counted."""

RUNS = 7
CGROUPS = 50


def main() -> int:
    """Measure and print; 1 where the goal is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    cgroups = _make_cgroups()
    children = []
    try:
        for i in range(count):
            child = subprocess.Popen(["sleep", "3600"])
            children.append(child)
            if cgroups:
                (cgroups[i % len(cgroups)] / "cgroup.procs").write_text(str(child.pid))
        machine = read_machine()
        tasks, memcgs = len(machine.tasks), len(machine.memcgs)
        print(f"{tasks} processes, {memcgs} memory cgroups; µs of CPU for a process, best of {RUNS}")
        floor = _best(lambda: _bare(child.pid for child in children)) / count * 1e6
        read = _best(read_machine) / tasks * 1e6
        ranked = _best(lambda: decide(STOCK, live.machine(read_machine())).ranking) / tasks * 1e6
        print(f"  {'the system calls alone':<36}{floor:6.1f}")
        print(f"  {'read_machine':<36}{read:6.1f}")
        print(f"  {'read_machine, live.machine, ranking':<36}{ranked:6.1f}")
        print(f"goal {GOAL:g}: {'met' if ranked <= GOAL else 'missed'}")
        return 0 if ranked <= GOAL else 1
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()
        for cgroup in reversed(cgroups):
            cgroup.rmdir()
        if cgroups:
            cgroups[0].parent.rmdir()


def _best(work: Callable[[], object]) -> float:
    found = []
    for _ in range(RUNS):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return min(found)


def _bare(pids: Iterable[int]) -> None:
    for pid in pids:
        for name in ("stat", "status", "cgroup", "oom_score_adj"):
            fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
            os.read(fd, 4096)
            os.close(fd)


def _make_cgroups() -> list[Path]:
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_bytes())
    for mount in (*mounts.memory_v1, *mounts.v2):
        parent = Path(mount.point, f"oomlang-bench-{os.getpid()}")
        try:
            parent.mkdir()
            if mount.v2:
                (parent / "cgroup.subtree_control").write_text("+memory")
        except OSError:
            continue
        found = [parent / str(i) for i in range(CGROUPS)]
        for cgroup in found:
            cgroup.mkdir()
        return found
    return []


if __name__ == "__main__":
    sys.exit(main())
