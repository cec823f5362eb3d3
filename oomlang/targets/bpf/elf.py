"""A BPF object file as plain data, and a reader of it that no bytes can surprise.

In: the bytes of a 64-bit little-endian ELF file, of any origin. Out: `ElfObject`, or `BadElf` with what is wrong.

Every extent is compared with the file's size, and the sum of all with it too, before anything is read: a small file
cannot make a large one of itself. Format: elf(5), and the kernel's Documentation/bpf/llvm_reloc.rst for relocations.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

MACHINE_BPF: Final = 247
TYPE_RELOCATABLE: Final = 1

SHT_PROGBITS: Final = 1
SHT_SYMTAB: Final = 2
SHT_REL: Final = 9
SHT_NOBITS: Final = 8
SHF_ALLOC: Final = 2
SHF_EXECINSTR: Final = 4
STT_OBJECT: Final = 1
STT_FUNC: Final = 2
STT_SECTION: Final = 3
UNDEFINED: Final = 0

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_MAX_FILE = 32 << 20
_MAX_SECTIONS = 4096
_MAX_SYMBOLS = 1 << 16
_MAX_NAME = 1024


class BadElf(Exception):
    """Not a file that can be read as an object; `str()` says why, as a clause without a full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One row of the section table: `offset` and `size` in bytes; `link` and `info` as in elf(5)."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int

    @property
    def is_code(self) -> bool:
        """Whether instructions stand in it."""
        return self.type == SHT_PROGBITS and self.flags & SHF_EXECINSTR != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One row of the symbol table; `section` is an index, 0 for what is defined elsewhere."""

    name: str
    kind: int  # STT_*
    binding: int
    section: int
    value: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """A place in a section that the loader fills in: its byte offset, the kind (R_BPF_*) and what it refers to."""

    offset: int
    kind: int
    symbol: Symbol


@dataclass(frozen=True, kw_only=True)
class ElfObject:
    """An object file's tables, in the file's order. `relocations`: by the index of the section that they are for."""

    image: bytes
    type: int
    machine: int
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {s.name: s for s in reversed(self.sections)}

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return self._by_name.get(name)

    def contents(self, section: Section) -> bytes:
        """The section's bytes; empty where it takes no room in the file (`.bss`)."""
        if section.type == SHT_NOBITS:
            return b""
        return self.image[section.offset : section.offset + section.size]

    def section_name(self, symbol: Symbol) -> str | None:
        """The name of the section that a symbol is defined in, None for what is defined elsewhere."""
        if 0 < symbol.section < len(self.sections):
            return self.sections[symbol.section].name
        return None

    @property
    def code(self) -> tuple[Section, ...]:
        """The sections with instructions."""
        return tuple(s for s in self.sections if s.is_code)


def check_identity(image: bytes) -> None:
    """Raise `BadElf` unless the file begins like a 64-bit little-endian ELF file."""
    if not image:
        raise BadElf("the file is empty")
    if image[:4] != b"\x7fELF":
        raise BadElf("it is not an ELF file (it does not begin with \\x7fELF)")
    if len(image) < _HEADER.size:
        raise BadElf(f"the file is cut off at byte {len(image)}, inside the ELF header")
    if image[4] != 2:
        what = "a 32-bit ELF file" if image[4] == 1 else f"an ELF file of the unknown class {image[4]}"
        raise BadElf(f"it is {what}; BPF objects have 64 bits")
    if image[5] != 1:
        what = (
            "a big-endian ELF file" if image[5] == 2 else f"an ELF file of the unknown byte order {image[5]}"
        )
        raise BadElf(f"it is {what}; only little-endian objects can be read")


def check_machine(machine: int, type_: int) -> None:
    """Raise `BadElf` unless this is a relocatable file for BPF."""
    if machine != MACHINE_BPF:
        name = _MACHINES.get(machine)
        raise BadElf(
            f"it is an ELF file for another machine ({f'{name}, ' if name else ''}number {machine}), not BPF"
        )
    if type_ != TYPE_RELOCATABLE:
        raise BadElf(
            f"it is an ELF file of type {type_}; a BPF object is relocatable (type {TYPE_RELOCATABLE})"
        )


_MACHINES = {3: "x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "S/390", 40: "ARM", 62: "x86-64",
             183: "64-bit ARM", 243: "RISC-V", 258: "LoongArch"}  # fmt: skip


