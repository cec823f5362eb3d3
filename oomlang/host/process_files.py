"""What stands in /proc/PID/stat, /proc/PID/status and /proc/PID/cgroup; bytes in, numbers out.

Sources: fs/proc/array.c and fs/proc/task_mmu.c of the kernel, proc_pid_stat(5), proc_pid_status(5).
"""

from __future__ import annotations

from typing import NamedTuple

PF_EXITING = 0x00000004
PF_KTHREAD = 0x00200000

_KIB = 1024

# Line of /proc/PID/status → the fact that it shows. Sizes are "N kB", where kB is 1024 bytes.
_SIZES = {
    b"VmRSS": "rss",
    b"RssAnon": "rss.anon",
    b"RssFile": "rss.file",
    b"RssShmem": "rss.shmem",
    b"VmSwap": "swap",
    b"VmPTE": "pgtables",
    b"VmSize": "vm",
}
SIZE_FACTS = tuple(_SIZES.values())
"""The facts that a memory map has; without one they are 0."""


class Stat(NamedTuple):
    """/proc/PID/stat. exiting: the first thread is. start: clock ticks since boot."""

    comm: bytes
    exiting: bool
    kernel_thread: bool
    nice: int
    start: int


def parse_stat(data: bytes) -> Stat:
    """The line of /proc/PID/stat. Errors: `ValueError` for one that is none (a process that just vanished).

    comm stands there as it is, whatever bytes it has: what follows it begins after the last parenthesis.
    """
    begin, end = data.find(b"("), data.rfind(b")")
    fields = data[end + 2 :].split(
        b" ", 20
    )  # the field that proc_pid_stat(5) numbers 3 is the first of these
    if begin < 0 or len(fields) < 21:
        raise ValueError("no line of /proc/PID/stat")
    flags = int(fields[6])
    return Stat(
        data[begin + 1 : end],
        bool(flags & PF_EXITING),
        bool(flags & PF_KTHREAD),
        int(fields[16]),
        int(fields[19]),
    )


class StatusReader:
    """Reads /proc/PID/status. All processes of a kernel have the same lines in the same order, but for those without a
    memory map: where a line stands is learnt from the first and checked with each of the others.
    """

    def __init__(self) -> None:
        self._layout: tuple[tuple[int, bytes, int, str], ...] = ()
        self._uid = self._threads = 0
        self._last = 0

    def read(self, data: bytes) -> tuple[dict[str, int], bool]:
        """The facts (sizes only where there is a memory map; uid, threads) and whether there is a memory map.

        A line that a kernel does not write is a fact that is not there. Errors: `ValueError` for a file without the
        lines that every kernel writes.
        """
        lines = data.split(b"\n", self._last)
        try:
            facts = {
                "uid": _first(lines[self._uid], b"Uid:"),
                "threads": _first(lines[self._threads], b"Threads:"),
            }
            for at, key, size, fact in self._layout:
                line = lines[at]
                if not line.startswith(key):
                    break
                facts[fact] = int(line[size:-3]) * _KIB
            else:
                if self._layout:
                    return facts, True
        except (ValueError, IndexError):
            pass
        return self._learn(data)

    def _learn(self, data: bytes) -> tuple[dict[str, int], bool]:
        lines = data.split(b"\n")
        place = {line.split(b":", 1)[0]: i for i, line in enumerate(lines)}
        if b"Uid" not in place or b"Threads" not in place:
            raise ValueError("no /proc/PID/status")
        facts = {
            "uid": _first(lines[place[b"Uid"]], b"Uid:"),
            "threads": _first(lines[place[b"Threads"]], b"Threads:"),
        }
        found = [(place[key], key + b":", len(key) + 1, fact) for key, fact in _SIZES.items() if key in place]
        for at, _, size, fact in found:
            facts[fact] = int(lines[at][size:-3]) * _KIB
        if not found:
            return facts, False
        self._layout = tuple(found)
        self._uid, self._threads = place[b"Uid"], place[b"Threads"]
        self._last = max(self._uid, self._threads, *(at for at, *_ in found)) + 1
        return facts, True


def _first(line: bytes, key: bytes) -> int:
    """The first number of a line."""
    if not line.startswith(key):
        raise ValueError("another line")
    return int(line[len(key) :].split(None, 1)[0])


def memory_cgroup_line(data: bytes) -> tuple[bytes | None, bytes | None]:
    """/proc/PID/cgroup: the path in the memory controller's v1 hierarchy, and the path in the v2 one.

    None where there is no such line. Lines are `id:controllers:path`; paths may hold colons, but no newlines.
    """
    old = unified = None
    for line in data.split(b"\n"):
        number, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if number == b"0" and not controllers:
            unified = path
        elif controllers == b"memory" or b"memory" in controllers.split(b","):
            old = path
    return old, unified
