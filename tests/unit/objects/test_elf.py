from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.objects.elf import ElfError, read_elf, read_object
from tests.unit.objects.elf_images import FORMATS, elf_image

CODE = ("x", 1, 6, 0, 0, bytes(16))
NAMES = (".strtab", 3, 0, 0, 0, b"\0main\0\0")


def small_object(order: str = "<", *, relocated: int = 1, name: int = 1) -> bytes:
    """A function, its symbol (number 1), and a relocation of its second instruction."""
    symbols = bytes(24) + struct.pack(order + "IBBHQQ", name, 0x12, 0, 1, 8, 8)
    relocations = struct.pack(order + "QQ", 8, relocated << 32 | 10)
    tables = [(".relx", 9, 0, 3, 1, relocations), (".symtab", 2, 0, 4, 0, symbols)]
    return elf_image([CODE, *tables, NAMES], order=order)


@pytest.mark.parametrize("is_64_bit, order", FORMATS)
@pytest.mark.parametrize("count_in_row_0", [False, True])
def test_sections_of_any_class_and_byte_order(is_64_bit: bool, order: str, count_in_row_0: bool) -> None:
    parts = [(".a", 1, 2, 7, 9, b"first"), (".bss", 8, 3, 0, 0, b""), (".a", 1, 0, 0, 0, b"other")]
    image = elf_image(parts, is_64_bit=is_64_bit, order=order, machine=62, count_in_row_0=count_in_row_0)
    elf = read_elf(io.BytesIO(image))
    assert (elf.header.is_64_bit, elf.header.byte_order) == (is_64_bit, order)
    assert (elf.header.type, elf.header.machine) == (1, 62)
    assert [s.name for s in elf.sections] == ["", ".a", ".bss", ".a", ".shstrtab"]
    assert [(s.type, s.flags, s.link, s.info) for s in elf.sections[1:4]] == [row[1:5] for row in parts]
    assert [elf.contents(s) for s in elf.sections[1:4]] == [b"first", b"", b"other"]
    assert elf.section(".a") is elf.sections[1]
    assert elf.section(".b") is None


def test_symbols_and_relocations_of_an_object() -> None:
    elf = read_object(small_object())
    main = elf.symbols[1]
    assert (main.name, main.kind, main.binding, main.section, main.value, main.size) == (
        "main",
        2,
        1,
        1,
        8,
        8,
    )
    assert (elf.section_name(main), elf.section_name(elf.symbols[0])) == ("x", None)
    assert elf.code == (elf.sections[1],)
    ((index, (relocation,)),) = elf.relocations.items()
    assert (index, relocation.offset, relocation.kind, relocation.symbol) == (1, 8, 10, main)


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    """The sections of a vmlinux stand before some hundreds of MB of others."""

    class Counted(io.FileIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size) or b""
            self.taken += len(data)
            return data

    image = bytearray(elf_image([(".BTF", 1, 0, 0, 0, b"types")]))
    (table,) = struct.unpack_from("<Q", image, 40)
    struct.pack_into("<Q", image, 40, 500 << 20)
    with (tmp_path / "vmlinux").open("wb") as out:
        out.write(image[:table])
        out.seek(500 << 20)
        out.write(image[table:])
    with Counted(tmp_path / "vmlinux") as file:
        elf = read_elf(file)
        section = elf.section(".BTF")
        assert section is not None
        assert elf.contents(section) == b"types"
        assert file.taken < 2 * len(image)


# --- broken and hostile -------------------------------------------------------------------------------------


def changed(at: int, layout: str, *values: int, row: int | None = None) -> bytes:
    """The small object with other numbers in its header, or in a row of its section table."""
    image = bytearray(small_object())
    (table,) = struct.unpack_from("<Q", image, 40)
    struct.pack_into("<" + layout, image, at + (0 if row is None else table + 64 * row), *values)
    return bytes(image)


@pytest.mark.parametrize(
    "image, message",
    [
        (b"", "the file is empty"),
        (b"\x7fELF\2\1", "the file is cut off at byte 6, inside the ELF header"),
        (changed(4, "B", 0), "it is an ELF file of the unknown class 0"),
        (changed(5, "B", 3), "it is an ELF file of the unknown byte order 3"),
        (changed(40, "Q", 0), "the file has no section table"),
        (changed(40, "Q", 1 << 63), "or the section table lies outside it: that ends at byte 9223372036854776192 of"),
        (changed(58, "H", 40), "a row of the section table has 40 bytes instead of 64"),
        (changed(60, "H", 0), "the ELF header names 0 sections and number 5 as their names"),
        (changed(60, "HH", 6, 6), "the ELF header names 6 sections and number 6 as their names"),
        (changed(0, "I", 99, row=2), "the name of section number 2 lies outside the table of names (at 99 of"),
        (changed(32, "Q", 1 << 40, row=5), "or the table of the sections' names lies outside it"),
        (changed(24, "Q", 1 << 40, row=1), "or section `x` (number 1) lies outside it"),
        (changed(32, "Q", 23, row=3), "section `.symtab` (number 3) has 23 bytes, which is no multiple of 24"),
        (changed(40, "I", 8, row=3), "the symbol table's names are in section number 8 of 6"),
        (small_object(name=8), "the name of symbol number 1 lies outside the table of names (at 8 of 7)"),
        (small_object(relocated=2), "section `.relx` (number 2) refers to symbol number 2 of 2"),
        (elf_image([CODE], is_64_bit=False), "it is a 32-bit ELF file; BPF objects have 64 bits"),
        (small_object(">"), "it is a big-endian ELF file; only little-endian objects can be read"),
        (elf_image([("s", 2, 0, 2, 0, bytes(24 << 16) + bytes(24))]), "has 65537 symbols, more than any object"),
        (elf_image([("n" * 1024, 1, 0, 0, 0, b"")]), "the name of section number 1 lies outside"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_is_said(image: bytes, message: str) -> None:
    with pytest.raises(ElfError) as raised:
        read_object(image)
    assert message in str(raised.value)


def test_a_file_that_becomes_shorter_is_cut_off() -> None:
    file = io.BytesIO(elf_image([("x", 1, 0, 0, 0, bytes(100))]))
    elf = read_elf(file)
    file.truncate(80)
    with pytest.raises(ElfError, match="that ends at byte 164 of 80"):
        elf.contents(elf.sections[1])


@given(st.data())
def test_any_file_is_read_or_refused(data: st.DataObject) -> None:
    is_64_bit, order = data.draw(st.sampled_from(FORMATS))
    image = bytearray(small_object(order) if is_64_bit else elf_image([CODE], is_64_bit=False, order=order))
    for _ in range(data.draw(st.integers(0, 8))):
        image[data.draw(st.integers(4, len(image) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(image[: data.draw(st.just(len(image)) | st.integers(0, len(image)))])
    with contextlib.suppress(ElfError):
        elf = read_elf(io.BytesIO(cut))
        for section in elf.sections:
            assert len(elf.contents(section)) <= len(cut)
    with contextlib.suppress(ElfError):
        whole = read_object(cut)
        assert sum(len(whole.contents(section)) for section in whole.sections) <= len(cut)
