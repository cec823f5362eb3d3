"""Named sections of an ELF file, read by seeking.

In: an open binary file of any origin, from a BPF object of 10 KiB to a `vmlinux` of 500 MiB with its debug
info.
Out: the section table, and the bytes of the sections that are asked for.

This is read here rather than through an ELF library because the files are not trusted: every way in which one
can be broken ends in `ElfError`, and no section is read before its extent was compared with the file's size.
Format: elf(5).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

_Meaning = TypeVar("_Meaning")

ELF_MAGIC = b"\x7fELF"

_SHT_NOBITS = 8
_SHN_XINDEX = 0xFFFF
_MAX_SECTIONS = 1 << 16  # a -ffunction-sections vmlinux has some thousands


class ElfError(Exception):
    """The file is not an ELF file, or a broken one; `str()` says what is wrong with it."""


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
    entry_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """The section table of an open file, in the file's order (index 0 is the null section)."""

    file: BinaryIO
    byte_order: str  # "<" or ">", as `struct` has it
    is_64_bit: bool
    machine: int
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def contents(self, section: Section) -> bytes:
        """The section's bytes; empty where it takes no room in the file (`.bss`). Errors: `ElfError`."""
        if section.type == _SHT_NOBITS:
            return b""
        return _read(self.file, section.offset, section.size, f"section {section.name!r}")


def read_elf(file: BinaryIO) -> ElfFile:
    """The section table of an ELF file of either class and byte order. Errors: `ElfError`."""
    identity = _read(file, 0, 16, "ELF header")
    if identity[:4] != ELF_MAGIC:
        raise ElfError("not an ELF file: it does not begin with \\x7fELF")
    is_64_bit = _pick("class", identity[4], {1: False, 2: True})
    byte_order = _pick("byte order", identity[5], {1: "<", 2: ">"})

    header_layout = struct.Struct(byte_order + ("HHIQQQIHHHHHH" if is_64_bit else "HHIIIIIHHHHHH"))
    header = header_layout.unpack(_read(file, 16, header_layout.size, "ELF header"))
    machine, table_offset = header[1], header[5]
    entry_size, count, names_index = header[10], header[11], header[12]
    if table_offset == 0:
        raise ElfError("the ELF file has no section table")

    row_layout = struct.Struct(byte_order + ("IIQQQQIIQQ" if is_64_bit else "10I"))
    if entry_size != row_layout.size:
        raise ElfError(f"a row of the ELF section table has {entry_size} bytes instead of {row_layout.size}")
    # Row 0 holds the counts that do not fit into the header (elf(5), e_shnum and e_shstrndx).
    first = row_layout.unpack(_read(file, table_offset, entry_size, "section table"))
    count = count or first[5]
    names_index = first[6] if names_index == _SHN_XINDEX else names_index
    if not 0 < count <= _MAX_SECTIONS or names_index >= count:
        raise ElfError(f"the ELF header names {count} sections and number {names_index} as their names")

    table = _read(file, table_offset, count * entry_size, "section table")
    rows = list(row_layout.iter_unpack(table))
    names = _read(file, rows[names_index][4], rows[names_index][5], "section names")
    sections = tuple(
        Section(
            index=index,
            name=_string(names, row[0]),
            type=row[1],
            flags=row[2],
            offset=row[4],
            size=row[5],
            link=row[6],
            info=row[7],
            entry_size=row[9],
        )
        for index, row in enumerate(rows)
    )
    return ElfFile(file=file, byte_order=byte_order, is_64_bit=is_64_bit, machine=machine, sections=sections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One row of the symbol table; `section` is an index, 0 for what is defined elsewhere."""

    name: str
    kind: int  # STT_*: 2 is a function, 3 a section
    weak: bool
    section: int
    value: int
    size: int


def read_symbols(elf: ElfFile) -> tuple[Symbol, ...]:
    """The symbols of a 64-bit file, in the table's order; empty without a table. Errors: `ElfError`."""
    table = elf.section(".symtab")
    if table is None:
        return ()
    if not elf.is_64_bit or table.link >= len(elf.sections):
        raise ElfError("the symbol table is not that of a 64-bit object")
    names = elf.contents(elf.sections[table.link])
    return tuple(
        Symbol(
            name=_string(names, name),
            kind=info & 15,
            weak=info >> 4 == 2,
            section=section,
            value=value,
            size=size,
        )
        for name, info, _, section, value, size in _rows(elf, table, "IBBHQQ")
    )


def read_relocations(elf: ElfFile, section: Section) -> tuple[tuple[int, int], ...]:
    """The relocations of a 64-bit object's section: byte offset and symbol number of each. Errors: `ElfError`."""
    table = elf.section(f".rel{section.name}")
    return tuple((at, info >> 32) for at, info in _rows(elf, table, "QQ")) if table else ()


def _rows(elf: ElfFile, section: Section, layout: str) -> list[tuple[int, ...]]:
    row = struct.Struct(elf.byte_order + layout)
    data = elf.contents(section)
    if len(data) % row.size:
        raise ElfError(f"section {section.name!r} has {len(data)} bytes, which is no multiple of {row.size}")
    return list(row.iter_unpack(data))


def _pick(what: str, value: int, meanings: dict[int, _Meaning]) -> _Meaning:
    if value not in meanings:
        raise ElfError(f"the ELF header has the unknown {what} {value}")
    return meanings[value]


def _string(table: bytes, offset: int) -> str:
    end = table.find(b"\0", offset)
    if offset >= len(table) or end < 0:
        raise ElfError(f"a section's name lies outside the table of names (offset {offset} of {len(table)})")
    return table[offset:end].decode("utf-8", "backslashreplace")


def _read(file: BinaryIO, offset: int, size: int, what: str) -> bytes:
    end = file.seek(0, os.SEEK_END)
    if offset + size > end:
        raise ElfError(f"the ELF file is cut off: the {what} ends at byte {offset + size} of {end}")
    file.seek(offset)
    return file.read(size)
