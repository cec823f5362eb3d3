"""Where two policies choose differently.

In: the IR of two policies, and machines: given ones (live, snapshots, reports), or made up near the constants of both.
Out: what each chooses, and the smallest made-up machine on which they differ, as a test block.
"""

from oomlang.diff.choice import Choice, Relation, choice, relation
from oomlang.diff.constants import Constants, constants
from oomlang.diff.generator import scenario
from oomlang.diff.search import Example, Search, search
from oomlang.diff.text import block

__all__ = [
    "Choice",
    "Constants",
    "Example",
    "Relation",
    "Search",
    "block",
    "choice",
    "constants",
    "relation",
    "scenario",
    "search",
]
