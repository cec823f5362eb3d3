"""An object file as plain data, read through pyelftools.

In: the bytes of an object that clang made. Out: the same `ElfObject` that `read_bpf_object` makes of them, or `ElfError`.
pyelftools is not made for files that are hostile; what may be so goes through `read_bpf_object`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from oomlang.elf import ElfError, ElfObject, Header, Relocation, Section, Symbol, check_extents
from oomlang.targets.bpf.elf import check_header


def read_with_pyelftools(image: bytes) -> ElfObject:
    """Read a relocatable BPF object. Errors: `ElfError`."""
    from elftools.common import exceptions  # 0.09 s, which only a compilation should take

    header = check_header(image)
    try:
        return _read(image, header)
    except (
        exceptions.ELFError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        OverflowError,
    ) as error:
        # pyelftools raises whatever its way through a broken file leads it to.
        raise ElfError(f"pyelftools cannot read it ({type(error).__name__}: {error})") from error


def _read(image: bytes, header: Header) -> ElfObject:
    from elftools.elf import enums
    from elftools.elf.elffile import ELFFile
    from elftools.elf.relocation import RelocationSection
    from elftools.elf.sections import SymbolTableSection

    file = io.BytesIO(image)
    read = list(ELFFile(file).iter_sections())
    sections = tuple(
        Section(
            index=number,
            name=section.name,
            type=_number(section["sh_type"], enums.ENUM_SH_TYPE_BASE),
            flags=section["sh_flags"],
            offset=section["sh_offset"],
            size=section["sh_size"],
            link=section["sh_link"],
            info=section["sh_info"],
        )
        for number, section in enumerate(read)
    )
    check_extents(image, sections)
    tables = [s for s in read if isinstance(s, SymbolTableSection) and s["sh_type"] == "SHT_SYMTAB"]
    symbols = tuple(
        Symbol(
            name=symbol.name,
            kind=_number(symbol["st_info"]["type"], enums.ENUM_ST_INFO_TYPE),
            binding=_number(symbol["st_info"]["bind"], enums.ENUM_ST_INFO_BIND),
            section=_number(symbol["st_shndx"], enums.ENUM_ST_SHNDX),
            value=symbol["st_value"],
            size=symbol["st_size"],
        )
        for table in tables[:1]
        for symbol in table.iter_symbols()
    )
    relocations: dict[int, tuple[Relocation, ...]] = {}
    for section in read:
        if isinstance(section, RelocationSection) and sections[section["sh_info"]].is_code:
            relocations[section["sh_info"]] = relocations.get(section["sh_info"], ()) + tuple(
                Relocation(offset=r["r_offset"], kind=r["r_info_type"], symbol=symbols[r["r_info_sym"]])
                for r in section.iter_relocations()
            )
    return ElfObject(file=file, header=header, sections=sections, symbols=symbols, relocations=relocations)


def _number(value: Any, names: Mapping[str, int]) -> int:
    """pyelftools gives names where it knows them, numbers where it does not."""
    return names[value] if isinstance(value, str) else int(value)
