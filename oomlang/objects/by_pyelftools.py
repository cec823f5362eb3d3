"""An object file as plain data, read through pyelftools.

In: the bytes of an object that clang made. Out: the same `ElfObject` that `elf.read_object` makes of them, or `ElfError`.
pyelftools is not made for files that are hostile; what may be so goes through `elf.read_object`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from threading import Lock
from typing import Any

from oomlang.objects.elf import (
    ElfError,
    ElfObject,
    Header,
    Relocation,
    Section,
    Symbol,
    check_extents,
    read_object_header,
)

_IMPORTING = Lock()


def import_pyelftools() -> None:
    """Import it, if nobody has: 0.09 s, which only a compilation should take.

    Its modules import each other in circles. Two threads that begin in different places would each wait for a module
    that the other is at, and then see half of it; so one of them does it all, and whoever needs it comes through here.
    """
    with _IMPORTING:
        import elftools.elf.elffile  # noqa: F401  (what `_read` takes from it is there afterwards)


def read_with_pyelftools(image: bytes) -> ElfObject:
    """Read a relocatable BPF object. Errors: `ElfError`."""
    import_pyelftools()
    from elftools.common import exceptions

    header = read_object_header(image)
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
