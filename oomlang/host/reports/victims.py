"""The lines of a report that name who dies, or died before.

In: a message of the kernel's. Out: what it says. The names in it hold whatever bytes a process gives itself, also pieces of
these very lines, so a line is read from both its ends towards the name; each byte is looked at a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from oomlang.facts import FACTS, Type
from oomlang.facts.cells import Column
from oomlang.host.reports.model import Kill

_AT = rb"(?:\A|(?<=: ))"
_TASK = rb" process (?P<pid>\d{1,10}+)(?:, UID \d{1,10}+,)? \("
_KILLED = re.compile(_AT + rb"Killed" + _TASK)
_CHOSEN = re.compile(_AT + rb"[Kk]ill" + _TASK)
"""Up to the task's name. Before Linux 2.6.36 the second began with a small letter."""

_SIZES = re.compile(
    rb"(?:total-vm|vsz):(?P<total_vm>\d{1,19}+)kB, anon-rss:(?P<anon_rss>\d{1,19}+)kB, file-rss:(?P<file_rss>\d{1,19}+)kB"
    rb"(?:, shmem-rss:(?P<shmem_rss>\d{1,19}+)kB)?(?:,? UID:(?P<UID>\d{1,10}+))?(?: pgtables:(?P<pgtables>\d{1,19}+)kB)?"
    rb"(?: oom_score_adj:(?P<oom_score_adj>-?\d{1,5}+))?"
)
_FACTS = tuple(
    (f.name, f.report.killed.replace("-", "_"), 1024 if f.type is Type.BYTES else 1)
    for f in FACTS.values()
    if isinstance(f.report, Column) and f.report.killed
)
"""The facts of that line, their groups in `_SIZES` and their units."""
_SUMS = tuple(f for f in FACTS.values() if f.sum_of)
_UID = re.compile(rb" UID \d{1,10}+,")
_SCORE = re.compile(rb"\d{1,10}+ or (?:sacrifice|a) child")
_IDS = re.compile(rb",pid=(?P<pid>\d{1,10}+),uid=\d{1,10}+\s*+")
_CONSTRAINT = re.compile(rb"oom-kill:constraint=(?:CONSTRAINT_)?+([A-Z_]{1,40}+),")
_REAPED = re.compile(rb"oom_reaper: reaped process (\d{1,10}+) \(")


class Chosen(NamedTuple):
    """A `Kill process` line of before Linux 5.1. why: as in `Killed`."""

    pid: int
    comm: bytes
    why: bytes


class Killed(NamedTuple):
    """A `Killed process` line. why: what stands before that, up to its colon."""

    kill: Kill
    why: bytes


class Summary(NamedTuple):
    """The `oom-kill:` line. scope, memcg, comm, pid: of the cgroup that ran out, the victim's, its name and pid; None where
    it breaks off before them.
    """

    constraint: bytes
    scope: bytes | None = None
    memcg: bytes | None = None
    comm: bytes | None = None
    pid: int | None = None


def killed(text: bytes) -> Killed | None:
    """Who died, of a whole `Killed process` line; None for any other."""
    text = text.rstrip(b" \t")  # what a terminal has added
    end = max(text.rfind(b" total-vm:"), text.rfind(b" vsz:"))
    sizes = _SIZES.fullmatch(text, end + 1) if end >= 0 else None
    found = _KILLED.search(text)
    if found is None:
        return None
    if sizes is None:  # Linux 2.6.24 to 2.6.31 say nothing more
        bare = found.start() == 0 and text.endswith(b")")
        return Killed(Kill(pid=int(found["pid"]), comm=text[found.end() : -1]), b"") if bare else None
    # Red Hat's kernels have the uid on either side of the name.
    comma = text.rfind(b"),", found.end(), end)
    if comma >= 0 and _UID.fullmatch(text, comma + 2, end):
        end = comma + 1
    elif text.endswith(b"),", found.end(), end):
        end -= 1
    elif (paren := text.rfind(b")", found.end(), end)) >= 0 and _UID.fullmatch(text, paren + 1, end):
        end = paren + 1
    if not text.endswith(b")", found.end(), end):
        return None
    comm = text[found.end() : end - 1]
    return Killed(Kill(pid=int(found["pid"]), comm=comm, facts=_facts(sizes)), text[: found.start()])


def chosen(text: bytes) -> Chosen | None:
    """Whom the kernel chose, before Linux 5.1: perhaps a child died in its place. None for any other line."""
    found = _CHOSEN.search(text)
    score = text.rfind(b") score ")
    if found is None or score < found.end() or _SCORE.match(text, score + 8) is None:
        return None
    return Chosen(int(found["pid"]), text[found.end() : score], text[: found.start()])


def reaped(text: bytes) -> tuple[int, bytes] | None:
    """Whose memory the kernel has taken: pid and name; None for any other line."""
    found = _REAPED.match(text)
    end = text.rfind(b"),")
    return (int(found[1]), text[found.end() : end]) if found is not None and end >= found.end() else None


def summary(text: bytes, name_of: Callable[[int], bytes | None]) -> Summary | None:
    """What the `oom-kill:` line says; None for any other line. name_of: a task's name in the table, which settles where the
    cgroup's path ends.
    """
    found = _CONSTRAINT.match(text)
    if found is None:
        return None
    broken = Summary(found[1])
    end = text.rfind(b",pid=")
    ids = _IDS.fullmatch(text, end) if end >= 0 else None
    if ids is None:
        return broken
    scope, begin = _scope(text)
    pid = int(ids["pid"])
    name = name_of(pid)
    mark = b",task=" + (name if name is not None else b"")
    task = (
        end - len(mark)
        if name is not None and text.endswith(mark, begin, end)
        else text.find(mark[:6], begin, end)
    )
    if not 0 <= begin < task:
        return broken
    return Summary(found[1], scope, text[begin:task], text[task + len(b",task=") : end], pid)


def _scope(text: bytes) -> tuple[bytes | None, int]:
    """The path behind `oom_memcg=`, None for a global event, and where the one behind `task_memcg=` begins; -1 for nowhere.

    The name of a cpuset stands before them; unlike a path it has no slash.
    """
    scope, machine = text.find(b",oom_memcg=/"), text.find(b",global_oom,task_memcg=/")
    if machine >= 0 and (scope < 0 or machine < scope):
        return None, machine + len(b",global_oom,task_memcg=")
    task = text.find(b",task_memcg=/", scope) if scope >= 0 else -1
    return (
        (text[scope + len(b",oom_memcg=") : task], task + len(b",task_memcg=")) if task >= 0 else (None, -1)
    )


def _facts(found: re.Match[bytes]) -> dict[str, int]:
    facts = {name: int(found[group]) * unit for name, group, unit in _FACTS if found[group] is not None}
    # Before Linux 4.5 what is shared counts in file-rss.
    return {**facts, **{f.name: sum(facts.get(part, 0) for part in f.sum_of) for f in _SUMS}}
