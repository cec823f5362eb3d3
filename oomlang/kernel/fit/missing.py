"""What a BPF object needs and a kernel lacks: hooks, kfuncs, and the types, fields and enumerators it relies on.

In: an object and a kernel's BTF. Out: a `Missing` for each; none when the object fits. Errors: `BadFormat`.

A relocation that does not resolve is no fault where the object asked first (`bpf_core_field_exists`) and goes another
way: see `oomlang.objects.registers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from oomlang.kernel.fit.matching import resolve, types_agree
from oomlang.kernel.fit.relocations import ASKING, ObjectTypes, object_types
from oomlang.objects.btf import Btf
from oomlang.objects.elf import STB_WEAK, UNDEFINED, ElfObject, read_object
from oomlang.objects.hooks import Hook, hook_of
from oomlang.objects.registers import Place, Value, reachable
from oomlang.objects.type_table import Kind

_EXTERN = 2  # BTF_FUNC_EXTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that the kernel lacks.

    what: reads after "the kernel has no" (`function out_of_memory`, `mm_struct.rss_stat`). reason: a whole clause.
    """

    kind: Literal["hook", "kfunc", "type"]
    what: str
    reason: str


def missing_from(image: bytes, kernel: Btf) -> tuple[Missing, ...]:
    """Everything that keeps the object from loading on a kernel, hooks first."""
    elf = read_object(image)
    types = object_types(elf)
    return (
        *_missing_hooks(elf, kernel),
        *_missing_kfuncs(elf, types.btf, kernel),
        *_missing_types(elf, types, kernel),
    )


def _missing_hooks(elf: ElfObject, kernel: Btf) -> tuple[Missing, ...]:
    """The functions, tracepoints and iterators that the object's section names attach to."""
    found = []
    for name in dict.fromkeys(section.name for section in elf.sections):
        hook = hook_of(name)
        if hook is not None and not _has(kernel, hook):
            found.append(Missing(kind="hook", what=str(hook), reason=f"the kernel has no {hook}"))
    return tuple(found)


def _has(kernel: Btf, hook: Hook) -> bool:
    match hook.kind:
        case "function":
            return kernel.function(hook.name) is not None
        case "tracepoint":
            return kernel.has_tracepoint(hook.name)
        case "iterator":
            return kernel.function(f"bpf_iter_{hook.name}") is not None


def _missing_kfuncs(elf: ElfObject, local: Btf, kernel: Btf) -> tuple[Missing, ...]:
    """The kernel functions that the object calls; weak ones may be absent."""
    found = []
    for name, symbol in {symbol.name: symbol for symbol in elf.symbols}.items():
        for type_id in (
            local.find(name, frozenset({Kind.FUNC}))
            if symbol.section == UNDEFINED and symbol.binding != STB_WEAK
            else ()
        ):
            if local.table.vlen(type_id) != _EXTERN:
                continue
            candidates = kernel.find(name, frozenset({Kind.FUNC}))
            wanted = local.function(name)
            offered = kernel.function(name)
            if offered is None:
                reason = f"the kernel has no kfunc {name}"
            elif any(
                types_agree(local, local.table.target(type_id), kernel, kernel.table.target(candidate))
                for candidate in candidates
            ):
                continue
            else:
                reason = (
                    f"the kernel's kfunc is {offered.text}, and {wanted.text if wanted else name} is called"
                )
            found.append(Missing(kind="kfunc", what=f"kfunc {name}", reason=reason))
    return tuple(found)


def _missing_types(elf: ElfObject, types: ObjectTypes, kernel: Btf) -> tuple[Missing, ...]:
    """The types, fields and enumerators that code relies on which the kernel's answers let run."""
    values: dict[Place, Value] = {}
    unresolved = []
    for relocation in types.relocations:
        resolution = resolve(relocation, local=types.btf, kernel=kernel)
        place = (relocation.section, relocation.instruction)
        values[place] = resolution.value
        if not resolution.found and relocation.kind not in ASKING:
            unresolved.append((place, relocation, resolution))
    running = reachable(elf, values) if unresolved else {}
    found: dict[str, Missing] = {}
    for place, relocation, resolution in unresolved:
        if place in running:
            lacked = Missing(kind="type", what=relocation.path, reason=resolution.reason)
            found.setdefault(relocation.path, lacked)
    return tuple(found.values())
