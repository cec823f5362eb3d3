"""Whether a kernel has what a CO-RE relocation names, and what libbpf would make of it there.

In: a relocation, the types of the object it stands in, a kernel's types. Out: a `Resolution`.

The rules are libbpf's (tools/lib/bpf/relo_core.c): types are candidates when their names are equal without
the `___flavor` and their kinds agree; members are matched by name, through anonymous structs and unions;
array indices must exist in the kernel's array too. Left out: flavours in the kernel's own names (there are
none) and modules' BTF.
"""

from __future__ import annotations

from dataclasses import dataclass

from oomlang.kernel.fit.relocations import (
    ASKING,
    ENUM_KINDS,
    TYPE_KINDS,
    Relocation,
    RelocationKind,
    essential_name,
)
from oomlang.objects.btf import Btf
from oomlang.objects.declarations import declare
from oomlang.objects.type_table import COMPOSITES, ENUMS, BtfError, Kind

_MAX_NESTING = 32
_MAX_COMPARISONS = 1000  # a prototype with all its parameters takes about 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a relocation becomes on a kernel.

    `found`: the kernel has what it names. `value`: what libbpf writes into the instruction where that is
    known (for the `…_exists` kinds 0 or 1, which libbpf writes without complaint); `reason`: why it was not
    found, else empty.
    """

    found: bool
    value: int | None
    reason: str


def resolve(relocation: Relocation, *, local: Btf, kernel: Btf) -> Resolution:
    """What libbpf would make of a relocation of the object with types `local` on `kernel`. Errors:
    `BtfError`.
    """
    if relocation.kind == RelocationKind.TYPE_ID_LOCAL:
        return Resolution(found=True, value=relocation.root_type, reason="")
    root_kind = local.table.kind(relocation.root_type)
    name = essential_name(relocation.root_name)
    candidates = kernel.find(name, ENUMS if root_kind in ENUMS else frozenset({root_kind}))
    if not candidates:
        return _missing(relocation, f"the kernel has no {_word(root_kind)}{name}")
    results = [_match(relocation, candidate, local, kernel) for candidate in candidates]
    found = [result for result in results if result.found]
    if not found:
        return _missing(relocation, results[0].reason)
    if len({result.value for result in found}) > 1:
        return _missing(relocation, f"the kernel has {len(found)} different types {name} that fit")
    return found[0]


def _match(relocation: Relocation, candidate: int, local: Btf, kernel: Btf) -> Resolution:
    if relocation.kind == RelocationKind.TYPE_MATCHES:
        raise BtfError(f"bpf_core_type_matches({relocation.root_name}) is not supported")
    if relocation.kind in ENUM_KINDS:
        return _match_enumerator(relocation, candidate, kernel)
    if relocation.kind in TYPE_KINDS:
        if not types_agree(local, relocation.root_type, kernel, candidate):
            return _missing(relocation, f"the kernel's {relocation.root_name} is of another shape")
        values = {RelocationKind.TYPE_SIZE: kernel.size(candidate), RelocationKind.TYPE_ID_TARGET: candidate}
        return Resolution(found=True, value=values.get(relocation.kind, 1), reason="")
    return _match_field(relocation, candidate, local, kernel)


def _match_enumerator(relocation: Relocation, candidate: int, kernel: Btf) -> Resolution:
    wanted = essential_name(relocation.steps[0].member or "")
    for enumerator in kernel.table.enumerators(candidate):
        if essential_name(enumerator.name) == wanted:
            exists = relocation.kind == RelocationKind.ENUMVAL_EXISTS
            return Resolution(found=True, value=1 if exists else enumerator.value, reason="")
    return _missing(relocation, f"the kernel's enum {essential_name(relocation.root_name)} has no {wanted}")


def _match_field(relocation: Relocation, candidate: int, local: Btf, kernel: Btf) -> Resolution:
    table = kernel.table
    type_id = candidate
    bits, bitfield = 0, 0
    may_be_flexible = False
    walked = essential_name(relocation.root_name)
    for number, step in enumerate(relocation.steps):
        type_id = table.skip_modifiers(type_id)
        if step.member is not None:
            found = kernel.member(type_id, step.member)
            if found is None:
                return _missing(relocation, f"the kernel's {walked} has no member {step.member}")
            walked += f".{step.member}"
            type_id = found.member.type_id
            if not fields_agree(local, step.type_id, kernel, type_id):
                own = declare(table, type_id)
                return _missing(relocation, f"the kernel's {walked} is of another kind: {own}")
            bits += found.bit_offset
            bitfield = found.member.bitfield_size
            may_be_flexible = found.is_last
        elif number == 0 and relocation.steps[0].type_id == relocation.root_type:
            bits += step.index * kernel.size(type_id) * 8
        else:
            if table.kind(type_id) != Kind.ARRAY:
                return _missing(relocation, f"the kernel's {walked} is not an array")
            shape = table.array(type_id)
            if step.index >= shape.length and not (shape.length == 0 and may_be_flexible):
                return _missing(relocation, f"the kernel's {walked} has {shape.length} elements")
            type_id = shape.element_type
            bits += step.index * kernel.size(type_id) * 8
            walked += f"[{step.index}]"
            may_be_flexible = False
    values: dict[RelocationKind, int | None] = {
        RelocationKind.FIELD_EXISTS: 1,
        RelocationKind.FIELD_BYTE_OFFSET: None if bitfield else bits // 8,
        RelocationKind.FIELD_BYTE_SIZE: None if bitfield else kernel.size(type_id),
    }
    return Resolution(found=True, value=values.get(relocation.kind), reason="")


def fields_agree(local: Btf, local_id: int, kernel: Btf, kernel_id: int) -> bool:
    """Whether a member may stand for another: bpf_core_fields_are_compat()."""
    for _ in range(_MAX_NESTING):
        local_id, kernel_id = local.table.skip_modifiers(local_id), kernel.table.skip_modifiers(kernel_id)
        mine, its = local.table.kind(local_id), kernel.table.kind(kernel_id)
        if mine in COMPOSITES and its in COMPOSITES:
            return True
        if not _kinds_agree(mine, its):
            return False
        match mine:
            case Kind.PTR | Kind.FLOAT:
                return True
            case Kind.ENUM | Kind.ENUM64 | Kind.FWD:
                names = {
                    essential_name(local.table.name(local_id)),
                    essential_name(kernel.table.name(kernel_id)),
                }
                return len(names - {""}) <= 1
            case Kind.INT:
                return local.table.int_offset(local_id) == kernel.table.int_offset(kernel_id) == 0
            case Kind.ARRAY:
                local_id = local.table.array(local_id).element_type
                kernel_id = kernel.table.array(kernel_id).element_type
            case _:
                return False
    raise BtfError(f"arrays are nested more than {_MAX_NESTING} deep, or in a ring")


def types_agree(local: Btf, local_id: int, kernel: Btf, kernel_id: int) -> bool:
    """Whether a type of equal name counts as the same one: bpf_core_types_are_compat()."""
    pending = [(local_id, kernel_id)]
    for _ in range(_MAX_COMPARISONS):
        if not pending:
            return True
        ours, theirs = pending.pop()
        ours, theirs = local.table.skip_modifiers(ours), kernel.table.skip_modifiers(theirs)
        kind = local.table.kind(ours)
        if not _kinds_agree(kind, kernel.table.kind(theirs)):
            return False
        match kind:
            case Kind.VOID | Kind.STRUCT | Kind.UNION | Kind.ENUM | Kind.ENUM64 | Kind.FWD:
                pass
            case Kind.INT:
                if local.table.int_offset(ours) or kernel.table.int_offset(theirs):
                    return False
            case Kind.PTR:
                pending.append((local.table.target(ours), kernel.table.target(theirs)))
            case Kind.ARRAY:
                pending.append(
                    (local.table.array(ours).element_type, kernel.table.array(theirs).element_type)
                )
            case Kind.FUNC_PROTO:
                mine, its = local.table.parameters(ours), kernel.table.parameters(theirs)
                if len(mine) != len(its):
                    return False
                pending.append((local.table.target(ours), kernel.table.target(theirs)))
                pending.extend((a.type_id, b.type_id) for a, b in zip(mine, its, strict=True))
            case _:
                return False
    raise BtfError(
        f"comparing two types takes more than {_MAX_COMPARISONS} steps; they refer to each other in a ring"
    )


def _kinds_agree(ours: Kind, theirs: Kind) -> bool:
    return ours == theirs or (ours in ENUMS and theirs in ENUMS)


def _missing(relocation: Relocation, reason: str) -> Resolution:
    return Resolution(found=False, value=0 if relocation.kind in ASKING else None, reason=reason)


def _word(kind: Kind) -> str:
    return {Kind.STRUCT: "struct ", Kind.UNION: "union ", Kind.TYPEDEF: "typedef "}.get(
        kind, "enum " if kind in ENUMS else ""
    )
