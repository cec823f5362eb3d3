"""Each check passes on what we make, and fails, it alone, on an object in which one thing was changed."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from oomlang.compiler import TARGETS, Target
from oomlang.diagnostics import InternalError
from oomlang.objects.by_pyelftools import read_with_pyelftools
from oomlang.objects.elf import ElfError, read_object
from oomlang.objects.instructions import Instruction, decode
from oomlang.objects.metadata import Metadata, Program, Record
from oomlang.targets.bpf.elf_checks import CHECKS, check_object
from tests.unit.targets.bpf.objects import POLICIES, Image, compiled, metadata

pytestmark = pytest.mark.needs("clang")

EVALUATE: Target = "evaluate-task"
BEGIN = "fentry/bpf_set_policy_name"
EACH_TASK = "fmod_ret/bpf_oom_evaluate_task"
END = "tp_btf/select_bad_process_end"


def complaints(image: bytes, expected: Metadata) -> dict[str, str]:
    """The failed checks with the first complaint of each."""
    try:
        check_object(image, expected)
    except InternalError as error:
        first, *lines = str(error).splitlines()
        assert first == "the compiled object fails our own checks:"
        found: dict[str, str] = {}
        for line in lines:
            name, _, what = line.strip().partition(": ")
            found.setdefault(name, what)
        return found
    return {}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("policy", POLICIES)
def test_what_we_make_passes(policy: str, target: Target) -> None:
    assert complaints(compiled(policy, target), metadata(policy, target)) == {}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("policy", POLICIES)
def test_two_readers_agree(policy: str, target: Target) -> None:
    image = compiled(policy, target)
    theirs, mine = read_with_pyelftools(image), read_object(image)
    assert theirs.sections == mine.sections
    assert theirs.symbols == mine.symbols
    assert theirs.relocations == mine.relocations


# --- mutations of the object ---------------------------------------------------------------------------------


def _rename(image: Image, section: str) -> None:
    """Drop the first letter: names are offsets into a table."""
    row = image.section_row(section)
    (name,) = image.read(row, "I")
    image.write(row, "I", name + 1)


def _same_name(image: Image, section: str, other: str) -> None:
    image.write(image.section_row(section), "I", *image.read(image.section_row(other), "I"))


def _rename_symbol(image: Image, symbol: str) -> None:
    row = image.symbol_row(symbol)
    (name,) = image.read(row, "I")
    image.write(row, "I", name + 1)


def _first(image: Image, wanted: Callable[[Instruction], bool]) -> int:
    """The index of the first such instruction in `end_event`."""
    return next(index for index, i in decode(image.elf.contents(image.section(END))) if wanted(i))


def _opcode(image: Image, opcode: int) -> int:
    return _first(image, lambda i: i.opcode == opcode)


def _helper_call(image: Image, section: str, helper: int) -> int:
    listing = decode(image.elf.contents(image.section(section)))
    return image.instruction(
        section, next(index for index, i in listing if i.is_helper_call and i.imm == helper)
    )


def _call_helper(section: str, old: int, new: int) -> Callable[[Image], None]:
    def mutate(image: Image) -> None:
        image.write(_helper_call(image, section, old) + 4, "i", new)

    return mutate


def _relocate(section: str, symbol: str, to: str, *, last: bool = False) -> Callable[[Image], None]:
    def mutate(image: Image) -> None:
        row = image.relocation_row(section, symbol, last=last)
        _, info = image.read(row, "QQ")
        image.write(row + 8, "Q", info & 0xFFFFFFFF | image.symbol_number(to) << 32)

    return mutate


def _flag_code(image: Image) -> None:
    image.write(image.section_row(".rodata") + 8, "Q", 6)


def _no_license_end(image: Image) -> None:
    image.write(image.section_row("license") + 32, "Q", 12)


def _no_relocations(image: Image) -> None:
    image.write(image.section(".BTF.ext").offset + 28, "I", 0)


def _allocated_metadata(image: Image) -> None:
    image.write(image.section_row(".oomlang") + 8, "Q", 2)


def _short_function(image: Image) -> None:
    (size,) = image.read(image.symbol_row("end_event") + 16, "Q")
    image.write(image.symbol_row("end_event") + 16, "Q", size - 8)


def _long_function(image: Image) -> None:
    (size,) = image.read(image.symbol_row("end_event") + 16, "Q")
    image.write(image.symbol_row("end_event") + 16, "Q", size + 8)


def _typed_immediate(image: Image) -> None:
    at = image.instruction(END, _opcode(image, 0x18))
    image.write(at + 1, "B", image.read(at + 1, "B")[0] | 0x10)


def _call_between(image: Image) -> None:
    row = image.relocation_row(EACH_TASK, kind=10)
    (offset,) = image.read(row, "Q")
    at = image.section(EACH_TASK).offset + offset
    image.write(at + 4, "i", image.read(at + 4, "i")[0] + 1)


def _call_program(image: Image) -> None:
    """The program's call of its function becomes a call of another program, which may do more."""
    row = image.relocation_row(EACH_TASK, kind=10)
    (offset,) = image.read(row, "Q")
    image.write(row + 8, "Q", image.symbol_number("end_event") << 32 | 10)
    image.write(image.section(EACH_TASK).offset + offset + 4, "i", -1)


