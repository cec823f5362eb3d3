"""A report, message by message.

In: the kernel's messages (`forms`). Out: a `Report` where one is complete, or ends, or is cut off. What a message means is
settled by how it begins; everything else between a report's lines is ignored.

The lines of mm/oom_kill.c and mm/memcontrol.c, Linux 4.19 to 6.18, and what vendors' kernels of that age print.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field, replace

from oomlang.host.model import MemcgPath
from oomlang.host.reports.model import PAGE_SIZE, Counter, Kill, Report, TaskRow
from oomlang.host.reports.table import Table, is_header
from oomlang.host.reports.victims import Chosen, Killed, Summary, chosen, killed, summary

_INVOKED = b" invoked oom-killer: gfp_mask="
_ORDER = re.compile(rb"\border=(-?\d{1,10}+)")
_LINE = re.compile(
    rb"(?P<counter>memory|swap|memory\+swap): usage (?P<usage>\d{1,19}+)kB, limit (?P<limit>\d{1,19}+)kB"
    rb"|(?P<pages>\d{1,16}+) (?:pages (?:of )?(?P<kind>RAM|reserved)\b|(?P<reserved>reserved) pages\b)"
    rb"|Total swap = (?P<total_swap>\d{1,19}+)kB"
    rb"|CPU: \d++ (?:UID: \d++ )?PID: (?P<thread>\d{1,10}+) Comm: "
    rb"|Memory cgroup stats for (?P<stats>/[^:]*+):(?P<inline>.*)"
    rb"|(?P<none>(?:Memory cgroup o|O)ut of memory and no killable processes|System is deadlocked on memory)"
    rb"|(?P<dropped>\*\* \d++ printk messages dropped \*\*)"
    rb"|(?P<panic>Kernel panic - not syncing: Out of memory: (?:compulsory|system-wide) panic_on_oom)"
    rb"|(?:Node \d++ )?(?:DMA|DMA32|Normal|HighMem|Movable): \d++\*(?P<buddies>\d{1,4}+)kB "
    rb"|(?P<hidden>\[[\d.]++[KMGTPE]?i?B blob data\])",
    re.DOTALL,
)
_TASK_IN, _TASKS_IN = b"Task in ", b"Tasks in "
_GROUP_END = b" are going to be killed due to memory.oom.group set"
_ALL_NODES = (b" nodemask=(null),", b" nodemask=0,")
_OLD_SCOPE = b" killed as a result of limit of /"

AFTER_KILL = 60
"""Messages of the kernel's after the last kill in which more of a killed cgroup's tasks may follow."""

_PAGE_SIZES = tuple(1 << n for n in range(12, 19))
"""From 4 KiB to 256 KiB (ppc)."""

_UNLIMITED_KB = 2**53 - 2**6
"""PAGE_COUNTER_MAX in kB is 2^53 less one page, of 64 KiB at most."""


def is_start(text: bytes) -> bool:
    """Whether a message can be the first that there is of a report."""
    return (
        _INVOKED in text
        or text.startswith(b"oom-kill:constraint=")
        or is_header(text)
        or (b"illed process " in text and killed(text) is not None)
        or (b"ill process " in text and chosen(text) is not None)
        or (text.startswith(_TASK_IN) and _OLD_SCOPE in text)
    )


def path_of(text: bytes) -> MemcgPath:
    """A cgroup's path by its components."""
    return tuple(part for part in text.split(b"/") if part)


@dataclass(frozen=True, slots=True)
class _Header:
    """A report's first line: the invoker's name, and what follows `gfp_mask=`."""

    comm: bytes
    rest: bytes

    @classmethod
    def of(cls, text: bytes) -> _Header:
        comm, _, rest = text.rpartition(_INVOKED)
        return cls(comm, rest)


