"""Checks of an object as a whole: sections, programs, license, types, metadata, maps.

In: a `Subject`. Out: what is wrong, one sentence each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from oomlang.objects import BadFormat
from oomlang.objects.btf_ext import BtfExt
from oomlang.objects.elf import SHF_ALLOC
from oomlang.objects.functions import SUBPROGRAMS
from oomlang.objects.maps import MAPS_SECTION
from oomlang.objects.metadata import KNOBS
from oomlang.objects.metadata import SECTION as METADATA_SECTION
from oomlang.objects.names import map_type_name
from oomlang.targets.bpf.elf_checks.subject import Subject

LICENSES: Final = frozenset(
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)
"""What the kernel's license_is_gpl_compatible() accepts."""

_LICENSE = "license"
_NEEDED = (_LICENSE, ".BTF", ".BTF.ext", METADATA_SECTION, ".symtab", ".strtab")
_POSSIBLE = frozenset({"", ".text", ".rodata", ".data", ".bss", ".llvm_addrsig"})
_POSSIBLE_PREFIXES = (".rodata.", ".data.", ".debug_")


def target(subject: Subject) -> Iterator[str]:
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


def sections(subject: Subject) -> Iterator[str]:
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


def programs(subject: Subject) -> Iterator[str]:
    """Exactly the programs of the metadata, each alone in its section."""
    found = {(f.name, f.section.name) for f in subject.functions if f.is_program}
    meant = {(p.name, p.section) for p in subject.metadata.programs}
    yield from (f"there is no program `{name}` in section `{place}`" for name, place in sorted(meant - found))
    yield from (f"there is a program `{name}` in section `{place}`" for name, place in sorted(found - meant))


def license(subject: Subject) -> Iterator[str]:
    """A license under which the kernel lets a program call all helpers."""
    section = subject.elf.section(_LICENSE)
    if section is not None:
        text = subject.elf.contents(section)
        if text not in {name.encode() + b"\0" for name in LICENSES}:
            yield f"{text!r} is not GPL-compatible"


def types(subject: Subject) -> Iterator[str]:
    """`.BTF` and `.BTF.ext` that can be read, with CO-RE relocations."""
    ext = subject.elf.named(".BTF.ext")
    try:
        if ext is not None and subject.btf is not None and not BtfExt(ext, subject.btf.table).relocations:
            yield "there are no CO-RE relocations"
        _ = subject.declared
    except BadFormat as error:
        yield str(error)


def metadata(subject: Subject) -> Iterator[str]:
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


def maps(subject: Subject) -> Iterator[str]:
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


def inputs(subject: Subject) -> Iterator[str]:
    """The knobs of the metadata are the variables of their section, and each other input has a map of its own."""
    for declared in subject.metadata.inputs:
        if declared.map not in subject.maps if declared.per_memcg else declared.map != KNOBS:
            yield f"input `{declared.name}` is in `{declared.map}`, which is no map for it"
    found = {s.name: s.size for s in subject.defined(KNOBS)}
    meant = {i.variable: i.size for i in subject.metadata.inputs if i.map == KNOBS}
    if found != meant:
        yield f"section `{KNOBS}` holds {found} instead of {meant} (variable: bytes)"
