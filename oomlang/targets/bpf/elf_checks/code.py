"""Checks of an object's code: what a program can reach, and what its instructions refer to.

In: a `Subject`. Out: what is wrong, one sentence each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from oomlang.objects import BadFormat
from oomlang.objects.elf import STT_FUNC, STT_OBJECT, STT_SECTION, UNDEFINED, ElfObject, Relocation
from oomlang.objects.functions import SUBPROGRAMS, Function
from oomlang.objects.instructions import LD_IMM64, SLOT, Instruction
from oomlang.objects.maps import MAPS_SECTION
from oomlang.objects.metadata import ANSWERED
from oomlang.objects.names import helper_name
from oomlang.objects.registers import Place, Value, reachable_in
from oomlang.targets.bpf.elf_checks.subject import Subject

_UPDATE = "map_update_elem"
_DATA_SECTIONS = (".rodata", ".data", ".bss")


def functions(subject: Subject) -> Iterator[str]:
    """Every instruction belongs to a function."""
    if subject.code is None:
        yield subject.broken_code
        return
    held = Counter[int]()
    for function in subject.functions:
        held[function.section.index] += function.slots
    for section in subject.elf.code:
        count = held[section.index]
        if count * SLOT != section.size:
            yield f"{count} of the {section.size // SLOT} instructions of section `{section.name}` are in functions"


def numbers(subject: Subject) -> Iterator[str]:
    """Maps, variables and kfuncs are only referred to by relocations: a number would be one of the running kernel's."""
    for function in subject.functions:
        for index, instruction in function.instructions():
            if instruction.opcode == LD_IMM64 and instruction.src:
                yield f"function `{function.name}`, instruction {index}: an address of the kind {instruction.src}"
            elif instruction.is_call and not (instruction.is_helper_call or instruction.is_pseudo_call):
                yield f"function `{function.name}`, instruction {index}: a call of the kind {instruction.src}"


def calls(subject: Subject) -> Iterator[str]:
    """Every call leads to the beginning of a function: so all that a program can reach is known."""
    if subject.code is not None:
        for function, survey in zip(subject.code.functions, subject.code.surveys, strict=True):
            yield from (
                f"function `{function.name}`, instruction {index} calls no function"
                for index in survey.unresolved
            )


def relocations(subject: Subject) -> Iterator[str]:
    """Every relocation of code: an address of a known map or of data, a call of a function or of the known kfunc."""
    if subject.code is None:
        return
    listings = {}
    for function in subject.functions:
        listings.update({(function.section.index, i): (function, one) for i, one in function.instructions()})
    for number, rows in subject.elf.relocations.items():
        place = subject.elf.sections[number].name
        for relocation in rows:
            holder = listings.get((number, relocation.offset // SLOT))
            if holder is None or relocation.offset % SLOT:
                yield f"section `{place}`, byte {relocation.offset}: a relocation inside an instruction"
                continue
            wrong = _relocation_error(subject, relocation, holder[1])
            if wrong:
                yield f"function `{holder[0].name}`, instruction {relocation.offset // SLOT}: {wrong}"


def _relocation_error(subject: Subject, relocation: Relocation, instruction: Instruction) -> str | None:
    symbol = relocation.symbol
    place = subject.elf.section_name(symbol)
    what = f"refers to `{symbol.name or place}`"
    match relocation.kind:
        case 1:  # R_BPF_64_64
            if instruction.opcode != LD_IMM64:
                return f"{what}, and is no 64-bit immediate"
            if place == MAPS_SECTION and symbol.kind == STT_OBJECT and symbol.name in subject.maps:
                return None if instruction.imm64 == 0 else f"{what}, but not to its beginning"
            if place is not None and _is_data(place):
                return None
            return f"{what}, which is neither a map of the metadata nor data"
        case 10:  # R_BPF_64_32
            if not instruction.is_pseudo_call:
                return f"{what}, and is no call"
            if symbol.section == UNDEFINED:
                return (
                    None if symbol.name in subject.metadata.kfuncs else f"{what}, which is not a known kfunc"
                )
            if place == SUBPROGRAMS and symbol.kind in (STT_FUNC, STT_SECTION):
                return None
            return f"{what}, which is no function of ours"
        case kind:
            return f"{what} by the unknown relocation {kind}"


def _is_data(section: str) -> bool:
    return section in _DATA_SECTIONS or section.startswith((".rodata.", ".data."))


def kfuncs(subject: Subject) -> Iterator[str]:
    """Only the programs that may call a kfunc reach one."""
    allowed = {p.name: p.kfuncs for p in subject.target.programs}
    for program, function, survey in subject.reached():
        for name in survey.externals:
            if name not in allowed.get(program, ()):
                yield f"program `{program}` reaches kfunc `{name}`, in function `{function.name}`"


def helpers(subject: Subject) -> Iterator[str]:
    """Every helper that a program can reach is one that it may call."""
    allowed = {p.name: p.helpers for p in subject.target.programs}
    for program, function, survey in subject.reached():
        for number in survey.helpers:
            name = helper_name(number)
            if name not in allowed.get(program, ()):
                yield f"program `{program}` reaches helper {number} ({name}), in function `{function.name}`"


def updates(subject: Subject) -> Iterator[str]:
    """A program writes to no map but the target's own and what it remembers of cgroups, and never to one that it was given
    the address of.
    """
    own = {ANSWERED, *(m.name for m in subject.target.maps)}
    for function, survey in zip(subject.functions, subject.code.surveys if subject.code else (), strict=True):
        if not any(helper_name(number) == _UPDATE for number in survey.helpers):
            continue
        try:
            known = reachable_in(function, _map_addresses(subject.elf, function))
        except BadFormat as error:
            yield f"function `{function.name}`: {error}"
            continue
        for index, instruction in function.instructions():
            registers = known.get((function.section.name, index))
            if registers is None or not (
                instruction.is_helper_call and helper_name(instruction.imm) == _UPDATE
            ):
                continue
            if registers[1] not in own:
                which = f"map `{registers[1]}`" if isinstance(registers[1], str) else "some map"
                yield f"function `{function.name}`, instruction {index} writes to {which}"


def _map_addresses(elf: ElfObject, function: Function) -> dict[Place, Value]:
    """The name of the map whose address an instruction loads."""
    return {
        (function.section.name, relocation.offset // SLOT): relocation.symbol.name
        for relocation in elf.relocations.get(function.section.index, ())
        if elf.section_name(relocation.symbol) == MAPS_SECTION
    }
