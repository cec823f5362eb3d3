"""ELF files of any origin: a section table read by seeking, and objects as plain data.

In: an open file of either class and byte order, from an object of 10 KiB to a `vmlinux` of 500 MiB with its debug info; or
the bytes of a BPF object. Out: `ElfFile`, which reads the sections that are asked for, or `ElfObject`, with the symbols and
relocations.

This is read here rather than through an ELF library because the files are not trusted: whatever the bytes are, `ElfError` is
all that comes of them. Every extent is compared with the file's size before it is read, and in an object the sum of all with
it too: a small file cannot make a large one of itself. Format: elf(5).
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass as standard_dataclass
from typing import BinaryIO, Final

from oomlang.objects import BadFormat
from oomlang.records import dataclass

ELF_MAGIC: Final = b"\x7fELF"
MACHINE_BPF: Final = 247
TYPE_RELOCATABLE: Final = 1

SHT_PROGBITS: Final = 1
SHT_SYMTAB: Final = 2
SHT_NOBITS: Final = 8
SHT_REL: Final = 9
SHF_ALLOC: Final = 2
SHF_EXECINSTR: Final = 4
STB_WEAK: Final = 2
STT_OBJECT: Final = 1
STT_FUNC: Final = 2
STT_SECTION: Final = 3
UNDEFINED: Final = 0

_SYMBOL = "IBBHQQ"  # rows, as `struct` has them
_RELOCATION = "QQ"
_SHN_XINDEX = 0xFFFF
_MAX_SECTIONS = 1 << 16  # a -ffunction-sections vmlinux has some thousands
_MAX_OBJECT = 32 << 20  # bytes
_MAX_OBJECT_SECTIONS = 4096
_MAX_SYMBOLS = 1 << 16
_MAX_NAME = 1024
_MACHINES = {3: "x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "S/390", 40: "ARM", 62: "x86-64",
             183: "64-bit ARM", 243: "RISC-V", 258: "LoongArch"}  # fmt: skip


class ElfError(BadFormat):
    """Not an ELF file, not one for BPF, or a broken one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The ELF header. The section table: its offset and the size of a row in bytes, the number of rows, and that of the
    section that holds the names.
    """

    is_64_bit: bool
    byte_order: str  # "<" or ">", as `struct` has it
    type: int
    machine: int
    table: int
    row_size: int
    count: int
    names: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One row of the section table; `offset` and `size` in bytes, `link` and `info` as in elf(5)."""

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


@standard_dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One row of the symbol table; `section` is an index, 0 for what is defined elsewhere."""

    name: str
    kind: int  # STT_*
    binding: int  # STB_*
    section: int
    value: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """A place in a section that the loader fills in: its byte offset, the kind (R_BPF_*) and what it refers to."""

    offset: int
    kind: int
    symbol: Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """The section table of an open file, in the file's order (index 0 is the null section)."""

    file: BinaryIO
    header: Header
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def named(self, name: str) -> bytes | None:
        """The bytes of the first section of that name; None where there is none. Errors: `ElfError`."""
        section = self.section(name)
        return None if section is None else self.contents(section)

    def contents(self, section: Section) -> bytes:
        """The section's bytes; empty where it takes no room in the file (`.bss`). Errors: `ElfError`."""
        if section.type == SHT_NOBITS or not section.size:
            return b""
        return _read(self.file, section.offset, section.size, _called(section))


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfObject(ElfFile):
    """An object, with all sections inside the file, and the relocations of code by the index of the section they are for."""

    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]

    @property
    def code(self) -> tuple[Section, ...]:
        """The sections with instructions."""
        return tuple(section for section in self.sections if section.is_code)

    def section_name(self, symbol: Symbol) -> str | None:
        """The name of the section that a symbol is defined in, None for what is defined elsewhere."""
        return self.sections[symbol.section].name if 0 < symbol.section < len(self.sections) else None


