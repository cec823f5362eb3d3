"""The stable codes of all diagnostics. A code is never given a second meaning; a retired one is not used again.

E01 text and syntax · E02 names and types · E03 values · E04 what the policy as a whole says · E05 tests · W warnings.
`catalogue` holds the page of each.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """A diagnostic's code; the member's name is what the code is called in the source."""

    NOT_TEXT = "E0101"
    SYNTAX = "E0102"
    UNKNOWN_STATEMENT = "E0103"
    BAD_STRING = "E0104"
    BAD_NUMBER = "E0105"
    UNKNOWN_UNIT = "E0106"
    UNKNOWN_VERSION = "E0107"
    VERSION_NOT_FIRST = "E0108"
    TOO_DEEP = "E0109"
    UNCLOSED = "E0110"
    CHAINED = "E0111"

    UNKNOWN_NAME = "E0201"
    UNKNOWN_FUNCTION = "E0202"
    WRONG_OPERAND = "E0203"
    UNIT_MISMATCH = "E0204"
    BAD_ARITHMETIC = "E0205"
    ARGUMENT_COUNT = "E0206"
    NOT_A_CONDITION = "E0207"
    NOT_RANKABLE = "E0208"
    PATH_MISUSE = "E0209"
    DEPTH_MISUSE = "E0210"
    BAD_STEP = "E0211"
    UNKNOWN_TYPE = "E0212"
    LET_CYCLE = "E0213"
    DUPLICATE = "E0214"
    TAKEN_NAME = "E0215"
    EVENT_RULE_FACT = "E0216"
    INPUT_DEFAULT = "E0217"
    BRANCH_MISMATCH = "E0218"
    NOT_A_LITERAL = "E0219"

    OUT_OF_RANGE = "E0301"
    ALWAYS_TRUE = "E0302"
    ALWAYS_FALSE = "E0303"
    OVERFLOW = "E0304"
    TEXT_TOO_LONG = "E0305"
    DEPTH_LIMIT = "E0306"
    TOO_MANY = "E0307"
    BAD_PATH = "E0308"
    BAD_POLICY_NAME = "E0309"
    BAD_PATTERN = "E0310"

    NEVER_DECIDES = "E0401"
    COVERS_ALL = "E0402"
    NEVER_REACHED = "E0403"

    TEST_UNKNOWN_MEMCG = "E0501"
    TEST_UNKNOWN_TASK = "E0502"
    TEST_FACT = "E0503"
    TEST_NO_EXPECTATION = "E0504"
    TEST_CONTRADICTION = "E0505"
    TEST_VALUE = "E0506"

    DIVISOR_ZERO = "W0601"
    UNUSED = "W0602"
    MIXED_DEPTH = "W0603"
