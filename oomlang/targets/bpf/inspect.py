"""What an object file says about itself and what is in it.

In: the bytes of any file. Out: `Inspection`, or `BadObject` with a sentence about why there is none, whatever the bytes
are. Names and texts are given as the file has them, control characters too: whoever shows them has to escape them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from oomlang.objects import BadFormat
from oomlang.objects.btf import Btf, btf_of
from oomlang.objects.btf_ext import BtfExt
from oomlang.objects.elf import SHF_ALLOC, STT_OBJECT, ElfObject, read_object
from oomlang.objects.functions import Code
from oomlang.objects.maps import MAPS_SECTION, declared_maps
from oomlang.objects.names import helper_name, map_type_name
from oomlang.targets.bpf import metadata as ours
from oomlang.targets.bpf.elf_checks import failed_checks
from oomlang.targets.bpf.metadata_shape import check_shape

_LEGACY_MAPS = "maps"
_MAX_METADATA = 4 << 20


class BadObject(Exception):
    """The file cannot be described; `str()` says why, as a clause without a full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputInfo:
    """An input: where user space writes its values, and what they may be."""

    name: str
    type: str
    per_memcg: bool
    default: int
    lowest: int
    highest: int
    map: str
    variable: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """A rule with its place in the policy's text (from 1)."""

    number: int
    kind: str
    line: int
    column: int
    text: str
    facts: tuple[str, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """A field of the dry run's record; offset and size in bytes."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInfo:
    """What an object of ours says about its policy. `record_bytes` and `record`: of the target `dry-run` only."""

    name: str
    target: str
    language: int
    compiler: str
    source_name: str
    source_sha256: str
    inputs: tuple[InputInfo, ...]
    rules: tuple[RuleInfo, ...]
    facts: tuple[str, ...]
    loops: tuple[str, ...]
    instruction_bound: int
    stack_bound: int
    record_bytes: int | None
    record: tuple[RecordField, ...]


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
    policy: PolicyInfo | None
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
        return _sorted({**asdict(self), "is_ours": self.is_ours})  # type: ignore[no-any-return]  # a dict of dicts


def inspect_object(data: bytes) -> Inspection:
    """Describe a BPF object. Raises `BadObject`, and nothing else, for any other file."""
    try:
        elf = read_object(data)
        metadata = _metadata(elf)
        code = Code(elf)
        failed = failed_checks(elf, metadata) if metadata is not None else []
        btf, ext = btf_of(elf), elf.named(".BTF.ext")
        return Inspection(
            size=len(data),
            policy=_policy(metadata) if metadata is not None else None,
            failed_checks=tuple(failed),
            license=_license(elf),
            programs=_programs(code),
            maps=_maps(elf, btf),
            sections=tuple(
                SectionInfo(name=s.name, size=s.size, loaded=bool(s.flags & SHF_ALLOC))
                for s in elf.sections[1:]
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
    except BadFormat as error:
        raise BadObject(str(error)) from error


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


def _metadata(elf: ElfObject) -> dict[str, Any] | None:
    """The content of `.oomlang`, of the right shape; None for an object of somebody else."""
    section = elf.section(ours.SECTION)
    if section is None:
        return None
    data = elf.contents(section)
    if len(data) > _MAX_METADATA:
        raise BadObject(f"its section `{ours.SECTION}` has {len(data)} bytes, more than any of ours")
    try:
        parsed = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadObject(f"its section `{ours.SECTION}` is not JSON ({_reason(error)})") from error
    wrong = check_shape(parsed)
    if wrong is not None:
        raise BadObject(f"its section `{ours.SECTION}` is not as oomlang writes it: {wrong}")
    assert isinstance(parsed, dict)  # what `check_shape` said
    return parsed


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def _policy(metadata: dict[str, Any]) -> PolicyInfo:
    record = metadata.get("record")
    return PolicyInfo(
        name=metadata["policy"],
        target=metadata["target"],
        language=metadata["language"],
        compiler=metadata["compiler"],
        source_name=metadata["source"]["name"],
        source_sha256=metadata["source"]["sha256"],
        inputs=tuple(
            InputInfo(
                name=i["name"],
                type=i["type"],
                per_memcg=i["per_memcg"],
                default=i["default"],
                lowest=i["range"][0],
                highest=i["range"][1],
                map=i["map"],
                variable=i["variable"],
                bytes=i["bytes"],
            )
            for i in metadata["inputs"]
        ),
        rules=tuple(
            RuleInfo(
                number=r["number"],
                kind=r["kind"],
                line=r["line"],
                column=r["column"],
                text=r["text"],
                facts=tuple(r["facts"]),
                inputs=tuple(r["inputs"]),
            )
            for r in metadata["rules"]
        ),
        facts=tuple(metadata["facts"]),
        loops=tuple(metadata["loops"]),
        instruction_bound=metadata["bounds"]["instructions"],
        stack_bound=metadata["bounds"]["stack"],
        record_bytes=record["size"] if record is not None else None,
        record=tuple(
            RecordField(name=n, offset=at, bytes=size) for n, at, size in (record["fields"] if record else ())
        ),
    )


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_sorted(item) for item in value]
        case _:
            return value
