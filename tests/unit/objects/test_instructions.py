from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.objects.instructions import (
    LDX,
    STX,
    BadCode,
    Instruction,
    decode,
)


def one(code: str) -> Instruction:
    ((index, instruction),) = decode(bytes.fromhex(code))
    assert index == 0
    return instruction


@pytest.mark.parametrize(
    "code, expected",
    [
        ("bf16000000000000", Instruction(0xBF, 6, 1, 0, 0)),  # r6 = r1
        ("7b1ae0ff00000000", Instruction(0x7B, 10, 1, -32, 0)),  # *(u64 *)(r10 - 32) = r1
        ("1603c1ff18fc0000", Instruction(0x16, 3, 0, -63, 0xFC18)),  # if w3 == 64536 goto -63
        ("07010000f8ffffff", Instruction(0x07, 1, 0, 0, -8)),  # r1 += -8
        (
            "18010000efcdab890000000067452301",
            Instruction(0x18, 1, 0, 0, -0x76543211, 0x0123456789ABCDEF),
        ),
        ("18020000ffffffff00000000ffffffff", Instruction(0x18, 2, 0, 0, -1, (1 << 64) - 1)),
    ],
)
def test_known_encodings(code: str, expected: Instruction) -> None:
    assert one(code) == expected


def test_indices_count_slots() -> None:
    code = bytes.fromhex("bf16000000000000180100000100000000000000000000009500000000000000")
    assert [index for index, _ in decode(code, first=10)] == [10, 11, 13]


def test_the_three_kinds_of_call() -> None:
    helper, function, kfunc = (one(f"85{source}000071000000") for source in ("00", "10", "20"))
    assert (helper.is_helper_call, helper.is_pseudo_call, helper.is_kfunc_call) == (True, False, False)
    assert (function.is_helper_call, function.is_pseudo_call, function.is_kfunc_call) == (False, True, False)
    assert (kfunc.is_helper_call, kfunc.is_pseudo_call, kfunc.is_kfunc_call) == (False, False, True)
    assert helper.is_call
    assert function.is_call
    assert kfunc.is_call


def test_where_jumps_lead() -> None:
    assert one("05000f0000000000").jump_target(3) == 3 + 1 + 15  # goto +15
    assert one("5d86e8ff00000000").jump_target(30) == 30 + 1 - 24  # if r6 != r8 goto -24
    assert one("0600000000010000").jump_target(0) == 257  # goto +256 of cpu v4
    assert one("05000f0000000000").is_unconditional
    assert not one("5d86e8ff00000000").is_unconditional
    assert one("9500000000000000").jump_target(0) is None
    assert one("8500000001000000").jump_target(0) is None
    assert one("9500000000000000").is_exit


def test_the_base_of_a_memory_access() -> None:
    load, store = one("79a1f8ff00000000"), one("7b1af8ff00000000")
    assert (load.kind, load.base, load.writes) == (LDX, 10, True)
    assert (store.kind, store.base, store.writes) == (STX, 10, False)


@pytest.mark.parametrize(
    "code, message",
    [
        ("bf1600", "no whole number of instructions"),
        ("1801000001000000", "half a 64-bit immediate"),
        ("1801000001000000bf16000000000000", "whose second half is another instruction"),
    ],
)
def test_what_is_no_code(code: str, message: str) -> None:
    with pytest.raises(BadCode, match=message):
        list(decode(bytes.fromhex(code)))


@given(st.binary(max_size=256))
def test_any_bytes_are_code_or_refused(code: bytes) -> None:
    try:
        found = list(decode(code))
    except BadCode:
        return
    assert sum(i.slots for _, i in found) * 8 == len(code)
    for index, i in found:
        raw = struct.pack("<BBhi", i.opcode, i.dst | i.src << 4, i.offset, i.imm)
        assert raw == code[index * 8 : index * 8 + 8]
