from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.objects.btf import Btf, BtfError, Kind, parse_btf, read_btf
from oomlang.objects.declarations import declare
from oomlang.objects.type_table import ENUMS
from tests.unit.objects.btf_images import Image
from tests.unit.objects.elf_images import FORMATS, elf_image

# --- the running kernel -------------------------------------------------------------------------------------

on_btf = pytest.mark.needs("btf")


@on_btf
def test_finds_a_member_with_its_type_size_and_place(running_kernel: Btf) -> None:
    comm = running_kernel.field("task_struct", "comm")
    assert comm is not None
    assert (comm.kind, comm.type_name, comm.size) == (Kind.ARRAY, "char [16]", 16)
    assert comm.offset > 0


@on_btf
def test_finds_members_that_move_between_kernels(running_kernel: Btf) -> None:
    assert running_kernel.field("mm_struct", "rss_stat.count") is not None
    parents = [running_kernel.field("kernfs_node", name) for name in ("parent", "__parent")]
    assert parents.count(None) == 1


@on_btf
def test_finds_members_of_anonymous_structs_and_unions(running_kernel: Btf) -> None:
    outer = running_kernel.field("mm_struct", "pgd")  # in an anonymous struct since 4.20
    assert outer is not None
    assert outer.kind == Kind.PTR


@on_btf
def test_finds_enumerators_in_named_and_anonymous_enums(running_kernel: Btf) -> None:
    value = running_kernel.enumerator("memory_cgrp_id")
    assert value == running_kernel.enumerator("memory_cgrp_id", enum="cgroup_subsys_id")
    assert value in range(1, 16)
    assert running_kernel.enumerator("memory_cgrp_id", enum="pid_type") is None
    assert running_kernel.enumerator("MM_ANONPAGES") == 1


@on_btf
def test_finds_functions_and_tracepoints(running_kernel: Btf) -> None:
    prototype = running_kernel.function("oom_badness")
    assert prototype is not None
    assert len(prototype.parameters) == 2
    assert prototype.text == "long int oom_badness(struct task_struct *p, long unsigned int totalpages)"
    assert running_kernel.has_tracepoint("mark_victim")
    assert not running_kernel.has_tracepoint("no_such_tracepoint")


@on_btf
def test_does_not_find_what_is_not_there(running_kernel: Btf) -> None:
    assert running_kernel.struct("no_such_struct") is None
    assert running_kernel.field("task_struct", "no_such_member") is None
    assert running_kernel.field("task_struct", "comm.no_such_member") is None
    assert running_kernel.field("no_such_struct", "comm") is None
    assert running_kernel.function("no_such_function") is None
    assert running_kernel.enumerator("NO_SUCH_ENUMERATOR") is None
    assert running_kernel.struct("") is None


@on_btf
def test_every_type_of_the_running_kernel_can_be_decoded(running_kernel: Btf) -> None:
    table = running_kernel.table
    for type_id in range(1, table.end_id, 7):
        assert declare(table, type_id, "x")
        running_kernel.size(type_id)
        match table.kind(type_id):
            case Kind.STRUCT | Kind.UNION:
                table.members(type_id)
            case Kind.ENUM | Kind.ENUM64:
                table.enumerators(type_id)
            case _:
                pass


@on_btf
def test_answers_fifty_questions_well_under_a_second(running_kernel: Btf) -> None:
    # The promise is 0.3 s; this only notices when someone makes it a hundred times slower.
    before = time.process_time()
    kernel = read_btf(Path(running_kernel.source))
    for number in range(50):
        kernel.field("task_struct", f"no_such_member_{number}")
    assert time.process_time() - before < 3


# --- written by hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_either_byte_order(order: str) -> None:
    image = Image(order=order)
    number = image.integer()
    image.struct("pair", [("first", number, 0), ("second", number, 32)], size=8)
    second = parse_btf(image.blob()).field("pair", "second")
    assert second is not None
    assert (second.offset, second.size) == (4, 4)


def test_reads_negative_and_wide_enumerators() -> None:
    image = Image()
    image.add(Kind.ENUM, "small", 4, [(image.string("MINUS"), -1)], flag=True)
    image.add(Kind.ENUM, "unsigned", 4, [(image.string("HIGH"), 0x7FFFFFFF)])
    image.add(Kind.ENUM64, "wide", 8, [(image.string("WIDE"), 1, 2)])
    image.add(Kind.ENUM64, "wide_signed", 8, [(image.string("WIDE_MINUS"), -2, -1)], flag=True)
    types = parse_btf(image.blob())
    assert types.enumerator("MINUS") == -1
    assert types.enumerator("HIGH") == 0x7FFFFFFF
    assert types.enumerator("WIDE") == 1 | 2 << 32
    assert types.enumerator("WIDE_MINUS") == -2
    assert types.enumerator("small") is None


def test_reads_bitfields() -> None:
    image = Image()
    number = image.integer()
    image.add(Kind.STRUCT, "flags", 4, [(image.string("b"), number, 3 << 24 | 5)], flag=True)
    field = parse_btf(image.blob()).field("flags", "b")
    assert field is not None
    assert (field.bit_offset, field.bitfield_size) == (5, 3)


