"""The type table of one BTF blob, indexed in one pass and decoded on demand.

In: raw BTF (`/sys/kernel/btf/vmlinux`, a `.BTF` section), for split BTF (a module's) the table it builds on.
Out: `TypeTable`: kinds, names, members, enumerators, parameters by type id, and type ids by name.

The kernel's BTF has 130,000 types in 5.5 MB; answering a few dozen questions about it must take well under
0.3 s of pure Python. So one loop notes where each type begins (0.04 s), and a name is looked up the way a
string is: its offset in the string section, packed as in the file, is searched for with `bytes.find`.
Nothing else is decoded.

Blobs come from users and may be hostile: each record is known to lie inside the type section, each type id
and string offset is checked where it is followed, and chains of references are walked with a limit. Every
defect is a `BtfError`. Format: the kernel's Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum

from oomlang.objects import BadFormat

BTF_MAGIC = 0xEB9F
VOID = 0  # type id 0 in every table

_HEADER_BYTES = 24
_MAX_CHAIN = 64  # modifiers and typedefs in a row; the kernel's own BTF stays below 10
_MAX_NAME = 2048  # bytes; the kernel's own limit is KSYM_NAME_LEN, 512
_MAX_SAME_STRING = 64  # producers write each string once


class BtfError(BadFormat):
    """The BTF is broken, foreign or cannot be read."""


class Kind(IntEnum):
    """BTF_KIND_* of include/uapi/linux/btf.h."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