def _relocation_kind(image: Image) -> None:
    image.write(image.relocation_row(END, "nothing_found") + 8, "I", 2)


def _relocation_inside(image: Image) -> None:
    row = image.relocation_row(END, "nothing_found")
    image.write(row, "Q", image.read(row, "Q")[0] + 8)


def _relocation_of_another(image: Image) -> None:
    row = image.relocation_row(END, "nothing_found")
    image.write(row, "Q", image.read(row, "Q")[0] + 16)


def _inside_map(image: Image) -> None:
    (offset,) = image.read(image.relocation_row(END, "nothing_found"), "Q")
    image.write(image.section(END).offset + offset + 4, "i", 8)


def _kfunc_elsewhere(image: Image) -> None:
    row = image.relocation_row(EACH_TASK, kind=10)
    image.write(row + 8, "Q", image.symbol_number("set_oom_policy_name") << 32 | 10)


def _kfunc_by_number(image: Image) -> None:
    image.write(_helper_call(image, END, 2) + 1, "B", 0x20)


def _update_of_data(image: Image) -> None:
    """The address that is handed to the helper becomes that of a variable."""
    row = image.relocation_row(END, "nothing_found", last=True)
    image.write(row + 8, "Q", image.symbol_number("event") << 32 | 1)


MUTATIONS: list[tuple[str, str, str, Callable[[Image], Any]]] = [
    # check, a piece of what it says, policy, mutation
    ("header", "it is not an ELF file", "empty", lambda i: i.write(0, "B", 0)),
    ("header", "it is a 32-bit ELF file", "empty", lambda i: i.write(4, "B", 1)),
    ("header", "it is a big-endian ELF file", "empty", lambda i: i.write(5, "B", 2)),
    ("header", "it is an ELF file of type 2", "empty", lambda i: i.write(16, "H", 2)),
    ("header", "another machine (x86-64, number 62)", "empty", lambda i: i.write(18, "H", 62)),
    ("header", "pyelftools cannot read it", "empty", lambda i: i.write(58, "H", 60)),
    ("header", "`license` (number", "empty", lambda i: i.write(i.section_row("license") + 24, "Q", 1 << 40)),
    ("sections", "there is no section `.BTF.ext`", "empty", lambda i: _rename(i, ".BTF.ext")),
    ("sections", "there is no section `license`", "empty", lambda i: _rename(i, "license")),
    ("sections", "there is no section `.oomlang`", "empty", lambda i: _rename(i, ".oomlang")),
    ("sections", "there is an unexpected section `debug_line`", "empty", lambda i: _rename(i, ".debug_line")),
    ("sections", "there are 2 sections", "empty", lambda i: _same_name(i, ".debug_frame", ".debug_line")),
    ("license", "b'Dual BSD/MIT\\x00' is not GPL", "empty", lambda i: i.put("license", 9, b"MIT")),
    ("license", "b'Dual BSD/GPL' is not GPL", "empty", _no_license_end),
    ("types", "there are no CO-RE relocations", "empty", _no_relocations),
    ("types", "section `.BTF`: not BTF", "empty", lambda i: i.put(".BTF", 0, b"\0\0")),
    ("types", ".BTF.ext is of version 2", "empty", lambda i: i.put(".BTF.ext", 2, b"\2")),
    ("metadata", "differs from the metadata from byte 10 on", "empty", lambda i: i.put(".oomlang", 10, b"9")),
    ("metadata", "`.oomlang` would be loaded", "empty", _allocated_metadata),
    ("maps", "there is no map `in_shared`", "inputs", lambda i: _rename_symbol(i, "in_shared")),
    ("inputs", "'n_floor': 8", "inputs", lambda i: _rename_symbol(i, "in_floor")),
    ("functions", "are in functions", "empty", _short_function),
    ("functions", "`end_event` does not lie in its section", "empty", _long_function),
    ("programs", "there is no program `end_event`", "empty", lambda i: _rename_symbol(i, "end_event")),
    ("numbers", "an address of the kind 1", "empty", _typed_immediate),
    ("numbers", "a call of the kind 2", "empty", _kfunc_by_number),
    ("calls", "calls no function", "empty", _call_between),
    ("relocations", "which is no function of ours", "empty", _call_program),
    ("relocations", "`LICENSE`, which is neither a map", "empty", _relocate(END, "nothing_found", "LICENSE")),
    ("relocations", "refers to `judge`", "empty", _relocate(END, "nothing_found", "judge")),
    ("relocations", "by the unknown relocation 2", "empty", _relocation_kind),
    ("relocations", "a relocation inside an instruction", "empty", _relocation_inside),
    ("relocations", "and is no 64-bit immediate", "empty", _relocation_of_another),
    ("relocations", "but not to its beginning", "empty", _inside_map),
    ("relocations", "not a known kfunc", "empty", lambda i: _rename_symbol(i, "set_oom_policy_name")),
    ("kfuncs", "`evaluate_task` reaches kfunc `set_oom_policy_name`", "empty", _kfunc_elsewhere),
    ("helpers", "`evaluate_task` reaches helper 36 (probe_write_user)", "empty", _call_helper(".text", 113, 36)),
    ("helpers", "reaches helper 109 (send_signal)", "empty", _call_helper(".text", 113, 109)),
    ("helpers", "`begin_event` reaches helper 3 (map_delete_elem)", "empty", _call_helper(BEGIN, 1, 3)),
    ("helpers", "reaches helper 127 (seq_write)", "empty", _call_helper(".text", 113, 127)),
    ("updates", "writes to map `in_priority`", "inputs", _relocate(END, "nothing_found", "in_priority", last=True)),
    ("updates", "writes to map `in_", "inputs", _call_helper(".text", 1, 2)),
    ("updates", "writes to some map", "empty", _update_of_data),
]  # fmt: skip

