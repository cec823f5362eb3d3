"""Which instructions of a BPF object the verifier can reach once CO-RE relocations have their values.

In: an object's image, the values that libbpf would write (by section and instruction). Out: the reachable
instructions of each section with code.

A policy that runs on several kernels asks `bpf_core_field_exists(…)` and reads the field only where the
answer is yes. On the others libbpf poisons the read, and the verifier, which follows constants, never gets
there. So whether an unresolved relocation matters depends on the branches before it, which are followed
here the same way: constants in registers, and nothing else. What is not known is taken as reachable: the
verifier may know more, never less. Instruction set: the kernel's
Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from oomlang.elf import STT_FUNC, ElfError, ElfObject, read_object
from oomlang.kernel.btf_types import BtfError

Place: TypeAlias = tuple[str, int]  # section name and instruction slot
Registers: TypeAlias = tuple[int | None, ...]  # r0 to r9: the constant each holds, or None

_UNKNOWN: Registers = (None,) * 10
_MASK = (1 << 64) - 1

_LD_IMM64, _CALL, _EXIT, _JA, _JA32 = 0x18, 0x85, 0x95, 0x05, 0x06
_PSEUDO_CALL = 1
_ALU32, _JMP, _JMP32, _ALU64 = 4, 5, 6, 7
_MOV = 0xB0
_ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    0x00: operator.add,
    0x10: operator.sub,
    0x40: operator.or_,
    0x50: operator.and_,
    0xA0: operator.xor,
}
_UNSIGNED: dict[int, Callable[[int, int], bool]] = {
    0x10: operator.eq,
    0x20: operator.gt,
    0x30: operator.ge,
    0x40: lambda a, b: a & b != 0,
    0x50: operator.ne,
    0xA0: operator.lt,
    0xB0: operator.le,
}
_SIGNED: dict[int, Callable[[int, int], bool]] = {
    0x60: operator.gt,
    0x70: operator.ge,
    0xC0: operator.lt,
    0xD0: operator.le,
}


def reachable(image: bytes, values: Mapping[Place, int | None]) -> frozenset[Place]:
    """The places of all instructions that can run. `values`: what libbpf writes at a relocation; None: unknown.

    Errors: `BtfError` for an object that is broken, as everywhere in these checks.
    """
    try:
        return _Walk(read_object(image), values).run()
    except ElfError as exc:
        raise BtfError(str(exc)) from exc


class _Walk:
    """A fixed point over the control flow: for each instruction the constants that every way there agrees
    on.
    """

    def __init__(self, elf: ElfObject, values: Mapping[Place, int | None]) -> None:
        self._values = values
        self._code: dict[str, list[tuple[int, int, int, int]]] = {}
        self._calls: dict[Place, Place] = {}  # and functions whose address is taken
        self._states: dict[Place, Registers] = {}
        for section in elf.code:
            data = elf.contents(section)
            if len(data) % 8:
                raise BtfError(f"section {section.name!r} is not a whole number of instructions")
            self._code[section.name] = list(struct.iter_unpack(elf.header.byte_order + "BBhi", data))
        for index, relocations in elf.relocations.items():
            for relocation in relocations:
                self._note_call(
                    elf.sections[index].name,
                    relocation.offset // 8,
                    elf.section_name(relocation.symbol),
                    relocation.symbol.value,
                )
        functions = [(elf.section_name(s), s.value // 8) for s in elf.symbols if s.kind == STT_FUNC]
        # What is in .text runs only where it is called.
        self._roots = [(name, at) for name, at in functions if name is not None and name != ".text"]

    def run(self) -> frozenset[Place]:
        pending: list[Place] = []
        for place in self._roots:
            self._arrive(place, _UNKNOWN, pending)
        while pending:
            place = pending.pop()
            for following, registers in self._step(place, self._states[place]):
                self._arrive(following, registers, pending)
        return frozenset(self._states)

    def _arrive(self, place: Place, registers: Registers, pending: list[Place]) -> None:
        """Note a way to an instruction; walk on from there only where it brings something new."""
        if not 0 <= place[1] < len(self._code.get(place[0], ())):
            raise BtfError(f"section {place[0]!r} jumps to instruction {place[1]}, which does not exist")
        known = self._states.get(place)
        if known is not None:
            registers = tuple(a if a == b else None for a, b in zip(known, registers, strict=True))
        if registers != known:
            self._states[place] = registers
            pending.append(place)

    def _step(self, place: Place, registers: Registers) -> Iterable[tuple[Place, Registers]]:
        """The instructions that can follow one, each with the constants it finds."""
        section, at = place
        opcode, fields, offset, immediate = self._code[section][at]
        target, source = fields & 15, fields >> 4
        following = (section, at + 1)
        if target > 10 or source > 10:
            raise BtfError(f"instruction {at} of section {section!r} names a register that does not exist")
        if opcode == _LD_IMM64:
            if place in self._calls:
                yield self._calls[place], _UNKNOWN
            value = self._values.get(place)
            yield (section, at + 2), _with(registers, target, value)
        elif opcode == _EXIT:
            return
        elif opcode in (_JA, _JA32):
            yield (section, at + 1 + (offset if opcode == _JA else immediate)), registers
        elif opcode == _CALL:
            if source == _PSEUDO_CALL:
                yield self._calls.get(place, (section, at + 1 + immediate)), _UNKNOWN
            yield following, (None,) * 6 + registers[6:]
        elif opcode & 7 in (_JMP, _JMP32):
            right = _get(registers, source) if opcode & 8 else immediate
            taken = _decide(opcode, _get(registers, target), right)
            if taken is not False:
                yield (section, at + 1 + offset), registers
            if taken is not True:
                yield following, registers
        elif opcode & 7 in (_ALU32, _ALU64):
            right = _get(registers, source) if opcode & 8 else self._values.get(place, immediate)
            # An offset makes a move a sign extension, which is not followed.
            value = None if offset else _compute(opcode, _get(registers, target), right)
            yield following, _with(registers, target, value)
        elif opcode & 7 in (0, 1):  # loads
            yield following, _with(registers, target, None)
        elif opcode & 0xE7 == 0xC3:  # atomic; a fetching one writes its source register or r0
            yield following, _with(_with(registers, source, None), 0, None)
        else:
            yield following, registers

    def _note_call(self, section: str, at: int, target: str | None, value: int) -> None:
        if target is None or target not in self._code or at >= len(self._code[section]):
            return
        opcode, _, _, immediate = self._code[section][at]
        if opcode == _CALL:
            self._calls[section, at] = (target, value // 8 + immediate + 1)
        elif opcode == _LD_IMM64:
            self._calls[section, at] = (target, (value + immediate) // 8)


def _get(registers: Registers, number: int) -> int | None:
    return registers[number] if number < len(registers) else None  # r10 is the stack


def _with(registers: Registers, number: int, value: int | None) -> Registers:
    return (*registers[:number], value, *registers[number + 1 :]) if number < len(registers) else registers


def _compute(opcode: int, left: int | None, right: int | None) -> int | None:
    if right is None:
        return None
    operation = opcode & 0xF0
    if operation == _MOV:
        result = right
    elif left is not None and operation in _ARITHMETIC:
        result = _ARITHMETIC[operation](left, right)
    else:
        return None
    return result & (_MASK if opcode & 7 == _ALU64 else _MASK >> 32)


def _decide(opcode: int, left: int | None, right: int | None) -> bool | None:
    """Whether a conditional jump is taken; None where that is not known."""
    if left is None or right is None:
        return None
    bits = 64 if opcode & 7 == _JMP else 32
    mask = (1 << bits) - 1
    left, right = left & mask, right & mask
    operation = opcode & 0xF0
    if operation in _UNSIGNED:
        return _UNSIGNED[operation](left, right)
    if operation in _SIGNED:
        sign = 1 << bits - 1
        return _SIGNED[operation]((left ^ sign) - sign, (right ^ sign) - sign)
    return None
