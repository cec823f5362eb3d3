"""The functions of a BPF object: what they call, how they jump, how much stack they use.

In: an `ElfObject`. Out: `Code`, or `BadCode` where the bytes are no functions at all. Calls are resolved as libbpf
does it: through the relocation where there is one, else by the distance to a function in the same section.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from oomlang.objects.elf import STT_FUNC, UNDEFINED, ElfObject, Relocation, Section
from oomlang.objects.instructions import (
    ADD64_K,
    FRAME_POINTER,
    MOV64_X,
    SLOT,
    SUB64_K,
    BadCode,
    Instruction,
    decode,
)

SUBPROGRAMS: Final = ".text"
STACK_STEP: Final = 32
"""Bytes that the kernel rounds a function's stack up to, at most (16 with some JITs)."""

_MAX_SLOTS = 1_000_000
"""Instructions that the kernel takes for one program."""

_MAX_PAIRS = 4_000_000
"""Programs times functions: every program is asked what it reaches. The largest objects have some hundreds of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function: its name and place; `start` and `slots` count instructions from the beginning of its section."""

    name: str
    section: Section
    start: int
    slots: int
    code: bytes = field(repr=False)

    @property
    def is_program(self) -> bool:
        """Whether it is the kernel that calls it. libbpf: what stands outside .text."""
        return self.section.name != SUBPROGRAMS

    def instructions(self) -> Iterator[tuple[int, Instruction]]:
        """Its instructions, with their indices in the section."""
        return decode(self.code, self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one pass over a function finds.

    helpers: the numbers of those it calls. functions: indices into `Code.functions`. externals: names of what is called
    and defined elsewhere (kfuncs). unresolved: calls that lead to no function. stack: bytes, not rounded.
    """

    helpers: tuple[int, ...]
    functions: tuple[int, ...]
    externals: tuple[str, ...]
    unresolved: tuple[int, ...]
    stack: int


class Code:
    """All functions of an object, in the order of the file."""

    def __init__(self, elf: ElfObject) -> None:
        """Find the functions. Errors: `BadCode`."""
        self.elf = elf
        self.functions = tuple(f for section in _sections(elf) for f in _functions(elf, section))
        programs = sum(f.is_program for f in self.functions)
        if programs * len(self.functions) > _MAX_PAIRS:
            raise BadCode(
                f"{programs} programs and {len(self.functions)} functions are more than any BPF object has"
            )
        self._starts = {(f.section.index, f.start): n for n, f in enumerate(self.functions)}
        self.relocations = {
            (index, r.offset // SLOT): r for index, rows in elf.relocations.items() for r in rows
        }
        self.surveys = tuple(self._surveyed(f) for f in self.functions)

    def reachable(self, function: int) -> tuple[int, ...]:
        """The function and all that it calls, directly or not, in the order of the file."""
        seen, pending = {function}, [function]
        while pending:
            for callee in self.surveys[pending.pop()].functions:
                if callee not in seen:
                    seen.add(callee)
                    pending.append(callee)
        return tuple(sorted(seen))

    def deepest(self, function: int) -> tuple[int, int] | None:
        """Bytes of stack and number of functions in the deepest chains of calls from here; None for recursion."""
        return self._depths[function]

    @cached_property
    def _depths(self) -> list[tuple[int, int] | None]:
        done: list[tuple[int, int] | None] = [None] * len(self.functions)
        seen: set[int] = set()
        open_: set[int] = set()
        endless: set[int] = set()
        pending = [(n, False) for n in range(len(self.functions))]
        while pending:
            at, left = pending.pop()
            callees = self.surveys[at].functions
            if left:
                open_.discard(at)
                below = [done[c] for c in callees]
                depths = [d for d in below if d is not None]
                if at not in endless and len(depths) == len(below):
                    own = -(-max(self.surveys[at].stack, 1) // STACK_STEP) * STACK_STEP
                    done[at] = (
                        own + max((b for b, _ in depths), default=0),
                        1 + max((n for _, n in depths), default=0),
                    )
            elif at not in seen:
                seen.add(at)
                open_.add(at)
                if not open_.isdisjoint(callees):
                    endless.add(at)
                pending.append((at, True))
                pending += [(c, False) for c in callees if c not in seen]
        return done

    def relocation(self, function: Function, index: int) -> Relocation | None:
        """The relocation of an instruction."""
        return self.relocations.get((function.section.index, index))

    def _surveyed(self, function: Function) -> Survey:
        try:
            return self._survey(function)
        except BadCode as error:
            raise BadCode(
                f"function `{function.name}` of section `{function.section.name}`: {error}"
            ) from error

    def _survey(self, function: Function) -> Survey:
        helpers: set[int] = set()
        functions: set[int] = set()
        externals: set[str] = set()
        unresolved: list[int] = []
        frame = _Frame()
        for index, instruction in function.instructions():
            frame.step(instruction)
            if instruction.is_helper_call:
                helpers.add(instruction.imm)
            elif instruction.is_kfunc_call:
                externals.add(f"BTF id {instruction.imm}")
            elif instruction.is_pseudo_call:
                relocation = self.relocation(function, index)
                if relocation is not None and relocation.symbol.section == UNDEFINED:
                    externals.add(relocation.symbol.name)
                    continue
                callee = self._callee(function, index, instruction, relocation)
                if callee is None:
                    unresolved.append(index)
                else:
                    functions.add(callee)
        return Survey(
            helpers=tuple(sorted(helpers)),
            functions=tuple(sorted(functions)),
            externals=tuple(sorted(externals)),
            unresolved=tuple(unresolved),
            stack=-frame.lowest,
        )

    def _callee(
        self, function: Function, index: int, call: Instruction, relocation: Relocation | None
    ) -> int | None:
        if relocation is None:
            return self._starts.get((function.section.index, index + 1 + call.imm))
        symbol = relocation.symbol
        # For a section's symbol the immediate holds the distance, for a function's it is -1.
        return self._starts.get((symbol.section, symbol.value // SLOT + call.imm + 1))


class _Frame:
    """The lowest offset from the frame pointer that is accessed, or whose address is taken.

    Copies of the frame pointer are followed in the order of the text. That is not a proof, for which there is the
    verifier, but it finds what compilers write: an object's address is its lowest byte.
    """

    def __init__(self) -> None:
        self.lowest = 0
        self._copies = {FRAME_POINTER: 0}

    def step(self, i: Instruction) -> None:
        """Take in the next instruction."""
        if i.is_memory:
            base = self._copies.get(i.base)
            if base is not None:
                self.lowest = min(self.lowest, base + i.offset)
        if i.opcode == MOV64_X and i.src in self._copies and i.dst != FRAME_POINTER:
            self._copies[i.dst] = self._copies[i.src]
        elif i.opcode in (ADD64_K, SUB64_K) and i.dst in self._copies and i.dst != FRAME_POINTER:
            self._copies[i.dst] += i.imm if i.opcode == ADD64_K else -i.imm
            self.lowest = min(self.lowest, self._copies[i.dst])
        elif i.is_call:
            for register in range(6):
                self._copies.pop(register, None)
        elif i.writes and i.dst != FRAME_POINTER:
            self._copies.pop(i.dst, None)


def _sections(elf: ElfObject) -> tuple[Section, ...]:
    slots = sum(s.size for s in elf.code) // SLOT
    if slots > _MAX_SLOTS:
        raise BadCode(f"{slots} instructions are more than the kernel takes ({_MAX_SLOTS})")
    return elf.code


def _functions(elf: ElfObject, section: Section) -> Iterator[Function]:
    """The functions of a section by its symbols. Aliases of one place count once; a size of 0 reaches to the next."""
    symbols: dict[int, tuple[str, int]] = {}
    for symbol in elf.symbols:
        if symbol.kind == STT_FUNC and symbol.section == section.index:
            if symbol.value % SLOT or symbol.size % SLOT or symbol.value + symbol.size > section.size:
                raise BadCode(f"function `{symbol.name}` does not lie in its section `{section.name}`")
            symbols.setdefault(symbol.value, (symbol.name, symbol.size))
    code = elf.contents(section)
    if len(code) % SLOT:
        raise BadCode(f"section `{section.name}` has {len(code)} bytes, no whole number of instructions")
    places = sorted(symbols)
    for at, end in zip(places, [*places, section.size][1:], strict=True):
        name, size = symbols[at]
        if at + size > end:
            raise BadCode(f"function `{name}` of section `{section.name}` reaches into the next")
        stop = at + size if size else end
        yield Function(
            name=name, section=section, start=at // SLOT, slots=(stop - at) // SLOT, code=code[at:stop]
        )
