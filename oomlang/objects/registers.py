"""What registers are known to hold wherever an instruction of a BPF object can be reached.

In: an object, and the values that its relocations will have: what libbpf would write on some kernel, or the name of a map
whose address is loaded. Out: the reachable places, with the registers there.

A policy that runs on several kernels asks `bpf_core_field_exists(…)` and reads the field only where the answer is yes. On
the others libbpf poisons the read, and the verifier, which follows constants, never gets there. So whether an unresolved
relocation matters depends on the branches before it, which are followed here the same way: constants in registers, and
nothing else. What is not known is taken as reachable: the verifier may know more, never less.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from oomlang.objects.elf import STT_FUNC, ElfObject
from oomlang.objects.functions import SUBPROGRAMS, Function
from oomlang.objects.instructions import (
    ALU,
    ALU64,
    JMP,
    LD,
    LD_IMM64,
    LDX,
    MOV,
    SLOT,
    STX,
    BadCode,
    Instruction,
    decode,
)

Place: TypeAlias = tuple[str, int]
"""The name of a section and the index of an instruction."""

Value: TypeAlias = int | str | None
"""A constant, the name of a map, or not known."""

Registers: TypeAlias = tuple[Value, ...]
"""r0 to r9."""

_UNKNOWN: Registers = (None,) * 10
_CLOBBERED: Registers = (None,) * 6
"""r0 to r5, which no call leaves as they are."""

_MASK = (1 << 64) - 1
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


def reachable(elf: ElfObject, values: Mapping[Place, Value]) -> dict[Place, Registers]:
    """All that can run when the kernel calls the programs. values: of relocated instructions. Errors: `BadCode`."""
    listings = {s.name: dict(decode(elf.contents(s))) for s in elf.code}
    calls: dict[Place, Place | None] = {}  # None: out of the object, to a kfunc
    for index, relocations in elf.relocations.items():
        for relocation in relocations:
            symbol, place = relocation.symbol, (elf.sections[index].name, relocation.offset // SLOT)
            target, caller = elf.section_name(symbol), listings[place[0]].get(place[1])
            if caller is not None and caller.is_call:
                calls[place] = (target, symbol.value // SLOT + caller.imm + 1) if target is not None else None
            elif (
                caller is not None and target in listings
            ):  # a function's address, for `bpf_loop` and its like
                calls[place] = (target, (symbol.value + caller.imm) // SLOT)
    # What is in .text runs only where it is called.
    functions = [(elf.section_name(s), s.value // SLOT) for s in elf.symbols if s.kind == STT_FUNC]
    return _Walk(listings, values, calls).from_(
        [(name, at) for name, at in functions if name is not None and name != SUBPROGRAMS]
    )


def reachable_in(function: Function, values: Mapping[Place, Value]) -> dict[Place, Registers]:
    """All that can run in one function; calls are stepped over. Errors: `BadCode`."""
    section = function.section.name
    return _Walk({section: dict(function.instructions())}, values, None).from_([(section, function.start)])


class _Walk:
    """A fixed point over the control flow: for each instruction the values that every way there agrees on."""

    def __init__(
        self,
        listings: Mapping[str, Mapping[int, Instruction]],
        values: Mapping[Place, Value],
        calls: Mapping[Place, Place | None] | None,
    ) -> None:
        """calls: where relocated ones lead; None: they are stepped over."""
        self._listings = listings
        self._values = values
        self._calls = calls
        self._states: dict[Place, Registers] = {}

    def from_(self, roots: Iterable[Place]) -> dict[Place, Registers]:
        pending: list[Place] = []
        for place in roots:
            self._arrive(place, _UNKNOWN, pending)
        while pending:
            place = pending.pop()
            for following, registers in self._step(place, self._states[place]):
                self._arrive(following, registers, pending)
        return self._states

    def _arrive(self, place: Place, registers: Registers, pending: list[Place]) -> None:
        """Note a way to an instruction; walk on from there only where it brings something new."""
        if place[1] not in self._listings.get(place[0], ()):
            raise BadCode(f"section `{place[0]}` jumps to instruction {place[1]}, where none begins")
        known = self._states.get(place)
        if known is not None:
            registers = tuple(a if a == b else None for a, b in zip(known, registers, strict=True))
        if registers != known:
            self._states[place] = registers
            pending.append(place)

    def _step(self, place: Place, registers: Registers) -> Iterable[tuple[Place, Registers]]:
        """The instructions that can follow one, each with what it finds in the registers."""
        section, at = place
        i = self._listings[section][at]
        following = (section, at + i.slots)
        if i.dst > 10 or i.src > 10:
            raise BadCode(f"instruction {at} of section `{section}` names a register that does not exist")
        if (target := i.jump_target(at)) is not None:
            taken = True if i.is_unconditional else _decide(i, registers)
            if taken is not False:
                yield (section, target), registers
            if taken is not True:
                yield following, registers
        elif i.is_call:
            if i.is_pseudo_call and self._calls is not None:
                callee = self._calls.get(place, (section, at + 1 + i.imm))
                if callee is not None:
                    yield callee, _UNKNOWN
            yield following, _CLOBBERED + registers[6:]
        elif i.opcode == LD_IMM64:
            if self._calls and (function := self._calls.get(place)) is not None:
                yield function, _UNKNOWN
            yield following, _with(registers, i.dst, self._values.get(place))
        elif not i.is_exit:
            yield following, self._after(i, place, registers)

    def _after(self, i: Instruction, place: Place, registers: Registers) -> Registers:
        match i.kind:
            case kind if kind in (ALU, ALU64):
                right = _get(registers, i.src) if i.opcode & 8 else self._values.get(place, i.imm)
                # An offset makes a move a sign extension, which is not followed.
                value = None if i.offset else _compute(i, _get(registers, i.dst), right)
                return _with(registers, i.dst, value)
            case kind if kind in (LD, LDX):
                return _with(registers, i.dst, None)
            case kind if kind == STX and i.opcode & 0xE0 == 0xC0:  # atomic: may fetch into its source or r0
                return _with(_with(registers, i.src, None), 0, None)
            case _:
                return registers


def _get(registers: Registers, number: int) -> Value:
    return registers[number] if number < len(registers) else None  # r10 is the stack


def _with(registers: Registers, number: int, value: Value) -> Registers:
    return (*registers[:number], value, *registers[number + 1 :]) if number < len(registers) else registers


def _compute(i: Instruction, left: Value, right: Value) -> Value:
    operation = i.opcode & 0xF0
    mask = _MASK if i.kind == ALU64 else _MASK >> 32
    if operation == MOV:
        return right & mask if isinstance(right, int) else right if i.kind == ALU64 else None
    if isinstance(left, int) and isinstance(right, int) and operation in _ARITHMETIC:
        return _ARITHMETIC[operation](left, right) & mask
    return None


def _decide(i: Instruction, registers: Registers) -> bool | None:
    """Whether a conditional jump is taken; None where that is not known."""
    left, right = _get(registers, i.dst), _get(registers, i.src) if i.opcode & 8 else i.imm
    if not isinstance(left, int) or not isinstance(right, int):
        return None
    bits = 64 if i.kind == JMP else 32
    mask = (1 << bits) - 1
    left, right = left & mask, right & mask
    operation = i.opcode & 0xF0
    if operation in _UNSIGNED:
        return _UNSIGNED[operation](left, right)
    if operation in _SIGNED:
        sign = 1 << bits - 1
        return _SIGNED[operation]((left ^ sign) - sign, (right ^ sign) - sign)
    return None