@dataclass(slots=True)
class Builder:
    """A report being read. done: nothing more can come. idle: messages since one that belonged to it. folded: several
    messages stand in a line of the log, so that a line end and the same characters in a name look alike.
    """

    line: int
    time: str = ""
    host: str = ""
    folded: bool = False
    done: bool = False
    idle: int = 0
    _header: _Header | None = None
    _cpuset: bool = False
    _table: Table | None = None
    _fields: dict[str, bytes] = field(default_factory=dict)
    _counters: dict[bytes, Counter] = field(default_factory=dict)
    _stats: list[tuple[bytes, bool]] = field(default_factory=list)
    _kills: list[Killed] = field(default_factory=list)
    _chosen: Chosen | None = None
    _group: bool = False
    _none: bool = False
    _panicked: bool = False
    _lost: dict[str, None] = field(default_factory=dict)
    _after_row: bool = False

    def starts_another(self, text: bytes) -> bool:
        """Whether a message is the first of the next report."""
        if _INVOKED in text:
            return self._header is not None or self._table is not None or bool(self._kills)
        if text.startswith(_TASK_IN) and _OLD_SCOPE in text:
            return "old_scope" in self._fields or bool(self._kills)
        if (self._kills or self._chosen is not None) and b"ill process " in text and chosen(text) is not None:
            return True
        if not self._kills:
            return False
        if text.startswith(b"oom-kill:constraint=") or is_header(text):
            return True
        return not self._group and b"illed process " in text and killed(text) is not None

    def take(self, text: bytes) -> bool:
        """Take a message; whether it belongs to the report."""
        self.idle += 1
        after_row, self._after_row = self._after_row, False
        known = self._take(text)
        if self.folded and after_row and not known:
            self._lost["what may be the rest of a task's name (it holds what stands for a line end)"] = None
        if known:
            self.idle = 0
        elif self._kills and self.idle > AFTER_KILL:
            self.done = True
        return known

    def _take(self, text: bytes) -> bool:
        if self._table is not None and text.startswith(b"[") and not self._kills and self._table.add(text):
            self._after_row = True
            return True
        if _INVOKED in text and self._header is None:
            self._header = _Header.of(text)
            return True
        if is_header(text):
            self._table = self._table or Table.of(text)
            return True
        if b"illed process " in text and (kill := killed(text)):
            self._kills.append(kill)
            return True
        if b"ill process " in text and (choice := chosen(text)) is not None:
            self._chosen = choice
            return True
        if text.startswith(b"oom-kill:") and (line := summary(text, self._name_of)):
            self._summary(line)
            return True
        if text.startswith((_TASK_IN, _TASKS_IN)) and self._tasks_in(text):
            return True
        found = _LINE.match(text)
        if found is None:
            if self._header is not None and b" cpuset=" in text and b" mems_allowed=" in text:
                self._cpuset = b" cpuset=/ " not in text
                return True
            return False
        return self._note(found)

    def _note(self, found: re.Match[bytes]) -> bool:
        if found["counter"] is not None:
            limit = int(found["limit"])
            limit = 2**63 - 1 if limit >= _UNLIMITED_KB else limit << 10
            self._counters.setdefault(found["counter"], Counter(usage=int(found["usage"]) << 10, limit=limit))
        elif found["pages"] is not None:
            self._fields.setdefault("ram" if found["kind"] == b"RAM" else "reserved", found["pages"])
        elif found["total_swap"] is not None:
            self._fields.setdefault("total_swap", found["total_swap"])
        elif found["thread"] is not None:
            self._fields.setdefault("thread", found["thread"])
        elif found["stats"] is not None:
            if len(self._stats) < 2:  # whether there is one, and of which cgroup
                self._stats.append((found["stats"], bool(found["inline"].strip())))
        elif found["none"] is not None:
            self._none = self.done = True
        elif found["panic"] is not None:
            self._panicked = self.done = True
        elif found["buddies"] is not None:
            self._fields.setdefault("buddies", found["buddies"])
        elif found["dropped"] is not None:
            self._lost["the kernel's log buffer overflowed and lines are lost"] = None
        elif found["hidden"] is not None:
            if self._table is None or self._kills:
                return False
            self._lost["the journal hides a line (journalctl shows it with --all or -o json)"] = None
        return True

    def _tasks_in(self, text: bytes) -> bool:
        """`Task in /a/b killed as a result of limit of /a`, before Linux 4.19, or the news that a whole cgroup dies."""
        if text.startswith(_TASKS_IN) and _GROUP_END in text:
            self._group = True
            return True
        # Of the two paths either may hold these words; the last are taken for the kernel's.
        at = text.rfind(_OLD_SCOPE)
        begin = text.index(b" in ") + 4
        if at < begin:
            return False
        self._fields.setdefault("old_task", text[begin:at])
        self._fields.setdefault("old_scope", text[at + len(_OLD_SCOPE) - 1 :].rstrip(b" \t"))
        return True

    def _summary(self, line: Summary) -> None:
        self._fields["constraint"] = line.constraint
        if line.pid is not None and line.memcg is not None and line.comm is not None:
            self._fields |= {"memcg": line.memcg, "comm": line.comm, "pid": b"%d" % line.pid}
            if line.scope is not None:
                self._fields["scope"] = line.scope

    def _name_of(self, pid: int) -> bytes | None:
        return self._table.name_of(pid) if self._table is not None else None

    # The report

    def lose(self, what: str) -> None:
        """Note that something is not there, in words; after the kill nothing counts any more."""
        if not self._kills:
            self._lost[what] = None

    def report(self, reaped: Container[tuple[int, bytes]] = ()) -> Report:
        """What there is of the report. reaped: (pid, name) of those whose memory was taken before."""
        header, fields = self._header, self._fields
        page_size = self._page_size()
        is_global = self._is_global()
        scope_text = fields.get("scope", fields.get("old_scope"))
        scope = path_of(scope_text) if scope_text is not None and is_global is not True else None
        victim = fields.get("memcg", fields.get("old_task"))
        tasks = self._table.tasks(page_size, reaped) if self._table is not None else ()
        kills = _by_their_processes([line.kill for line in self._kills], tasks)
        pid, comm = self._choice()
        if kills and pid == self._kills[0].kill.pid:
            pid = kills[0].pid
        rest = header.rest if header is not None else b""
        ram = None
        if "ram" in fields and "reserved" in fields:
            ram = (int(fields["ram"]) - int(fields["reserved"])) * page_size
        # One line a cgroup, all those below the scope too, until Linux 5.2; since then the scope's only.
        inline = bool(self._stats) and all(i for _, i in self._stats)
        return Report(
            line=self.line,
            time=self.time,
            host=self.host,
            invoker_comm=header.comm if header is not None else None,
            invoker_thread=int(fields["thread"]) if "thread" in fields and header is not None else None,
            order=_number(_ORDER.search(rest)),
            policy_name=_policy_name(rest),
            is_global=is_global,
            constraint=self._constraint(is_global, rest),
            scope=scope,
            victim_memcg=path_of(victim) if victim is not None else None,
            chosen=pid,
            chosen_comm=comm,
            kills=kills,
            tasks=tasks,
            memory=self._counters.get(b"memory"),
            swap=self._counters.get(b"swap"),
            memsw=self._counters.get(b"memory+swap"),
            one_memcg=inline and len(self._stats) == 1 and path_of(self._stats[0][0]) == scope,
            ram=ram,
            ram_present=int(fields["ram"]) * page_size if "ram" in fields else None,
            total_swap=int(fields["total_swap"]) << 10 if "total_swap" in fields else None,
            page_size=page_size,
            by_invoker=any(b"oom_kill_allocating_task" in why for _, why in self._kills[:1]),
            none_left=self._none and not self._kills,
            panicked=self._panicked,
            before_4_15=self._table is not None and b"pgtables_bytes" not in self._table.columns,
            missing=self._missing(),
        )

    def _is_global(self) -> bool | None:
        if "constraint" in self._fields:
            return self._fields["constraint"] != b"MEMCG"
        if "old_scope" in self._fields or b"memory" in self._counters:
            return False
        for line in (*self._kills[:1], *([self._chosen] if self._chosen is not None else ())):
            if b"ut of memory" in line.why:
                return b"Memory cgroup out of memory" not in line.why
        return True if "ram" in self._fields else None

    def _choice(self) -> tuple[int | None, bytes | None]:
        """Pid and name of whom the kernel chose, by the line that says so best."""
        if self._chosen is not None:
            return self._chosen.pid, self._chosen.comm
        if "pid" in self._fields:
            return int(self._fields["pid"]), self._fields["comm"]
        if self._kills:
            return self._kills[0].kill.pid, self._kills[0].kill.comm
        return None, None

    def _constraint(self, is_global: bool | None, rest: bytes) -> str | None:
        if "constraint" in self._fields:
            return self._fields["constraint"].decode("ascii")
        if is_global is False:
            return "MEMCG"
        if is_global and not self._cpuset and any(mask in rest for mask in _ALL_NODES):
            return "NONE"
        return None

    def _page_size(self) -> int:
        """By the victim's address space, which stands in the table in pages and in the kill's line in kB and may have
        changed a little in between; else by the free pages of a zone, counted from the single ones upwards.
        """
        kill = self._kills[0].kill if self._kills else None
        pages = self._table.pages_of(kill.pid) if kill is not None and self._table is not None else None
        if kill is not None and pages is not None and pages > 16 and "vm" in kill.facts:
            vm = kill.facts["vm"]
            for size in _PAGE_SIZES:
                if abs(pages * size - vm) <= vm // 16:
                    return size
        if "buddies" in self._fields and (size := int(self._fields["buddies"]) << 10) in _PAGE_SIZES:
            return size
        return PAGE_SIZE

    def _missing(self) -> tuple[str, ...]:
        found = list(self._lost)
        if self._header is None:
            found.append("its beginning")
        if self._table is None:
            found.append("the task table")
        else:
            if self._table.broken:
                found.append(f"{self._table.broken} unreadable lines of the task table")
            ended = self._kills or "pid" in self._fields or self._chosen is not None
            if not ended and not self._none and not self._panicked:
                found.append("its end")
        return tuple(found)


def _number(match: re.Match[bytes] | None) -> int | None:
    return int(match[1]) if match is not None else None


def _by_their_processes(kills: list[Kill], tasks: tuple[TaskRow, ...]) -> tuple[Kill, ...]:
    """The kills with the pids of processes: before Linux 4.19 the line of a memcg's event could name another thread."""
    known = {pid for row in tasks for pid in (row.pid, row.tgid)}
    alike: dict[tuple[bytes, int | None], list[int]] = {}
    for row in tasks:
        alike.setdefault((row.comm, row.facts.get("vm")), []).append(row.tgid)
    found = []
    for kill in kills:
        same = alike.get((kill.comm, kill.facts.get("vm")), [])
        found.append(replace(kill, pid=same[0]) if kill.pid not in known and len(same) == 1 else kill)
    return tuple(found)


def _policy_name(rest: bytes) -> bytes | None:
    """What a kernel with our hooks prints between `order=0, ` and the invoker's oom_score_adj."""
    _, mark, after = rest.partition(b" policy_name=")
    end = after.rfind(b", oom_score_adj=")
    return after[:end] if mark and end >= 0 else None
