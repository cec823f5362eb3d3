"""What every object is held against before anybody gets it.

In: an object that clang made, and the metadata that it should carry. Out: nothing, or `InternalError` with every check
that failed: clang made something else than we meant, or we meant something wrong; both are bugs of ours.

Checked is what the kernel's verifier does not know: that these are the programs, maps and types that the metadata speaks
of, and that no program can reach anything that writes or kills. What the verifier finds (jumps, loops, the stack, the
number of instructions) is left to it. The object is read through pyelftools and not through our own reader, which
`inspect` uses: the two have to agree about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from typing import Final

from oomlang.diagnostics import InternalError
from oomlang.objects import BadFormat
from oomlang.objects.btf import Btf, btf_of
from oomlang.objects.btf_ext import BtfExt
from oomlang.objects.by_pyelftools import read_with_pyelftools
from oomlang.objects.elf import (
    SHF_ALLOC,
    STT_FUNC,
    STT_OBJECT,
    STT_SECTION,
    UNDEFINED,
    ElfObject,
    Relocation,
    Symbol,
)
from oomlang.objects.functions import SUBPROGRAMS, Code, Function, Survey
from oomlang.objects.instructions import LD_IMM64, SLOT, Instruction
from oomlang.objects.maps import MAPS_SECTION, DeclaredMap, declared_maps
from oomlang.objects.metadata import SECTION as METADATA_SECTION
from oomlang.objects.metadata import Map, Metadata
from oomlang.objects.names import helper_name, map_type_name
from oomlang.objects.registers import Place, Value, reachable_in
from oomlang.targets.bpf.attachments import Target, find_target
from oomlang.targets.bpf.metadata import ANSWERED, KNOBS

LICENSES: Final = frozenset(
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)
"""What the kernel's license_is_gpl_compatible() accepts."""

_UPDATE = "map_update_elem"
_MAX_COMPLAINTS = 20  # of one check
_LICENSE = "license"
_NEEDED = (_LICENSE, ".BTF", ".BTF.ext", METADATA_SECTION, ".symtab", ".strtab")
_POSSIBLE = frozenset({"", ".text", ".rodata", ".data", ".bss", ".llvm_addrsig"})
_POSSIBLE_PREFIXES = (".rodata.", ".data.", ".debug_")
_DATA_SECTIONS = (".rodata", ".data", ".bss")


def check_object(image: bytes, metadata: Metadata) -> None:
    """Hold a compiled object against everything that it must be. metadata: what its section `.oomlang` must say.

    Raises `InternalError` that lists every failed check.
    """
    try:
        elf = read_with_pyelftools(image)
        failed = failed_checks(elf, metadata)
    except BadFormat as error:
        failed = [f"header: {error}"]
    if failed:
        raise InternalError(
            "the compiled object fails our own checks:\n" + "\n".join(f"  {line}" for line in failed)
        )


def failed_checks(elf: ElfObject, metadata: Metadata) -> list[str]:
    """Every failed check, each as `check: what is wrong`. metadata: of one of the targets."""
    subject = _Subject(elf, metadata, find_target(metadata.target))
    failed = []
    for name, check in CHECKS:
        complaints = list(islice(check(subject), _MAX_COMPLAINTS + 1))
        failed += [f"{name}: {what}" for what in complaints[:_MAX_COMPLAINTS]]
        if len(complaints) > _MAX_COMPLAINTS:
            failed.append(f"{name}: … and more")
    return failed


class _Subject:
    """The object under examination, and what several checks ask of it."""

    def __init__(self, elf: ElfObject, metadata: Metadata, target: Target) -> None:
        self.elf = elf
        self.metadata = metadata
        self.target = target
        self.broken_code = ""
        """Why there is no `code`."""

    @cached_property
    def code(self) -> Code | None:
        """The functions; None where the bytes are none, which `_functions` reports."""
        try:
            return Code(self.elf)
        except BadFormat as error:
            self.broken_code = str(error)
            return None

    @cached_property
    def btf(self) -> Btf | None:
        """The object's types; None where it has none. Errors: `BtfError`."""
        return btf_of(self.elf)

    @property
    def declared(self) -> tuple[DeclaredMap, ...]:
        """The maps that its types declare. Errors: `BtfError`."""
        return () if self.btf is None else declared_maps(self.btf)

    @cached_property
    def maps(self) -> dict[str, Map]:
        """The maps that there should be."""
        return {m.name: m for m in self.metadata.maps}

    @property
    def functions(self) -> tuple[Function, ...]:
        return self.code.functions if self.code else ()

    def reached(self) -> Iterator[tuple[str, Function, Survey]]:
        """Each program's name with each function that it can reach."""
        if self.code is None:
            return
        for number, function in enumerate(self.code.functions):
            if function.is_program:
                for callee in self.code.reachable(number):
                    yield function.name, self.code.functions[callee], self.code.surveys[callee]

    def defined(self, section: str) -> list[Symbol]:
        """The variables of a section."""
        return [s for s in self.elf.symbols if s.kind == STT_OBJECT and self.elf.section_name(s) == section]


