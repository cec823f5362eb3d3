"""The cgroup tree with its tasks as a map: who has the memory, and what the policy does with them.

In: an `Explanation`. Out: `Tile`s, places and words only; the template draws them. A cgroup's area is its usage where that
is known, else that of its tasks; a task's is its rss and swap, scaled down where shared memory counts in several of
them; what a cgroup uses beyond its tasks (page cache, kernel memory) is a tile of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from oomlang.explanation.event import Explanation
from oomlang.explanation.readable import name_text, path_text, size
from oomlang.explanation.squarify import Box, squarify
from oomlang.ir import nodes as ir
from oomlang.targets.interp import Candidate, Memcg

WIDTH, HEIGHT = 1200.0, 620.0
_TITLE = 18.0
_GAP = 3.0
_SMALLEST = 90.0
"""Square pixels below which a task gets no tile of its own."""
_LETTER = 6.6
"""Pixels that a letter takes, about."""

KINDS = {
    "victim": "the victim",
    "first": "a `kill first` rule covers it",
    "protected": "never killed",
    "maybe": "could also die: something is unknown",
    "task": "any other task",
    "rest": "used by the cgroup itself: page cache, kernel memory",
}
"""What a tile can be, and its meaning for the legend."""

MARKS = {"victim": "✕", "first": "▲", "protected": "■", "maybe": "?", "task": "", "rest": ""}
"""Signs beside the colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A rectangle of the map. kind: one of `KINDS`, or `memcg`. name: for people who do not see it. pid: of a task with a
    row of its own. text, value: what fits into it; may be empty. cut: cgroups below this one that find no room in it.
    """

    kind: str
    box: Box
    name: str
    text: str = ""
    value: str = ""
    pid: int | None = None
    cut: int = 0


@dataclass(slots=True)
class _Group:
    memcg: Memcg | None
    groups: list[_Group] = field(default_factory=list)
    tasks: list[Candidate] = field(default_factory=list)
    size: float = 0.0

    @property
    def title(self) -> str:
        if self.memcg is None:
            return "(cgroup not seen)"
        return name_text(self.memcg.path[-1]) if self.memcg.path else "/"


def tiles(explanation: Explanation, listed: frozenset[int]) -> list[Tile]:
    """The map's tiles, those below before those above. listed: pids that have a row in the page's table."""
    root = _tree(explanation)
    if root.size <= 0:
        return []
    kinds = _Kinds(explanation)
    return list(_lay(root, Box(0, 0, WIDTH, HEIGHT), kinds, listed))


class _Kinds:
    """What each candidate is; found when it is asked for, for few of a large machine's tasks get a tile."""

    def __init__(self, explanation: Explanation) -> None:
        decision = explanation.decision
        self._decision = decision
        self._known = dict.fromkeys(decision.contenders if len(decision.contenders) > 1 else (), "maybe")
        self._known.update((e.candidate, "protected") for e in decision.exclusions)
        if decision.victim is not None:
            self._known[decision.victim] = "victim"
        self.victim = decision.victim
        self._firsts = {
            key.origin for key in explanation.policy.keys if isinstance(key, ir.FlagKey) and key.first
        }

    def of(self, candidate: Candidate) -> str:
        known = self._known.get(candidate)
        if known is not None or not self._firsts:
            return known or "task"
        keys = self._decision.assess(candidate).keys
        return "first" if any(k.decider in self._firsts and k.holds for k in keys) else "task"


def _tree(explanation: Explanation) -> _Group:
    groups: dict[Memcg | None, _Group] = {}
    for candidate in explanation.decision.candidates:
        memcg = candidate.memcg
        if memcg not in groups:
            for at in memcg.chain if memcg is not None else (None,):
                if at not in groups:
                    groups[at] = _Group(at)
                    if at is not None and at.parent is not None:
                        groups[at.parent].groups.append(groups[at])
        groups[memcg].tasks.append(candidate)
    tops = [g for memcg, g in groups.items() if memcg is None or memcg.parent is None]
    top = tops[0] if len(tops) == 1 else _Group(None, groups=tops)
    _measure(top)
    scope = explanation.situation.machine.event.scope
    while (
        scope is not None and scope.path and top.memcg is not scope and len(top.groups) == 1 and not top.tasks
    ):
        top = top.groups[0]  # only the scope's subtree is in question
    return top


