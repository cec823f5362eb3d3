"""Memory cgroups from cgroupfs: version 1, version 2 and both side by side.

In: what /proc/PID/cgroup says. Out: the path of the process's *memory* cgroup and that cgroup's facts, each cgroup read
once. Which file shows which fact says the table, in its cells `Cgroup`.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, mm/memcontrol.c of the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from oomlang.facts import FACTS
from oomlang.facts.cells import Always, Cgroup, CgroupFile
from oomlang.facts.types import UNLIMITED
from oomlang.host.files import DIRECTORY, read_file
from oomlang.host.model import MemcgFacts, MemcgPath
from oomlang.host.mounts import CgroupMount, Mounts, below, components
from oomlang.host.process_files import memory_cgroup_line

_DELETED = b" (deleted)"
_CELLS = tuple((f.name, f.cgroupfs) for f in FACTS.values() if isinstance(f.cgroupfs, Cgroup))
_SWAP_LIMIT_V2 = CgroupFile("memory.swap.max", unlimited=True)
_SWAP_LIMIT_V1 = CgroupFile("memory.memsw.limit_in_bytes", unlimited=True)
_SWAPPINESS_V1 = CgroupFile("memory.swappiness")

_NO_CONTROLLER = "this kernel runs without the memory controller"
_OUTSIDE = "it lies outside this cgroup namespace"
_REMOVED = "the cgroup has been removed"
_NOT_MOUNTED = "no mounted cgroup file system shows it"


@dataclass(slots=True)
class CgroupReader:
    """Finds and reads memory cgroups.

    root: where the machine's files begin. swap: bytes of swap that the machine has. swappiness: vm.swappiness, None where
    unknown. memcgs: what has been read, parents before children. unseen: (what, why) → cgroups of which it was not seen.
    """

    root: str
    mounts: Mounts
    swap: int
    swappiness: int | None
    memcgs: dict[MemcgPath, MemcgFacts] = field(default_factory=dict)
    unseen: dict[tuple[str, str], list[MemcgPath]] = field(default_factory=dict)
    _known: dict[bytes, tuple[MemcgPath | None, str]] = field(default_factory=dict)
    _controllers: dict[MemcgPath, bytes | None] = field(default_factory=dict)

    @property
    def v1(self) -> bool:
        """Whether the memory controller has a hierarchy of its own."""
        return bool(self.mounts.memory_v1)

    def memcg_of(self, data: bytes) -> tuple[MemcgPath | None, str]:
        """A process's memory cgroup by the content of its /proc/PID/cgroup; None with the reason why."""
        if data not in self._known:
            self._known[data] = self._find(data)
        return self._known[data]

    def _find(self, data: bytes) -> tuple[MemcgPath | None, str]:
        old, unified = memory_cgroup_line(data)
        path = old if old is not None else unified
        if path is None:
            return None, _NO_CONTROLLER
        parts = components(path)
        if b".." in parts:
            return None, _OUTSIDE
        mounts = self.mounts.memory_v1 if old is not None else self.mounts.v2
        if path.endswith(_DELETED) and self._is_gone(parts, mounts):
            return None, _REMOVED
        if old is None:
            found, why = self._with_controller(parts, mounts)
            if found is None:
                return None, why
            parts = found
        self._read(parts, mounts)
        return parts, ""

    def _with_controller(
        self, path: MemcgPath, mounts: tuple[CgroupMount, ...]
    ) -> tuple[MemcgPath | None, str]:
        """The nearest cgroup from `path` upwards that has the memory controller; None with the reason why not.

        `io` depends on `memory` (block/blk-cgroup.c): where only `io` is enabled the kernel accounts memory there too and
        hides the files.
        """
        for length in range(len(path), 0, -1):
            at = path[:length]
            if self._directory(at, mounts) is None:
                return None, _NOT_MOUNTED
            if at not in self._controllers:
                self._controllers[at] = self._read_controllers(at, mounts)
            controllers = self._controllers[at]
            if controllers is None and length == len(path):
                return None, _REMOVED
            if controllers is not None and {b"memory", b"io"} & set(controllers.split()):
                return at, ""
        return (), ""

    def _read_controllers(self, path: MemcgPath, mounts: tuple[CgroupMount, ...]) -> bytes | None:
        directory = self._directory(path, mounts)
        try:
            return read_file(directory + b"/cgroup.controllers") if directory is not None else None
        except OSError:
            return None

    def _is_gone(self, path: MemcgPath, mounts: tuple[CgroupMount, ...]) -> bool:
        """Whether a cgroup is not there, as far as one can look: behind the path of a removed one the kernel writes
        ` (deleted)` (version 2 only), but a cgroup's own name may end so, too.

        A live one of that name hides a removed one without it. Only processes without memory are left in such a one.
        """
        directory = self._directory(path, mounts)
        if directory is None:
            return False
        try:
            os.stat(directory)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            pass  # it is there; whoever reads it says what is wrong
        return False

    def _directory(self, path: MemcgPath, mounts: tuple[CgroupMount, ...]) -> bytes | None:
        """Where a cgroup's files are; None where no mount shows it."""
        for mount in mounts:
            inside = below(path, components(mount.root))
            if inside is not None:
                return b"/".join((os.fsencode(self.root.rstrip("/") + mount.point), *inside))
        return None

    def _read(self, path: MemcgPath, mounts: tuple[CgroupMount, ...]) -> None:
        """Read a cgroup and those above it, the root first, unless that has been done."""
        known = len(path)
        while known and path[:known] not in self.memcgs:
            known -= 1
        for length in range(known, len(path) + 1):
            if path[:length] not in self.memcgs:
                self._read_one(path[:length], mounts)

    def _read_one(self, path: MemcgPath, mounts: tuple[CgroupMount, ...]) -> None:
        directory = self._directory(path, mounts)
        if directory is None:
            self.memcgs[path] = MemcgFacts(path=path, id=None)
            if path:
                self._miss("memcg", _NOT_MOUNTED, path)
            return
        try:
            fd = os.open(directory, DIRECTORY)
        except OSError as error:
            self.memcgs[path] = MemcgFacts(path=path, id=None)
            self._miss("memcg", _why(error), path)
            return
        try:
            inode = os.fstat(fd).st_ino
            if not path:
                self.memcgs[path] = MemcgFacts(path=path, id=inode)
                return
            facts, room = self._facts(path, fd, v2=mounts[0].v2)
            self.memcgs[path] = MemcgFacts(path=path, id=inode, facts=facts, swap_room=room)
        finally:
            os.close(fd)

    def _facts(self, path: MemcgPath, fd: int, *, v2: bool) -> tuple[dict[str, int], int | None]:
        facts: dict[str, int] = {}
        for fact, cell in _CELLS:
            shown = cell.v2 if v2 else cell.v1
            if cell.of_swap and not self.swap:
                facts[fact] = 0
            elif isinstance(shown, Always):
                facts[fact] = shown.value
            elif (value := self._number(fact, shown, path, fd)) is not None:
                if not shown.less:
                    facts[fact] = value
                elif shown.less in facts:
                    facts[fact] = max(0, value - facts[shown.less])
                else:
                    self._miss(fact, f"{shown.less} is not known", path)
        return facts, self._swap_room(facts, path, fd, v2=v2) if self.swap else 0

    def _swap_room(self, facts: Mapping[str, int], path: MemcgPath, fd: int, *, v2: bool) -> int | None:
        limit = self._number("memcg.swap", _SWAP_LIMIT_V2 if v2 else _SWAP_LIMIT_V1, path, fd)
        if v2:
            return self._room(limit, self.swappiness)
        if limit is not None:
            limit = limit - facts["memcg.limit"] if "memcg.limit" in facts else None
        return self._room(limit, self._number("memcg.swap", _SWAPPINESS_V1, path, fd))

    def _number(self, fact: str, shown: CgroupFile, path: MemcgPath, fd: int) -> int | None:
        """What a file says, for a fact; None where it cannot be read, which is then noted."""
        try:
            return _value(read_file(shown.file, fd), shown)
        except OSError as error:
            why = _why(error)
        except ValueError:
            why = "it holds no number"
        self._miss(fact, f"{shown.file}: {why}", path)
        return None

    def _room(self, limit: int | None, swappiness: int | None) -> int | None:
        """What `mem_cgroup_get_max()` adds to the limit: swap that the cgroup may use, none where swappiness is 0."""
        if swappiness == 0:
            return 0
        return None if limit is None or swappiness is None else min(max(limit, 0), self.swap)

    def _miss(self, fact: str, why: str, path: MemcgPath) -> None:
        self.unseen.setdefault((fact, why), []).append(path)


_V1_UNLIMITED = 2**63 - 2**16
"""PAGE_COUNTER_MAX in bytes is 2^63 less one page, of 64 KiB at most."""


def _value(data: bytes, shown: CgroupFile) -> int:
    if shown.key:
        start = (b"\n" + data).find(b"\n%s " % shown.key.encode())
        if start < 0:
            raise ValueError(shown.key)
        return int(data[start:].split(None, 2)[1])
    if not shown.unlimited:
        return int(data)
    value = UNLIMITED if data == b"max\n" else int(data)
    return UNLIMITED if value >= _V1_UNLIMITED else value


def _why(error: OSError) -> str:
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
