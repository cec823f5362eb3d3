"""The record that a target is.

The core of a policy (event, guards, facts, rules, the kept candidate) knows no hook. A target says which programs there are
and where they are attached, how an event begins, and what the loader has to know about them; its template says it in C.
"""

from __future__ import annotations

from oomlang.objects.metadata import Map
from oomlang.records import dataclass

READING = frozenset(
    {
        "map_lookup_elem",
        "get_current_pid_tgid",
        "probe_read_kernel",
        "probe_read_kernel_str",
        "ktime_get_boot_ns",
    }
)
"""Helpers that every program may call: none writes anything."""

UPDATING = READING | {"map_update_elem"}
"""Besides, it may write to the target's own maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedProgram:
    """A program: the section that names its hook, and the helpers and kfuncs that it may call, functions included."""

    name: str
    section: str
    helpers: frozenset[str]
    kfuncs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """C expressions for what is asked about an event once, when it begins."""

    total_pages: str
    order: str
    invoker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A kernel interface that policies are compiled for.

    summary: for `compile --help`, after the name. decides: whether its programs are attached to OOM events; the loader
    loads only these. programs: in the order in which they are attached, the last one being what makes the choice. maps:
    its own, which its programs may update. turn: see `Metadata.turn`. template: its C. reads: keys of `facts.table.FIELDS`
    that its programs read whatever the policy says; told: those that they are told instead. record: whether it writes a
    record about each process. scoped: whether it is told an event's scope, and asks of each task whether it lies in it.
    pieces: of the runtime, those that declare its state.
    """

    name: str
    summary: str
    decides: bool
    programs: tuple[AttachedProgram, ...]
    maps: tuple[Map, ...]
    turn: str | None
    template: str
    event: EventSource
    reads: tuple[str, ...]
    told: frozenset[str] = frozenset()
    record: bool = False
    scoped: bool = False
    pieces: tuple[str, ...] = ()

    @property
    def kfuncs(self) -> tuple[str, ...]:
        """All that its programs call."""
        return tuple(sorted({name for program in self.programs for name in program.kfuncs}))
