"""BTF written by hand, for kernels and objects that no compiler makes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from oomlang.objects.type_table import Kind


class Image:
    """Collects types and strings; `blob()` is raw BTF. Ids count from `first_id` in the order of the calls."""

    def __init__(self, *, order: str = "<", first_id: int = 1, first_string: int = 0) -> None:
        self.order = order
        self.types = b""
        self.strings = b"" if first_string else b"\0"
        self.next_id = first_id
        self.first_string = first_string

    def string(self, text: str) -> int:
        if not text and not self.first_string:
            return 0
        self.strings += text.encode() + b"\0"
        return self.first_string + len(self.strings) - len(text.encode()) - 1

    def add(
        self, kind: int, name: str, last: int, rows: Sequence[Sequence[int]] = (), *, flag: bool = False
    ) -> int:
        """A type whose third word is `last`; members, enumerators or parameters begin with their name's offset."""
        vlen = len(rows) if kind not in (Kind.INT, Kind.ARRAY) else 0
        info = kind << 24 | vlen | flag << 31
        words = [self.string(name), info, last, *(word & 0xFFFFFFFF for row in rows for word in row)]
        self.types += struct.pack(f"{self.order}{len(words)}I", *words)
        self.next_id += 1
        return self.next_id - 1

    def integer(self, name: str = "int", size: int = 4) -> int:
        return self.add(Kind.INT, name, size, [[size * 8]])

    def struct(self, name: str, members: Sequence[tuple[str, int, int]], *, size: int = 64) -> int:
        """Members as (name, type id, bit offset)."""
        return self.add(
            Kind.STRUCT, name, size, [(self.string(n), type_id, bits) for n, type_id, bits in members]
        )

    def blob(self) -> bytes:
        sizes = (0, len(self.types), len(self.types), len(self.strings))
        return struct.pack(f"{self.order}HBBI4I", 0xEB9F, 1, 0, 24, *sizes) + self.types + self.strings
