"""What a BPF object asks of a kernel's types.

In: a BPF object (`.BTF`, `.BTF.ext`). Out: each CO-RE relocation with a path that a reader understands
(`mm_struct.rss_stat`, `cgroup_subsys_id.memory_cgrp_id`). Whether a kernel has it is the question of `matching`.
Errors: `BadFormat`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from oomlang.objects.btf import Btf, BtfError, btf_of
from oomlang.objects.btf_ext import BtfExt, RelocationRecord
from oomlang.objects.elf import ElfFile
from oomlang.objects.type_table import COMPOSITES, ENUMS, Kind

_MAX_ACCESS = 64  # BPF_CORE_SPEC_MAX_LEN


class RelocationKind(IntEnum):
    """enum bpf_core_relo_kind."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12


ASKING = frozenset({RelocationKind.FIELD_EXISTS, RelocationKind.TYPE_EXISTS, RelocationKind.ENUMVAL_EXISTS})
ENUM_KINDS = frozenset({RelocationKind.ENUMVAL_EXISTS, RelocationKind.ENUMVAL_VALUE})
TYPE_KINDS = frozenset(
    {
        RelocationKind.TYPE_ID_LOCAL,
        RelocationKind.TYPE_ID_TARGET,
        RelocationKind.TYPE_EXISTS,
        RelocationKind.TYPE_SIZE,
        RelocationKind.TYPE_MATCHES,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an access: into a named member (`member`), or to element `index` of an array."""

    member: str | None
    index: int
    type_id: int  # of the object's own type that the step leads to


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """One CO-RE relocation of an object.

    `instruction` counts 8-byte slots from the beginning of ELF section `section`.
    """

    section: str
    instruction: int
    kind: RelocationKind
    root_type: int
    root_name: str  # with its flavour
    path: str  # readable: "mm_struct.rss_stat"
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTypes:
    """A BPF object's own types and relocations."""

    btf: Btf
    relocations: tuple[Relocation, ...]


def object_types(elf: ElfFile) -> ObjectTypes:
    """Types and relocations of a BPF object."""
    btf, ext = btf_of(elf), elf.named(".BTF.ext")
    if btf is None or ext is None:
        absent = ".BTF" if btf is None else ".BTF.ext"
        raise BtfError(f"the object has no {absent} section (compiled without -g?)")
    records = BtfExt(ext, btf.table).relocations
    return ObjectTypes(btf=btf, relocations=tuple(_relocation(record, btf) for record in records))


def essential_name(name: str) -> str:
    """A name without its flavour: `kernfs_node___old` → `kernfs_node`."""
    # As bpf_core_is_flavor_sep(): the separator stands between two characters that are not underscores.
    flavoured = re.match(r"(.*[^_])___[^_]", name, re.DOTALL)
    return flavoured[1] if flavoured else name


def _relocation(record: RelocationRecord, btf: Btf) -> Relocation:
    try:
        kind = RelocationKind(record.kind)
    except ValueError:
        raise BtfError(f"CO-RE relocation of the unknown kind {record.kind}") from None
    try:
        access = [int(part) for part in record.access.split(":", _MAX_ACCESS)]
    except ValueError:
        raise BtfError(f"CO-RE relocation with the access string {record.access[:80]!r}") from None
    if min(access) < 0 or len(access) > _MAX_ACCESS:
        raise BtfError(f"CO-RE relocation with the access string {record.access[:80]!r}")
    name = btf.table.name(record.type_id)
    steps: tuple[Step, ...] = ()
    if kind in ENUM_KINDS:
        steps = (_enumerator_step(btf, record.type_id, access[0]),)
    elif kind not in TYPE_KINDS:
        steps = tuple(_field_steps(btf, record.type_id, access))
    return Relocation(
        section=record.section,
        instruction=record.instruction,
        kind=kind,
        root_type=record.type_id,
        root_name=name,
        path=name + "".join(f"[{s.index}]" if s.member is None else f".{s.member}" for s in steps),
        steps=steps,
    )


def _enumerator_step(btf: Btf, type_id: int, index: int) -> Step:
    type_id = btf.table.skip_modifiers(type_id)
    if btf.table.kind(type_id) not in ENUMS:
        raise BtfError("a CO-RE relocation for an enumerator names a type that is not an enum")
    enumerators = btf.table.enumerators(type_id)
    if index >= len(enumerators):
        raise BtfError(f"a CO-RE relocation names enumerator {index} of {len(enumerators)}")
    return Step(member=enumerators[index].name, index=index, type_id=type_id)


def _field_steps(btf: Btf, type_id: int, access: list[int]) -> list[Step]:
    """The named members and array elements on the way; anonymous members are stepped through silently."""
    table = btf.table
    steps = [Step(member=None, index=access[0], type_id=type_id)] if access[0] else []
    for index in access[1:]:
        type_id = table.skip_modifiers(type_id)
        kind = table.kind(type_id)
        if kind in COMPOSITES:
            members = table.members(type_id)
            if index >= len(members):
                raise BtfError(f"a CO-RE relocation names member {index} of {len(members)}")
            type_id = members[index].type_id
            if members[index].name:
                steps.append(Step(member=members[index].name, index=index, type_id=type_id))
        elif kind == Kind.ARRAY:
            type_id = table.array(type_id).element_type
            steps.append(Step(member=None, index=index, type_id=type_id))
        else:
            raise BtfError(f"a CO-RE relocation reaches into a type of kind {kind.name.lower()}")
    return steps