FOLLOWING: dict[str, set[str]] = {
    # What cannot be wrong alone: the object then also fails these.
    "are in functions": {"updates"},
    "a call of the kind 2": {"kfuncs"},
    ".BTF.ext": set(),
    "there is no section `.oomlang`": set(),
    "there is no map `in_shared`": {"relocations"},
    "`end_event` does not lie in its section": {"programs"},
    "there is no program `end_event`": {"helpers"},
    "which is no function of ours": set(),
    "not a known kfunc": {"kfuncs"},
    "section `.BTF`: not BTF": set(),
    "calls no function": set(),
}


@pytest.mark.parametrize(
    "check, says, policy, mutate", MUTATIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_one_change_is_one_complaint(
    check: str, says: str, policy: str, mutate: Callable[[Image], Any]
) -> None:
    image = Image(compiled(policy, EVALUATE))
    mutate(image)
    assert bytes(image) != compiled(policy, EVALUATE)
    found = complaints(bytes(image), metadata(policy, EVALUATE))
    assert says in found.get(check, ""), found
    assert found.keys() - {check} == FOLLOWING.get(says, set()), found


def test_every_check_has_a_mutation() -> None:
    assert {name for name, *_ in MUTATIONS} | {"target"} == {"header", *(name for name, _ in CHECKS)}


# --- mutations of the metadata -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check, says, change",
    [
        ("target", "`decides` of evaluate-task is True, not False", lambda m: replace(m, decides=False)),
        ("target", "`turn` of evaluate-task is .data.turn, not None", lambda m: replace(m, turn=None)),
        ("target", "`programs` of evaluate-task is", lambda m: replace(m, programs=m.programs[::-1])),
        ("target", "`kfuncs` of evaluate-task is", lambda m: replace(m, kfuncs=())),
        ("target", "`record` of evaluate-task is", lambda m: replace(m, record=Record(size=0, fields=()))),
        ("target", "`maps` lacks `nothing_found`", lambda m: replace(m, maps=m.maps[:-1])),
        (
            "sections",
            "no section `iter/task`",
            lambda m: replace(m, programs=(*m.programs, Program(name="x", section="iter/task"))),
        ),
        ("sections", f"unexpected section `.rel{EACH_TASK}`", lambda m: replace(m, programs=m.programs[:-1])),
        (
            "programs",
            "no program `other`",
            lambda m: replace(m, programs=(replace(m.programs[0], name="other"), *m.programs[1:])),
        ),
        ("maps", "no map `more`", lambda m: replace(m, maps=(*m.maps, replace(m.maps[0], name="more")))),
        ("maps", "unexpected map `nothing_found`", lambda m: replace(m, maps=m.maps[:-1])),
        (
            "maps",
            "map `in_priority` is (type, key, value) ('hash', 8, 4)",
            lambda m: replace(m, maps=(replace(m.maps[0], value=8), *m.maps[1:])),
        ),
        (
            "maps",
            "map `in_priority` is",
            lambda m: replace(m, maps=(replace(m.maps[0], type="lru_hash"), *m.maps[1:])),
        ),
        (
            "inputs",
            "{'in_floor': 8} instead of {'in_floor': 4}",
            lambda m: replace(m, inputs=(*m.inputs[:2], replace(m.inputs[2], size=4))),
        ),
        (
            "inputs",
            "input `floor` is in `../x`, which is no map for it",
            lambda m: replace(m, inputs=(*m.inputs[:2], replace(m.inputs[2], map="../x"))),
        ),
        (
            "inputs",
            "input `priority` is in `.data.inputs`, which is no map for it",
            lambda m: replace(m, inputs=(replace(m.inputs[0], map=".data.inputs"), *m.inputs[1:])),
        ),
        ("metadata", "differs from the metadata", lambda m: replace(m, compiler="0")),
    ],
)
def test_other_metadata_is_a_complaint(check: str, says: str, change: Callable[[Metadata], Metadata]) -> None:
    found = complaints(compiled("inputs", EVALUATE), change(metadata("inputs", EVALUATE)))
    assert says in found[check], found
    assert "metadata" in found  # the section itself is what it was