def read_header(file: BinaryIO) -> Header:
    """The header of an ELF file. Errors: `ElfError`."""
    file.seek(0)
    head = file.read(64)
    if not head:
        raise ElfError("the file is empty")
    if head[:4] != ELF_MAGIC:
        raise ElfError("it is not an ELF file (it does not begin with \\x7fELF)")
    if len(head) < (52 if head[4:5] == b"\1" else 64):
        raise ElfError(f"the file is cut off at byte {len(head)}, inside the ELF header")
    if head[4] not in (1, 2):
        raise ElfError(f"it is an ELF file of the unknown class {head[4]}")
    if head[5] not in (1, 2):
        raise ElfError(f"it is an ELF file of the unknown byte order {head[5]}")
    byte_order = "<" if head[5] == 1 else ">"
    type_, machine, _, _, _, table, _, _, _, _, row_size, count, names = struct.unpack_from(
        byte_order + ("HHI3QI6H" if head[4] == 2 else "HHI3II6H"), head, 16
    )
    return Header(
        is_64_bit=head[4] == 2,
        byte_order=byte_order,
        type=type_,
        machine=machine,
        table=table,
        row_size=row_size,
        count=count,
        names=names,
    )


def read_elf(file: BinaryIO) -> ElfFile:
    """The section table of an ELF file. Errors: `ElfError`."""
    header = read_header(file)
    row = struct.Struct(header.byte_order + ("II4QII2Q" if header.is_64_bit else "10I"))
    if header.table == 0:
        raise ElfError("the file has no section table")
    if header.row_size != row.size:
        raise ElfError(f"a row of the section table has {header.row_size} bytes instead of {row.size}")
    count, names_index = header.count, header.names
    if count == 0 or names_index == _SHN_XINDEX:
        # Row 0 holds what does not fit into the header (elf(5), e_shnum and e_shstrndx).
        first = row.unpack(_read(file, header.table, row.size, "the section table"))
        count, names_index = count or first[5], first[6] if names_index == _SHN_XINDEX else names_index
    if not 0 < count <= _MAX_SECTIONS or names_index >= count:
        raise ElfError(f"the ELF header names {count} sections and number {names_index} as their names")
    rows = list(row.iter_unpack(_read(file, header.table, count * row.size, "the section table")))
    names = _read(file, rows[names_index][4], rows[names_index][5], "the table of the sections' names")
    sections = tuple(
        Section(
            index=index,
            name=_name(names, name, "section", index),
            type=type_,
            flags=flags,
            offset=offset,
            size=size,
            link=link,
            info=info,
        )
        for index, (name, type_, flags, _, offset, size, link, info, _, _) in enumerate(rows)
    )
    return ElfFile(file=file, header=header, sections=sections)


def read_object(image: bytes) -> ElfObject:
    """The tables of a BPF object. Errors: `ElfError`."""
    read_object_header(image)
    elf = read_elf(io.BytesIO(image))
    if len(elf.sections) > _MAX_OBJECT_SECTIONS:
        raise ElfError(
            f"it has {len(elf.sections)} sections, more than a BPF object ever has ({_MAX_OBJECT_SECTIONS})"
        )
    check_extents(image, elf.sections)
    symbols = _symbols(elf)
    return ElfObject(
        file=elf.file,
        header=elf.header,
        sections=elf.sections,
        symbols=symbols,
        relocations=_relocations(elf, symbols),
    )


def read_object_header(image: bytes) -> Header:
    """The header of a BPF object: a 64-bit little-endian relocatable file for BPF. Errors: `ElfError`."""
    header = read_header(io.BytesIO(image))
    if not header.is_64_bit:
        raise ElfError("it is a 32-bit ELF file; BPF objects have 64 bits")
    if header.byte_order != "<":
        raise ElfError("it is a big-endian ELF file; only little-endian objects can be read")
    if header.machine != MACHINE_BPF:
        name = _MACHINES.get(header.machine)
        raise ElfError(
            f"it is an ELF file for another machine ({f'{name}, ' if name else ''}number {header.machine}), not BPF"
        )
    if header.type != TYPE_RELOCATABLE:
        raise ElfError(
            f"it is an ELF file of type {header.type}; a BPF object is relocatable (type {TYPE_RELOCATABLE})"
        )
    if len(image) > _MAX_OBJECT:
        raise ElfError(f"the file has {len(image)} bytes, more than a BPF object ever has ({_MAX_OBJECT})")
    return header