COMPOSITES = frozenset({Kind.STRUCT, Kind.UNION})
ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})
MODIFIERS = frozenset({Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
TRANSPARENT = MODIFIERS | {Kind.TYPEDEF}
SIZED = frozenset({Kind.INT, Kind.ENUM, Kind.ENUM64, Kind.STRUCT, Kind.UNION, Kind.FLOAT, Kind.DATASEC})

# Words of 4 bytes that a type of each kind takes: its head and what follows once, and what follows vlen times.
_WORDS_ONCE = [3] * len(Kind)
_WORDS_ONCE[Kind.INT] = _WORDS_ONCE[Kind.VAR] = _WORDS_ONCE[Kind.DECL_TAG] = 4
_WORDS_ONCE[Kind.ARRAY] = 6
_WORDS_EACH = [0] * len(Kind)
_WORDS_EACH[Kind.STRUCT] = _WORDS_EACH[Kind.UNION] = _WORDS_EACH[Kind.DATASEC] = _WORDS_EACH[Kind.ENUM64] = 3
_WORDS_EACH[Kind.ENUM] = _WORDS_EACH[Kind.FUNC_PROTO] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of a struct or union. `bit_offset` counts from its beginning; `bitfield_size` is 0 for
    none.
    """

    name: str  # empty for an anonymous struct or union
    type_id: int
    bit_offset: int
    bitfield_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumerator:
    """One name of an enum and its value."""

    name: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a function prototype; type id 0 in the last place stands for `...`."""

    name: str
    type_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayShape:
    """An array's element type and number of elements (0 for a flexible array)."""

    element_type: int
    length: int


class TypeTable:
    """The types of one BTF blob; ids below `first_id` belong to `base`."""

    def __init__(self, blob: bytes, *, base: TypeTable | None = None) -> None:
        """Index `blob`. Errors: `BtfError` for anything that is not whole BTF of version 1."""
        self.base = base
        self.first_id: int = base.end_id if base else 1
        self._words, self._strings = _sections(blob)
        self._first_string: int = base.end_string if base else 0
        self.end_string: int = self._first_string + len(self._strings)
        if base is None and self._strings[:1] != b"\0":
            raise BtfError(
                "the BTF's first string is not empty: it is split BTF, which needs the BTF it builds on"
            )
        self._starts = _starts(self._words)
        self.end_id: int = self.first_id + len(self._starts)
        self._names = array("I", [self._words[start] for start in self._starts]).tobytes()
        self._found: dict[str, tuple[int, ...]] = {}

    # -- by id

    def kind(self, type_id: int) -> Kind:
        """The kind of a type; `Kind.VOID` for id 0."""
        if type_id == VOID:
            return Kind.VOID
        table, start = self._locate(type_id)
        return Kind(table._words[start + 1] >> 24 & 0x1F)

    def name(self, type_id: int) -> str:
        """The type's own name; empty for anonymous ones and void."""
        if type_id == VOID:
            return ""
        table, start = self._locate(type_id)
        return table.string(table._words[start])

    def target(self, type_id: int) -> int:
        """What a pointer, typedef, modifier, function, variable or tag refers to; a prototype's return
        type.
        """
        table, start = self._locate(type_id)
        return table._words[start + 2]

    def size(self, type_id: int) -> int:
        """Bytes of an int, float, enum, struct, union or data section, as its record says."""
        table, start = self._locate(type_id)
        return table._words[start + 2]

    def vlen(self, type_id: int) -> int:
        """Number of members, enumerators, parameters or variables; a function's linkage (0 static, 1 global, 2 extern)."""
        table, start = self._locate(type_id)
        return table._words[start + 1] & 0xFFFF

    def int_offset(self, type_id: int) -> int:
        """An integer's bit offset inside its bytes; 0 in practice."""
        table, start = self._locate(type_id)
        return table._words[start + 3] >> 16 & 0xFF

    def array(self, type_id: int) -> ArrayShape:
        """Element type and length of an array."""
        table, start = self._locate(type_id)
        return ArrayShape(element_type=table._words[start + 3], length=table._words[start + 5])

    def members(self, type_id: int) -> list[Member]:
        """The members of a struct or union in order."""
        table, start = self._locate(type_id)
        has_bitfields = table._words[start + 1] >> 31
        found = []
        for name, member_type, offset in table._rows(start, width=3):
            bits, size = (offset & 0xFFFFFF, offset >> 24) if has_bitfields else (offset, 0)
            found.append(
                Member(name=table.string(name), type_id=member_type, bit_offset=bits, bitfield_size=size)
            )
        return found

    def enumerators(self, type_id: int) -> list[Enumerator]:
        """The names and values of an enum of either width, in order.

        32-bit values are read as signed, as libbpf does: the flag that tells came only with Linux 6.0.
        """
        table, start = self._locate(type_id)
        info = table._words[start + 1]
        wide = info >> 24 & 0x1F == Kind.ENUM64
        bits, signed = (64, info >> 31) if wide else (32, 1)
        found = []
        for name, low, *high in table._rows(start, width=3 if wide else 2):
            value = low | high[0] << 32 if wide else low
            if signed and value >> bits - 1:
                value -= 1 << bits
            found.append(Enumerator(name=table.string(name), value=value))
        return found

    def parameters(self, type_id: int) -> list[Parameter]:
        """The parameters of a function prototype."""
        table, start = self._locate(type_id)
        return [
            Parameter(name=table.string(name), type_id=parameter_type)
            for name, parameter_type in table._rows(start, width=2)
        ]

    def variables(self, type_id: int) -> list[int]:
        """The ids of the variables in a data section."""
        table, start = self._locate(type_id)
        return [variable for variable, _, _ in table._rows(start, width=3)]

    def skip_modifiers(self, type_id: int, through: frozenset[Kind] = TRANSPARENT) -> int:
        """The type behind `const`, `volatile`, `restrict`, type tags and typedefs."""
        for _ in range(_MAX_CHAIN):
            if self.kind(type_id) not in through:
                return type_id
            type_id = self.target(type_id)
        raise BtfError(f"more than {_MAX_CHAIN} typedefs and qualifiers in a row, or a ring of them")

    # -- by name

    def find(self, name: str) -> tuple[int, ...]:
        """The ids of all types of that name, the base's first; empty for none."""
        if name not in self._found:
            inherited = self.base.find(name) if self.base else ()
            own = [self.first_id + i for offset in self._offsets(name) for i in _aligned(self._names, offset)]
            self._found[name] = inherited + tuple(sorted(own))
        return self._found[name]

    def enums_with(self, enumerator: str) -> tuple[int, ...]:
        """The ids of all enums that have an enumerator of that name, the base's first."""
        inherited = self.base.enums_with(enumerator) if self.base else ()
        own = set()
        for offset in self._offsets(enumerator):
            for word in _aligned(memoryview(self._words).tobytes(), offset):
                index = bisect_right(self._starts, word) - 1
                inside = word - self._starts[index] - 3
                kind = self._words[self._starts[index] + 1] >> 24 & 0x1F
                if kind in ENUMS and inside >= 0 and inside % _WORDS_EACH[kind] == 0:
                    own.add(self.first_id + index)
        return inherited + tuple(sorted(own))

    # -- inside

    def _locate(self, type_id: int) -> tuple[TypeTable, int]:
        """The table that holds a type, and the word at which it begins there."""
        table: TypeTable | None = self
        while table and type_id < table.first_id:
            table = table.base
        if table is None or type_id >= table.end_id:
            raise BtfError(f"the BTF refers to type {type_id}, and the last one is {self.end_id - 1}")
        return table, table._starts[type_id - table.first_id]

    def _rows(self, start: int, *, width: int) -> list[tuple[int, ...]]:
        """What follows a type's head, in rows of `width` words. `_starts` has made sure that it is there."""
        count = self._words[start + 1] & 0xFFFF
        words = self._words[start + 3 : start + 3 + count * width]
        return list(zip(*[iter(words)] * width, strict=True))

    def string(self, offset: int) -> str:
        """The string at an offset of the string section; `.BTF.ext` refers to it, too. Errors: `BtfError`."""
        if offset < self._first_string and self.base:
            return self.base.string(offset)
        begin = offset - self._first_string
        end = self._strings.find(b"\0", begin, begin + _MAX_NAME)
        if begin >= len(self._strings) or end < 0:
            raise BtfError(f"a name lies outside the BTF's strings (offset {offset} of {self.end_string})")
        return self._strings[begin:end].decode("utf-8", "backslashreplace")

    def _offsets(self, name: str) -> list[int]:
        """Where the string section (and the base's) holds exactly `name`."""
        found = self.base._offsets(name) if self.base else []
        if not name:
            return found
        needle = b"\0" + name.encode("utf-8", "surrogatepass") + b"\0"
        if self._strings.startswith(needle[1:]):
            found.append(self._first_string)
        at = self._strings.find(needle)
        while at >= 0:
            found.append(self._first_string + at + 1)
            if len(found) > _MAX_SAME_STRING:
                raise BtfError(f"the BTF's strings hold {name!r} more than {_MAX_SAME_STRING} times")
            at = self._strings.find(needle, at + 1)
        return found


def _sections(blob: bytes) -> tuple[array[int], bytes]:
    """The type section as 4-byte words in this machine's order, and the string section."""
    if len(blob) < _HEADER_BYTES:
        raise BtfError(f"not BTF: {len(blob)} bytes are less than its header")
    order = {struct.pack("<H", BTF_MAGIC): "<", struct.pack(">H", BTF_MAGIC): ">"}.get(blob[:2])
    if order is None:
        raise BtfError("not BTF: it does not begin with the magic number 0xEB9F")
    _, version, _, header, type_at, type_size, string_at, string_size = struct.unpack_from(
        order + "HBB5I", blob
    )
    if version != 1:
        raise BtfError(f"BTF version {version}; version 1 is the one that can be read")
    if header < _HEADER_BYTES or type_at % 4 or type_size % 4:
        raise BtfError("the BTF header is broken: sizes and offsets do not fit together")
    end = max(header + type_at + type_size, header + string_at + string_size)
    if end > len(blob):
        raise BtfError(f"the BTF is cut off: {len(blob)} of {end} bytes")
    words = array("I")
    words.frombytes(blob[header + type_at : header + type_at + type_size])
    if order != ("<" if sys.byteorder == "little" else ">"):
        words.byteswap()
    return words, blob[header + string_at : header + string_at + string_size]


def _starts(words: array[int]) -> array[int]:
    """The word at which each type begins. Errors: `BtfError` for an unknown kind or a record that is cut
    off.
    """
    starts = array("I")
    once, each, note = _WORDS_ONCE, _WORDS_EACH, starts.append
    at, end = 0, len(words)
    try:
        while at < end:
            note(at)
            info = words[at + 1]
            kind = info >> 24 & 0x1F
            at += once[kind] + (each[kind] * (info & 0xFFFF) if each[kind] else 0)
    except IndexError:
        raise BtfError(_unreadable(words, at, len(starts))) from None
    if at != end:
        raise BtfError(f"the last of the BTF's {len(starts)} types is cut off")
    return starts


def _unreadable(words: array[int], at: int, number: int) -> str:
    if at + 1 >= len(words):
        return f"the last of the BTF's {number} types is cut off"
    return (
        f"type {number} of the BTF is of kind {words[at + 1] >> 24 & 0x1F}, and {max(Kind)} is the last known"
    )


def _aligned(words: bytes, value: int) -> list[int]:
    """The indices at which a 4-byte `value` stands in packed words of this machine's order."""
    needle = struct.pack("=I", value)
    found = []
    at = words.find(needle)
    while at >= 0:
        if at % 4 == 0:
            found.append(at // 4)
        at = words.find(needle, at + 1)
    return found
