"""The maps that a BPF object declares.

In: the object's own types. Out: a `DeclaredMap` for each variable of section `.maps`. Errors: `BtfError`. The declaration
is a struct whose members say it by their types: libbpf's `__uint(max_entries, 1024)` is a pointer to an array of 1024,
`__type(key, u64)` a pointer to a u64.
"""

from __future__ import annotations

from typing import Final

from oomlang.objects.btf import Btf
from oomlang.objects.type_table import BtfError, Kind
from oomlang.records import dataclass

MAPS_SECTION: Final = ".maps"

_MAX_MAPS = 1024
_MAX_MEMBERS = 64  # of a declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMap:
    """A map as its declaration has it: the number of its type, bytes of key and value, entries. None: not said."""

    name: str
    type: int | None
    key: int | None
    value: int | None
    max_entries: int | None


def declared_maps(btf: Btf) -> tuple[DeclaredMap, ...]:
    """The maps of section `.maps`, in its order."""
    found = []
    for section in btf.find(MAPS_SECTION, frozenset({Kind.DATASEC})):
        if btf.table.vlen(section) > _MAX_MAPS:
            raise BtfError(f"the BTF declares more than {_MAX_MAPS} maps")
        found += [_declared(btf, variable) for variable in btf.table.variables(section)]
    return tuple(found)


def _declared(btf: Btf, variable: int) -> DeclaredMap:
    table = btf.table
    if table.kind(variable) != Kind.VAR:
        raise BtfError(f"the BTF lists type {variable} in section {MAPS_SECTION}, and it is no variable")
    declaration = table.skip_modifiers(table.target(variable))
    said: dict[str, int | None] = {}
    if table.kind(declaration) == Kind.STRUCT and table.vlen(declaration) <= _MAX_MEMBERS:
        for member in table.members(declaration):
            pointer = table.skip_modifiers(member.type_id)
            if table.kind(pointer) != Kind.PTR:
                continue
            target = table.skip_modifiers(table.target(pointer))
            if member.name in ("key", "value"):
                said[member.name] = btf.size(target) or None
            elif table.kind(target) == Kind.ARRAY:
                said[member.name.removesuffix("_size")] = table.array(target).length
    return DeclaredMap(
        name=table.name(variable),
        type=said.get("type"),
        key=said.get("key"),
        value=said.get("value"),
        max_entries=said.get("max_entries"),
    )
