"""A process with known facts: started by the tests, it becomes what its arguments say and then sleeps.

    probe.py JSON

In: an object; see `main`. Prints a line once all is in place, and ends when its standard input does.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import sys
import threading

_PR_SET_NAME = 15
_SYS_EXIT = {"x86_64": 60, "aarch64": 93, "riscv64": 93}


def _exit_thread() -> None:
    """End this thread and not the process."""
    ctypes.CDLL(None).syscall(_SYS_EXIT[platform.machine()], 0)


def _ready_and_wait() -> None:
    os.write(1, b"ready\n")
    os.read(0, 1)
    os._exit(0)


def _once_the_leader_is_gone() -> None:
    stat = b""
    while b") Z " not in stat:
        with open("/proc/self/stat", "rb") as file:
            stat = file.read()
    _ready_and_wait()


def main() -> None:
    """Members: cgroup (a directory to join), anon and shmem (bytes to touch), reserve (bytes of address space),
    oom_score_adj, nice, threads (in all), comm (latin-1), uid, leader_exits.
    """
    wanted = json.loads(sys.argv[1])
    if "cgroup" in wanted:
        with open(os.path.join(wanted["cgroup"], "cgroup.procs"), "w") as procs:
            procs.write(str(os.getpid()))
    kept = []
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    for name, flags in (("anon", private), ("shmem", mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)):
        if size := wanted.get(name, 0):
            room = mmap.mmap(-1, size, flags=flags)
            room.write(b"x" * size)
            kept.append(room)
    if reserve := wanted.get("reserve", 0):
        kept.append(mmap.mmap(-1, reserve, flags=private))
    try:
        with open("/proc/self/oom_score_adj", "w") as adj:
            adj.write(str(wanted.get("oom_score_adj", 0)))
    except PermissionError:
        pass  # a root without CAP_SYS_RESOURCE cannot go down; who compares asks /proc what became of it
    os.setpriority(os.PRIO_PROCESS, 0, wanted.get("nice", 0))  # whatever the tests' own is
    for _ in range(wanted.get("threads", 1) - 1):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    if "comm" in wanted:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, wanted["comm"].encode("latin-1"), 0, 0, 0)
    if "uid" in wanted:
        os.setuid(wanted["uid"])
    if wanted.get("leader_exits"):
        threading.Thread(target=_once_the_leader_is_gone).start()
        _exit_thread()
    _ready_and_wait()


if __name__ == "__main__":
    main()
