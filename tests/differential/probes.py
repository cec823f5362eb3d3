"""Test cgroups with processes in them whose facts are known (`probe.py`)."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oomlang.host.model import MemcgPath
from oomlang.host.mounts import components, parse_mounts

MIB = 1 << 20
_PROBE = Path(__file__).with_name("probe.py")
_STARTS_WITHIN = 60.0  # seconds, on a machine that is busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A running probe. cgroup: its memory cgroup, None where the tests could make none."""

    name: str
    pid: int
    cgroup: MemcgPath | None
    wanted: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grove:
    """The probes, and the root of their cgroups: its path and its directory. oom_kills: by cgroup."""

    probes: dict[str, Probe]
    root: MemcgPath
    directory: Path
    v2: bool


WANTED: dict[str, dict[str, Any]] = {
    # In order of start; sizes some MiB apart, so that the counters' errors do not matter to who is bigger. Only in leaves
    # of the tree: on v2 no other cgroup with the controller may have processes.
    "big": {"cgroup": "a/deep", "anon": 64 * MIB},
    "small": {"cgroup": "a/deep", "anon": 9 * MIB},
    "shared": {"cgroup": "a/flat", "anon": 4 * MIB, "shmem": 22 * MIB},
    "likely": {"cgroup": "b/plain", "anon": 16 * MIB, "oom_score_adj": 300},
    "guarded": {"cgroup": "b/plain", "anon": 12 * MIB, "oom_score_adj": -1000},
    "nice": {"cgroup": "b/plain", "anon": 28 * MIB, "nice": 7},
    "user": {"cgroup": "b/user 1", "anon": 33 * MIB, "uid": 65534, "oom_score_adj": 17},
    "threads": {"cgroup": "b/user 1", "anon": 40 * MIB, "threads": 5},
    "leaderless": {"cgroup": "c", "anon": 46 * MIB, "leader_exits": True},
    "hostile": {"cgroup": "c", "anon": 52 * MIB, "comm": 'a) R 1 "\n\\\xff\x1b'},
    "sparse": {"cgroup": "d", "anon": 1 * MIB, "reserve": 512 * MIB},
    "sshd": {"cgroup": "d", "anon": 58 * MIB, "comm": "sshd"},
}


@contextmanager
def grove() -> Iterator[Grove]:
    """All probes of `WANTED`, each in its cgroup; gone afterwards. Errors: `OSError` where no cgroup can be made."""
    root, directory, v2 = _make_root()
    made: list[Path] = [directory]
    running: list[subprocess.Popen[bytes]] = []
    try:
        cgroups = sorted({part for wanted in WANTED.values() for part in _upwards(wanted["cgroup"])})
        for cgroup in [*cgroups, "killed"]:
            made.append(directory / cgroup)
            made[-1].mkdir()
        if v2:
            for inner in sorted({directory, *((directory / cgroup).parent for cgroup in cgroups)}):
                _enable(inner)
        _kill_one(directory / "killed", v2=v2)
        probes = {}
        for name, wanted in WANTED.items():
            child = _start({**wanted, "cgroup": str(directory / wanted["cgroup"])})
            running.append(child)
            path = (*root, *components(os.fsencode(wanted["cgroup"])))
            probes[name] = Probe(name=name, pid=child.pid, cgroup=path, wanted=wanted)
        for child in running:
            _await(child)
        yield Grove(probes=probes, root=root, directory=directory, v2=v2)
    finally:
        for child in running:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        for cgroup_directory in reversed(made):
            if cgroup_directory.is_dir():
                cgroup_directory.rmdir()


def _upwards(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _make_root() -> tuple[MemcgPath, Path, bool]:
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_bytes())
    mount = (*mounts.memory_v1, *mounts.v2)[0]
    name = f"oomlang-test-{os.getpid()}"
    directory = Path(mount.point, name)
    if mount.v2:
        _enable(Path(mount.point))
    directory.mkdir()
    return (*components(mount.root), name.encode()), directory, mount.v2


def _enable(directory: Path) -> None:
    """Give a v2 cgroup's children the memory controller."""
    (directory / "cgroup.subtree_control").write_text("+memory")


def _start(wanted: dict[str, Any]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-SE", str(_PROBE), json.dumps(wanted)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _await(child: subprocess.Popen[bytes]) -> None:
    assert child.stdout is not None
    assert select.select([child.stdout], [], [], _STARTS_WITHIN)[0], "a probe does not start"
    assert child.stdout.readline() == b"ready\n", "a probe failed"


def _kill_one(directory: Path, *, v2: bool) -> None:
    """Have the kernel's OOM killer kill a process in a cgroup of ours."""
    (directory / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(24 * MIB))
    if v2 and (directory / "memory.swap.max").exists():
        (directory / "memory.swap.max").write_text("0")
    if v2:
        (directory / "memory.oom.group").write_text("1")
    child = _start({"cgroup": str(directory), "anon": 64 * MIB})
    try:
        assert child.wait(_STARTS_WITHIN) == -signal.SIGKILL
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
