"""Snapshots: a machine's facts as JSON, to be read on another machine (docs/schemas/snapshot.schema.json).

In and out: `MachineFacts`. Names are bytes on a machine and text in JSON: UTF-8 as it is, but a backslash as `\\\\` and a
byte that is no UTF-8 as `\\xff` (two digits). What a cgroup's file calls "max" is "max" here. Reading checks everything
that it takes and says where the first wrong thing stands; members that it does not know are left aside.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from oomlang.facts import FACTS
from oomlang.facts.table import Scope, kept_by_name
from oomlang.facts.types import UNLIMITED
from oomlang.host.model import MachineFacts, MemcgFacts, MemcgPath, TaskFacts, Unseen

FORMAT = 1
_MAX = "max"
_NUMBERS = {scope: frozenset(f.name for f in kept_by_name(scope)) for scope in (Scope.TASK, Scope.MEMCG)}
_LIMIT = 2**63
_LAST = 253_370_764_800
"""9999-01-01: a year later no calendar has a date."""

_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|)")


class SnapshotError(ValueError):
    """A file is no snapshot. `where`: the place in it, as `.tasks[3].pid`."""

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(f"{where}: {what}" if where else what)


# --- Writing ----------------------------------------------------------------------------------------------------------


def write_snapshot(machine: MachineFacts) -> str:
    """The snapshot's text: JSON with a line for each task and cgroup, ASCII alone, the same for the same facts."""
    head = {
        "oomlang_snapshot": FORMAT,
        "taken_at": datetime.fromtimestamp(machine.taken_at, UTC).isoformat(timespec="milliseconds"),
        "kernel": machine.kernel,
        "redacted": machine.redacted,
        "ram": machine.ram,
        "swap": machine.swap,
        "page_size": machine.page_size,
        "ticks_per_second": machine.ticks_per_second,
        "hierarchy": machine.hierarchy,
    }
    lists = {
        "unseen": [_unseen(u) for u in machine.unseen],
        "memcgs": [_memcg(m) for m in machine.memcgs.values()],
        "tasks": [_task(t) for t in machine.tasks],
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, items in lists.items():
        rows = ",\n".join(f"    {json.dumps(item)}" for item in items)
        lines.append(f"  {json.dumps(name)}: [\n{rows}\n  ]" if rows else f"  {json.dumps(name)}: []")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def spell_name(name: bytes) -> str:
    """A name as text; every sequence of bytes has a spelling of its own."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def spell_path(path: MemcgPath) -> str:
    """A cgroup's path as text, `/` for the root."""
    return "/" + "/".join(map(spell_name, path))


def _limits(facts: Mapping[str, int]) -> dict[str, int | str]:
    return {name: _MAX if value == UNLIMITED else value for name, value in facts.items()}


def _memcg(memcg: MemcgFacts) -> dict[str, Any]:
    found: dict[str, Any] = {"path": spell_path(memcg.path), "id": memcg.id, "facts": _limits(memcg.facts)}
    if memcg.path:
        found["swap_room"] = memcg.swap_room
    return found


def _task(task: TaskFacts) -> dict[str, Any]:
    return {
        "pid": task.pid,
        "comm": spell_name(task.comm) if task.comm is not None else None,
        "memcg": spell_path(task.memcg) if task.memcg is not None else None,
        "start": task.start,
        "has_mm": task.has_mm,
        "facts": dict(task.facts),
    }


def _unseen(unseen: Unseen) -> dict[str, Any]:
    found: dict[str, Any] = {"what": list(unseen.what), "why": unseen.why}
    if unseen.pids:
        found["pids"] = list(unseen.pids)
    if unseen.memcgs:
        found["memcgs"] = [spell_path(path) for path in unseen.memcgs]
    return found


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_snapshot(data: bytes) -> MachineFacts:
    """The facts of a snapshot. Errors: `SnapshotError` for anything else, whatever bytes it has."""
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise SnapshotError("", f"this is no JSON: {error}") from error
    except RecursionError as error:
        raise SnapshotError("", "this is no JSON that can be read: it is nested too deep") from error
    top = _Reader(parsed, "")
    version = (
        top.get("oomlang_snapshot").value
        if isinstance(parsed, dict) and "oomlang_snapshot" in parsed
        else None
    )
    if version is None:
        raise SnapshotError("", "this is no snapshot: it has no `oomlang_snapshot`")
    if version != FORMAT or isinstance(version, bool):
        raise SnapshotError(".oomlang_snapshot", f"only format {FORMAT} is known here")
    memcgs = _read_memcgs(top.get("memcgs"))
    taken = top.get("taken_at")
    try:
        taken_at = datetime.fromisoformat(taken.text()).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise SnapshotError(taken.where, "no date and time") from error
    if not 0 <= taken_at < _LAST:
        raise SnapshotError(taken.where, "no machine has been there then")
    tasks = [_read_task(item, memcgs) for item in top.get("tasks").items()]
    seen: set[int] = set()
    for place, task in enumerate(tasks):
        if task.pid in seen:
            raise SnapshotError(f".tasks[{place}].pid", f"there is another task with pid {task.pid}")
        seen.add(task.pid)
    return MachineFacts(
        taken_at=taken_at,
        kernel=top.get("kernel").text(),
        ram=top.get("ram").number(),
        swap=top.get("swap").number(),
        page_size=top.get("page_size").number(low=1),
        ticks_per_second=top.get("ticks_per_second").number(low=1),
        hierarchy=top.get("hierarchy").one_of("v1", "v2", "none"),
        memcgs=memcgs,
        tasks=tuple(tasks),
        unseen=tuple(_read_unseen(item) for item in top.get("unseen").items()),
        redacted=top.get("redacted").flag(),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Reader:
    """A value of the JSON and its place."""

    value: Any
    where: str

    def fail(self, what: str) -> SnapshotError:
        return SnapshotError(self.where, what)

    def get(self, name: str) -> _Reader:
        if not isinstance(self.value, dict):
            raise self.fail("no object")
        if name not in self.value:
            raise SnapshotError(f"{self.where}.{name}", "it is missing")
        return _Reader(self.value[name], f"{self.where}.{name}")

    def optional(self, name: str) -> _Reader | None:
        """A member that may be null or missing."""
        return self.get(name) if isinstance(self.value, dict) and self.value.get(name) is not None else None

    def items(self) -> list[_Reader]:
        if not isinstance(self.value, list):
            raise self.fail("no list")
        return [_Reader(item, f"{self.where}[{i}]") for i, item in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.fail("no text")
        return self.value

    def one_of(self, *words: str) -> str:
        if self.value not in words:
            raise self.fail(f"none of {', '.join(words)}")
        return self.text()

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fail("neither true nor false")
        return self.value

    def number(self, low: int = 0) -> int:
        if type(self.value) is not int or not low <= self.value < _LIMIT:
            raise self.fail(f"no whole number from {low} to 2^63-1")
        return self.value

    def name(self) -> bytes:
        return _read_name(self.text(), self)

    def path(self) -> MemcgPath:
        text = self.text()
        if not text.startswith("/"):
            raise self.fail("a path begins with /")
        path = tuple(_read_name(text[1:], self).split(b"/")) if text != "/" else ()
        if not {b"", b".", b".."}.isdisjoint(path):
            raise self.fail("no path of a cgroup")
        return path

    def numbers(self, scope: Scope) -> dict[str, int]:
        """Facts by name; names that this version does not know are left aside."""
        if not isinstance(self.value, dict):
            raise self.fail("no object")
        found = {}
        for name, value in self.value.items():
            if name in _NUMBERS[scope]:
                range = FACTS[name].range
                low = range.low if range is not None and range.low < 0 else 0
                may_be_max = scope is Scope.MEMCG and value == _MAX
                found[name] = UNLIMITED if may_be_max else _Reader(value, f"{self.where}.{name}").number(low)
        return found


def _read_name(text: str, at: _Reader) -> bytes:
    def one(match: re.Match[str]) -> str:
        if match[0] == "\\":
            raise at.fail("a backslash stands for a backslash as \\\\, and for a byte as \\xff")
        return chr(0xDC00 + int(match[1], 16)) if match[1] else "\\"

    if text.isascii() and "\\" not in text:  # nearly always
        return text.encode()
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise at.fail("half a character")
    # Lone surrogates stand for bytes in between; `\x41` is as good a spelling of a byte as any.
    spelled = _ESCAPE.sub(one, text)
    return b"".join(bytes([ord(c) - 0xDC00]) if "\udc00" <= c <= "\udcff" else c.encode() for c in spelled)


def _read_memcgs(items: _Reader) -> dict[MemcgPath, MemcgFacts]:
    found: dict[MemcgPath, MemcgFacts] = {}
    ids: set[int] = set()
    for item in items.items():
        path = item.get("path").path()
        if path in found:
            raise item.fail("the same cgroup stands here twice")
        if path and path[:-1] not in found:
            raise item.fail("its parent does not stand before it")
        id, room = item.optional("id"), item.optional("swap_room")
        if id is not None:
            if id.number() in ids:
                raise id.fail("another cgroup has this id")
            ids.add(id.number())
        found[path] = MemcgFacts(
            path=path,
            id=id.number() if id is not None else None,
            facts=item.get("facts").numbers(Scope.MEMCG),
            swap_room=room.number() if room is not None else None,
        )
    return found


def _read_task(item: _Reader, memcgs: Mapping[MemcgPath, MemcgFacts]) -> TaskFacts:
    pid = item.get("pid").number(low=1)
    comm, memcg, start = item.optional("comm"), item.optional("memcg"), item.optional("start")
    has_mm = item.optional("has_mm")
    path = memcg.path() if memcg is not None else None
    if memcg is not None and path not in memcgs:
        raise memcg.fail("there is no such cgroup among `memcgs`")
    return TaskFacts(
        pid=pid,
        comm=comm.name() if comm is not None else None,
        memcg=path,
        start=start.number() if start is not None else None,
        has_mm=has_mm.flag() if has_mm is not None else None,
        facts=item.get("facts").numbers(Scope.TASK),
    )


def _read_unseen(item: _Reader) -> Unseen:
    pids, memcgs = item.optional("pids"), item.optional("memcgs")
    return Unseen(
        what=tuple(word.text() for word in item.get("what").items()),
        why=item.get("why").text(),
        pids=tuple(pid.number(low=1) for pid in pids.items()) if pids is not None else (),
        memcgs=tuple(path.path() for path in memcgs.items()) if memcgs is not None else (),
    )
