"""Questions about the types of a kernel or of a BPF object.

In: BTF from `/sys/kernel/btf/vmlinux`, a saved copy of it, a `vmlinux` or a module or a BPF object (ELF with
`.BTF`). No root, no libbpf and no other tool is needed, so `compile --kernel` works anywhere.
Out: whether a struct, member path, enumerator, function or tracepoint exists, and its type, size and place.

A kernel may hold several types of one name (two drivers' private structs); a question is answered by the
first that fits. Every defect of the input is a `BtfError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oomlang.objects.declarations import declare
from oomlang.objects.elf import ELF_MAGIC, ElfError, ElfFile, read_elf
from oomlang.objects.type_table import (
    COMPOSITES,
    SIZED,
    BtfError,
    Kind,
    Member,
    Parameter,
    TypeTable,
)

__all__ = ["Btf", "BtfError", "Field", "Kind", "Prototype", "btf_of", "parse_btf", "read_btf"]

SECTION = ".BTF"

_MAX_RAW_BYTES = 256 << 20  # raw BTF: a full debug kernel's has about 10 MiB
_MAX_NESTING = 32  # arrays of arrays, pointers to pointers
_POINTER_BYTES = 8  # BPF objects and the kernels they run on are 64-bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A member reached from a struct by a path.

    `kind` and `size` (bytes) are those of its type behind typedefs and qualifiers; `offset` (bytes) and
    `bit_offset` count from the beginning of the struct the path starts in; `type_name` reads like C.
    """

    path: str
    type_id: int
    kind: Kind
    type_name: str
    size: int
    bit_offset: int
    bitfield_size: int

    @property
    def offset(self) -> int:
        return self.bit_offset // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedMember:
    """A member and its bit offset from the struct the search began in; `is_last` in the struct that
    declares it.
    """

    member: Member
    bit_offset: int
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prototype:
    """A function of the kernel: its parameters in order and its return type (`type_id` 0 is void)."""

    name: str
    parameters: tuple[Parameter, ...]
    return_type: int
    text: str  # `int oom_evaluate_task(struct task_struct *task, void *arg)`


