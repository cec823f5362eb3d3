#!/usr/bin/env python3
"""What finding a victim takes: `oomlang explain` beside earlyoom and nohang, which do it while the machine runs out.

    .venv/bin/python bench/victim_search.py [--write]

Starts processes that sleep, some first and then many more, and measures at both sizes the processor time, user and system,
of one search: a whole command for oomlang and nohang (`--tasks`: its own search, and a table); of earlyoom, which is a
daemon, so many seconds of searching in a row, divided by their number. What a process adds is the difference between the
sizes; the rest is what a search takes on an empty machine, starting included.

Nobody is killed: earlyoom runs with --dryrun and with thresholds that are always reached, nohang's --tasks only looks. Where
this runs as root both run as nobody, who could not kill what is somebody else's anyway. `tools/setup bench` unpacks
Debian's packages of both into build/debian without installing them, as that would start them.

`--write` puts the figures into docs/performance.md. Exit 3 where neither of them is there.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.page import write_block
from vm.machine import end_like_an_interrupt

ROOT = Path(__file__).resolve().parent.parent
SIZES = (100, 2_100)
RUNS = 9
SEARCHING = 3.0
"""Seconds of earlyoom's; it searches ten times a second when memory is short."""

LIMIT = 60
"""Seconds after which a command has failed."""

NOBODY = 65534
OOMLANG = (str(Path(sys.executable).with_name("oomlang")), "explain", "--limit", "1")
DEBIAN = ROOT / "build" / "debian"


class NotMeasured(Exception):
    """A program that cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searcher:
    """A way to find a victim. search: does it, and returns the seconds of processor time for one search."""

    name: str
    search: Callable[[], float]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    options = parser.parse_args()
    end_like_an_interrupt()
    try:
        with ExitStack() as stack:
            # Where nobody can read them, wherever this checkout lies.
            room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oomlang-bench-")))
            room.chmod(0o755)
            searchers = _oomlang()
            missing = []
            for make in (_earlyoom, _nohang):
                try:
                    searchers.append(make(room))
                except NotMeasured as error:
                    missing.append(str(error))
            for reason in missing:
                print(f"not measured: {reason}", file=sys.stderr)
            if len(missing) == 2:
                return 3
            text = _table(searchers, _measure(stack, searchers))
    except KeyboardInterrupt:
        return 130
    print(text)
    if options.write:
        write_block("bench/victim_search.py", text)
    return 0


# --- Who searches -----------------------------------------------------------------------------------------------------


def _oomlang() -> list[Searcher]:
    def of(example: str) -> Searcher:
        command = (*OOMLANG, str(ROOT / "examples" / f"{example}.oom"))
        return Searcher(name=f"`oomlang explain {example}.oom`", search=lambda: _command(command))

    return [of("stock"), of("earlyoom")]


def _earlyoom(room: Path) -> Searcher:
    program = _copied(room, "earlyoom/usr/bin/earlyoom")
    # At or below 99 % of available memory (and any swap) is short of it; -r 0: no reports in between.
    command = (program, "--dryrun", "-m", "99,1", "-s", "100,1", "-r", "0")
    return Searcher(name=f"{_version('earlyoom')}, `--dryrun`", search=lambda: _searching(command))


def _nohang(room: Path) -> Searcher:
    script = _copied(room, "nohang/usr/sbin/nohang")
    configuration = _copied(room, "nohang/usr/share/nohang/nohang.conf")
    # Debian's own Python, which its first line names, and no word about what that has deprecated since.
    command = ("/usr/bin/python3", "-W", "ignore", script, "--tasks", "--config", configuration)
    return Searcher(name=f"{_version('nohang')}, `--tasks`", search=lambda: _command(command, rival=True))


def _copied(room: Path, path: str) -> str:
    source = DEBIAN / path
    if not source.exists():
        raise NotMeasured(f"{source.name}: tools/setup bench unpacks it where there is apt-get")
    target = shutil.copy(source, room)
    os.chmod(target, 0o755)
    return str(target)


def _version(package: str) -> str:
    return f"{package} {(DEBIAN / package / 'VERSION').read_text(encoding='ascii').strip()}"


# --- One search -------------------------------------------------------------------------------------------------------


def _start(command: Sequence[str], output: int, *, rival: bool) -> subprocess.Popen[bytes]:
    as_nobody = rival and os.geteuid() == 0
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        user=NOBODY if as_nobody else None,
        group=NOBODY if as_nobody else None,
        extra_groups=() if as_nobody else None,
    )


def _ended(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process. Returns its processor time, and its children's."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _command(command: Sequence[str], *, rival: bool = False) -> float:
    with tempfile.TemporaryFile() as output:
        process = _start(command, output.fileno(), rival=rival)
        signal.alarm(LIMIT)  # ends this benchmark, should the command not end
        seconds = _ended(process)
        signal.alarm(0)
        output.seek(0)
        words = output.read().decode("utf-8", "replace")
    if process.returncode != 0 or (rival and "highest badness" not in words):
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{words[-2000:]}")
    return seconds


def _searching(command: Sequence[str]) -> float:
    with tempfile.TemporaryFile() as output:
        process = _start(command, output.fileno(), rival=True)
        try:
            time.sleep(SEARCHING)  # a daemon: it searches for as long as it is let
        finally:
            process.terminate()
            seconds = _ended(process)
        output.seek(0)
        words = output.read()
    searches = words.count(b"dryrun, not actually sending any signal")
    if not searches:
        raise SystemExit(f"{' '.join(command)}: did not search\n{words[-2000:].decode('utf-8', 'replace')}")
    return seconds / searches


# --- Both sizes -------------------------------------------------------------------------------------------------------


def _measure(stack: ExitStack, searchers: Sequence[Searcher]) -> list[tuple[float, float]]:
    """For each the best seconds of a search at the smaller and at the larger size."""
    found: list[list[float]] = []
    started = 0
    for size in SIZES:
        for _ in range(size - started):
            process = subprocess.Popen(["sleep", "3600"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        started = size
        best = [float("inf")] * len(searchers)
        for _ in range(RUNS):  # in turn, so that what else the machine does hits all of them
            best = [min(b, s.search()) for b, s in zip(best, searchers, strict=True)]
        found.append(best)
    return list(zip(*found, strict=True))


def _table(searchers: Sequence[Searcher], seconds: Sequence[tuple[float, float]]) -> str:
    slopes = [(large - small) / (SIZES[1] - SIZES[0]) * 1e6 for small, large in seconds]
    least = slopes[0]
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    lines = [
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {loads}; user and system time, best of {RUNS} runs.",
        "",
        f"| one search | with {SIZES[0]:,} processes more, ms | with {SIZES[1]:,}, ms | µs for a process | × stock.oom |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {searcher.name} | {small * 1e3:,.1f} | {large * 1e3:,.1f} | {slope:,.1f} | {slope / least:.2f} |"
        for searcher, (small, large), slope in zip(searchers, seconds, slopes, strict=True)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
