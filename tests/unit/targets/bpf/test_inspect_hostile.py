"""Broken and hostile files: `inspect_object` gives a description or one sentence, whatever the bytes are."""

from __future__ import annotations

import json
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.compiler import Target
from oomlang.objects import BadFormat
from oomlang.targets.bpf.inspect import inspect_object
from tests.unit.objects.elf_images import elf_image
from tests.unit.targets.bpf.objects import Image, compiled, foreign, refusal

EVALUATE: Target = "evaluate-task"
needs_clang = pytest.mark.needs("clang")


def described_or_refused(data: bytes) -> None:
    """Nothing but a description or a sentence, and whatever comes out can be written as JSON."""
    said = ""
    try:
        found = inspect_object(data)
    except BadFormat as error:
        said = str(error)
    else:
        said = json.dumps(found.to_json(), ensure_ascii=False)
    assert said.encode()


@needs_clang
def test_cut_off_anywhere() -> None:
    for image in (compiled("empty", EVALUATE), foreign()):
        step = max(1, len(image) // 500)
        for size in range(0, len(image), step):
            with pytest.raises(BadFormat):
                inspect_object(image[:size])


@needs_clang
@given(st.data())
def test_bytes_changed_anywhere(data: st.DataObject) -> None:
    image = bytearray(
        data.draw(st.sampled_from([compiled("inputs", EVALUATE), compiled("walk", "dry-run"), foreign()]))
    )
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    described_or_refused(bytes(image))


@needs_clang
@given(st.data())
def test_hostile_section_headers(data: st.DataObject) -> None:
    image = Image(data.draw(st.sampled_from([compiled("inputs", EVALUATE), foreign()])))
    odd = st.sampled_from(
        [0, 1, 2, 3, 4, 7, 8, 9, 24, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 64) - 1]
    )
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from([s.name for s in image.elf.sections]))
        at, layout = data.draw(
            st.sampled_from(
                [(0, "I"), (4, "I"), (8, "Q"), (24, "Q"), (32, "Q"), (40, "I"), (44, "I"), (56, "Q")]
            )
        )
        value = data.draw(odd | st.integers(0, len(bytes(image))))
        image.write(image.section_row(name) + at, layout, value & (0xFFFFFFFF if layout == "I" else -1))
    described_or_refused(bytes(image))


