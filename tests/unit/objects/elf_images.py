"""ELF files written by hand, of either class and byte order."""

from __future__ import annotations

import struct

FORMATS = [(is_64_bit, order) for is_64_bit in (True, False) for order in "<>"]


def elf_image(
    sections: list[tuple[str, int, int, int, int, bytes]],
    *,
    is_64_bit: bool = True,
    order: str = "<",
    machine: int = 247,
    count_in_row_0: bool = False,
) -> bytes:
    """A relocatable file of sections: name, type, flags, link, info, content. The names stand in the last.

    count_in_row_0: as where the header has no room for the number of sections.
    """
    names = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in sections) + b".shstrtab\0"
    rows = [("", 0, 0, 0, 0, b""), *sections, (".shstrtab", 3, 0, 0, 0, names)]
    offset, table, body = 64 if is_64_bit else 52, b"", b""
    last = len(rows) - 1
    header = struct.pack(
        order + ("16sHHIQQQIHHHHHH" if is_64_bit else "16sHHIIIIIHHHHHH"),
        b"\x7fELF" + bytes([1 + is_64_bit, 1 + (order == ">"), 1]),
        *(1, machine, 1, 0, 0, offset + sum(len(row[5]) for row in rows), 0),
        *(offset, 0, 0, 64 if is_64_bit else 40),
        *((0, 0xFFFF) if count_in_row_0 else (len(rows), last)),
    )
    for name, type_, flags, link, info, data in rows:
        at = names.index(b"\0" + name.encode() + b"\0") + 1 if name else 0
        size = len(data)
        if count_in_row_0 and not table:
            size, link = len(rows), last
        row = (at, type_, flags, 0, offset, size, link, info, 8, 0)
        table += struct.pack(order + ("IIQQQQIIQQ" if is_64_bit else "10I"), *row)
        body += data
        offset += len(data)
    return header + body + table
