"""BPF instructions from bytes.

In: the bytes of a section with code. Out: `Instruction`s with their index, which counts 8-byte slots (a 64-bit
immediate takes two). Encoding: the kernel's Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from oomlang.objects import BadFormat

SLOT: Final = 8
"""Bytes."""

FRAME_POINTER: Final = 10

# Classes: the lowest three bits of an opcode.
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)

LD_IMM64: Final = 0x18
JA: Final = 0x05
CALL: Final = 0x85
EXIT: Final = 0x95
MOV64_X: Final = 0xBF
ADD64_K: Final = 0x07
SUB64_K: Final = 0x17
MOV: Final = 0xB0
"""The operation of a move: bits 4 to 7 of an opcode of arithmetic."""

_PSEUDO_CALL: Final = 1
_PSEUDO_KFUNC_CALL: Final = 2
_SLOT = struct.Struct("<BBhi")


class BadCode(BadFormat):
    """Bytes that are no sequence of instructions; `str()` says where."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `imm` is signed; `imm64` is the whole of a 64-bit immediate (unsigned), None for all others."""

    opcode: int
    dst: int
    src: int
    offset: int
    imm: int
    imm64: int | None = None

    @property
    def slots(self) -> int:
        """How many slots it takes."""
        return 2 if self.opcode == LD_IMM64 else 1

    @property
    def kind(self) -> int:
        """Its class: `LD`, `LDX`, …"""
        return self.opcode & 7

    @property
    def is_call(self) -> bool:
        """Any call: of a helper, a function or a kfunc."""
        return self.opcode == CALL

    @property
    def is_helper_call(self) -> bool:
        """A call of the helper with the number `imm`."""
        return self.opcode == CALL and self.src == 0

    @property
    def is_pseudo_call(self) -> bool:
        """A call of a BPF function, or in an object file of whatever its relocation names, kfuncs included."""
        return self.opcode == CALL and self.src == _PSEUDO_CALL

    @property
    def is_kfunc_call(self) -> bool:
        """A call of a kfunc, as it stands in a loaded program."""
        return self.opcode == CALL and self.src == _PSEUDO_KFUNC_CALL

    @property
    def is_exit(self) -> bool:
        """Return from the function."""
        return self.opcode == EXIT

    @property
    def is_jump(self) -> bool:
        """A jump, conditional or not; calls and exit are none."""
        return self.opcode & 7 in (JMP, JMP32) and self.opcode not in (CALL, EXIT)

    @property
    def is_unconditional(self) -> bool:
        """A jump after which the next instruction is not reached."""
        return self.opcode in (JA, 0x06)

    @property
    def is_memory(self) -> bool:
        """A load or store through a register: `dst` is the base of a store, `src` that of a load."""
        return self.opcode & 7 in (LDX, ST, STX)

    @property
    def base(self) -> int:
        """The register that a load or store goes through."""
        return self.src if self.opcode & 7 == LDX else self.dst

    @property
    def writes(self) -> bool:
        """Whether `dst` is overwritten."""
        return self.opcode & 7 in (ALU, ALU64, LDX) or self.opcode == LD_IMM64

    def jump_target(self, index: int) -> int | None:
        """Where a jump that stands at `index` leads; None for anything else."""
        if not self.is_jump:
            return None
        return index + 1 + (self.imm if self.opcode == 0x06 else self.offset)


def decode(code: bytes, first: int = 0) -> Iterator[tuple[int, Instruction]]:
    """The instructions of `code`, each with its index; `first` is that of the first. Raises `BadCode` on the way."""
    if len(code) % SLOT:
        raise BadCode(f"{len(code)} bytes of code are no whole number of instructions")
    slots = _SLOT.iter_unpack(code)
    index = first
    for opcode, registers, offset, imm in slots:
        if opcode != LD_IMM64:
            yield index, Instruction(opcode, registers & 15, registers >> 4, offset, imm)
            index += 1
            continue
        second = next(slots, None)
        if second is None:
            raise BadCode(f"instruction {index} is half a 64-bit immediate, and the code ends there")
        if second[:3] != (0, 0, 0):
            raise BadCode(
                f"instruction {index} is a 64-bit immediate whose second half is another instruction"
            )
        imm64 = (imm & 0xFFFFFFFF) | (second[3] & 0xFFFFFFFF) << 32
        yield index, Instruction(opcode, registers & 15, registers >> 4, offset, imm, imm64)
        index += 2