# The object as a whole


def _target(subject: _Subject) -> Iterator[str]:
    """The metadata says of its target what the target is: the loader goes by it."""
    target, metadata = subject.target, subject.metadata
    for what, meant, found in (
        ("decides", target.decides, metadata.decides),
        ("turn", target.turn, metadata.turn),
        (
            "programs",
            [(p.name, p.section) for p in target.programs],
            [(p.name, p.section) for p in metadata.programs],
        ),
        ("kfuncs", target.kfuncs, metadata.kfuncs),
        ("record", target.record, metadata.record is not None),
    ):
        if meant != found:
            yield f"`{what}` of {target.name} is {meant}, not {found}"
    for own in target.maps:
        if own not in metadata.maps:
            yield f"`maps` lacks `{own.name}`, or has it in another shape"


def _sections(subject: _Subject) -> Iterator[str]:
    """Exactly the expected sections: none is missing, none is there that is not known, none is there twice."""
    programs = {program.section for program in subject.metadata.programs}
    maps = {MAPS_SECTION} if subject.maps else set()
    held = {*programs, *_NEEDED, *_POSSIBLE, *maps}
    names = [s.name for s in subject.elf.sections]
    needed = [*sorted(programs), *_NEEDED, *maps]
    yield from (f"there is no section `{name}`" for name in needed if name not in names)
    for name in sorted(set(names)):
        plain = name.removeprefix(".rel")
        if not (name in held or plain in held or plain.startswith(_POSSIBLE_PREFIXES)):
            yield f"there is an unexpected section `{name}`"
        if names.count(name) > 1:
            yield f"there are {names.count(name)} sections `{name}`"
    for section in subject.elf.code:
        if section.name not in programs and section.name != SUBPROGRAMS:
            yield f"section `{section.name}` holds code"


def _programs(subject: _Subject) -> Iterator[str]:
    """Exactly the programs of the metadata, each alone in its section."""
    found = {(f.name, f.section.name) for f in subject.functions if f.is_program}
    meant = {(p.name, p.section) for p in subject.metadata.programs}
    yield from (f"there is no program `{name}` in section `{place}`" for name, place in sorted(meant - found))
    yield from (f"there is a program `{name}` in section `{place}`" for name, place in sorted(found - meant))


def _license(subject: _Subject) -> Iterator[str]:
    """A license under which the kernel lets a program call all helpers."""
    section = subject.elf.section(_LICENSE)
    if section is not None:
        text = subject.elf.contents(section)
        if text not in {name.encode() + b"\0" for name in LICENSES}:
            yield f"{text!r} is not GPL-compatible"


def _types(subject: _Subject) -> Iterator[str]:
    """`.BTF` and `.BTF.ext` that can be read, with CO-RE relocations."""
    ext = subject.elf.named(".BTF.ext")
    try:
        if ext is not None and subject.btf is not None and not BtfExt(ext, subject.btf.table).relocations:
            yield "there are no CO-RE relocations"
        _ = subject.declared
    except BadFormat as error:
        yield str(error)


def _metadata(subject: _Subject) -> Iterator[str]:
    """The section that the object describes itself in, byte for byte, and in no memory when it is loaded."""
    section = subject.elf.section(METADATA_SECTION)
    if section is None:
        return
    meant = subject.metadata.to_text().encode()
    found = subject.elf.contents(section)
    if found != meant:
        at = next(
            (i for i, (a, b) in enumerate(zip(found, meant, strict=False)) if a != b),
            min(len(found), len(meant)),
        )
        yield f"section `{METADATA_SECTION}` differs from the metadata from byte {at} on"
    if section.flags & SHF_ALLOC:
        yield f"section `{METADATA_SECTION}` would be loaded"


