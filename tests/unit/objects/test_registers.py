"""What is known of registers, in programs written by hand. `m` is a map whose address instruction 0 loads into r1."""

from __future__ import annotations

import struct

import pytest

from oomlang.objects.elf import Section
from oomlang.objects.functions import Function
from oomlang.objects.instructions import BadCode
from oomlang.objects.registers import Value, reachable_in

SECTION = Section(index=1, name="x", type=1, flags=6, offset=0, size=0, link=0, info=0)
LOAD_MAP = bytes.fromhex("18010000000000000000000000000000")
EXIT = bytes.fromhex("9500000000000000")


def slot(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, dst | src << 4, offset, imm)


CALL = slot(0x85, imm=2)


def first_argument(*code: bytes) -> Value:
    """What r1 holds at the last call before the end."""
    text = b"".join(code) + CALL + EXIT
    function = Function(name="f", section=SECTION, start=0, slots=len(text) // 8, code=text)
    return reachable_in(function, {("x", 0): "m"})["x", len(text) // 8 - 2][1]


def test_an_address_is_followed_through_moves_and_calls() -> None:
    assert first_argument(LOAD_MAP) == "m"
    assert first_argument(LOAD_MAP, slot(0xBF, 6, 1), CALL, slot(0xBF, 1, 6)) == "m"


@pytest.mark.parametrize(
    "code",
    [
        slot(0x07, 1, imm=8),  # r1 += 8
        slot(0xBC, 1, 1),  # w1 = w1
        slot(0xBF, 1, 1, offset=8),  # r1 = (s8)r1
        slot(0x79, 1, 10, offset=-8),  # r1 = *(u64 *)(r10 - 8)
        slot(0xDB, 10, 1, offset=-8, imm=1),  # r1 = atomic_fetch_add(…, r1)
        CALL,
        LOAD_MAP,  # of something else: only instruction 0 is relocated to the map
    ],
)
def test_whatever_changes_it_makes_it_unknown(code: bytes) -> None:
    assert first_argument(LOAD_MAP, code) is None


def test_two_ways_that_disagree_leave_nothing_known() -> None:
    jump = slot(0x15, 2, offset=1)  # if r2 == 0 goto +1
    assert first_argument(LOAD_MAP, jump, slot(0xB7, 1, imm=5)) is None
    assert first_argument(LOAD_MAP, jump, slot(0xB7, 3, imm=5)) == "m"
    # A branch that constants decide is no second way.
    assert first_argument(LOAD_MAP, slot(0xB7, 2), jump, slot(0xB7, 1, imm=5)) == "m"


def test_a_jump_out_of_the_function_is_refused() -> None:
    with pytest.raises(BadCode, match="jumps to instruction 303, where none begins"):
        first_argument(LOAD_MAP, slot(0x05, offset=300))