def read_elf(image: bytes) -> ElfObject:
    """Read a relocatable BPF object. Errors: `BadElf`, whatever the bytes are."""
    check_identity(image)
    header = _HEADER.unpack_from(image)
    type_, machine, table = header[1], header[2], header[6]
    row_size, count, names_index = header[11], header[12], header[13]
    check_machine(machine, type_)
    if len(image) > _MAX_FILE:
        raise BadElf(f"the file has {len(image)} bytes, more than a BPF object ever has ({_MAX_FILE})")
    if (
        table == 0 or count == 0
    ):  # more than 65280 sections, whose number stands elsewhere, are too many anyway
        raise BadElf("the file has no section table")
    if row_size != _SECTION.size:
        raise BadElf(f"a row of the section table has {row_size} bytes instead of {_SECTION.size}")
    if count > _MAX_SECTIONS or names_index >= count:
        raise BadElf(f"the ELF header names {count} sections and number {names_index} as their names")
    _extent(image, table, count * row_size, "the section table")
    rows = list(_SECTION.iter_unpack(image[table : table + count * row_size]))
    names = _table(image, rows[names_index])
    sections = tuple(
        Section(
            index=number,
            name=_name(names, row[0], f"section number {number}"),
            type=row[1],
            flags=row[2],
            offset=row[4],
            size=row[5],
            link=row[6],
            info=row[7],
        )
        for number, row in enumerate(rows)
    )
    check_extents(image, sections)
    symbols = _symbols(image, rows)
    return ElfObject(
        image=image,
        type=type_,
        machine=machine,
        sections=sections,
        symbols=symbols,
        relocations=_relocations(image, sections, symbols),
    )


def check_extents(image: bytes, sections: tuple[Section, ...]) -> None:
    """Raise `BadElf` unless all sections lie in the file, without two of them claiming the same bytes many times over."""
    claimed = 0
    for section in sections:
        if section.type != SHT_NOBITS and section.size:
            _extent(image, section.offset, section.size, f"section `{section.name}` (number {section.index})")
            claimed += section.size
    if claimed > len(image):
        raise BadElf(f"its sections overlap: together they claim {claimed} of the file's {len(image)} bytes")


def _relocations(
    image: bytes, sections: tuple[Section, ...], symbols: tuple[Symbol, ...]
) -> dict[int, tuple[Relocation, ...]]:
    """The relocations of the sections with code. Errors: `BadElf`."""
    found: dict[int, tuple[Relocation, ...]] = {}
    for section in sections:
        if section.type != SHT_REL or section.info >= len(sections) or not sections[section.info].is_code:
            continue
        if section.size % _RELOCATION.size:
            raise BadElf(
                f"section `{section.name}` has {section.size} bytes, no multiple of {_RELOCATION.size}"
            )
        data = image[section.offset : section.offset + section.size]
        rows = []
        for offset, info in _RELOCATION.iter_unpack(data):
            if info >> 32 >= len(symbols):
                raise BadElf(
                    f"section `{section.name}` refers to symbol number {info >> 32} of {len(symbols)}"
                )
            rows.append(Relocation(offset=offset, kind=info & 0xFFFFFFFF, symbol=symbols[info >> 32]))
        found[section.info] = found.get(section.info, ()) + tuple(rows)
    return found


def _symbols(image: bytes, rows: list[tuple[int, ...]]) -> tuple[Symbol, ...]:
    table = next((row for row in rows if row[1] == SHT_SYMTAB), None)
    if table is None:
        return ()
    if table[5] % _SYMBOL.size or table[5] // _SYMBOL.size > _MAX_SYMBOLS:
        raise BadElf(
            f"the symbol table has {table[5]} bytes: no multiple of {_SYMBOL.size}, or too many symbols"
        )
    if table[6] >= len(rows):
        raise BadElf(f"the symbol table's names are in section number {table[6]} of {len(rows)}")
    names = _table(image, rows[table[6]])
    return tuple(
        Symbol(
            name=_name(names, name, f"symbol number {number}"),
            kind=info & 15,
            binding=info >> 4,
            section=section,
            value=value,
            size=size,
        )
        for number, (name, info, _, section, value, size) in enumerate(
            _SYMBOL.iter_unpack(_table(image, table))
        )
    )


def _table(image: bytes, row: tuple[int, ...]) -> bytes:
    return b"" if row[1] == SHT_NOBITS else image[row[4] : row[4] + row[5]]


def _extent(image: bytes, offset: int, size: int, what: str) -> None:
    if offset + size > len(image):
        raise BadElf(
            f"the file is cut off, or {what} lies outside it: that ends at byte {offset + size} of {len(image)}"
        )


def _name(table: bytes, offset: int, what: str) -> str:
    if offset == 0 and not table:
        return ""
    end = table.find(b"\0", offset, offset + _MAX_NAME)
    if offset >= len(table) or end < 0:
        raise BadElf(
            f"the name of {what} lies outside the table of names (at {offset} of {len(table)}) or has no end"
        )
    return table[offset:end].decode("utf-8", "backslashreplace")
