"""The interpreter: a policy decides an event in Python.

In: the IR and a `Machine` (the event, its cgroups and candidates, from /proc, a snapshot, an OOM report or a
test block). Out: a `Decision` with its explanation; `testing` holds decisions against expectations.
"""

from oomlang.facts.types import UNLIMITED
from oomlang.targets.interp.decision import STOCK, Decision, decide
from oomlang.targets.interp.keys import Builtin, Decider
from oomlang.targets.interp.machine import Candidate, Event, Guard, Machine, Memcg
from oomlang.targets.interp.results import (
    Assessment,
    Comparison,
    Exclusion,
    KeyValue,
    LevelValue,
    Reading,
    Unevaluated,
    Verdict,
)

__all__ = [
    "STOCK",
    "UNLIMITED",
    "Assessment",
    "Builtin",
    "Candidate",
    "Comparison",
    "Decider",
    "Decision",
    "Event",
    "Exclusion",
    "Guard",
    "KeyValue",
    "LevelValue",
    "Machine",
    "Memcg",
    "Reading",
    "Unevaluated",
    "Verdict",
    "decide",
]
