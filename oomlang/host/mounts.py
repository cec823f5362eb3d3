"""Where the memory controller's hierarchy is mounted, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupMount:
    """A mounted cgroup hierarchy. root: the path of the cgroup that is mounted, as /proc/PID/cgroup would write it.
    point: where. v2: whether it is the unified one.
    """

    root: bytes
    point: str
    v2: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """What mountinfo says. memory_v1: mounts of the memory controller's own hierarchy; v2: of the unified one; each the
    one with most of the tree first. hidepid: of /proc: the option's value, empty where other users' processes show.
    """

    memory_v1: tuple[CgroupMount, ...]
    v2: tuple[CgroupMount, ...]
    hidepid: str


def parse_mounts(data: bytes) -> Mounts:
    """The lines of /proc/self/mountinfo; those that are none are left out."""
    old: list[CgroupMount] = []
    unified: list[CgroupMount] = []
    hidepid = ""
    for line in data.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        fields, kind = before.split(b" "), after.split(b" ")
        if not separator or len(fields) < 6 or len(kind) < 3:
            continue
        root, point = _unescape(fields[3]), os.fsdecode(_unescape(fields[4]))
        options = kind[2].split(b",")
        if kind[0] == b"cgroup2":
            unified.append(CgroupMount(root=root, point=point, v2=True))
        elif kind[0] == b"cgroup" and b"memory" in options:
            old.append(CgroupMount(root=root, point=point, v2=False))
        elif kind[0] == b"proc" and point == "/proc":
            found = [o.partition(b"=")[2].decode("ascii", "replace") for o in options if o[:8] == b"hidepid="]
            hidepid = found[0] if found and found[0] not in ("0", "off") else ""
    old.sort(key=lambda mount: len(mount.root))
    unified.sort(key=lambda mount: len(mount.root))
    return Mounts(memory_v1=tuple(old), v2=tuple(unified), hidepid=hidepid)


def _unescape(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)


def components(path: bytes) -> tuple[bytes, ...]:
    """The components of a path."""
    return tuple(part for part in path.split(b"/") if part)


def below(path: tuple[bytes, ...], root: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
    """What follows `root` in `path`; None where it does not lie there."""
    return path[len(root) :] if path[: len(root)] == root else None
