"""What makes an ELF file a BPF object, and one that is worth reading.

In: the bytes of any file. Out: `ElfObject`, or `ElfError` with what is wrong, whatever the bytes are.
"""

from __future__ import annotations

import io
from typing import Final

from oomlang.elf import ElfError, ElfObject, Header, read_header, read_object

MACHINE_BPF: Final = 247
TYPE_RELOCATABLE: Final = 1

_MAX_FILE = 32 << 20
_MAX_SECTIONS = 4096
_MACHINES = {3: "x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "S/390", 40: "ARM", 62: "x86-64",
             183: "64-bit ARM", 243: "RISC-V", 258: "LoongArch"}  # fmt: skip


def read_bpf_object(image: bytes) -> ElfObject:
    """Read a relocatable BPF object. Errors: `ElfError`."""
    check_header(image)
    elf = read_object(image)
    if len(elf.sections) > _MAX_SECTIONS:
        raise ElfError(
            f"it has {len(elf.sections)} sections, more than a BPF object ever has ({_MAX_SECTIONS})"
        )
    return elf


def check_header(image: bytes) -> Header:
    """The header of a file that is not too large to be an object.

    Raises `ElfError` unless it is that of a 64-bit little-endian relocatable file for BPF.
    """
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
    if len(image) > _MAX_FILE:
        raise ElfError(f"the file has {len(image)} bytes, more than a BPF object ever has ({_MAX_FILE})")
    return header