def test_split_btf_needs_and_uses_what_it_builds_on() -> None:
    kernel = Image()
    number = kernel.integer()
    kernel.struct("task_struct", [("pid", number, 0)])
    base = parse_btf(kernel.blob())
    module = Image(first_id=kernel.next_id, first_string=len(kernel.strings))
    module.struct("private", [("task", 2, 0)])
    with pytest.raises(BtfError, match="split BTF"):
        parse_btf(module.blob())
    types = parse_btf(module.blob(), base=base)
    assert types.field("private", "task.pid") is not None
    assert types.field("task_struct", "pid") is not None
    assert base.field("private", "task") is None


def test_rings_of_types_are_errors_and_end() -> None:
    image = Image()
    image.add(Kind.TYPEDEF, "ring", 1)
    image.add(Kind.PTR, "", 2)
    image.add(Kind.ARRAY, "", 0, [(3, 3, 1 << 31)])
    image.struct("nest", [("", 4, 0)])
    types = parse_btf(image.blob())
    for question in (
        lambda: types.field("ring", "x"),
        lambda: types.size(3),
        lambda: declare(types.table, 2, "x"),
        lambda: declare(types.table, 3, "x"),
    ):
        with pytest.raises(BtfError, match="ring"):
            question()
    assert types.field("nest", "x") is None


@pytest.mark.parametrize(
    "blob, message",
    [
        (b"", "less than its header"),
        (b"\x7fELF" + bytes(40), "magic number"),
        (struct.pack("<HBBI4I", 0xEB9F, 2, 0, 24, 0, 0, 0, 1) + b"\0", "version 2"),
        (struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 1 << 30, 0, 1) + b"\0", "cut off"),
        (struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 4, 4, 1) + bytes(5), "cut off"),
        (
            struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 12, 12, 1)
            + struct.pack("<3I", 0, 31 << 24, 0)
            + b"\0",
            "kind 31",
        ),
        (
            struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 12, 12, 1)
            + struct.pack("<3I", 0, 4 << 24 | 9, 0)
            + b"\0",
            "cut off",
        ),
    ],
)
def test_broken_btf_is_an_error_that_says_what_is_wrong(blob: bytes, message: str) -> None:
    with pytest.raises(BtfError, match=message):
        parse_btf(blob)


def test_names_and_types_out_of_range_are_errors() -> None:
    image = Image()
    image.add(Kind.STRUCT, "s", 4, [(9999, 1, 0)])
    image.struct("t", [("x", 77, 0)])
    types = parse_btf(image.blob())
    with pytest.raises(BtfError, match="outside the BTF's strings"):
        types.field("s", "x")
    with pytest.raises(BtfError, match="type 77"):
        types.field("t", "x")


def test_an_unreadable_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BtfError, match=r"cannot read .*missing: No such file"):
        read_btf(tmp_path / "missing")
    (tmp_path / "text").write_text("not BTF at all, only words in a file")
    with pytest.raises(BtfError, match=r"text: not BTF"):
        read_btf(tmp_path / "text")


@pytest.mark.parametrize("is_64_bit, order", FORMATS)
def test_btf_in_an_elf_file_of_any_kind(tmp_path: Path, is_64_bit: bool, order: str) -> None:
    types = Image(order=order)
    types.struct("task_struct", [("pid", types.integer(), 32)])
    file = tmp_path / "vmlinux"
    file.write_bytes(elf_image([(".BTF", 1, 0, 0, 0, types.blob())], is_64_bit=is_64_bit, order=order))
    pid = read_btf(file).field("task_struct", "pid")
    assert pid is not None
    assert pid.offset == 4
    file.write_bytes(elf_image([(".data", 1, 0, 0, 0, b"")], is_64_bit=is_64_bit, order=order))
    with pytest.raises(BtfError, match=r"vmlinux: the ELF file has no \.BTF section"):
        read_btf(file)


# --- hostile ------------------------------------------------------------------------------------------------


def _rich_image() -> bytes:
    image = Image()
    number = image.integer()
    pointer = image.add(Kind.PTR, "", number)
    array = image.add(Kind.ARRAY, "", 0, [(number, number, 4)])
    inner = image.struct("", [("deep", array, 0)])
    image.struct("outer", [("x", pointer, 0), ("", inner, 64)])
    image.add(Kind.ENUM, "colour", 4, [(image.string("RED"), 1), (image.string("BLUE"), 2)])
    prototype = image.add(Kind.FUNC_PROTO, "", number, [(image.string("p"), pointer)])
    image.add(Kind.FUNC, "function", prototype)
    image.add(Kind.TYPEDEF, "outer_t", inner)
    return image.blob()


_RICH = _rich_image()


def _ask_everything(blob: bytes) -> None:
    types = parse_btf(blob)
    types.field("outer", "deep")
    types.field("outer_t", "deep")
    types.function("function")
    types.enumerator("RED")
    types.has_tracepoint("x")
    for type_id in range(types.table.end_id):
        types.size(type_id)
        declare(types.table, type_id, "x")
        if types.table.kind(type_id) in ENUMS:
            types.table.enumerators(type_id)


@given(
    st.lists(st.tuples(st.integers(0, len(_RICH) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(_RICH)),
)
def test_changed_and_cut_btf_is_read_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    blob = bytearray(_RICH)
    for at, byte in changes:
        blob[at] = byte
    for candidate in (bytes(blob), bytes(blob[:length])):
        with contextlib.suppress(BtfError):
            _ask_everything(candidate)


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_read_or_refused(body: bytes) -> None:
    types = len(body) // 2 // 4 * 4
    blob = struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, types, types, len(body) - types) + body
    with contextlib.suppress(BtfError):
        _ask_everything(blob)
