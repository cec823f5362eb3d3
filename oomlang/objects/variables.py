"""Where a BPF object keeps its global variables.

In: the object's ELF image. Out: each variable's section, place and size, with which its initial value can be set
(`BpfMap.set_variable`) or, while it is loaded, its bytes found in the section's map. Errors: `BadFormat`.
"""

from __future__ import annotations

from dataclasses import dataclass

from oomlang.objects.elf import STT_OBJECT, ElfError, read_object

_PREFIXES = (".rodata", ".data", ".bss")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalVariable:
    """A variable; `offset` and `size` in bytes, `section` the name that `BpfObject.map` takes."""

    name: str
    section: str
    offset: int
    size: int


def global_variables(image: bytes) -> dict[str, GlobalVariable]:
    """All variables in `.rodata`, `.data` and `.bss` by name."""
    elf = read_object(image)
    found = {}
    for symbol in elf.symbols:
        if symbol.kind != STT_OBJECT or not (elf.section_name(symbol) or "").startswith(_PREFIXES):
            continue
        section = elf.sections[symbol.section]
        if symbol.value + symbol.size > section.size:
            raise ElfError(f"variable {symbol.name!r} lies outside its section {section.name}")
        found[symbol.name] = GlobalVariable(
            name=symbol.name, section=section.name, offset=symbol.value, size=symbol.size
        )
    return found
