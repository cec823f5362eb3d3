"""What an OOM event looks like to the interpreter: the event, the memory cgroups and the candidates.

In: values that a source of facts has read, in base units (bytes, ms, plain numbers; a bool is 0 or 1). A
source that cannot see a fact leaves it out: the fact is *unobservable* and nothing turns it into 0. Values
may lie outside the ranges of the table; they are clamped when they are read, as the BPF readers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from oomlang.facts import Interval

ROOT_ID = 1
"""The id of the root cgroup."""

SYSRQ_ORDER = -1
"""`oom.order` of an event that a person asked for."""


class Guard(Enum):
    """Why the kernel itself never kills a task, or waits for it; the values are words for a message."""

    NONE = "none"
    NO_MM = "no memory map left"
    UNKILLABLE = "oom_score_adj is -1000"  # found by the interpreter itself; a source need not say it
    REAPED = "its memory is reaped already (MMF_OOM_SKIP)"
    VFORK = "in vfork: its memory is its parent's"
    DYING = "a victim already, its memory not yet freed"  # ends the scan, but for sysrq


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Memcg:
    """A memory cgroup. One object stands for one cgroup, so they compare by identity.

    path: its components, none for the root. id: the inode number of its directory, None where unobservable;
    the root's is 1 whatever is given. facts: those that the table keeps by name (`memcg.usage`), `UNLIMITED` for
    a limit that is none; ignored for the root, whose facts are fixed. inputs: the values set for it, by the
    name of the input. Raises ValueError where `parent` is not the cgroup above.
    """

    path: tuple[bytes, ...]
    parent: Memcg | None
    id: int | None = None
    facts: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    _above: tuple[Memcg, ...] = field(init=False)

    def __post_init__(self) -> None:
        if (self.parent.path if self.parent is not None else None) != (self.path[:-1] if self.path else None):
            raise ValueError(f"the parent of {self.path} is not the cgroup above it")
        object.__setattr__(self, "_above", self.parent.chain if self.parent is not None else ())

    def __repr__(self) -> str:
        return f"<memcg {b'/' + b'/'.join(self.path)!r}>"

    @property
    def chain(self) -> tuple[Memcg, ...]:
        """The cgroups from the root to this one; at index d the one d levels below the root."""
        return (*self._above, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An OOM event.

    total: bytes. order: -1 for sysrq. scope: the cgroup that is out of memory, None (or the root) for a
    global event. invoker: the pid of the process whose allocation failed, 0 if it is none of the candidates.
    None for total, order or invoker: unobservable. total_between: what an unobservable total lies between, where
    something is known of it. scope_seen: false where nobody knows which cgroup ran out (`scope` is None then), nor
    whether one did, unless memcg_event says so. page_size: bytes, for `badness`.
    """

    total: int | None
    total_between: Interval | None = None
    order: int | None = 0
    scope: Memcg | None = None
    scope_seen: bool = True
    memcg_event: bool | None = None
    invoker: int | None = 0
    page_size: int = 4096

    @property
    def globally(self) -> bool | None:
        """Whether the event is global; None where unobservable."""
        return (
            self.is_global if self.scope_seen else None if self.memcg_event is None else not self.memcg_event
        )

    @property
    def is_global(self) -> bool:
        """Whether all tasks of the machine are candidates, as far as is known."""
        return self.scope is None or not self.scope.path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Candidate:
    """A process. They compare by identity.

    comm: its bytes, None where unobservable. memcg: None where unobservable; the caller then vouches that it
    belongs to the event's scope, from which what is known of it follows. facts: those of a task that the table keeps by
    name. start: when it started, in any unit that all candidates share, the higher the later; None
    where unobservable.
    """

    pid: int
    comm: bytes | None
    memcg: Memcg | None
    facts: Mapping[str, int]
    start: int | None
    guard: Guard = Guard.NONE

    def __repr__(self) -> str:
        return f"<candidate {self.pid} {self.comm!r}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One OOM event with everything that a policy can ask about it.

    candidates: in any order, their pids distinct; those outside the scope are left aside. knobs: the values
    set for inputs that are not per memcg; the default of the policy where there is none. complete: false where the
    source may lack candidates, so that one which is not here could be the victim; a victim still dying it does not lack.
    """

    event: Event
    candidates: Sequence[Candidate]
    knobs: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
