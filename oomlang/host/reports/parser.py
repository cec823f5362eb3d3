"""A report, message by message.

In: the kernel's messages (`forms`). Out: a `Report` where one is complete, or ends, or is cut off. What a message means is
settled by how it begins; everything else between a report's lines is ignored.

The lines of mm/oom_kill.c and mm/memcontrol.c, Linux 4.19 to 6.18, and what vendors' kernels of that age print.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field

from oomlang.host.model import MemcgPath
from oomlang.host.reports.model import PAGE_SIZE, Counter, Kill, Report
from oomlang.host.reports.table import Table, is_header

_INVOKED = re.compile(rb"(.*) invoked oom-killer: gfp_mask=(.*)", re.DOTALL)
_ORDER = re.compile(rb"\border=(-?\d+)")
_NAME = re.compile(rb"\bpolicy_name=(.*), oom_score_adj=")
_NODEMASK = re.compile(rb"\bnodemask=([^,]*(?:,\d[^,]*)*),")
_KILLED = re.compile(
    rb"(?P<why>.*?: )?Killed process (?P<pid>\d+)(?:, UID \d+,)? \((?P<comm>.*)\),?(?: UID \d+,)? "
    rb"total-vm:(?P<vm>\d+)kB, anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB(?:, shmem-rss:(?P<shmem>\d+)kB)?"
    rb"(?:,? UID:(?P<uid>\d+))?(?: pgtables:(?P<pgtables>\d+)kB)?(?: oom_score_adj:(?P<adj>-?\d+))?",
    re.DOTALL,
)
_CHOSEN = re.compile(rb"(?:.*?: )?Kill process (\d+) \((.*)\) score \d+ or sacrifice child", re.DOTALL)
_LINE = re.compile(
    rb"oom-kill:constraint=(?:CONSTRAINT_)?(?P<constraint>[A-Z_]+),"
    rb"|(?P<counter>memory|swap|memory\+swap): usage (?P<usage>\d+)kB, limit (?P<limit>\d+)kB"
    rb"|(?P<pages>\d+) pages (?P<kind>RAM|reserved)\b"
    rb"|Total swap = (?P<total_swap>\d+)kB"
    rb"|CPU: \d+ (?:UID: \d+ )?PID: (?P<thread>\d+) Comm: "
    rb"|Memory cgroup stats for (?P<stats>/.*?):(?P<inline>.*)"
    rb"|Tasks? in (?P<old_task>.*) killed as a result of limit of (?P<old_scope>/.*)"
    rb"|(?P<group>Tasks in .* are going to be killed due to memory\.oom\.group set)"
    rb"|(?P<none>(?:Memory cgroup o|O)ut of memory and no killable processes|System is deadlocked on memory)"
    rb"|(?P<dropped>\*\* \d+ printk messages dropped \*\*)"
    rb"|(?P<hidden>\[[\d.]+[KMGTPE]?i?B blob data\])",
    re.DOTALL,
)
_SUMMARY = re.compile(
    rb",(?:oom_memcg=(?P<scope>/.*)|global_oom),task_memcg=(?P<memcg>/.*?),task=(?P<comm>.*),pid=(?P<pid>\d+),uid=\d+\s*$",
    re.DOTALL,
)
REAPED = re.compile(rb"oom_reaper: reaped process (\d+) \((.*)\),", re.DOTALL)

AFTER_KILL = 60
"""Messages of the kernel's after the last kill in which more of a killed cgroup's tasks may follow."""

_UNLIMITED_KB = 2**53 - 2**6
"""PAGE_COUNTER_MAX in kB is 2^53 less one page, of 64 KiB at most."""


def is_start(text: bytes) -> bool:
    """Whether a message can be the first that there is of a report."""
    return (
        (b" invoked oom-killer: gfp_mask=" in text)
        or text.startswith(b"oom-kill:constraint=")
        or is_header(text)
        or (b"illed process " in text and _KILLED.fullmatch(text) is not None)
    )


def path_of(text: bytes) -> MemcgPath:
    """A cgroup's path by its components."""
    return tuple(part for part in text.split(b"/") if part)


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
    _header: re.Match[bytes] | None = None
    _cpuset: bool = False
    _table: Table | None = None
    _fields: dict[str, bytes] = field(default_factory=dict)
    _counters: dict[bytes, Counter] = field(default_factory=dict)
    _stats: list[tuple[bytes, bool]] = field(default_factory=list)
    _kills: list[tuple[Kill, bytes]] = field(default_factory=list)
    _chosen: int | None = None
    _group: bool = False
    _none: bool = False
    _lost: list[str] = field(default_factory=list)
    _after_row: bool = False

    def starts_another(self, text: bytes) -> bool:
        """Whether a message is the first of the next report."""
        if b" invoked oom-killer: gfp_mask=" in text:
            return self._header is not None or self._table is not None or bool(self._kills)
        if not self._kills:
            return False
        if text.startswith(b"oom-kill:constraint=") or is_header(text):
            return True
        return not self._group and b"illed process " in text and _KILLED.fullmatch(text) is not None

    def take(self, text: bytes) -> bool:
        """Take a message; whether it belongs to the report."""
        self.idle += 1
        after_row, self._after_row = self._after_row, False
        known = self._take(text)
        if self.folded and after_row and not known:
            self._lost.append("what may be the rest of a task's name (it holds what stands for a line end)")
        if known:
            self.idle = 0
        elif self._kills and self.idle > AFTER_KILL:
            self.done = True
        return known

    def _take(self, text: bytes) -> bool:
        if self._table is not None and text.startswith(b"[") and not self._kills and self._table.add(text):
            self._after_row = True
            return True
        if b" invoked oom-killer: gfp_mask=" in text and self._header is None:
            self._header = _INVOKED.fullmatch(text)
            return True
        if is_header(text):
            self._table = self._table or Table.of(text)
            return True
        if b"illed process " in text and (killed := _KILLED.fullmatch(text)):
            self._kills.append((_kill(killed), killed["why"] or b""))
            return True
        if b"Kill process " in text and (chosen := _CHOSEN.match(text)):
            self._chosen = int(chosen[1])
            return True
        found = _LINE.match(text)
        if found is None:
            if self._header is not None and b" cpuset=" in text and b" mems_allowed=" in text:
                self._cpuset = b" cpuset=/ " not in text
                return True
            return False
        return self._note(found, text)

    def _note(self, found: re.Match[bytes], text: bytes) -> bool:
        if found["constraint"] is not None:
            self._fields["constraint"] = found["constraint"]
            self._summary(text)
        elif found["counter"] is not None:
            limit = int(found["limit"])
            limit = 2**63 - 1 if limit >= _UNLIMITED_KB else limit << 10
            self._counters.setdefault(found["counter"], Counter(usage=int(found["usage"]) << 10, limit=limit))
        elif found["kind"] is not None:
            self._fields.setdefault("ram" if found["kind"] == b"RAM" else "reserved", found["pages"])
        elif found["total_swap"] is not None:
            self._fields.setdefault("total_swap", found["total_swap"])
        elif found["thread"] is not None:
            self._fields.setdefault("thread", found["thread"])
        elif found["stats"] is not None:
            self._stats.append((found["stats"], bool(found["inline"].strip())))
        elif found["old_task"] is not None:
            self._fields.setdefault("old_task", found["old_task"])
            self._fields.setdefault("old_scope", found["old_scope"])
        elif found["group"] is not None:
            self._group = True
        elif found["none"] is not None:
            self._none = self.done = True
        elif found["dropped"] is not None:
            self._lost.append("the kernel's log buffer overflowed and lines are lost")
        elif found["hidden"] is not None:
            if self._table is None or self._kills:
                return False
            self._lost.append("the journal hides a line (journalctl shows it with --all or -o json)")
        return True

    def _summary(self, text: bytes) -> None:
        """The `oom-kill:` line. Names may hold anything, so the table's name of the task settles where its own begins."""
        found = _SUMMARY.search(text)
        if found is None:
            return
        scope, memcg, pid = found["scope"], found["memcg"], int(found["pid"])
        row = None
        if self._table is not None:
            row = next((r for tgid, r in self._table.rows.items() if pid in (tgid, r[0])), None)
        if row is not None:
            _, mark, tail = text.partition(b",task_memcg=")
            middle = b",task=" + row[1] + b",pid=%d,uid=" % pid
            if mark and middle in tail:
                memcg = tail[: tail.rindex(middle)]
        self._fields |= {"memcg": memcg, "pid": found["pid"]}
        if scope is not None:
            self._fields["scope"] = text[
                found.start("scope") : text.index(b",task_memcg=", found.start("scope"))
            ]

    # The report

    def lose(self, what: str) -> None:
        """Note that something is not there, in words; after the kill nothing counts any more."""
        if not self._kills:
            self._lost.append(what)

    def report(self, reaped: Container[tuple[int, bytes]] = ()) -> Report:
        """What there is of the report. reaped: (pid, name) of those whose memory was taken before."""
        header, fields = self._header, self._fields
        page_size = self._page_size()
        is_global = self._is_global()
        scope_text = fields.get("scope", fields.get("old_scope"))
        scope = path_of(scope_text) if scope_text is not None and is_global is not True else None
        victim = fields.get("memcg", fields.get("old_task"))
        chosen = self._chosen
        if chosen is None and "pid" in fields:
            chosen = int(fields["pid"])
        if chosen is None and self._kills:
            chosen = self._kills[0][0].pid
        rest = header[2] if header is not None else b""
        ram = None
        if "ram" in fields and "reserved" in fields:
            ram = (int(fields["ram"]) - int(fields["reserved"])) * page_size
        # One line a cgroup, all those below the scope too, until Linux 5.2; since then the scope's only.
        inline = bool(self._stats) and all(i for _, i in self._stats)
        return Report(
            line=self.line,
            time=self.time,
            host=self.host,
            invoker_comm=header[1] if header is not None else None,
            invoker_thread=int(fields["thread"]) if "thread" in fields and header is not None else None,
            order=_number(_ORDER.search(rest)),
            policy_name=name[1] if (name := _NAME.search(rest)) else None,
            is_global=is_global,
            constraint=self._constraint(is_global, rest),
            scope=scope,
            victim_memcg=path_of(victim) if victim is not None else None,
            chosen=chosen,
            kills=tuple(kill for kill, _ in self._kills),
            tasks=self._table.tasks(page_size, reaped) if self._table is not None else (),
            memory=self._counters.get(b"memory"),
            swap=self._counters.get(b"swap"),
            memsw=self._counters.get(b"memory+swap"),
            one_memcg=inline and len(self._stats) == 1 and path_of(self._stats[0][0]) == scope,
            ram=ram,
            total_swap=int(fields["total_swap"]) << 10 if "total_swap" in fields else None,
            page_size=page_size,
            by_invoker=any(b"oom_kill_allocating_task" in why for _, why in self._kills[:1]),
            none_left=self._none and not self._kills,
            missing=self._missing(),
        )

    def _is_global(self) -> bool | None:
        if "constraint" in self._fields:
            return self._fields["constraint"] != b"MEMCG"
        if "old_scope" in self._fields or b"memory" in self._counters:
            return False
        if self._kills and b"ut of memory" in self._kills[0][1]:
            return not self._kills[0][1].startswith(b"Memory cgroup")
        return True if "ram" in self._fields else None

    def _constraint(self, is_global: bool | None, rest: bytes) -> str | None:
        if "constraint" in self._fields:
            return self._fields["constraint"].decode("ascii")
        if is_global is False:
            return "MEMCG"
        nodemask = _NODEMASK.search(rest)
        if is_global and not self._cpuset and nodemask is not None and nodemask[1] in (b"(null)", b"0"):
            return "NONE"
        return None

    def _page_size(self) -> int:
        """By the victim's address space, which stands in the table in pages and in the kill's line in kB."""
        if self._table is None or not self._kills:
            return PAGE_SIZE
        kill = self._kills[0][0]
        pages = self._table.pages_of(kill.pid)
        for size in (4096, 16384, 65536):
            if pages and pages * size == kill.facts["vm"]:
                return size
        return PAGE_SIZE

    def _missing(self) -> tuple[str, ...]:
        found = list(dict.fromkeys(self._lost))
        if self._header is None:
            found.append("its beginning")
        if self._table is None:
            found.append("the task table")
        else:
            if self._table.broken:
                found.append(f"{self._table.broken} unreadable lines of the task table")
            if not self._kills and not self._fields.get("pid") and self._chosen is None and not self._none:
                found.append("its end")
        return tuple(found)


def _number(match: re.Match[bytes] | None) -> int | None:
    return int(match[1]) if match is not None else None


def _kill(found: re.Match[bytes]) -> Kill:
    facts = {"vm": int(found["vm"]) << 10}
    for name, group in (
        ("rss.anon", "anon"),
        ("rss.file", "file"),
        ("rss.shmem", "shmem"),
        ("pgtables", "pgtables"),
    ):
        if found[group] is not None:
            facts[name] = int(found[group]) << 10
    if found["uid"] is not None:
        facts["uid"] = int(found["uid"])
    if found["adj"] is not None:
        facts["oom_score_adj"] = int(found["adj"])
    if found["shmem"] is not None:
        facts["rss"] = facts["rss.anon"] + facts["rss.file"] + facts["rss.shmem"]
    return Kill(pid=int(found["pid"]), comm=found["comm"], facts=facts)
