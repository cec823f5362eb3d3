"""Compiled policies, and a way to change single bytes of what stands in an object."""

from __future__ import annotations

import functools
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from oomlang.compiler import Compilation, Target
from oomlang.objects import BadFormat
from oomlang.objects.elf import ElfObject, Section, read_object
from oomlang.objects.metadata import Metadata
from oomlang.targets.bpf.clang import compile_c
from oomlang.targets.bpf.inspect import inspect_object

POLICIES = {
    "empty": "",
    "inputs": """policy "inputs"
input priority per memcg: int = 0
input shared per memcg: bool = false
input floor: bytes = 256MiB
never kill when comm in ("sshd", "systemd*")
kill lowest priority
kill last when shared
kill highest rss + swap step 64MiB when rss > floor
""",
    "paths": """policy "paths"
kernel decides when oom.memcg under "/user.slice"
never kill when memcg under "/system.slice/*.service"
never kill when comm like "a*b*c"
kill first when memcg.name == "batch"
""",
    "walk": """policy "walk"
let excess = memcg.usage - max(memcg.min, memcg.low)
kill highest excess at each depth
kill highest memcg.usage / max(memcg.limit, 1B)
kill lowest age
""",
}
"""Between them every kind of rule, function, map and loop."""


@functools.cache
def compiled(policy: str, target: Target) -> bytes:
    """The object of one of the policies."""
    return compile_c(Compilation(POLICIES[policy].encode(), f"{policy}.oom").program(target).c_source)


def metadata(policy: str, target: Target) -> Metadata:
    """Its metadata."""
    return Compilation(POLICIES[policy].encode(), f"{policy}.oom").program(target).metadata


class Image:
    """An object whose parts can be overwritten."""

    def __init__(self, image: bytes) -> None:
        self.elf: ElfObject = read_object(image)
        self._bytes = bytearray(image)

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)

    def write(self, at: int, layout: str, *values: Any) -> Image:
        """Overwrite the file from byte `at` on."""
        struct.pack_into("<" + layout, self._bytes, at, *values)
        return self

    def read(self, at: int, layout: str) -> tuple[Any, ...]:
        return struct.unpack_from("<" + layout, self._bytes, at)

    def section(self, name: str) -> Section:
        found = self.elf.section(name)
        assert found is not None, name
        return found

    def put(self, section: str, at: int, data: bytes) -> Image:
        """Overwrite a section's bytes from byte `at` on."""
        place = self.section(section).offset + at
        self._bytes[place : place + len(data)] = data
        return self

    def section_row(self, name: str) -> int:
        """Where the section's row of the section table stands."""
        (table,) = self.read(40, "Q")
        return int(table) + 64 * self.section(name).index

    def symbol_row(self, name: str) -> int:
        """Where the symbol's row of the symbol table stands."""
        number = next(n for n, s in enumerate(self.elf.symbols) if s.name == name)
        return self.section(".symtab").offset + 24 * number

    def symbol_number(self, name: str) -> int:
        return next(n for n, s in enumerate(self.elf.symbols) if s.name == name)

    def relocation_row(
        self, section: str, symbol: str | None = None, kind: int | None = None, *, last: bool = False
    ) -> int:
        """Where the first or the last relocation of a section, to a symbol or of a kind, stands."""
        table = self.section(f".rel{section}")
        rows = range(table.offset, table.offset + table.size, 16)
        for at in reversed(rows) if last else rows:
            _, info = self.read(at, "QQ")
            name = self.elf.symbols[info >> 32].name
            if (symbol is None or name == symbol) and (kind is None or info & 0xFFFFFFFF == kind):
                return at
        raise AssertionError(f"no relocation of {section} to {symbol} of kind {kind}")

    def instruction(self, section: str, index: int) -> int:
        """Where an instruction stands."""
        return self.section(section).offset + 8 * index


@functools.cache
def foreign() -> bytes:
    """An object that is none of ours."""
    command = ["clang-19", "-O2", "-g", "-target", "bpfel", "-Wall", "-Werror"]
    ran = subprocess.run(
        [*command, "-c", str(Path(__file__).with_name("foreign.bpf.c")), "-o", "-"],
        check=True,
        timeout=60,
        capture_output=True,
    )
    return ran.stdout


def refusal(data: bytes) -> str:
    """Why it cannot be described."""
    with pytest.raises(BadFormat) as caught:
        inspect_object(data)
    return str(caught.value)
