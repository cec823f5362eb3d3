"""The facts of the table, read for many candidates at once.

A `Column` holds a value for every candidate, for every cgroup, or one for the event: whatever the value
depends on. Facts come clamped to the range of the table; one that no source could see is an interval, its
whole range at worst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import Any, TypeAlias

from oomlang.facts import FACTS, Interval, Scope
from oomlang.facts.table import TEXT_BYTES
from oomlang.facts.types import UNLIMITED
from oomlang.ir.levels import Level
from oomlang.operations import ADD, MULTIPLY
from oomlang.targets.interp import values
from oomlang.targets.interp.machine import ROOT_ID, SYSRQ_ORDER, Candidate, Event, Guard, Memcg
from oomlang.targets.interp.values import Value, clamp

Path: TypeAlias = tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Values (`Value`) of a level, one for each of its members. exact: none of them is unknown."""

    level: Level
    values: Sequence[Any]  # Value; Any so that exact columns can be computed with as the plain ints they are
    exact: bool


def column(level: Level, found: Sequence[Value]) -> Column:
    """A column that may hold unknown values."""
    return Column(level=level, values=found, exact=not any(isinstance(v, Interval) for v in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """The candidates by column."""

    pids: Sequence[int] = ()
    comms: Sequence[bytes | None] = ()
    starts: Sequence[int | None] = ()
    guards: Sequence[Guard] = ()
    facts: Sequence[Mapping[str, int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Whom expressions are evaluated for.

    memcgs: the cgroups, each once; None stands for an unobservable one. tasks: the candidates; there may be
    none, for expressions about cgroups alone. index: for each candidate, the place of its cgroup in `memcgs`.
    """

    event: Event
    memcgs: Sequence[Memcg | None]
    tasks: Tasks = field(default_factory=Tasks)
    index: Sequence[int] = ()

    @classmethod
    def of(cls, event: Event, candidates: Sequence[Candidate]) -> View:
        """The view of candidates, each with its own memory cgroup."""
        own = [c.memcg for c in candidates]
        place = {memcg: i for i, memcg in enumerate(dict.fromkeys(own))}
        return cls(
            event=event,
            memcgs=list(place),
            tasks=Tasks(
                pids=[c.pid for c in candidates],
                comms=[c.comm for c in candidates],
                starts=[c.start for c in candidates],
                guards=[c.guard for c in candidates],
                facts=[c.facts for c in candidates],
            ),
            index=list(map(place.__getitem__, own)),
        )

    def size(self, level: Level) -> int:
        return (1, len(self.memcgs), len(self.tasks.pids))[level]

    def member(self, candidate: int) -> Callable[[Level], int]:
        """The place of what belongs to a candidate in a column of each level."""
        return (0, self.index[candidate], candidate).__getitem__

    def spread(self, found: Column, level: Level) -> Iterable[Any]:
        """The values of a column for each member of the same level, or of a finer one."""
        if found.level is level:
            return found.values
        if found.level is Level.EVENT:
            return repeat(found.values[0], self.size(level))
        return map(found.values.__getitem__, self.index)


class Readers:
    """Reads facts for a view; each once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._numbers: dict[tuple[str, int | None], Column] = {}
        self._texts: dict[tuple[str, int | None], tuple[Level, Sequence[bytes | None]]] = {}
        self._paths: dict[tuple[str, int | None], tuple[Level, Sequence[Path | None]]] = {}
        self._ancestors: dict[int | None, list[Memcg | None]] = {None: list(view.memcgs)}
        self._chains = [memcg.chain if memcg is not None else None for memcg in view.memcgs]
        # Whoever's cgroup is unobservable is in the scope: that far down all have these.
        scope = view.event.scope
        self._shared = scope.chain if scope is not None else ()

    def ancestors(self, depth: int | None) -> list[Memcg | None]:
        """For each cgroup its ancestor `depth` levels below the root, itself where it is not that deep or
        depth is None.
        """
        if depth not in self._ancestors:
            assert depth is not None
            shared = self._shared[depth] if depth < len(self._shared) else None
            self._ancestors[depth] = [
                c[min(depth, len(c) - 1)] if c is not None else shared for c in self._chains
            ]
        return self._ancestors[depth]

    def number(self, name: str, depth: int | None = None) -> Column:
        """A fact that is a number or a bool."""
        key = (name, depth)
        if key not in self._numbers:
            match FACTS[name].scope:
                case Scope.EVENT:
                    self._numbers[key] = column(Level.EVENT, [self._event(name)])
                case Scope.MEMCG:
                    self._numbers[key] = column(
                        Level.MEMCG, [self._memcg(name, m) for m in self.ancestors(depth)]
                    )
                case Scope.TASK:
                    self._numbers[key] = self._task(name)
        return self._numbers[key]

    def texts(self, name: str, depth: int | None) -> tuple[Level, Sequence[bytes | None]]:
        """A fact that is a text, None where unobservable."""
        if (name, depth) not in self._texts:
            self._texts[name, depth] = self._text(name, depth)
        return self._texts[name, depth]

    def _text(self, name: str, depth: int | None) -> tuple[Level, Sequence[bytes | None]]:
        most = TEXT_BYTES[name]
        if name == "comm":
            comms = self._view.tasks.comms
            if any(c is None or len(c) > most for c in set(comms)):
                comms = [c[:most] if c is not None else None for c in comms]
            return Level.TASK, comms
        paths = [m.path if m is not None else None for m in self.ancestors(depth)]
        return Level.MEMCG, [(p[-1][:most] if p else b"") if p is not None else None for p in paths]

    def paths(self, name: str, depth: int | None) -> tuple[Level, Sequence[Path | None]]:
        """A fact that is a cgroup: its path, None where unobservable."""
        if (name, depth) not in self._paths:
            self._paths[name, depth] = self._path(name, depth)
        return self._paths[name, depth]

    def _path(self, name: str, depth: int | None) -> tuple[Level, Sequence[Path | None]]:
        if name == "oom.memcg":
            event = self._view.event
            path = event.scope.path if event.scope is not None else ()
            return Level.EVENT, [path if event.scope_seen else None]
        return Level.MEMCG, [m.path if m is not None else None for m in self.ancestors(depth)]

    def missing(self, name: str, depth: int | None, member: Callable[[Level], int]) -> Iterator[str]:
        """The names of the facts that keep a fact from being known. member: its place in a column of a level."""
        if name == "badness":
            for part in (*_SIZES, "oom_score_adj", "oom.total"):
                yield from self.missing(part, None, member)
            return
        if FACTS[name].range is not None:
            found = self.number(name, depth)
            unknown = isinstance(found.values[member(found.level)], Interval)
        else:
            level, texts = self.texts(name, depth) if name in TEXT_BYTES else self.paths(name, depth)
            unknown = texts[member(level)] is None
        if unknown:
            yield name

    # One value

    def _event(self, name: str) -> Value:
        event = self._view.event
        match name:
            case "oom.global":
                return _read(name, event.globally)
            case "oom.total":
                between = event.total_between
                if event.total is None and between is not None:
                    range = _range(name)
                    return values.simplify(between.clamped(range.low, range.high))
                return _read(name, event.total)
            case "oom.order":
                return _read(name, event.order)
            case "oom.sysrq":
                return values.compare("==", _read("oom.order", event.order), SYSRQ_ORDER)
            case _:
                raise AssertionError(name)  # the table has no other

    def _memcg(self, name: str, memcg: Memcg | None) -> Value:
        if memcg is None:
            return _range(name)
        if name == "memcg.depth":
            return clamp(len(memcg.path), _range(name))
        if name == "memcg.id":
            return _read(name, memcg.id if memcg.path else ROOT_ID)
        may_be_unlimited = FACTS[name].unlimited
        if not memcg.path:
            return self._event("oom.total") if may_be_unlimited else 0
        value = memcg.facts.get(name)
        return self._event("oom.total") if may_be_unlimited and value == UNLIMITED else _read(name, value)

    # A column of tasks

    def _task(self, name: str) -> Column:
        tasks = self._view.tasks
        if name == "pid":
            return _clamped(name, tasks.pids)
        if name == "badness":
            return self._badness(self.number("oom.total").values[0])
        if name == "invoker":
            invoker = self._view.event.invoker
            if invoker is None:
                return column(Level.TASK, [values.MAYBE] * len(tasks.pids))
            return Column(level=Level.TASK, values=[int(pid == invoker) for pid in tasks.pids], exact=True)
        try:
            return _clamped(name, list(map(itemgetter(name), tasks.facts)))
        except KeyError:
            return column(Level.TASK, [_read(name, facts.get(name)) for facts in tasks.facts])

    def badness_at_ends(self) -> tuple[Column, Column] | None:
        """`badness` with oom.total at its least and at its most; None where that is known."""
        total = self.number("oom.total").values[0]
        if isinstance(total, Interval):
            return self._badness(total.low), self._badness(total.high)
        return None

    def _badness(self, size: Value) -> Column:
        """`oom_badness()`: in whole pages, rss + swap + pgtables + oom_score_adj · (total / 1000)."""
        page, range = self._view.event.page_size, _range("badness")
        parts = [self.number(n) for n in (*_SIZES, "oom_score_adj")]
        total = values.step(values.step(size, page), 1000)
        columns = [p.values for p in parts]
        if isinstance(total, int) and all(p.exact for p in parts):
            points = [
                (rss // page + swap // page + tables // page + adj * total) * page
                for rss, swap, tables, adj in zip(*columns, strict=True)
            ]
            return _clamped("badness", points)
        found: list[Value] = []
        for *sizes, adj in zip(*columns, strict=True):
            points_: Value = MULTIPLY.unknown((adj, total))
            for size in sizes:
                points_ = ADD.unknown((points_, values.step(size, page)))
            scaled = values.interval(MULTIPLY.unknown((points_, page)))
            found.append(values.simplify(scaled.clamped(range.low, range.high)))
        return column(Level.TASK, found)


_SIZES = ("rss", "swap", "pgtables")


def _range(name: str) -> Interval:
    range = FACTS[name].range
    assert range is not None  # of all facts that are numbers
    return range


def _read(name: str, value: int | None) -> Value:
    return _range(name) if value is None else clamp(value, _range(name))


def _clamped(name: str, found: Sequence[int]) -> Column:
    range = _range(name)
    if found and (min(found) < range.low or max(found) > range.high):
        found = [clamp(v, range) for v in found]
    return Column(level=Level.TASK, values=found, exact=True)
