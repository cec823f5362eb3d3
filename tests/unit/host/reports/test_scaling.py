"""A log costs what its bytes cost, whatever there is much of in it."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import oomlang
from oomlang.host.reports import read_reports
from oomlang.replay import replay
from oomlang.targets.interp import STOCK
from tests.unit.growth import assert_linear

INVOKED = b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
HEADER = b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n"
LAST = b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/,task=x,pid=1,uid=0\n"


def _row(pid: int) -> bytes:
    return b"[%7d]     0 %5d    10000     5000   409600        0             0 task%d\n" % (pid, pid, pid)


def _kill(pid: int) -> bytes:
    sizes = b"total-vm:40000kB, anon-rss:20000kB, file-rss:0kB, shmem-rss:0kB"
    return b"Memory cgroup out of memory: Killed process %d (task%d) %s\n" % (pid, pid, sizes)


def _lines(lines: list[bytes]) -> bytes:
    return b"".join(b"[  100.000000] " + line for line in lines)


def _table(n: int) -> bytes:
    return _lines([INVOKED, HEADER, *map(_row, range(1, n + 1)), LAST, _kill(1)])


def _whole_cgroup(n: int) -> bytes:
    """Everybody dies."""
    group = b"Tasks in /a are going to be killed due to memory.oom.group set\n"
    pids = range(1, n + 1)
    return _lines([INVOKED, HEADER, *map(_row, pids), LAST, _kill(1), group, *map(_kill, pids)])


def _events(n: int) -> bytes:
    return _lines([INVOKED, HEADER, _row(1), LAST, _kill(1)]) * n


def _kills(n: int) -> bytes:
    return _lines([_kill(pid + 1) for pid in range(n)])


def _hosts(n: int) -> bytes:
    """Reports that all begin before any of them goes on."""
    heads = [b"Mar  4 05:06:07 host%d kernel: " % i for i in range(n)]
    return b"".join(head + line for line in (INVOKED, HEADER) for head in heads)


def _damaged(n: int) -> bytes:
    begun = b"".join(b'{"MESSAGE":"%s","_HOSTNAME":"h%d"}\n' % (INVOKED[:-1], i) for i in range(n // 2))
    return begun + b'{"MESSAGE":"cut of\n' * n


def _stats(n: int) -> bytes:
    return _lines([INVOKED, *[b"Memory cgroup stats for /a/%d: cache:0KB\n" % i for i in range(n)]])


def _noise(n: int) -> bytes:
    return _lines([b"usb 1-1: new device\n", b"oom_reaper: something else\n"] * n)


def _folded(n: int) -> bytes:
    return b"Mar  4 05:06:07 h kernel: " + INVOKED[:-1] + b"#012" * n + b"\n"


def _folded_behind_a_long_prefix(n: int) -> bytes:
    return b"Mar  4 05:06:07 " + b"h" * n + b" kernel: " + INVOKED[:-1] + b"#012" * n + b"\n"


def _pretty(n: int) -> bytes:
    return b'{\n\t"MESSAGE" : "%s",\n\t"_HOSTNAME" : "h"\n}\n' % INVOKED[:-1] * n


def _columns(n: int) -> bytes:
    return _lines([INVOKED, b"[ pid ]" + b" oom_score_adj" * n + b" name\n"])


LOGS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "tasks": (_table, 20_000),
    "a whole cgroup dies": (_whole_cgroup, 8_000),
    "events": (_events, 2_000),
    "kills without a report": (_kills, 2_000),
    "hosts at a time": (_hosts, 4_000),
    "damaged lines": (_damaged, 4_000),
    "cgroups": (_stats, 20_000),
    "other lines": (_noise, 10_000),
    "folded lines": (_folded, 20_000),
    "folded lines behind a long prefix": (_folded_behind_a_long_prefix, 20_000),
    "objects": (_pretty, 4_000),
    "columns": (_columns, 4_000),
}


@pytest.mark.parametrize("name", LOGS)
def test_reading_takes_time_in_proportion_to_the_log(name: str) -> None:
    make, size = LOGS[name]
    assert_linear(make, lambda log: list(read_reports(io.BytesIO(log))), size, name)


@pytest.mark.parametrize("name", ["tasks", "a whole cgroup dies", "events"])
def test_replaying_takes_time_in_proportion_to_the_log(name: str) -> None:
    make, size = LOGS[name]
    assert_linear(
        make, lambda log: [replay(STOCK, r) for r in read_reports(io.BytesIO(log))], size // 2, name
    )


@pytest.mark.parametrize("name", LOGS)
def test_reading_takes_memory_in_proportion_to_the_log(name: str) -> None:
    make, size = LOGS[name]
    log = make(size)
    tracemalloc.start()
    for _ in read_reports(io.BytesIO(log)):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (8 << 20) + 12 * len(log)


@pytest.mark.parametrize("digits", [19, 20, 5000])
def test_numbers_of_any_length_are_survived(digits: int) -> None:
    number = b"9" * digits
    lines = [INVOKED, HEADER, _row(1), _row(2), LAST, _kill(1)]
    lines += [
        b"memory: usage 1kB, limit 1kB, failcnt 1\n",
        b"262144 pages RAM\n",
        b"1 pages reserved\n",
        b"Total swap = 1kB\n",
        b"CPU: 1 PID: 1 Comm: x\n",
        b"Out of memory: Kill process 1 (x) score 1 or sacrifice child\n",
        b"oom_reaper: reaped process 1 (x), now anon-rss:0kB\n",
        b"** 1 printk messages dropped **\n",
    ]
    for place, line in enumerate(lines):
        for digit in (b"1", b"0", b"5"):
            changed = [*lines[:place], line.replace(digit, number), *lines[place + 1 :]]
            for report in read_reports(io.BytesIO(_lines(changed))):
                replay(STOCK, report)


def test_no_possessive_group_looks_ahead() -> None:
    """The `re` of Debian 12's Python, 3.11.2, goes on in `(?:x(?!y)z)++` where the look ahead says no."""
    package = Path(oomlang.__file__).parent
    patterns = re.compile(r"\((?:\?:)?[^()]*\(\?<?[!=][^()]*\)[^()]*\)(?:[*+?]|\{[0-9,]+\})\+")
    assert [path for path in package.rglob("*.py") if patterns.search(path.read_text())] == []
