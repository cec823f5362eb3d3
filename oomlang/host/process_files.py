"""What stands in /proc/PID/stat, /proc/PID/status and /proc/PID/cgroup; bytes in, numbers out.

Which lines and fields are facts says the table, in its cells `Status`, `Stat` and `ProcFile`.

Sources: fs/proc/array.c and fs/proc/task_mmu.c of the kernel, proc_pid_stat(5), proc_pid_status(5).
"""

from __future__ import annotations

from typing import NamedTuple

from oomlang.facts import FACTS
from oomlang.facts.cells import ProcFile, Stat, Status, Unit

PF_EXITING = 0x00000004
PF_KTHREAD = 0x00200000

_KIB = 1024

_LINES = {f.name: f.procfs for f in FACTS.values() if isinstance(f.procfs, Status)}
_SIZES = {cell.line.encode(): name for name, cell in _LINES.items() if cell.unit is Unit.KIB}
_PLAIN = {cell.line.encode(): name for name, cell in _LINES.items() if cell.unit is Unit.PLAIN}
_ALWAYS = {b"Uid", b"Threads"}
"""Lines of /proc/PID/status that every kernel writes, for every process."""

_FIELDS = {f.name: f.procfs for f in FACTS.values() if isinstance(f.procfs, Stat)}
_FLAGS, _START = 9, 22
_FIRST = 3
"""What proc_pid_stat(5) calls the first field behind the comm."""
_PLACES = tuple((name, cell.field - _FIRST) for name, cell in _FIELDS.items() if cell.unit is Unit.PLAIN)
_LAST = max(_START, *(cell.field for cell in _FIELDS.values())) - _FIRST

SIZE_FACTS = tuple(_SIZES.values())
"""The facts that a memory map has; without one they are 0."""

AGE_FACTS = tuple(name for name, cell in _FIELDS.items() if cell.unit is Unit.START)
"""The facts that are the time since a process started."""

FILE_FACTS = tuple((f.name, f.procfs) for f in FACTS.values() if isinstance(f.procfs, ProcFile))
"""The facts that have a file of their own in /proc/PID."""

ALL_FACTS = (*_LINES, *_FIELDS, *(name for name, _ in FILE_FACTS))

NAMESPACED = {
    kind: tuple(name for name, cell in _LINES.items() if cell.namespace == kind) for kind in ("user", "pid")
}
"""The facts that mean another thing in a namespace of this kind."""


class StatLine(NamedTuple):
    """/proc/PID/stat. exiting: the first thread is. start: clock ticks since boot. facts: those that stand there as such."""

    comm: bytes
    exiting: bool
    kernel_thread: bool
    start: int
    facts: dict[str, int]


def parse_stat(data: bytes) -> StatLine:
    """The line of /proc/PID/stat. Errors: `ValueError` for one that is none (a process that just vanished).

    comm stands there as it is, whatever bytes it has: what follows it begins after the last parenthesis.
    """
    begin, end = data.find(b"("), data.rfind(b")")
    fields = data[end + 2 :].split(b" ", _LAST + 1)
    if begin < 0 or len(fields) < _LAST + 2:
        raise ValueError("no line of /proc/PID/stat")
    flags = int(fields[_FLAGS - _FIRST])
    facts = {}
    for name, place in _PLACES:
        facts[name] = int(fields[place])
    return StatLine(
        data[begin + 1 : end],
        bool(flags & PF_EXITING),
        bool(flags & PF_KTHREAD),
        int(fields[_START - _FIRST]),
        facts,
    )


class StatusReader:
    """Reads /proc/PID/status. All processes of a kernel have the same lines in the same order, but for those without a
    memory map: where a line stands is learnt from the first and checked with each of the others.
    """

    def __init__(self) -> None:
        self._plain: tuple[tuple[int, bytes, int, str], ...] = ()
        self._sizes: tuple[tuple[int, bytes, int, str], ...] = ()
        self._last = 0

    def read(self, data: bytes) -> tuple[dict[str, int], bool]:
        """The facts (sizes only where there is a memory map) and whether there is a memory map.

        A line that a kernel does not write is a fact that is not there. Errors: `ValueError` for a file without the
        lines that every kernel writes.
        """
        lines = data.split(b"\n", self._last)
        facts: dict[str, int] = {}
        try:
            for at, key, size, fact in self._sizes:
                line = lines[at]
                if not line.startswith(key):
                    break
                facts[fact] = int(line[size:-3]) * _KIB
            else:
                for at, key, size, fact in self._plain:
                    line = lines[at]
                    if not line.startswith(key):
                        break
                    facts[fact] = int(line[size:].split(None, 1)[0])
                else:
                    if self._sizes:
                        return facts, True
        except (ValueError, IndexError):
            pass
        return self._learn(data)

    def _learn(self, data: bytes) -> tuple[dict[str, int], bool]:
        lines = data.split(b"\n")
        place = {line.split(b":", 1)[0]: i for i, line in enumerate(lines)}
        if not place.keys() >= _ALWAYS:
            raise ValueError("no /proc/PID/status")
        plain, sizes = _layout(_PLAIN, place), _layout(_SIZES, place)
        facts = {fact: int(lines[at][size:].split(None, 1)[0]) for at, _, size, fact in plain}
        for at, _, size, fact in sizes:
            facts[fact] = int(lines[at][size:-3]) * _KIB
        if not sizes:
            return facts, False
        self._plain, self._sizes = plain, sizes
        self._last = max(at for at, *_ in (*plain, *sizes)) + 1
        return facts, True


def _layout(facts: dict[bytes, str], place: dict[bytes, int]) -> tuple[tuple[int, bytes, int, str], ...]:
    """For each line that is there: its place, how it begins, how long that is, and its fact."""
    return tuple((place[k], k + b":", len(k) + 1, name) for k, name in facts.items() if k in place)


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
