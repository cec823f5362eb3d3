"""Where facts come from: the live machine (/proc and cgroupfs), and later snapshots and OOM reports.


Out: plain frozen data, by the names of the table of facts and in its base units. A source that cannot see a fact leaves
it out and says so (`Unseen`); nothing here turns that into 0.
"""

from oomlang.host.model import UNLIMITED, MachineFacts, MemcgFacts, MemcgPath, TaskFacts, Unseen
from oomlang.host.procfs import read_machine

__all__ = [
    "UNLIMITED",
    "MachineFacts",
    "MemcgFacts",
    "MemcgPath",
    "TaskFacts",
    "Unseen",
    "read_machine",
]
