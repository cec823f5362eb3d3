"""The types of the language and the limits that every part of it keeps to."""

from __future__ import annotations

from enum import Enum


class Type(Enum):
    """A value's type. All but text and path are 64-bit signed integers, in the type's base unit."""

    BYTES = "bytes"  # base unit: 1 byte
    INT = "int"
    RATIO = "ratio"  # base unit: 1/10000, so 90% is 9000
    DURATION = "duration"  # base unit: 1 ms
    BOOL = "bool"
    TEXT = "text"
    PATH = "path"  # a memory cgroup, only ever on the left of `under`

    @property
    def is_number(self) -> bool:
        """Whether values of this type can be ordered and computed with."""
        return self in (Type.BYTES, Type.INT, Type.RATIO, Type.DURATION)

    @property
    def phrase(self) -> str:
        """The type in the words of a message."""
        return {
            Type.BYTES: "bytes",
            Type.INT: "a plain number",
            Type.RATIO: "a ratio",
            Type.DURATION: "a duration",
            Type.BOOL: "a condition",
            Type.TEXT: "a text",
            Type.PATH: "a cgroup path",
        }[self]


UNLIMITED = 2**63 - 1
"""The value of a limit that is none."""

RATIO_ONE = 10_000
"""The fixed-point value of 100 %."""

RATIO_LIMIT = 10**12
"""Ratios saturate at this many 1/10000, that is at a hundred million: a quotient of two sizes never overflows."""

MAX_DEPTH = 16
"""Levels of the cgroup tree that `at depth` and `at each depth` can look at."""

MAX_RULES = 2048
MAX_INPUTS = 64
MAX_LETS = 1024
MAX_OPERATIONS = 50_000
"""Operations that a policy has, each let counted for each depth that it is used at: each becomes up to a dozen of the
million instructions that the kernel's verifier walks.
"""

MAX_PATTERNS = 160
"""Different names, globs and paths that a policy matches: each is compared at every level of a path where it stands. What
that comes to must stay well within the million instructions that the kernel's verifier walks.
"""

MAX_EACH_DEPTH = 16
"""Rules `at each depth`: each is a function too."""

MAX_ARGUMENTS = 32
"""Arguments of `min` and `max`."""

MAX_LIST = 256
"""Elements of one `in (…)`."""

MAX_NESTING = 128
"""How deep an expression may nest, and how deep brackets may."""

MAX_STATEMENT = 2**18
"""Characters of one statement. What takes more (all lists of 256 paths are far below) is no policy, and the parser needs
some hundred bytes for each."""

MAX_NAME = 255
"""Characters of the name of a let or an input."""

POLICY_NAME_BYTES = 15
"""`oom_control.policy_name` has 16 bytes, one of them the NUL."""

COMM_BYTES = 15
"""`task_struct.comm` has 16 bytes, one of them the NUL."""

CGROUP_NAME_BYTES = 255
"""NAME_MAX: the longest name of a cgroup."""

PATH_COMPONENTS = 16
"""Components of a path in `under`."""