def _maps(subject: _Subject) -> Iterator[str]:
    """Exactly the maps of the metadata, by symbols and by BTF, with their types and sizes."""
    found = {s.name for s in subject.defined(MAPS_SECTION)}
    meant = subject.maps
    yield from (f"there is no map `{name}`" for name in sorted(meant.keys() - found))
    yield from (f"there is an unexpected map `{name}`" for name in sorted(found - meant.keys()))
    try:
        declared = {m.name: m for m in subject.declared}
    except BadFormat:
        return  # reported by `_types`
    if declared.keys() != found:
        yield f"BTF declares the maps {sorted(declared)}"
    for name in sorted(meant.keys() & declared.keys()):
        is_ = declared[name]
        shape = (map_type_name(is_.type or 0), is_.key, is_.value)
        if shape != (meant[name].type, meant[name].key, meant[name].value) or not is_.max_entries:
            yield f"map `{name}` is (type, key, value) {shape} with {is_.max_entries} entries"


def _inputs(subject: _Subject) -> Iterator[str]:
    """The knobs of the metadata are the variables of their section."""
    found = {s.name: s.size for s in subject.defined(KNOBS)}
    meant = {i.variable: i.size for i in subject.metadata.inputs if i.map == KNOBS}
    if found != meant:
        yield f"section `{KNOBS}` holds {found} instead of {meant} (variable: bytes)"


# Code


def _functions(subject: _Subject) -> Iterator[str]:
    """Every instruction belongs to a function."""
    if subject.code is None:
        yield subject.broken_code
        return
    for section in subject.elf.code:
        held = sum(f.slots for f in subject.functions if f.section is section)
        if held * SLOT != section.size:
            yield f"{held} of the {section.size // SLOT} instructions of section `{section.name}` are in functions"


def _numbers(subject: _Subject) -> Iterator[str]:
    """Maps, variables and kfuncs are only referred to by relocations: a number would be one of the running kernel's."""
    for function in subject.functions:
        for index, instruction in function.instructions():
            if instruction.opcode == LD_IMM64 and instruction.src:
                yield f"function `{function.name}`, instruction {index}: an address of the kind {instruction.src}"
            elif instruction.is_call and not (instruction.is_helper_call or instruction.is_pseudo_call):
                yield f"function `{function.name}`, instruction {index}: a call of the kind {instruction.src}"


def _calls(subject: _Subject) -> Iterator[str]:
    """Every call leads to the beginning of a function: so all that a program can reach is known."""
    if subject.code is not None:
        for function, survey in zip(subject.code.functions, subject.code.surveys, strict=True):
            yield from (
                f"function `{function.name}`, instruction {index} calls no function"
                for index in survey.unresolved
            )


def _relocations(subject: _Subject) -> Iterator[str]:
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


def _relocation_error(subject: _Subject, relocation: Relocation, instruction: Instruction) -> str | None:
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


def _kfuncs(subject: _Subject) -> Iterator[str]:
    """Only the programs that may call a kfunc reach one."""
    allowed = {p.name: p.kfuncs for p in subject.target.programs}
    for program, function, survey in subject.reached():
        for name in survey.externals:
            if name not in allowed.get(program, ()):
                yield f"program `{program}` reaches kfunc `{name}`, in function `{function.name}`"


def _helpers(subject: _Subject) -> Iterator[str]:
    """Every helper that a program can reach is one that it may call."""
    allowed = {p.name: p.helpers for p in subject.target.programs}
    for program, function, survey in subject.reached():
        for number in survey.helpers:
            name = helper_name(number)
            if name not in allowed.get(program, ()):
                yield f"program `{program}` reaches helper {number} ({name}), in function `{function.name}`"


def _updates(subject: _Subject) -> Iterator[str]:
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


CHECKS: Final[tuple[tuple[str, Callable[[_Subject], Iterator[str]]], ...]] = (
    ("target", _target),
    ("sections", _sections),
    ("functions", _functions),
    ("programs", _programs),
    ("license", _license),
    ("types", _types),
    ("metadata", _metadata),
    ("maps", _maps),
    ("inputs", _inputs),
    ("numbers", _numbers),
    ("calls", _calls),
    ("relocations", _relocations),
    ("kfuncs", _kfuncs),
    ("helpers", _helpers),
    ("updates", _updates),
)
"""In the order of the report. `header` stands before them all: without it nothing can be read."""
