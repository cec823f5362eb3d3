"""The `.BTF.ext` section of a BPF object: source lines and CO-RE relocations by instruction.

In: the section's bytes and the object's own type table (its strings). Out: `BtfExt`.
Every defect is a `BtfError`. Format: the kernel's Documentation/bpf/btf.rst and struct bpf_core_relo of
include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from oomlang.objects.instructions import SLOT
from oomlang.objects.type_table import BTF_MAGIC, BtfError, TypeTable


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """From this instruction on, code comes from this line of C (line and column count from 1)."""

    section: str
    instruction: int
    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelocationRecord:
    """One struct bpf_core_relo, its strings looked up."""

    section: str
    instruction: int
    type_id: int
    access: str  # "0:1:2"
    kind: int


class BtfExt:
    """The whole section; each part is decoded when it is asked for, in the file's order."""

    def __init__(self, blob: bytes, table: TypeTable) -> None:
        """table: the object's own types, whose strings are used. Errors: `BtfError`, here and in all that follows."""
        if len(blob) < 24:
            raise BtfError(f".BTF.ext is cut off: {len(blob)} bytes are less than its header")
        order = {struct.pack("<H", BTF_MAGIC): "<", struct.pack(">H", BTF_MAGIC): ">"}.get(blob[:2])
        if order is None:
            raise BtfError(".BTF.ext does not begin with the magic number 0xEB9F")
        _, version, _, header, _, _, *lines = struct.unpack_from(order + "HBBI4I", blob)
        if version != 1 or header < 24:
            raise BtfError(
                f".BTF.ext is of version {version} with a header of {header} bytes; version 1 can be read"
            )
        # The relocations' extent came with a longer header (Linux 5.2).
        has_relocations = header >= 32 and len(blob) >= 32
        relocations = struct.unpack_from(order + "2I", blob, 24) if has_relocations else (0, 0)
        self._blob, self._table, self._order = blob, table, order
        self._lines = header + lines[0], lines[1]
        self._relocations = header + relocations[0], relocations[1]

    @cached_property
    def lines(self) -> tuple[SourceLine, ...]:
        return tuple(
            SourceLine(
                section=section,
                instruction=_instruction(at),
                file=self._table.string(file),
                line=place >> 10,
                column=place & 0x3FF,
            )
            for section, (at, file, _, place) in self._rows(*self._lines)
        )

    @cached_property
    def relocations(self) -> tuple[RelocationRecord, ...]:
        return tuple(
            RelocationRecord(
                section=section,
                instruction=_instruction(at),
                type_id=type_id,
                access=self._table.string(access),
                kind=kind,
            )
            for section, (at, type_id, access, kind) in self._rows(*self._relocations)
        )

    def _rows(self, at: int, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The records of one part: each ELF section's name and the first four words of each of its records."""
        if size == 0:
            return
        blob, end = self._blob, at + size
        if size < 4 or end > len(blob):
            raise BtfError(f".BTF.ext is cut off: a part of it ends at byte {end} of {len(blob)}")
        (record_bytes,) = struct.unpack_from(self._order + "I", blob, at)
        if record_bytes < 16 or record_bytes % 4:
            raise BtfError(f".BTF.ext has records of {record_bytes} bytes; at least 16 are needed")
        layout = struct.Struct(f"{self._order}4I{record_bytes - 16}x")
        at += 4
        while at < end:
            if at + 8 > end:
                raise BtfError(".BTF.ext is cut off within the head of a section's records")
            name, count = struct.unpack_from(self._order + "2I", blob, at)
            at += 8
            if at + count * record_bytes > end:
                raise BtfError(f".BTF.ext is cut off: {count} records of {record_bytes} bytes do not fit")
            section = self._table.string(name)
            for record in layout.iter_unpack(blob[at : at + count * record_bytes]):
                yield section, record
            at += count * record_bytes


def _instruction(byte_offset: int) -> int:
    if byte_offset % SLOT:
        raise BtfError(f".BTF.ext points at byte {byte_offset} of a section, where no instruction begins")
    return byte_offset // SLOT