def check_extents(image: bytes, sections: tuple[Section, ...]) -> None:
    """Raise `ElfError` unless all sections lie in the file, without two of them claiming the same bytes many times over."""
    claimed = 0
    for section in sections:
        if section.type != SHT_NOBITS and section.size:
            _check_end(section.offset + section.size, len(image), _called(section))
            claimed += section.size
    if claimed > len(image):
        raise ElfError(
            f"its sections overlap: together they claim {claimed} of the file's {len(image)} bytes"
        )


def _symbols(elf: ElfFile) -> tuple[Symbol, ...]:
    table = next((section for section in elf.sections if section.type == SHT_SYMTAB), None)
    if table is None:
        return ()
    if table.link >= len(elf.sections):
        raise ElfError(f"the symbol table's names are in section number {table.link} of {len(elf.sections)}")
    count = table.size // struct.calcsize("=" + _SYMBOL)
    if count > _MAX_SYMBOLS:
        raise ElfError(f"the symbol table has {count} symbols, more than any object ({_MAX_SYMBOLS})")
    names = elf.contents(elf.sections[table.link])
    return tuple(
        Symbol(
            name=_name(names, name, "symbol", number),
            kind=info & 15,
            binding=info >> 4,
            section=section,
            value=value,
            size=size,
        )
        for number, (name, info, _, section, value, size) in enumerate(_rows(elf, table, _SYMBOL))
    )


def _relocations(elf: ElfFile, symbols: tuple[Symbol, ...]) -> dict[int, tuple[Relocation, ...]]:
    found: dict[int, list[Relocation]] = {}
    for table in elf.sections:
        if table.type != SHT_REL or table.info >= len(elf.sections) or not elf.sections[table.info].is_code:
            continue
        rows = found.setdefault(table.info, [])
        for offset, info in _rows(elf, table, _RELOCATION):
            if info >> 32 >= len(symbols):
                raise ElfError(f"{_called(table)} refers to symbol number {info >> 32} of {len(symbols)}")
            rows.append(Relocation(offset=offset, kind=info & 0xFFFFFFFF, symbol=symbols[info >> 32]))
    return {index: tuple(rows) for index, rows in found.items()}


def _rows(elf: ElfFile, table: Section, layout: str) -> list[tuple[int, ...]]:
    row = struct.Struct(elf.header.byte_order + layout)
    data = elf.contents(table)
    if len(data) % row.size:
        raise ElfError(f"{_called(table)} has {len(data)} bytes, which is no multiple of {row.size}")
    return list(row.iter_unpack(data))


def _called(section: Section) -> str:
    return f"section `{section.name}` (number {section.index})"


def _name(table: bytes, offset: int, what: str, number: int) -> str:
    if offset == 0 and not table:
        return ""
    end = table.find(b"\0", offset, offset + _MAX_NAME)
    if end < 0:
        raise ElfError(
            f"the name of {what} number {number} lies outside the table of names (at {offset} of {len(table)}) or has no end"
        )
    return table[offset:end].decode("utf-8", "backslashreplace")


def _read(file: BinaryIO, offset: int, size: int, what: str) -> bytes:
    _check_end(offset + size, file.seek(0, os.SEEK_END), what)
    file.seek(offset)
    data = file.read(size)
    _check_end(offset + size, offset + len(data), what)  # it may have become shorter since
    return data


def _check_end(end: int, file_size: int, what: str) -> None:
    if end > file_size:
        raise ElfError(
            f"the file is cut off, or {what} lies outside it: that ends at byte {end} of {file_size}"
        )
