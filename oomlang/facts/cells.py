"""The cells of the table of facts: where a source shows a fact, and how to read it there.

In: nothing. Out: the types of the cells. A reader of a source goes through the table, picks the cells that are its own, and
reads what they name; so a fact that a source shows in one of these ways needs a row and no code. A `Special` is a place that
some code of its own reads, and only people read its text. Each cell's `text` is what `oomlang facts` and docs/facts.md say.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from oomlang.facts.types import UNLIMITED
from oomlang.records import dataclass


class Unit(Enum):
    """What a number stands for where it is read."""

    PLAIN = "plain"  # the fact's own base unit
    KIB = "kB"
    PAGES = "pages"
    START = (
        "start"  # clock ticks from boot to the start of the process; the fact is the time since then, in ms
    )


@dataclass(frozen=True, slots=True)
class Special:
    """A place that code of its own reads."""

    text: str


# /proc


@dataclass(frozen=True, slots=True)
class Status:
    """A line of /proc/PID/status, the first number behind its name. Those in kB are of the memory map: a process without one
    does not have them, and the fact is 0. namespace: the number means another thing inside a namespace of this kind.
    """

    line: str
    unit: Unit = Unit.PLAIN
    namespace: str = ""

    @property
    def text(self) -> str:
        return f"/proc/PID/status {self.line}"


@dataclass(frozen=True, slots=True)
class Stat:
    """A field of /proc/PID/stat, numbered as in proc_pid_stat(5)."""

    field: int
    unit: Unit = Unit.PLAIN

    @property
    def text(self) -> str:
        return f"/proc/PID/stat field {self.field}" + (" and /proc/uptime" if self.unit is Unit.START else "")


@dataclass(frozen=True, slots=True)
class ProcFile:
    """A file of /proc/PID that holds one number. optional: not every kernel has it; without that, a process that does not
    have it has vanished.
    """

    file: str
    optional: bool = False

    @property
    def text(self) -> str:
        return f"/proc/PID/{self.file}"


Procfs: TypeAlias = Status | Stat | ProcFile | Special


# The cgroup file systems


@dataclass(frozen=True, slots=True)
class CgroupFile:
    """A file of a cgroup that holds one number, or the line of it that `key` begins.

    unlimited: it may say that there is no limit, `max` on version 2 and nearly 2^63 on version 1. less: the name of a fact,
    further up in the table, that the number holds too and that is taken off.
    """

    file: str
    key: str = ""
    unlimited: bool = False
    less: str = ""

    @property
    def text(self) -> str:
        return f"{self.file} {self.key}".rstrip()


@dataclass(frozen=True, slots=True)
class Always:
    """What a fact is where a version's kernel side has no way to set it."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """How each version of cgroupfs shows a fact. of_swap: where the machine has no swap the file may be missing, and
    there is nothing that it could count: the fact is 0.
    """

    v2: CgroupFile
    v1: CgroupFile | Always
    of_swap: bool = False

    @property
    def text(self) -> str:
        return self.v2.text


Cgroupfs: TypeAlias = Cgroup | Special


# OOM reports


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a report's task table. older: columns of earlier kernels, in pages, that add up to the same. killed: what
    the `Killed process` line calls it, where sizes are in kB.
    """

    name: str
    unit: Unit = Unit.PLAIN
    older: tuple[str, ...] = ()
    killed: str = ""

    @property
    def text(self) -> str:
        return self.name


ReportCell: TypeAlias = Column | Special


# The kernel's memory


@dataclass(frozen=True, slots=True)
class PageCounter:
    """A member of `mem_cgroup.memory`, in pages."""

    member: str


@dataclass(frozen=True, slots=True)
class Pages:
    """C that gives a number of pages. What it may name: `task`, `memory` (runtime/guard.h)."""

    c: str


@dataclass(frozen=True, slots=True)
class OfMemcg:
    """C that gives the value out of `mem`, the struct mem_cgroup of `cgroup`; 0 for the root, which has no counters. It
    stays in the fact's range, if by `{limit}`, the top of that.
    """

    c: str


@dataclass(frozen=True, slots=True)
class Expression:
    """C that gives the value and stays in the fact's range, if by `{least}` and `{limit}`. What it may name: of a task
    `task`, `memory`, `adj`, `c`, `event`; of a cgroup `cgroup` and `level`.
    """

    c: str


Bpf: TypeAlias = PageCounter | Pages | OfMemcg | Expression


# Test blocks and machines made up


@dataclass(frozen=True, slots=True, kw_only=True)
class InTest:
    """What a test block says of a fact: the value that it has where none is given. summed: a cgroup's is then the sum of its
    children's. instead: why a task or cgroup cannot be given it, and what to write, if anything; empty where it can.
    """

    default: int = 0
    summed: bool = False
    instead: str = ""


NO_LIMIT = InTest(default=UNLIMITED)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUp:
    """How `oomlang diff` makes up values. unasked: how often a fact is given, from 0 to 1, that no policy reads. usual: what
    most machines have.
    """

    unasked: float = 0
    usual: tuple[int, ...] = ()