class Btf:
    """One kernel's (or module's, or object's) types. `table` is the decoder beneath."""

    def __init__(self, table: TypeTable, *, source: str) -> None:
        self.table = table
        self.source = source  # for messages: a path or a name

    def find(self, name: str, kinds: frozenset[Kind]) -> tuple[int, ...]:
        """The ids of all types of that name and one of those kinds."""
        return tuple(type_id for type_id in self.table.find(name) if self.table.kind(type_id) in kinds)

    def struct(self, name: str) -> int | None:
        """The id of the first struct or union of that name (without `struct`)."""
        return next(iter(self.find(name, COMPOSITES)), None)

    def has_tracepoint(self, name: str) -> bool:
        """Whether a `tp_btf` program can attach to the tracepoint: the kernel has a `btf_trace_NAME` for each."""
        return bool(self.find(f"btf_trace_{name}", frozenset({Kind.TYPEDEF})))

    def function(self, name: str) -> Prototype | None:
        """The prototype of a kernel function or kfunc of that name."""
        for function in self.find(name, frozenset({Kind.FUNC})):
            prototype = self.table.target(function)
            if self.table.kind(prototype) != Kind.FUNC_PROTO:
                raise BtfError(f"function {name!r} has no prototype in the BTF")
            parameters = tuple(self.table.parameters(prototype))
            result = self.table.target(prototype)
            listed = ", ".join(declare(self.table, p.type_id, p.name) for p in parameters) or "void"
            return Prototype(
                name=name,
                parameters=parameters,
                return_type=result,
                text=f"{declare(self.table, result, name)}({listed})",
            )
        return None

    def enumerator(self, name: str, *, enum: str | None = None) -> int | None:
        """The value of an enumerator, in the enum of that name or, without one, in any (anonymous ones
        too).
        """
        for type_id in self.table.enums_with(name):
            if enum is None or self.table.name(type_id) == enum:
                return next(e.value for e in self.table.enumerators(type_id) if e.name == name)
        return None

    def field(self, struct: str, path: str) -> Field | None:
        """The member `path` (`mm.rss_stat`) of a struct or union, or of a typedef of one.

        A path goes through anonymous members, typedefs, qualifiers and, where it goes on behind an array,
        that array's elements; it does not follow pointers.
        """
        for start in self.find(struct, COMPOSITES | {Kind.TYPEDEF}):
            found = self._walk(self.table.skip_modifiers(start), path)
            if found is not None:
                return found
        return None

    def size(self, type_id: int) -> int:
        """Bytes of a type; 0 for void, functions, forward declarations and flexible arrays."""
        factor = 1
        for _ in range(_MAX_NESTING):
            type_id = self.table.skip_modifiers(type_id)
            kind = self.table.kind(type_id)
            if kind == Kind.ARRAY:
                shape = self.table.array(type_id)
                factor *= shape.length
                type_id = shape.element_type
            elif kind == Kind.PTR:
                return factor * _POINTER_BYTES
            elif kind in SIZED:
                return factor * self.table.size(type_id)
            else:
                return 0
        raise BtfError(f"arrays are nested more than {_MAX_NESTING} deep, or in a ring")

    def _walk(self, type_id: int, path: str) -> Field | None:
        bits = 0
        member = None
        for part in path.split("."):
            type_id = self._element(type_id)
            found = self.member(type_id, part)
            if found is None:
                return None
            member = found.member
            bits += found.bit_offset
            type_id = member.type_id
        assert member is not None  # str.split gives one part at least
        behind = self.table.skip_modifiers(member.type_id)
        return Field(
            path=path,
            type_id=member.type_id,
            kind=self.table.kind(behind),
            type_name=declare(self.table, member.type_id),
            size=self.size(behind),
            bit_offset=bits,
            bitfield_size=member.bitfield_size,
        )

    def _element(self, type_id: int) -> int:
        """A type without the arrays around it."""
        for _ in range(_MAX_NESTING):
            type_id = self.table.skip_modifiers(type_id)
            if self.table.kind(type_id) != Kind.ARRAY:
                return type_id
            type_id = self.table.array(type_id).element_type
        raise BtfError(f"arrays are nested more than {_MAX_NESTING} deep, or in a ring")

    def member(self, type_id: int, name: str) -> PlacedMember | None:
        """A member of a composite type by name, anonymous members searched."""
        pending = [(type_id, 0)]
        seen = set()
        while pending:
            current, bits = pending.pop()
            current = self.table.skip_modifiers(current)
            if current in seen or self.table.kind(current) not in COMPOSITES:
                continue
            seen.add(current)
            members = self.table.members(current)
            for member in members:
                if member.name == name:
                    return PlacedMember(
                        member=member, bit_offset=bits + member.bit_offset, is_last=member is members[-1]
                    )
            pending.extend((m.type_id, bits + m.bit_offset) for m in reversed(members) if not m.name)
        return None


def parse_btf(blob: bytes, *, base: Btf | None = None, source: str = "BTF") -> Btf:
    """Raw BTF; `base` for a module's split BTF. Errors: `BtfError`."""
    return Btf(TypeTable(blob, base=base.table if base else None), source=source)


def btf_of(elf: ElfFile) -> Btf | None:
    """The types of an object itself; None where it has none. Errors: `BtfError`, `ElfError`."""
    blob = elf.named(SECTION)
    if blob is None:
        return None
    try:
        return parse_btf(blob, source="the object")
    except BtfError as exc:
        raise BtfError(f"section `{SECTION}`: {exc}") from exc


def read_btf(path: Path, *, base: Btf | None = None) -> Btf:
    """The BTF in a file, raw or in the `.BTF` section of an ELF file. Errors: `BtfError` with the path in
    front.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == ELF_MAGIC:
                blob = read_elf(file).named(SECTION)
                if blob is None:
                    raise BtfError("the ELF file has no .BTF section (built without CONFIG_DEBUG_INFO_BTF?)")
            else:
                file.seek(0)
                blob = file.read(_MAX_RAW_BYTES + 1)
                if len(blob) > _MAX_RAW_BYTES:
                    raise BtfError(f"more than {_MAX_RAW_BYTES >> 20} MiB: not the BTF of a kernel")
        return parse_btf(blob, base=base, source=str(path))
    except OSError as exc:
        raise BtfError(f"cannot read {path}: {exc.strerror}") from exc
    except (BtfError, ElfError) as exc:
        raise BtfError(f"{path}: {exc}") from exc
