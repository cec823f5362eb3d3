"""A machine's facts at one moment, as a source has read them.

Facts stand under their names in the table of facts, in base units (bytes, ms, plain numbers; a bool is 0 or 1), as read:
values outside a fact's range are clamped by who uses them. A fact that is missing was not seen; `Unseen` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

MemcgPath: TypeAlias = tuple[bytes, ...]
"""A memory cgroup's path by its components; empty for the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Something that could not be seen.

    what: names of facts; `memcg` also stands for a whole cgroup, `task` for whole processes, `guard` for the kernel's own
    guards. why: a sentence without its full stop. pids, memcgs: whose; both empty: everybody's.
    """

    what: tuple[str, ...]
    why: str
    pids: tuple[int, ...] = ()
    memcgs: tuple[MemcgPath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemcgFacts:
    """A memory cgroup. id: the inode number of its directory, None where unseen. facts: those that the table keeps by name,
    `UNLIMITED` for a limit that is none; no facts for the root, where the language fixes them. swap_room: bytes of swap that
    the kernel adds to the limit for the size of an OOM event in this cgroup; None where unseen.
    """

    path: MemcgPath
    id: int | None
    facts: Mapping[str, int] = field(default_factory=dict)
    swap_room: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """A process that the kernel could choose (no kernel thread, not the machine's init).

    comm: None where unseen. memcg: the path of its memory cgroup, None where unseen. start: clock ticks from boot to its
    start, None where unseen. facts: those that the table keeps by name. has_mm: whether any of its threads has a memory
    map; None where unseen.
    """

    pid: int
    comm: bytes | None
    memcg: MemcgPath | None
    start: int | None
    has_mm: bool | None
    facts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """A machine. ram, swap, page_size: bytes; taken_at: seconds since 1970. kernel: its release (`uname -r`).

    memcgs: every cgroup that a task is in, and all above them, the root first; parents before their children. hierarchy:
    of the memory controller: `v1`, `v2` or `none`. ticks_per_second: the unit of `start`.
    """

    taken_at: float
    kernel: str
    ram: int
    swap: int
    page_size: int
    ticks_per_second: int
    hierarchy: str
    memcgs: Mapping[MemcgPath, MemcgFacts]
    tasks: tuple[TaskFacts, ...]
    unseen: tuple[Unseen, ...] = ()
    redacted: bool = False
