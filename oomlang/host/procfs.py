"""The live machine's facts from /proc, cgroups included (`cgroupfs`).

Out: `MachineFacts` of every process that the OOM killer could choose. A process that vanishes while it is read is left
out; its files are opened through its own directory, so that none of them can be another's with the same pid.

What /proc does not show, ever: whether a task is in vfork, is reaped already (MMF_OOM_SKIP), or is dying as a victim.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field

from oomlang.host.cgroupfs import CgroupReader
from oomlang.host.files import DIRECTORY, read_file, read_number
from oomlang.host.model import MachineFacts, TaskFacts, Unseen
from oomlang.host.mounts import Mounts, parse_mounts
from oomlang.host.process_files import (
    AGE_FACTS,
    ALL_FACTS,
    FILE_FACTS,
    NAMESPACED,
    SIZE_FACTS,
    StatusReader,
    parse_stat,
)

# The initial namespaces' inode numbers, include/linux/proc_ns.h.
_INITIAL = {"cgroup": "cgroup:[4026531835]", "pid": "pid:[4026531836]", "user": "user:[4026531837]"}
_MEMINFO = re.compile(rb"^(MemTotal|SwapTotal):\s+(\d+) kB$", re.MULTILINE)
_NO_MM = dict.fromkeys(SIZE_FACTS, 0)

_EXITED = "cgroups of version 1 do not show for a task that is exiting"
_GUARDS = Unseen(
    what=("guard",),
    why="/proc does not show whether a task is in vfork, reaped already, or a victim that is still dying",
)


def read_machine(root: str = "/") -> MachineFacts:
    """Read the machine whose files begin at `root`. Errors: `OSError` where there is no /proc at all."""
    return _Reading(root).run()


@dataclass(slots=True)
class _Reading:
    """One pass over /proc."""

    root: str
    _status: StatusReader = field(default_factory=StatusReader)
    _unseen: dict[tuple[tuple[str, ...], str], list[int]] = field(default_factory=dict)
    _tasks: list[TaskFacts] = field(default_factory=list)
    _proc: int = -1
    _ticks: int = 100
    _now: int = 0  # ms since boot
    _initial: dict[str, bool] = field(default_factory=dict)
    _another_meaning: list[str] = field(default_factory=list)  # facts that a namespace hides

    def run(self) -> MachineFacts:
        self._proc = os.open(os.path.join(self.root, "proc"), DIRECTORY)
        try:
            return self._run()
        finally:
            os.close(self._proc)

    def _run(self) -> MachineFacts:
        sizes = {k: int(v) * 1024 for k, v in _MEMINFO.findall(read_file("meminfo", self._proc))}
        swap = sizes.get(b"SwapTotal", 0)
        mounts = parse_mounts(self._optional("self/mountinfo"))
        self._initial = {name: self._is_initial(name) for name in _INITIAL}
        self._another_meaning = [
            f for kind, those in NAMESPACED.items() if not self._initial[kind] for f in those
        ]
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._now = round(float(read_file("uptime", self._proc).split()[0]) * 1000)
        cgroups = CgroupReader(root=self.root, mounts=mounts, swap=swap, swappiness=self._swappiness())
        for name in os.listdir(self._proc):
            if name.isdecimal() and not (name == "1" and self._initial["pid"]):
                self._process(name, cgroups)
        self._tasks.sort(key=lambda task: task.pid)
        return MachineFacts(
            taken_at=time.time(),
            kernel=os.uname().release,
            ram=sizes.get(b"MemTotal", 0),
            swap=swap,
            page_size=os.sysconf("SC_PAGE_SIZE"),
            ticks_per_second=self._ticks,
            hierarchy="v1" if mounts.memory_v1 else "v2" if mounts.v2 else "none",
            memcgs=cgroups.memcgs,
            tasks=tuple(self._tasks),
            unseen=(*self._everywhere(mounts), *self._collected(cgroups)),
        )

    # One process

    def _process(self, name: str, cgroups: CgroupReader) -> None:
        try:
            directory = os.open(name, DIRECTORY, dir_fd=self._proc)
        except (FileNotFoundError, ProcessLookupError):
            return
        except OSError as error:
            self._unreadable(int(name), error)
            return
        try:
            stat = parse_stat(read_file("stat", directory))
            if stat.kernel_thread:
                return
            facts, has_mm = self._status.read(read_file("status", directory))
            shows_cgroup = "cgroup"
            if not has_mm:
                thread = self._other_thread(name, directory, facts) if facts["threads"] > 1 else None
                if thread is None:
                    facts |= _NO_MM
                else:
                    has_mm, shows_cgroup = True, f"task/{thread}/cgroup"
            if stat.exiting and shows_cgroup == "cgroup" and cgroups.v1:
                memcg, why = None, _EXITED
            else:
                memcg, why = cgroups.memcg_of(read_file(shows_cgroup, directory))
            for fact, cell in FILE_FACTS:
                try:
                    facts[fact] = int(read_file(cell.file, directory))
                except FileNotFoundError:
                    if not (cell.optional and self._exists(name)):
                        raise
        except (FileNotFoundError, ProcessLookupError):
            return
        except OSError as error:
            self._unreadable(int(name), error)
            return
        except ValueError:
            # A file that is empty or breaks off is how a process that vanishes may look.
            if self._exists(name):
                self._unreadable(int(name), None)
            return
        finally:
            os.close(directory)
        pid = int(name)
        facts.update(stat.facts)
        age = max(0, self._now - stat.start * 1000 // self._ticks)
        for fact in AGE_FACTS:
            facts[fact] = age
        if memcg is None:
            self._miss(("memcg",), why, pid)
        if len(facts) < len(ALL_FACTS):
            self._miss(tuple(f for f in ALL_FACTS if f not in facts), "this kernel does not show it", pid)
        for fact in self._another_meaning:
            facts.pop(fact, None)
        self._tasks.append(
            TaskFacts(pid=pid, comm=stat.comm, memcg=memcg, start=stat.start, has_mm=has_mm, facts=facts)
        )

    def _other_thread(self, name: str, directory: int, facts: dict[str, int]) -> str | None:
        """Read the memory map of the first thread that has one, as `find_lock_task_mm()` finds it: the leader may have
        exited while its threads hold all the memory. The thread's id, None where none has.
        """
        threads = os.open("task", DIRECTORY, dir_fd=directory)
        try:
            for thread in os.listdir(threads):  # in the order of the kernel's own list
                if thread == name:
                    continue
                try:
                    found, has_mm = self._status.read(read_file(f"{thread}/status", threads))
                except (OSError, ValueError):
                    continue  # it has exited
                if has_mm:
                    facts |= {fact: found[fact] for fact in SIZE_FACTS if fact in found}
                    return thread
        finally:
            os.close(threads)
        return None

    def _unreadable(self, pid: int, error: OSError | None) -> None:
        why = "its files in /proc make no sense"
        if error is not None:
            why = f"/proc/PID: {os.strerror(error.errno or 0).lower()}; it may be a kernel thread"
        self._miss(("task",), why, pid)
        self._tasks.append(TaskFacts(pid=pid, comm=None, memcg=None, start=None, has_mm=None, facts={}))

    def _exists(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._proc)
        except OSError:
            return False
        return True

    def _miss(self, what: tuple[str, ...], why: str, pid: int) -> None:
        self._unseen.setdefault((what, why), []).append(pid)

    # The machine

    def _optional(self, name: str) -> bytes:
        try:
            return read_file(name, self._proc)
        except OSError:
            return b""

    def _swappiness(self) -> int | None:
        try:
            return read_number("sys/vm/swappiness", self._proc)
        except OSError:
            return None

    def _is_initial(self, namespace: str) -> bool:
        try:
            return os.readlink(f"self/ns/{namespace}", dir_fd=self._proc) == _INITIAL[namespace]
        except OSError:
            return True  # a kernel without this kind has one of it

    def _everywhere(self, mounts: Mounts) -> list[Unseen]:
        found = [_GUARDS]
        if not self._initial["pid"]:
            why = "this is a pid namespace of its own: only its processes show, and with their pids in it"
            found.append(Unseen(what=("task", "pid"), why=why))
        if not self._initial["user"]:
            found.append(Unseen(what=NAMESPACED["user"], why="this is a user namespace of its own"))
        if not self._initial["cgroup"]:
            why = "this is a cgroup namespace of its own: paths show only from its root on"
            found.append(Unseen(what=("memcg",), why=why))
        if mounts.hidepid and os.geteuid() != 0:
            why = f"/proc is mounted with hidepid={mounts.hidepid}: other users' processes may not show"
            found.append(Unseen(what=("task",), why=why))
        return found

    def _collected(self, cgroups: CgroupReader) -> list[Unseen]:
        tasks = [Unseen(what=what, why=why, pids=tuple(pids)) for (what, why), pids in self._unseen.items()]
        memcgs = [
            Unseen(what=(what,), why=why, memcgs=tuple(paths))
            for (what, why), paths in cgroups.unseen.items()
        ]
        return [*tasks, *memcgs]
