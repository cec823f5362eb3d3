"""What an object file says about itself and what is in it.

In: the bytes of any file. Out: `Inspection`, or `BadFormat` with a sentence about why there is none, whatever the bytes
are. Names and texts are given as the file has them, control characters too: whoever shows them has to escape them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from oomlang.objects import BadFormat
from oomlang.objects.btf import Btf, btf_of
from oomlang.objects.btf_ext import BtfExt
from oomlang.objects.elf import SHF_ALLOC, STT_OBJECT, ElfObject, read_object
from oomlang.objects.functions import Code
from oomlang.objects.maps import MAPS_SECTION, declared_maps
from oomlang.objects.metadata import SECTION, Metadata
from oomlang.objects.names import helper_name, map_type_name
from oomlang.targets.bpf.attachments import find_target
from oomlang.targets.bpf.elf_checks import failed_checks

_LEGACY_MAPS = "maps"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramInfo:
    """A program with the functions that it calls.

    instructions: of all of them. stack: bytes in the deepest chain of calls, as the kernel counts at most; None where the
    calls have no end.
    """

    name: str
    section: str
    instructions: int
    stack: int | None
    functions: tuple[str, ...]
    helpers: tuple[int, ...]
    kfuncs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapInfo:
    """A map. Sizes of key and value in bytes; None for what the object's types do not say."""

    name: str
    type: str | None
    key: int | None
    value: int | None
    max_entries: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionInfo:
    """A section of the file. `loaded`: whether any of it gets into memory when the object is loaded."""

    name: str
    size: int
    loaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperInfo:
    """A helper that some program calls."""

    id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All about an object. `policy` and `failed_checks`: of ours only, the latter with what is not as we make it."""

    size: int
    policy: Metadata | None
    failed_checks: tuple[str, ...]
    license: str | None
    programs: tuple[ProgramInfo, ...]
    maps: tuple[MapInfo, ...]
    sections: tuple[SectionInfo, ...]
    instructions: int
    helpers: tuple[HelperInfo, ...]
    kfuncs: tuple[str, ...]
    core_relocations: int

    @property
    def is_ours(self) -> bool:
        """Whether oomlang made it."""
        return self.policy is not None

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values, keys sorted."""
        policy = self.policy.to_json() if self.policy is not None else None
        if policy is not None:
            policy |= {f"source_{key}": value for key, value in policy.pop("source").items()}
        return _sorted({**asdict(self), "policy": policy, "is_ours": self.is_ours})  # type: ignore[no-any-return]  # a dict of dicts


def inspect_object(data: bytes) -> Inspection:
    """Describe a BPF object. Raises `BadFormat`, and nothing else, for any other file."""
    elf = read_object(data)
    metadata = _metadata(elf)
    code = Code(elf)
    failed = failed_checks(elf, metadata) if metadata is not None else []
    btf, ext = btf_of(elf), elf.named(".BTF.ext")
    return Inspection(
        size=len(data),
        policy=metadata,
        failed_checks=tuple(failed),
        license=_license(elf),
        programs=_programs(code),
        maps=_maps(elf, btf),
        sections=tuple(
            SectionInfo(name=s.name, size=s.size, loaded=bool(s.flags & SHF_ALLOC)) for s in elf.sections[1:]
        ),
        instructions=sum(s.size for s in elf.code) // 8,
        helpers=tuple(
            HelperInfo(id=n, name=helper_name(n))
            for n in sorted({n for s in code.surveys for n in s.helpers})
        ),
        kfuncs=tuple(sorted({n for s in code.surveys for n in s.externals})),
        core_relocations=len(BtfExt(ext, btf.table).relocations)
        if ext is not None and btf is not None
        else 0,
    )


def _programs(code: Code) -> tuple[ProgramInfo, ...]:
    found = []
    for number, function in enumerate(code.functions):
        if not function.is_program:
            continue
        reached = code.reachable(number)
        surveys = [code.surveys[n] for n in reached]
        deepest = code.deepest(number)
        found.append(
            ProgramInfo(
                name=function.name,
                section=function.section.name,
                instructions=sum(code.functions[n].slots for n in reached),
                stack=deepest[0] if deepest is not None else None,
                functions=tuple(code.functions[n].name for n in reached if n != number),
                helpers=tuple(sorted({h for s in surveys for h in s.helpers})),
                kfuncs=tuple(sorted({k for s in surveys for k in s.externals})),
            )
        )
    return tuple(found)


def _maps(elf: ElfObject, btf: Btf | None) -> tuple[MapInfo, ...]:
    """The maps that BTF declares, then those that only have a symbol."""
    found = [
        MapInfo(
            name=m.name,
            type=map_type_name(m.type) if m.type is not None else None,
            key=m.key,
            value=m.value,
            max_entries=m.max_entries,
        )
        for m in (declared_maps(btf) if btf is not None else ())
    ]
    known = {m.name for m in found}
    found += [
        MapInfo(name=s.name, type=None, key=None, value=None, max_entries=None)
        for s in elf.symbols
        if s.kind == STT_OBJECT
        and elf.section_name(s) in (MAPS_SECTION, _LEGACY_MAPS)
        and s.name not in known
    ]
    return tuple(found)


def _license(elf: ElfObject) -> str | None:
    section = elf.section("license")
    if section is None:
        return None
    return elf.contents(section).split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _metadata(elf: ElfObject) -> Metadata | None:
    found = Metadata.of_object(elf)
    if found is not None:
        try:
            find_target(found.target)
        except ValueError as error:
            raise BadFormat(f"its section `{SECTION}` is not as oomlang writes it: {error}") from error
    return found


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_sorted(item) for item in value]
        case _:
            return value
