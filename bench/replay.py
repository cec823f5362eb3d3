#!/usr/bin/env python3
"""How fast `replay` reads a journal, and what a report costs.

    .venv/bin/python bench/replay.py

Logs are made up in memory and read like files: `journalctl -k` text without reports, with one in every 2 MB (a bad day),
and of nothing but reports; the same as JSON, with a line an object and with several. Sizes of 10, 40 and 160 MB show that
the cost per MB stays the same. Prints the processor time of the faster of two runs, decisions of a ten-rule policy
included, and the peak of memory.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.interp import POLICY
from oomlang.compiler import Compilation
from oomlang.host.reports import read_reports
from oomlang.replay import Summary, replay

GOAL = 30
"""MB of plain journal text a second."""

STAMP = b"Nov 24 07:16:49 build-host-1 kernel: "
NOISE = (
    b"usb 1-1.4: new high-speed USB device number 7 using xhci_hcd\n",
    b'audit: type=1400 audit(1700000000.123:42): apparmor="DENIED" operation="open" profile="snap.x" pid=1234\n',
    b"IPv6: ADDRCONF(NETDEV_CHANGE): veth0a1b2c3: link becomes ready\n",
    b"EXT4-fs (nvme0n1p2): re-mounted, quota mode: none.\n",
    b"[UFW BLOCK] IN=eth0 OUT= MAC=00:00 SRC=10.0.0.1 DST=10.0.0.2 LEN=40 TOS=0x00 PROTO=TCP SPT=443 DPT=51234\n",
)


def report(tasks: int) -> list[bytes]:
    """The messages of one report."""
    head = [
        b"worker-1 invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0\n",
        b"CPU: 1 PID: 1001 Comm: worker-1 Not tainted 6.8.0-45-generic #45\n",
        *(b" some_function_%d+0x%x/0x200\n" % (i, i * 16) for i in range(24)),
        b"Total swap = 2097148kB\n",
        b"4194304 pages RAM\n",
        b"131072 pages reserved\n",
        b"Tasks state (memory values in pages):\n",
        b"[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name\n",
    ]
    rows = [
        b"[%7d] %5d %5d %8d %8d %8d %8d %9d %8d %8d %13d worker-%d\n"
        % (pid, pid % 3 * 500, pid, 90000 + pid, pid * 7, pid * 6, pid, 0, 200704, 12, 0, pid % 50)
        for pid in range(1000, 1000 + tasks)
    ]
    last = 999 + tasks
    end = [
        b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        b"task_memcg=/system.slice/w.service,task=worker-%d,pid=%d,uid=0\n" % (last % 50, last),
        b"Out of memory: Killed process %d (worker-%d) total-vm:%dkB, anon-rss:%dkB, file-rss:%dkB, shmem-rss:0kB, "
        b"UID:0 pgtables:196kB oom_score_adj:0\n"
        % (last, last % 50, (90000 + last) * 4, last * 24, last * 4),
    ]
    return head + rows + end


def text(messages: list[bytes]) -> bytes:
    """As `journalctl -k` prints them."""
    return b"".join(STAMP + message for message in messages)


def as_json(messages: list[bytes], *, pretty: bool = False) -> bytes:
    """As `journalctl -k -o json` prints them; or `-o json-pretty`."""
    spelling: dict[str, Any] = {"separators": (",", ":")}
    if pretty:
        spelling = {"separators": (",", " : "), "indent": "\t"}
    entry = {
        "__CURSOR": "s=0123456789abcdef0123456789abcdef;i=1a2b;b=0123456789abcdef0123456789abcdef;m=1;t=2;x=3",
        "__REALTIME_TIMESTAMP": "1700000000000000",
        "_BOOT_ID": "0123456789abcdef0123456789abcdef",
        "_HOSTNAME": "build-host-1",
        "_TRANSPORT": "kernel",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "kernel",
    }
    lines = (json.dumps({**entry, "MESSAGE": m.decode().rstrip("\n")}, **spelling) for m in messages)
    return "".join(line + "\n" for line in lines).encode()


class Log(io.RawIOBase):
    """A log of `size` bytes that repeats a piece."""

    def __init__(self, piece: bytes, size: int) -> None:
        self._pieces = self._of(piece, size)
        self._rest = b""

    @staticmethod
    def _of(piece: bytes, size: int) -> Iterator[bytes]:
        for _ in range(max(1, size // len(piece))):
            yield piece

    def read(self, size: int = -1, /) -> bytes:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def measure(piece: bytes, megabytes: int) -> tuple[float, int]:
    """Seconds of the faster of two runs, and the events."""
    policy = Compilation(POLICY, "bench").ir
    best, events = float("inf"), 0
    for _ in range(2):
        log = Log(piece, megabytes * 10**6)
        start = time.process_time()
        summary = Summary()
        for found in read_reports(log):
            summary.add(replay(policy, found))
        best = min(best, time.process_time() - start)
        events = summary.events
    return best, events


def main() -> int:
    """Measure and print; 1 where the goal is missed."""
    quiet = [NOISE[i % len(NOISE)] for i in range(20_000)]
    day = quiet[:15_000] + report(300)
    kinds = {
        "text, no report": text(quiet),
        "text, a report every 2 MB": text(day),
        "text, reports only": text(report(300)),
        "JSON, a report every 6 MB": as_json(day),
        "pretty, a report every 6 MB": as_json(day, pretty=True),
    }
    print(f"{'log':<28} {'MB':>5} {'events':>7} {'seconds':>8} {'MB/s':>7}")
    goal = float("inf")
    for name, piece in kinds.items():
        for megabytes in (10, 40, 160):
            seconds, events = measure(piece, megabytes)
            print(f"{name:<28} {megabytes:>5} {events:>7} {seconds:>8.3f} {megabytes / seconds:>7.0f}")
            if name == "text, a report every 2 MB":
                goal = min(goal, megabytes / seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB; goal {GOAL} MB/s of text: {'met' if goal >= GOAL else 'missed'}")
    return 0 if goal >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
