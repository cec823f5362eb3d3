"""The declarations of the kernel's types that a program reads, out of the table of facts."""

from __future__ import annotations

from oomlang.facts import FACTS
from oomlang.facts.table import (
    ANCESTOR_FIELDS,
    FIELDS,
    GUARD_FIELDS,
    HIERARCHY_FIELDS,
    ID_FIELDS,
    MEMCG_FIELDS,
    NAME_FIELDS,
    TIE_FIELDS,
    KernelField,
)
from oomlang.records import dataclass
from oomlang.targets.bpf.attachments import Target
from oomlang.targets.bpf.views import Needs


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelType:
    """One declaration; a struct without members is only named."""

    name: str
    kind: str
    members: tuple[str, ...]


_TYPEDEFS = ("atomic_long_t", "kuid_t", "mm_flags_t")


def fields(needs: Needs, target: Target) -> list[str]:
    """Keys of `FIELDS` that a program of this target reads, in the order of that table."""
    wanted = {*GUARD_FIELDS, *TIE_FIELDS, *FACTS["badness"].kernel, *FACTS["vm"].kernel}
    for name in needs.facts:
        wanted.update(FACTS[name].kernel)
    for view in needs.views.values():
        wanted.update((*MEMCG_FIELDS, *ID_FIELDS))
        if view.key is not None:
            wanted.update(ANCESTOR_FIELDS)
        if view.asks:
            wanted.update(HIERARCHY_FIELDS)
    if needs.asks:
        wanted.update((*ANCESTOR_FIELDS, *NAME_FIELDS))
    wanted = (wanted - target.told) | set(target.reads)
    return [key for key in FIELDS if key in wanted]


def declarations(keys: list[str]) -> list[KernelType]:
    """C declarations in an order in which each type by value stands after its own."""
    by_type: dict[str, list[KernelField]] = {}
    for key in keys:
        by_type.setdefault(FIELDS[key].type, []).append(FIELDS[key])
    named = {
        word
        for found in by_type.values()
        for f in found
        if f.kind == "struct" and "*" in f.declaration
        for word in [_struct_in(f.declaration)]
        if word and word not in by_type
    }
    result = [KernelType(name=n, kind="struct", members=()) for n in sorted(named)]
    done: set[str] = set()

    def add(name: str) -> None:
        if name in done or name not in by_type:
            return
        done.add(name)
        for member in by_type[name]:
            if member.kind == "struct" and "*" not in member.declaration:
                add(_struct_in(member.declaration) or member.declaration.split()[0])
        kind = by_type[name][0].kind
        result.append(
            KernelType(
                name=name,
                kind="typedef" if name in _TYPEDEFS else kind,
                members=tuple(dict.fromkeys(m.declaration for m in by_type[name])),
            )
        )

    for name in sorted(by_type):
        add(name)
    return result


def _struct_in(declaration: str) -> str:
    """`page_counter` of `struct page_counter memory`."""
    words = declaration.removeprefix("const ").split()
    return words[1] if words[0] == "struct" else ""
