"""What a BPF object's own BTF says of its maps, and how many CO-RE relocations it has.

In: the bytes of `.BTF` and `.BTF.ext`, of any origin. Out: the declared maps; a count. Every defect is a `BadBtf`.
Format: the kernel's Documentation/bpf/btf.rst; how libbpf reads a map's declaration from the members of a struct.
"""

from __future__ import annotations

import struct

from oomlang.records import dataclass

MAPS_SECTION = ".maps"

_MAGIC = 0xEB9F
_MAX_TYPES = 1 << 18
_MAX_CHAIN = 64
_MAX_MAPS = 1024
_MAX_MEMBERS = 64  # of a map's declaration
_MAX_BYTES = 1 << 32  # of a key or value
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _TYPEDEF = 1, 2, 3, 4, 5, 6, 8
_VOLATILE, _CONST, _RESTRICT, _FUNC_PROTO, _VAR, _DATASEC, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = (
    9, 10, 11, 13, 14, 15, 16, 17, 18, 19,
)  # fmt: skip
_ALIASES = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)
_SIZED = (_INT, _STRUCT, _UNION, _ENUM, _DATASEC, _FLOAT, _ENUM64)
_ONCE = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_EACH = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}


class BadBtf(Exception):
    """Broken type information; `str()` says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMap:
    """A map as its declaration has it: the number of its type, bytes of key and value, entries. None: not said."""

    name: str
    type: int | None
    key: int | None
    value: int | None
    max_entries: int | None


def declared_maps(blob: bytes) -> tuple[DeclaredMap, ...]:
    """The maps of section `.maps`, in its order. Errors: `BadBtf`."""
    types = _Types(blob)
    found = []
    for number in range(1, len(types.starts) + 1):
        name, kind, count, _ = types.head(number)
        if kind != _DATASEC or types.string(name) != MAPS_SECTION:
            continue
        for variable, _, _ in types.rows(number, count, "3I"):
            found.append(_declared(types, variable))
            if len(found) > _MAX_MAPS:
                raise BadBtf(f".BTF declares more than {_MAX_MAPS} maps")
    return tuple(found)


def core_relocations(ext: bytes) -> int:
    """How many CO-RE relocations `.BTF.ext` holds. Errors: `BadBtf`."""
    if len(ext) < 24:
        raise BadBtf(f".BTF.ext is cut off: {len(ext)} bytes are less than its header")
    magic, version, _, header = struct.unpack_from("<HBBI", ext)
    if magic != _MAGIC or version != 1:
        raise BadBtf(".BTF.ext does not begin as version 1 does")
    if header < 32 or len(ext) < 32:
        return 0
    offset, size = struct.unpack_from("<II", ext, 24)
    if size == 0:
        return 0
    at, end = header + offset, header + offset + size
    if size < 4 or end > len(ext):
        raise BadBtf(f".BTF.ext is cut off: its CO-RE relocations end at byte {end} of {len(ext)}")
    (record,) = struct.unpack_from("<I", ext, at)
    at += 4
    total = 0
    while at < end:
        if at + 8 > end:
            raise BadBtf(".BTF.ext is cut off inside its CO-RE relocations")
        _, count = struct.unpack_from("<II", ext, at)
        at += 8 + count * record
        total += count
        if record < 16 or at > end:
            raise BadBtf(f".BTF.ext is cut off: {count} CO-RE relocations of {record} bytes do not fit")
    return total


class _Types:
    def __init__(self, blob: bytes) -> None:
        if len(blob) < 24:
            raise BadBtf(f".BTF is cut off: {len(blob)} bytes are less than its header")
        magic, version, _, header, type_at, type_size, string_at, string_size = struct.unpack_from(
            "<HBB5I", blob
        )
        if magic != _MAGIC or version != 1:
            raise BadBtf(".BTF does not begin as version 1 does")
        if header + max(type_at + type_size, string_at + string_size) > len(blob):
            raise BadBtf(f".BTF is cut off: its types and strings do not fit into {len(blob)} bytes")
        self._types = blob[header + type_at : header + type_at + type_size]
        self._strings = blob[header + string_at : header + string_at + string_size]
        self.starts: list[int] = []
        at = 0
        while at < len(self._types):
            if at + 12 > len(self._types):
                raise BadBtf(f".BTF is cut off inside type number {len(self.starts) + 1}")
            (info,) = struct.unpack_from("<I", self._types, at + 4)
            kind = info >> 24 & 0x1F
            if not _INT <= kind <= _ENUM64:
                raise BadBtf(f"type number {len(self.starts) + 1} of .BTF is of the unknown kind {kind}")
            self.starts.append(at)
            at += 12 + _ONCE.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)
            if at > len(self._types) or len(self.starts) > _MAX_TYPES:
                raise BadBtf(f".BTF is cut off inside type number {len(self.starts)}, or has too many types")

    def head(self, number: int) -> tuple[int, int, int, int]:
        """Name, kind, count, and size or type of a type."""
        if not 0 < number <= len(self.starts):
            raise BadBtf(f".BTF refers to type number {number} of {len(self.starts)}")
        name, info, size = struct.unpack_from("<3I", self._types, self.starts[number - 1])
        return name, info >> 24 & 0x1F, info & 0xFFFF, size

    def rows(self, number: int, count: int, layout: str) -> list[tuple[int, ...]]:
        """The records after a type's head."""
        row = struct.Struct("<" + layout)
        at = self.starts[number - 1] + 12
        return list(row.iter_unpack(self._types[at : at + count * row.size]))

    def string(self, offset: int) -> str:
        """A name."""
        end = self._strings.find(b"\0", offset, offset + 1024)
        if offset >= len(self._strings) or end < 0:
            raise BadBtf(f".BTF has a name at {offset} of {len(self._strings)}, or one without an end")
        return self._strings[offset:end].decode("utf-8", "backslashreplace")

    def plain(self, number: int) -> int:
        """The type behind typedefs and qualifiers."""
        for _ in range(_MAX_CHAIN):
            if number == 0:
                return 0
            _, kind, _, target = self.head(number)
            if kind not in _ALIASES:
                return number
            number = target
        raise BadBtf(f".BTF has more than {_MAX_CHAIN} typedefs and qualifiers in a row")

    def size(self, number: int) -> int | None:
        """Bytes of a value of a type; None where it has no size."""
        factor = 1
        for _ in range(_MAX_CHAIN):
            number = self.plain(number)
            if number == 0:
                return None
            _, kind, _, size = self.head(number)
            if kind == _ARRAY:
                ((number, _, count),) = self.rows(number, 1, "3I")
                factor *= count
                if factor > _MAX_BYTES:
                    raise BadBtf(f".BTF has an array of more than {_MAX_BYTES} elements")
            elif kind == _PTR:
                return 8 * factor
            else:
                return size * factor if kind in _SIZED else None
        raise BadBtf(f".BTF has more than {_MAX_CHAIN} arrays in a row")

    def pointed(self, number: int) -> int:
        """What a member of a declaration points to; 0 where it is no pointer."""
        number = self.plain(number)
        if number == 0:
            return 0
        _, kind, _, target = self.head(number)
        return target if kind == _PTR else 0


def _declared(types: _Types, variable: int) -> DeclaredMap:
    name, kind, _, type_ = types.head(variable)
    if kind != _VAR:
        raise BadBtf(f".BTF lists type number {variable} in section .maps, which is no variable")
    values: dict[str, int | None] = {}
    type_ = types.plain(type_)
    if type_ and types.head(type_)[1] == _STRUCT:
        for member, member_type, _ in types.rows(type_, min(types.head(type_)[2], _MAX_MEMBERS), "3I"):
            called = types.string(member)
            target = types.pointed(member_type)
            if called in ("key", "value"):
                values[called] = types.size(target)
            elif called in ("type", "max_entries", "key_size", "value_size"):
                # __uint(max_entries, 1024) declares a pointer to an array of 1024.
                target = types.plain(target)
                if target and types.head(target)[1] == _ARRAY:
                    values[called.removesuffix("_size")] = types.rows(target, 1, "3I")[0][2]
    return DeclaredMap(
        name=types.string(name),
        type=values.get("type"),
        key=values.get("key"),
        value=values.get("value"),
        max_entries=values.get("max_entries"),
    )
