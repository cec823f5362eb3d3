"""Types, units and the one table of facts.

In: nothing. Out: what a policy can talk about. The checker, the C emitter, the interpreter, the readers of /proc and of
OOM reports, the editor and the reference page all read this package; a second list is a bug.
"""

from oomlang.facts.interval import INPUT_RANGES, Interval
from oomlang.facts.table import FACTS, Fact, KernelField, Scope
from oomlang.facts.types import Type
from oomlang.facts.units import UNITS, Unit, spell

__all__ = [
    "FACTS",
    "INPUT_RANGES",
    "UNITS",
    "Fact",
    "Interval",
    "KernelField",
    "Scope",
    "Type",
    "Unit",
    "spell",
]
