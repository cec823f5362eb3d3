"""Where facts come from: the live machine (/proc and cgroupfs), snapshots, and the kernel's OOM reports.

Out: plain frozen data, by the names of the table of facts and in its base units. A source that cannot see a fact leaves
it out and says so (`Unseen`); nothing here turns that into 0.
"""

from oomlang.facts.types import UNLIMITED
from oomlang.host.model import MachineFacts, MemcgFacts, MemcgPath, TaskFacts, Unseen
from oomlang.host.procfs import read_machine
from oomlang.host.redaction import redact
from oomlang.host.snapshot import SnapshotError, read_snapshot, write_snapshot

__all__ = [
    "UNLIMITED",
    "MachineFacts",
    "MemcgFacts",
    "MemcgPath",
    "SnapshotError",
    "TaskFacts",
    "Unseen",
    "read_machine",
    "read_snapshot",
    "redact",
    "write_snapshot",
]
