"""What an OOM report says, as plain data. None stands for what it does not say: it is never 0 instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oomlang.host.model import MemcgPath

PAGE_SIZE = 4096
"""Where the report does not show another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A line of the task table. pid: of the thread that has the memory. facts: as in the table of facts, base units.

    reaped: the log said before that the kernel took this process's memory, so that it is no candidate any more.
    """

    pid: int
    tgid: int
    comm: bytes
    facts: Mapping[str, int]
    reaped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A `Killed process` line. pid: of the thread that has the memory. facts: what it says of the process."""

    pid: int
    comm: bytes
    facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A line like `memory: usage 24576kB, limit 24576kB`; bytes."""

    usage: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One OOM event as a log tells it.

    line: of its first line in the log, from 1. time: as the log writes it, host: empty where it says none.
    invoker: the name and the thread of the process whose allocation failed. order: -1 for sysrq. scope: the memory cgroup
    that ran out, None in a global event or where `is_global` is unknown. constraint: NONE, MEMCG, CPUSET, MEMORY_POLICY.
    chosen, chosen_comm: pid and name of whom the kernel chose; kills: who died, that one first; before Linux 5.1 a child
    of the chosen one may have died in its place. memory, swap, memsw: the scope's counters. one_memcg: every candidate is
    in the scope itself. ram, total_swap: bytes; ram_present: RAM with what the kernel keeps for itself. by_invoker: sysctl
    vm.oom_kill_allocating_task, and the kernel did not choose. none_left: it found nobody to kill. panicked: sysctl
    vm.panic_on_oom, and it chose nobody. before_4_15: of Linux, by the table's columns. missing: what is not there, in
    words; then the table may lack tasks.
    """

    line: int
    time: str = ""
    host: str = ""
    invoker_comm: bytes | None = None
    invoker_thread: int | None = None
    order: int | None = None
    policy_name: bytes | None = None
    is_global: bool | None = None
    constraint: str | None = None
    scope: MemcgPath | None = None
    victim_memcg: MemcgPath | None = None
    chosen: int | None = None
    chosen_comm: bytes | None = None
    kills: tuple[Kill, ...] = ()
    tasks: tuple[TaskRow, ...] = ()
    memory: Counter | None = None
    swap: Counter | None = None
    memsw: Counter | None = None
    one_memcg: bool = False
    ram: int | None = None
    ram_present: int | None = None
    total_swap: int | None = None
    page_size: int = PAGE_SIZE
    by_invoker: bool = False
    none_left: bool = False
    panicked: bool = False
    before_4_15: bool = False
    missing: tuple[str, ...] = ()

    _by_pid: Mapping[int, TaskRow] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_thread = {row.pid: row for row in self.tasks}
        object.__setattr__(self, "_by_pid", by_thread | {row.tgid: row for row in self.tasks})

    def task(self, pid: int | None) -> TaskRow | None:
        """The row of a process, by its id or by that of the thread that has the memory."""
        return self._by_pid.get(pid) if pid is not None else None
