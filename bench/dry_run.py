#!/usr/bin/env python3
"""What the dry-run program of each example takes for a task, on the kernel that is running.

    sudo .venv/bin/python bench/dry_run.py [--write]

Starts processes that sleep, 100 and 1,000 of them, and ranks the whole machine. The kernel counts the
program's run time while statistics are on (`BPF_ENABLE_STATS`); the best of several passes counts, so that what else the
machine does matters least. A pass is the time from the start of the iterator to its end, with statistics off.

`--write` puts the figures into docs/performance.md. Exit 3 where the kernel does not let this process use BPF.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.page import write_block
from oomlang import compile as compile_policy
from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel.dry_run import DryRunner, Request
from oomlang.kernel.info import program_info
from oomlang.kernel.runs import statistics
from vm.machine import end_like_an_interrupt

ROOT = Path(__file__).resolve().parent.parent
SIZES = (100, 1_000)
RUNS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the best pass. task: ns of the program's run time for a task; whole: ns of a pass for a task, reading and
    decoding in Python and all. tasks: how many there were, threads included.
    """

    task: float
    whole: float
    tasks: int


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    options = parser.parse_args()
    end_like_an_interrupt()
    found: dict[str, list[Figures]] = {}
    try:
        with ExitStack() as stack:
            runners: dict[str, tuple[DryRunner, int]] = {}
            for path in sorted((ROOT / "examples").glob("*.oom")):
                artifact = compile_policy(path.read_bytes(), name=path.name, target="dry-run")
                runner = stack.enter_context(DryRunner(artifact.object, artifact.metadata))
                # Its own business to all but a benchmark; by name or id it could be another process's.
                runners[path.stem] = (runner, runner._object.program("dry_run").fd)
            for size in SIZES:
                with _sleepers(size):
                    for name, (runner, program) in runners.items():
                        found.setdefault(name, []).append(_measure(runner, program))
    except EnvironmentLacks as lacks:
        print(f"bench/dry_run.py: {lacks}", file=sys.stderr)
        return 3
    report = _report(found)
    print(report)
    if options.write:
        write_block("bench/dry_run.py", report)
    return 0


@contextmanager
def _sleepers(count: int) -> Iterator[None]:
    children: list[int] = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                try:
                    signal.pause()
                finally:
                    os._exit(0)
            children.append(pid)
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _measure(runner: DryRunner, program: int) -> Figures:
    request = Request(total_pages=os.sysconf("SC_PHYS_PAGES"))
    program_times, passes, tasks = [], [], 0
    with statistics():
        for _ in range(RUNS):
            before = program_info(program)
            runner.run(request)
            after = program_info(program)
            tasks = after.run_count - before.run_count
            program_times.append((after.run_time_ns - before.run_time_ns) / tasks)
    for _ in range(RUNS):
        begin = time.perf_counter_ns()
        runner.run(request)
        passes.append((time.perf_counter_ns() - begin) / tasks)
    return Figures(task=min(program_times), whole=min(passes), tasks=tasks)


def _report(found: dict[str, list[Figures]]) -> str:
    some = next(iter(found.values()))
    heads = [f"{figures.tasks:,} tasks" for figures in some]
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    lines = [
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {load}; nanoseconds for a task, best of {RUNS} passes.",
        "",
        f"| policy | {' | '.join(heads)} | × stock | the whole pass |",
        "|---|" + "---:|" * (len(heads) + 2),
    ]
    stock = found["stock"][-1].task
    for name, rows in found.items():
        cells = [f"{figures.task:,.0f}" for figures in rows]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {rows[-1].task / stock:.2f} | {rows[-1].whole:,.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