def test_the_dry_run_has_no_map_to_update() -> None:
    image = Image(compiled("inputs", "dry-run"))
    _call_helper(".text", 1, 2)(image)
    found = complaints(bytes(image), metadata("inputs", "dry-run"))
    assert re.fullmatch(r"function `\w+`, instruction \d+ writes to map `in_\w+`", found["updates"])


def test_the_object_of_one_target_is_not_that_of_the_other() -> None:
    found = complaints(compiled("empty", "dry-run"), metadata("empty", EVALUATE))
    assert {"sections", "programs", "metadata", "maps"} <= found.keys()


def test_no_metadata_of_another_policy() -> None:
    assert "metadata" in complaints(compiled("empty", EVALUATE), metadata("inputs", EVALUATE))


@pytest.mark.parametrize("size", [0, 3, 15, 63, 64, 200, 5000])
def test_a_file_cut_short_is_a_failed_check(size: int) -> None:
    assert complaints(compiled("empty", EVALUATE)[:size], metadata("empty", EVALUATE)).keys() == {"header"}


def test_pyelftools_never_escapes() -> None:
    image = compiled("empty", EVALUATE)
    (table,) = struct.unpack_from("<Q", image, 40)
    for at in [*range(4, 64, 2), *range(table, table + 64 * 8, 4)]:
        for value in (1, 0xFF):
            try:
                read_with_pyelftools(image[:at] + bytes([value]) + image[at + 1 :])
            except ElfError:
                pass
