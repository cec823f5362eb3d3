"""Machines laid out as files: a /proc and a cgroup file system that the readers take for a real one."""

from __future__ import annotations

import os
from pathlib import Path

from oomlang.host.cgroupfs import CgroupReader
from oomlang.host.mounts import parse_mounts

MOUNTED_V2 = b"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNTED_V1 = b"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
MOUNTED_HYBRID = MOUNTED_V1 + b"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
_INITIAL = {"cgroup": 4026531835, "pid": 4026531836, "user": 4026531837}

_STATUS = """Name:\t{comm}
Umask:\t0022
State:\tS (sleeping)
Tgid:\t{pid}
Uid:\t{uid}\t5\t6\t7
Gid:\t0\t0\t0\t0
{mm}Threads:\t{threads}
SigQ:\t3/96365
"""
_MM = """VmPeak:\t   9999 kB
VmSize:\t   4000 kB
VmRSS:\t     {rss} kB
RssAnon:\t     {anon} kB
RssFile:\t      10 kB
RssShmem:\t       6 kB
VmPTE:\t      44 kB
VmSwap:\t       8 kB
CoreDumping:\t0
"""


class FakeMachine:
    """Files of a machine under `root`."""

    def __init__(
        self, root: Path, mountinfo: bytes, *, swap_kb: int = 0, namespaces: dict[str, int] | None = None
    ):
        self.root = root
        self.mountinfo = mountinfo
        self.swap_kb = swap_kb
        own = root / "proc/self"
        (own / "ns").mkdir(parents=True)
        (own / "mountinfo").write_bytes(mountinfo)
        for name, inode in (_INITIAL | (namespaces or {})).items():
            (own / "ns" / name).symlink_to(f"{name}:[{inode}]")
        (root / "proc/meminfo").write_text(
            f"MemTotal:       1000 kB\nMemFree: 5 kB\nSwapTotal:      {swap_kb} kB\n"
        )
        (root / "proc/uptime").write_text("1000.50 3000.00\n")
        (root / "proc/sys/vm").mkdir(parents=True)
        (root / "proc/sys/vm/swappiness").write_text("60\n")

    def process(
        self,
        pid: int,
        *,
        comm: bytes = b"task",
        cgroup: bytes = b"0::/\n",
        flags: int = 0,
        uid: int = 1000,
        adj: int = 0,
        threads: int = 1,
        mm: bool = True,
        rss: int = 100,
        start: int = 100_000,
        nice: int = 0,
    ) -> Path:
        """Add one; start in ticks, sizes in KiB."""
        directory = self.root / "proc" / str(pid)
        directory.mkdir()
        stat = b"%d (%s) S 1 2 3 0 -1 %d 0 0 0 0 0 0 0 0 20 %d %d 0 %d 1000 25" % (
            pid, comm, flags, nice, threads, start
        )  # fmt: skip
        (directory / "stat").write_bytes(stat + b" 18446744073709551615 0 0\n")
        shown = comm.decode("latin-1").replace("\\", "\\\\").replace("\n", "\\n")
        block = _MM.format(rss=rss, anon=rss - 16) if mm else ""
        text = _STATUS.format(comm=shown, pid=pid, uid=uid, threads=threads, mm=block)
        (directory / "status").write_bytes(text.encode("latin-1"))
        (directory / "cgroup").write_bytes(cgroup)
        (directory / "oom_score_adj").write_text(f"{adj}\n")
        return directory

    def thread(self, pid: int, tid: int, *, mm: bool, cgroup: bytes = b"0::/\n", rss: int = 100) -> None:
        """Add a thread to a process."""
        directory = self.root / "proc" / str(pid) / "task" / str(tid)
        directory.mkdir(parents=True)
        block = _MM.format(rss=rss, anon=rss - 16) if mm else ""
        text = _STATUS.format(comm="task", pid=pid, uid=0, threads=2, mm=block)
        (directory / "status").write_text(text)
        (directory / "cgroup").write_bytes(cgroup)

    def cgroup(self, path: str, files: dict[str, str], *, mount: str = "sys/fs/cgroup") -> Path:
        """Add a cgroup's files, its parents without any."""
        directory = self.root / mount / path
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text + "\n")
        return directory

    def cgroups(self) -> CgroupReader:
        """A reader of its cgroups."""
        return CgroupReader(
            root=os.fspath(self.root),
            mounts=parse_mounts(self.mountinfo),
            swap=self.swap_kb * 1024,
            swappiness=60,
        )


ONE_NUMBER = {
    "memcg.usage": ("memory.current", "memory.usage_in_bytes", 4096000),
    "memcg.peak": ("memory.peak", "memory.max_usage_in_bytes", 5120000),
}
"""Facts that one number of a file is: the file of version 2, that of version 1, and the number that V2_FILES and V1_FILES
have there."""
V2_FILES = {
    "cgroup.controllers": "cpu memory pids",
    **{file: str(number) for file, _, number in ONE_NUMBER.values()},
    "memory.max": "max",
    "memory.min": "1024",
    "memory.low": "2048",
    "memory.high": "max",
    "memory.swap.current": "8192",
    "memory.swap.max": "max",
    "memory.oom.group": "1",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 7\noom_group_kill 1",
}
V1_FILES = {
    **{file: str(number) for _, file, number in ONE_NUMBER.values()},
    "memory.limit_in_bytes": "8192000",
    "memory.memsw.usage_in_bytes": "4104192",
    "memory.memsw.limit_in_bytes": "8292000",
    "memory.swappiness": "60",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7",
}