def weight(candidate: Candidate) -> int:
    """What a task has, in bytes; 0 where it is unknown."""
    return candidate.facts.get("rss", 0) + candidate.facts.get("swap", 0)


def _below(top: _Group) -> list[_Group]:
    """A cgroup and all below it, parents first; they may be as deep as a path is long, so without recursion."""
    found = [top]
    for group in found:
        found += group.groups
    return found


def _measure(top: _Group) -> None:
    for group in reversed(_below(top)):
        _measure_one(group)


def _measure_one(group: _Group) -> None:
    children = sum(below.size for below in group.groups)
    tasks = float(sum(map(weight, group.tasks)))
    known = group.memcg.facts.get("memcg.usage") if group.memcg is not None and group.memcg.path else None
    # Read one after another, and shared pages count in every task: the children may seem to have more than their parent.
    group.size = max(float(known), children) if known is not None else children + tasks


def _lay(group: _Group, box: Box, kinds: _Kinds, listed: frozenset[int]) -> Iterator[Tile]:
    path = path_text(group.memcg.path) if group.memcg is not None else group.title
    inner = Box(box.x + _GAP, box.y + _TITLE, box.width - 2 * _GAP, box.height - _TITLE - _GAP)
    drawn = inner.width >= 2 and inner.height >= 2  # which ends this after some thirty levels
    yield Tile(
        kind="memcg",
        box=box,
        name=f"cgroup {path}, {size(round(group.size))}",
        text=_fit(f"{group.title}  {size(round(group.size))}", box.width) if box.height >= _TITLE else "",
        cut=0 if drawn else len(_below(group)) - 1,
    )
    if not drawn:
        return
    children = sum(below.size for below in group.groups)
    room = max(0.0, group.size - children)
    weights = {task: float(weight(task)) for task in group.tasks}
    total = sum(weights.values())
    scale = min(1.0, room / total) if total > 0 else 0.0
    parts: list[tuple[float, _Group | Candidate | None]] = [(g.size, g) for g in group.groups]
    parts += [(w * scale, task) for task, w in weights.items()]
    pixels = inner.width * inner.height / group.size
    # Too small to see, one by one: the rest of the cgroup has their area. Whoever matters keeps a tile.
    kept: list[tuple[float, _Group | Candidate | None]] = []
    small, lost = 0, room - total * scale
    for part_size, part in parts:
        if part_size * pixels >= _SMALLEST or (part is kinds.victim and part_size > 0):
            kept.append((part_size, part))
        else:
            small, lost = small + 1, lost + part_size
    kept.append((lost, None))
    kept = sorted(((s, p) for s, p in kept if s > 0), key=lambda part: -part[0])
    for (_, part), place in zip(kept, squarify([s for s, _ in kept], inner), strict=True):
        if isinstance(part, _Group):
            yield from _lay(part, place, kinds, listed)
        elif part is not None:
            yield _task(part, place, kinds.of(part), listed)
        else:
            yield _rest(round(lost), small, place)


def _task(task: Candidate, box: Box, kind: str, listed: frozenset[int]) -> Tile:
    name, value = name_text(task.comm), size(weight(task))
    sign = f"{MARKS[kind]} " if MARKS[kind] else ""
    return Tile(
        kind=kind,
        box=box,
        name=f"{name}, pid {task.pid}, {value}: {KINDS[kind]}",
        text=_fit(sign + name, box.width) if box.height >= 16 else "",
        value=value if box.height >= 34 and _fit(value, box.width) == value else "",
        pid=task.pid if task.pid in listed else None,
    )


def _rest(bytes: int, small: int, box: Box) -> Tile:
    more = (
        f" and {small} small task{'s' if small > 1 else ''} or cgroup{'s' if small > 1 else ''}"
        if small
        else ""
    )
    return Tile(
        kind="rest",
        box=box,
        name=f"{KINDS['rest']}{more}, {size(bytes)}",
        text=_fit(f"{size(bytes)} cache, kernel" + (f", {small} small" if small else ""), box.width)
        if box.height >= 16
        else "",
    )


def _fit(text: str, width: float) -> str:
    """As much of a text as a tile takes; nothing where that says nothing."""
    room = int((width - 8) / _LETTER)
    if len(text) <= room:
        return text
    return f"{text[: room - 1]}…" if room >= 4 else ""
