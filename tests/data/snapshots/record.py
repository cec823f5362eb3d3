#!/usr/bin/env python3
"""Makes `host.json` beside this file: `oomlang snapshot` of Debian's kernel in a virtual machine.

    .venv/bin/python tests/data/snapshots/record.py

The processes are real and hold the memory that they show; they only carry the names, and sit in the cgroups, of a small
server. Nothing is hidden from the snapshot but what /proc shows to nobody.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from vm.harness import Vm
from vm.machine import use_environment

HERE = Path(__file__).resolve().parent
PROCESSES = (
    ("systemd", "/init.scope", 0, 19),
    ("sshd", "/system.slice/ssh.service", 0, 16),
    ("systemd-journal", "/system.slice/systemd-journald.service", 0, 29),
    ("nginx", "/system.slice/nginx.service", 33, 42),
    ("nginx", "/system.slice/nginx.service", 33, 55),
    ("postgres", "/system.slice/postgresql.service", 110, 197),
    ("postgres", "/system.slice/postgresql.service", 110, 127),
    ("postgres", "/system.slice/postgresql.service", 110, 71),
    ("node", "/system.slice/api.service", 998, 267),
    ("redis-server", "/system.slice/redis.service", 109, 157),
    ("bash", "/user.slice/user-1000.slice", 1000, 13),
    ("python3", "/user.slice/user-1000.slice", 1000, 117),
    ("cc1plus", "/user.slice/user-1001.slice", 1001, 102),
    ("cc1plus", "/user.slice/user-1001.slice", 1001, 95),
    ("make", "/user.slice/user-1001.slice", 1001, 14),
    ("python3", "/batch.slice/nightly-report", 990, 237),
    ("python3", "/batch.slice/nightly-report", 990, 67),
    ("ffmpeg", "/batch.slice/transcode", 990, 147),
    ("sh", "/batch.slice/transcode", 990, 12),
)
"""Name, cgroup, uid, MiB."""


def main() -> None:
    """Record."""
    with Vm(flavour="debian", memory_mib=4096) as vm:
        for number, (comm, cgroup, uid, size) in enumerate(PROCESSES):
            vm.cgroup(cgroup)
            vm.call(
                "spawn", name=str(number), argv=["hog", "--comm", comm, "--size", f"{size}M"], cgroup=cgroup,
                uid=uid, ready="ready", timeout=60,
            )  # fmt: skip
        done = vm.python(["-m", "oomlang", "snapshot"])
    if done["exit"]:
        raise SystemExit(done["stderr"])
    sys.stderr.write(done["stderr"])
    (HERE / "host.json").write_text(done["stdout"], encoding="utf-8")


if __name__ == "__main__":
    use_environment()
    main()