@needs_clang
@given(st.data())
def test_hostile_tables(data: st.DataObject) -> None:
    """Symbols, relocations, types and code with arbitrary words in them."""
    image = Image(data.draw(st.sampled_from([compiled("inputs", EVALUATE), foreign()])))
    names = [
        ".symtab",
        ".BTF",
        ".BTF.ext",
        *(s.name for s in image.elf.sections if s.name.startswith(".rel")),
    ]
    names += [s.name for s in image.elf.code]
    for _ in range(data.draw(st.integers(1, 12))):
        section = image.section(data.draw(st.sampled_from(names)))
        at = data.draw(st.integers(0, max(section.size - 4, 0) // 4)) * 4
        if at + 4 <= section.size:
            image.write(section.offset + at, "I", data.draw(st.integers(0, 0xFFFFFFFF) | st.integers(0, 300)))
    described_or_refused(bytes(image))


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    described_or_refused(data)


@given(st.binary(max_size=400))
def test_any_bytes_after_a_header(data: bytes) -> None:
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 1, 247, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 1)
    described_or_refused(header + data)


def symbols(*rows: tuple[int, int, int, int]) -> bytes:
    """Kind, section, value, size."""
    return b"".join(
        struct.pack("<IBBHQQ", 0, 16 | kind, 0, section, value, size) for kind, section, value, size in rows
    )


def btf(types: bytes, strings: bytes) -> bytes:
    return struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


EXIT = bytes.fromhex("9500000000000000")
CALL = bytes.fromhex("8510000000000000")


@pytest.mark.parametrize(
    "data, message",
    [
        (elf_image([("x", 1, 6, 0, 0, EXIT[:5]), ("s", 2, 0, 3, 0, symbols((2, 1, 0, 0)))]), "no whole number"),
        (elf_image([("x", 1, 6, 0, 0, EXIT), ("s", 2, 0, 3, 0, symbols((2, 1, 8, 8)))]), "does not lie in its section"),
        (
            elf_image([("x", 1, 6, 0, 0, EXIT * 3), ("s", 2, 0, 3, 0, symbols((2, 1, 0, 16), (2, 1, 8, 16)))]),
            "reaches into the next",
        ),
        (
            elf_image([("x", 1, 6, 0, 0, b"\x18" + bytes(7)), ("s", 2, 0, 3, 0, symbols((2, 1, 0, 8)))]),
            "is half a 64-bit immediate",
        ),
        (elf_image([("s", 2, 0, 9, 0, symbols((2, 1, 0, 8)))]), "names are in section number 9 of 3"),
        (elf_image([("s", 2, 0, 2, 0, bytes(25))]), "section `s` (number 1) has 25 bytes, which is no multiple of 24"),
        (
            elf_image([("x", 1, 6, 0, 0, EXIT), ("r", 9, 0, 3, 1, struct.pack("<QQ", 0, 7 << 32)), ("s", 2, 0, 4, 0, b"")]),
            "refers to symbol number 7 of 0",
        ),
        (elf_image([("x", 1, 0, 0, 0, b"")] * 4095), "it has 4097 sections, more than a BPF object ever has"),
        (elf_image([(".BTF", 1, 0, 0, 0, b"\x9f\xeb")]), "section `.BTF`: not BTF: 2 bytes"),
        (
            elf_image([(".BTF", 1, 0, 0, 0, btf(b"", b"\0")), (".BTF.ext", 1, 0, 0, 0, b"\x9f\xeb")]),
            ".BTF.ext is cut off",
        ),
        (elf_image([("x", 1, 6, 0, 0, EXIT * 1_000_001)]), "more than the kernel takes"),
        (
            elf_image([
                ("x", 1, 6, 0, 0, EXIT * 5000),
                ("s", 2, 0, 3, 0, symbols(*((2, 1, 8 * n, 8) for n in range(5000)))),
            ]),
            "more than any BPF object has",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    assert message in refusal(data)


def test_sections_that_claim_the_same_bytes_over_and_over() -> None:
    image = bytearray(
        elf_image([(f"x{n}", 1, 6, 0, 0, b"") for n in range(200)] + [("y", 1, 0, 0, 0, EXIT * 99)])
    )
    (table,) = struct.unpack_from("<Q", image, 40)
    for n in range(1, 201):
        struct.pack_into("<QQ", image, table + 64 * n + 24, 64, 792)
    assert "its sections overlap" in refusal(bytes(image))


def test_recursion_has_no_stack() -> None:
    code = CALL[:4] + struct.pack("<i", -1) + EXIT
    image = elf_image([("x", 1, 6, 0, 0, code), ("s", 2, 0, 3, 0, symbols((2, 1, 0, 16)))])
    (program,) = inspect_object(image).programs
    assert program.stack is None


def test_a_long_chain_of_calls_ends() -> None:
    """A program that calls the first of 10,000 functions, each of which calls the next."""
    pair = CALL[:4] + struct.pack("<i", 1) + EXIT
    text = pair * 9999 + EXIT * 2
    to_text = struct.pack("<QQ", 0, 1 << 32 | 10)
    rows = [(2, 1, 0, 16), (2, 2, 0, 16), *((2, 2, 16 * n, 16) for n in range(1, 10_000))]
    image = elf_image(
        [
            ("x", 1, 6, 0, 0, CALL[:4] + struct.pack("<i", -1) + EXIT),
            (".text", 1, 6, 0, 0, text),
            (".relx", 9, 0, 4, 1, to_text),
            ("s", 2, 0, 5, 0, symbols(*rows)),
        ]
    )
    (program,) = inspect_object(image).programs
    assert program.stack == 32 * 10_001
    assert len(program.functions) == 10_000


@pytest.mark.parametrize(
    "types, message",
    [
        (struct.pack("<3I", 0, 31 << 24, 0), "type 1 of the BTF is of kind 31, and 19 is the last known"),
        (struct.pack("<3I", 0, 4 << 24 | 9, 0), "the last of the BTF's 1 types is cut off"),
        (
            struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 7, 0, 0),
            "the BTF refers to type 7, and the last one is 1",
        ),
        (struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 1, 0, 0), "and it is no variable"),
        (
            struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 2, 0, 0)  # .maps: a variable
            + struct.pack("<4I", 1, 14 << 24, 3, 0) + struct.pack("<3I", 0, 8 << 24, 3),  # of a typedef of itself
            "more than 64 typedefs",
        ),
        (
            struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 2, 0, 0)
            + struct.pack("<4I", 1, 14 << 24, 3, 0)
            + struct.pack("<3I", 0, 4 << 24 | 1, 8) + struct.pack("<3I", 7, 4, 0)  # struct { (4) *key }
            + struct.pack("<3I", 0, 2 << 24, 5)
            + struct.pack("<3I", 0, 3 << 24, 0) + struct.pack("<3I", 5, 0, 1),  # an array of itself
            "arrays are nested more than 32 deep, or in a ring",
        ),
        (
            struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 2, 0, 0)
            + struct.pack("<4I", 99, 14 << 24, 0, 0),
            "a name lies outside the BTF's strings (offset 99 of",
        ),
    ],
)  # fmt: skip
def test_types_that_are_broken(types: bytes, message: str) -> None:
    assert message in refusal(elf_image([(".BTF", 1, 0, 0, 0, btf(types, b"\0.maps\0key\0"))]))


def test_maps_that_all_have_a_long_declaration() -> None:
    """A short file must not take long: 65,535 maps of one struct with 65,535 members."""
    maps = struct.pack("<3I", 1, 15 << 24 | 0xFFFF, 0) + struct.pack("<3I", 2, 0, 0) * 0xFFFF
    variable = struct.pack("<4I", 1, 14 << 24, 3, 0)
    struct_ = struct.pack("<3I", 0, 4 << 24 | 0xFFFF, 8) + struct.pack("<3I", 0, 3, 0) * 0xFFFF
    data = btf(maps + variable + struct_, b"\0.maps\0")
    assert "declares more than 1024 maps" in refusal(elf_image([(".BTF", 1, 0, 0, 0, data)]))


@needs_clang
def test_random_noise_over_whole_sections() -> None:
    noise = random.Random(1)
    for name in (
        ".symtab",
        ".strtab",
        ".BTF",
        ".BTF.ext",
        ".text",
        ".rel.text",
        ".oomlang",
        ".maps",
        "license",
    ):
        image = Image(compiled("inputs", EVALUATE))
        image.put(name, 0, noise.randbytes(image.section(name).size))
        described_or_refused(bytes(image))
