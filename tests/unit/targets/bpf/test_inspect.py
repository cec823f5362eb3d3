from __future__ import annotations

import functools
import json
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oomlang
from oomlang.compiler import TARGETS, Compilation, Target
from oomlang.targets.bpf.inspect import BadObject, MapInfo, RuleInfo, inspect_object
from tests.unit.elf_images import elf_image
from tests.unit.targets.bpf.objects import POLICIES, Image, compiled, metadata

HERE = Path(__file__).parent
EVALUATE: Target = "evaluate-task"
needs_clang = pytest.mark.needs("clang")


@functools.cache
def foreign() -> bytes:
    command = ["clang-19", "-O2", "-g", "-target", "bpfel", "-Wall", "-Werror"]
    ran = subprocess.run(
        [*command, "-c", str(HERE / "foreign.bpf.c"), "-o", "-"], check=True, timeout=60, capture_output=True
    )
    return ran.stdout


def refusal(data: bytes) -> str:
    with pytest.raises(BadObject) as caught:
        inspect_object(data)
    return str(caught.value)


# --- ours ----------------------------------------------------------------------------------------------------


@needs_clang
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("policy", POLICIES)
def test_an_object_of_ours_is_described_by_what_it_says(policy: str, target: Target) -> None:
    found = inspect_object(compiled(policy, target))
    expected = metadata(policy, target)
    assert found.is_ours
    assert found.policy is not None
    assert found.failed_checks == ()
    assert (found.policy.name, found.policy.target) == (expected["policy"], target)
    assert found.policy.source_name == f"{policy}.oom"
    assert found.policy.source_sha256 == expected["source"]["sha256"]
    assert [r.text for r in found.policy.rules] == [r["text"] for r in expected["rules"]]
    assert [i.name for i in found.policy.inputs] == [i["name"] for i in expected["inputs"]]
    assert list(found.policy.facts) == expected["facts"]
    assert {(p.name, p.section) for p in found.programs} == {
        (p["name"], p["section"]) for p in expected["programs"]
    }
    assert {(m.name, m.type, m.key, m.value) for m in found.maps} == {
        (m["name"], m["type"], m["key"], m["value"]) for m in expected["maps"]
    }
    assert found.license == "Dual BSD/GPL"
    assert found.core_relocations > 0
    assert found.kfuncs == (("set_oom_policy_name",) if target == EVALUATE else ())
    assert (found.policy.record_bytes is None) == (target == EVALUATE)
    assert all(p.stack is not None and 0 < p.stack <= 512 for p in found.programs)
    assert all(0 < p.instructions <= found.instructions for p in found.programs)


@needs_clang
def test_rules_have_their_place_and_text() -> None:
    policy = inspect_object(compiled("paths", EVALUATE)).policy
    assert policy is not None
    assert policy.rules[0] == RuleInfo(
        number=1,
        kind="kernel decides",
        line=2,
        column=1,
        text='kernel decides when oom.memcg under "/user.slice"',
        facts=("oom.memcg",),
        inputs=(),
    )


@needs_clang
def test_the_json_is_plain_and_sorted() -> None:
    document = inspect_object(compiled("inputs", "dry-run")).to_json()

    def check(value: Any) -> None:
        match value:
            case dict():
                assert list(value) == sorted(value)
                for item in value.values():
                    check(item)
            case list():
                for item in value:
                    check(item)
            case _:
                assert value is None or type(value) in (str, int, bool)

    check(document)
    assert json.loads(json.dumps(document)) == document
    assert document["is_ours"] is True
    assert document["helpers"][0] == {"id": 1, "name": "map_lookup_elem"}


@needs_clang
def test_an_object_of_ours_that_was_changed_says_so() -> None:
    image = Image(compiled("empty", EVALUATE))
    image.put("license", 9, b"MIT")
    assert inspect_object(bytes(image)).failed_checks == (
        "license: b'Dual BSD/MIT\\x00' is not GPL-compatible",
    )


def with_metadata(text: bytes) -> bytes:
    """An object of ours whose section `.oomlang` holds another text."""
    image = Image(compiled("empty", EVALUATE))
    section = image.section(".oomlang")
    row = image.section_row(".oomlang")
    image.write(row + 24, "QQ", len(bytes(image)), len(text))
    assert section.size
    return bytes(image) + text


def changed(**changes: Any) -> bytes:
    document = {**metadata("empty", EVALUATE), **changes}
    return with_metadata(json.dumps(document, separators=(",", ":")).encode())


@needs_clang
@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "its section `.oomlang` is not JSON"),
        (b"\xff\xfe", "its section `.oomlang` is not JSON ('utf-8' codec"),
        (b"{", "its section `.oomlang` is not JSON"),
        (b"[" * 100_000, "its section `.oomlang` is not JSON (nested too deeply)"),
        (b"9" * 10_000, "its section `.oomlang` is not JSON"),
        (b'{"format": NaN}', "its section `.oomlang` is not JSON (NaN is no number)"),
        (b"[]", "it is no JSON object"),
        (b"{}", "it is of the format 'None', and only 1 is known here"),
        (b'{"format": true}', "it is of the format 'True'"),
        (b'{"format": 1}', "`language` is missing"),
    ],
)
def test_metadata_that_is_none(text: bytes, message: str) -> None:
    assert message in refusal(with_metadata(text))


@needs_clang
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": 2}, "it is of the format '2'"),
        ({"language": 2}, "it is of language version 2, and only 1 is known here"),
        ({"policy": 5}, "`policy` is no text"),
        ({"policy": "\ud800"}, "`policy` is no text"),
        ({"source": []}, "`source` is no object"),
        ({"source": {"name": "x"}}, "`source.sha256` is missing"),
        ({"target": "oom-ops"}, "`target` is none of evaluate-task, dry-run"),
        ({"target": "dry-run"}, "`record` is no object"),
        ({"record": {"size": 8, "fields": [["end", 0]]}}, "`record.fields[0]` is no list of 3"),
        ({"maps": {}}, "`maps` is no list"),
        ({"maps": [{"name": "m", "type": "hash", "key": True, "value": 8}]}, "`maps[0].key` is no number"),
        ({"facts": [1]}, "`facts[0]` is no text"),
        ({"bounds": {"instructions": 1 << 70, "stack": 512}}, "`bounds.instructions` is no number"),
        ({"rules": [None]}, "`rules[0]` is no object"),
        ({"lets": [{"name": "x", "line": 1, "column": 1, "text": ""}]}, "`lets[0].c_lines` is missing"),
    ],
)
def test_metadata_of_another_shape(changes: dict[str, Any], message: str) -> None:
    assert f"is not as oomlang writes it: {message}" in refusal(changed(**changes))


@needs_clang
@pytest.mark.parametrize(
    "rule, let, message",
    [
        ([], [], "`rules[0].c_lines` is empty"),
        (None, [], "`rules[0].c_lines` is no list"),
        ([[1]], [], "`rules[0].c_lines[0]` is no list of 2"),
        ([[1, "2"]], [], "`rules[0].c_lines[0][1]` is no number"),
        ([[1, 2.5]], [], "`rules[0].c_lines[0][1]` is no number"),
        ([[1, 1 << 64]], [], "`rules[0].c_lines[0][1]` is no number"),
        ([[0, 2]], [], "`rules[0].c_lines[0]` is no range of lines"),
        ([[-5, -2]], [], "`rules[0].c_lines[0]` is no range of lines"),
        ([[3, 4], [6, 5]], [], "`rules[0].c_lines[1]` is no range of lines"),
        ([[1, 2]], [[5, 1 << 22]], "`lets[0].c_lines[0]` is no range of lines"),
        ([[7, 9], [1, 7]], [], "`rules[0].c_lines[1]` and `rules[0].c_lines[0]` have a line in common"),
        ([[3, 3]], [[1, 5]], "`lets[0].c_lines[0]` and `rules[0].c_lines[0]` have a line in common"),
    ],
)
def test_ranges_of_lines_that_are_none(rule: Any, let: Any, message: str) -> None:
    document = metadata("walk", EVALUATE)
    rules = [{**document["rules"][0], "c_lines": rule}]
    lets = [{**document["lets"][0], "c_lines": let}]
    assert f"is not as oomlang writes it: {message}" in refusal(changed(rules=rules, lets=lets))


@needs_clang
def test_a_named_value_that_nothing_uses_has_no_lines() -> None:
    (let,) = Compilation(b"let unused = rss\n").program(EVALUATE).metadata.data["lets"]
    assert (let["line"], let["column"], let["c_lines"]) == (1, 1, [])
    assert inspect_object(changed(lets=[let])).is_ours


@needs_clang
def test_names_and_texts_are_given_as_they_are() -> None:
    hostile = 'x\x1b[2J\n"\0\u202e'
    found = inspect_object(changed(policy=hostile))
    assert found.policy is not None
    assert found.policy.name == hostile
    assert found.failed_checks == ()


@needs_clang
def test_a_rule_s_text_has_any_length() -> None:
    policy = f"kill first when (uid == 0\n{'  # as it was told us' * 4000}\n) or pid == 9"
    found = inspect_object(oomlang.compile(policy).object)
    assert found.policy is not None
    assert found.policy.rules[0].text == policy


@needs_clang
def test_keys_of_a_newer_compiler_are_let_through() -> None:
    assert inspect_object(changed(weather="fine")).is_ours


# --- not ours ------------------------------------------------------------------------------------------------


@needs_clang
def test_a_foreign_object_is_described_by_what_is_in_it() -> None:
    found = inspect_object(foreign())
    assert not found.is_ours
    assert (found.policy, found.failed_checks) == (None, ())
    assert found.license == "Proprietary"
    assert found.maps == (
        MapInfo(name="pairs", type="array", key=4, value=16, max_entries=7),
        MapInfo(name="events", type="ringbuf", key=None, value=None, max_entries=4096),
    )
    (program,) = found.programs
    assert (program.name, program.section) == ("on_switch", "tracepoint/sched/sched_switch")
    assert program.functions == ("deep",)
    assert program.stack == 32 + 128
    assert [h.name for h in found.helpers] == ["map_lookup_elem", "get_current_comm", "ringbuf_output"]
    assert ("license", len("Proprietary") + 1) in {(s.name, s.size) for s in found.sections}
    assert found.core_relocations == 0


@needs_clang
def test_an_object_without_types_has_maps_by_their_names() -> None:
    image = Image(foreign())
    for name in (".BTF", ".BTF.ext"):
        (offset,) = image.read(image.section_row(name), "I")
        image.write(image.section_row(name), "I", offset + 1)
    assert [m.name for m in inspect_object(bytes(image)).maps] == ["pairs", "events"]


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "the file is empty"),
        (b"\x7fEL", "it is not an ELF file"),
        (b'policy "x"\n', "it is not an ELF file"),
        (b"\x7fELF", "the file is cut off at byte 4, inside the ELF header"),
        (b"\x7fELF\x01\x01" + bytes(80), "it is a 32-bit ELF file; BPF objects have 64 bits"),
        (b"\x7fELF\x02\x02" + bytes(80), "it is a big-endian ELF file"),
        (b"\x7fELF\x05\x01" + bytes(80), "an ELF file of the unknown class 5"),
    ],
)
def test_what_is_no_object(data: bytes, message: str) -> None:
    assert message in refusal(data)


def test_a_program_of_this_machine() -> None:
    assert "for another machine" in refusal(Path("/bin/true").read_bytes())


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.may_skip("gcc is nothing that the project needs")
def test_an_object_for_this_machine(tmp_path: Path) -> None:
    source, out = tmp_path / "x.c", tmp_path / "x.o"
    source.write_text("int x(void) { return 1; }\n")
    subprocess.run(["gcc", "-c", str(source), "-o", str(out)], check=True, timeout=60, capture_output=True)
    assert "for another machine" in refusal(out.read_bytes())


# --- broken and hostile --------------------------------------------------------------------------------------


def described_or_refused(data: bytes) -> None:
    """Nothing but a description or a sentence, and whatever comes out can be written as JSON."""
    said = ""
    try:
        found = inspect_object(data)
    except BadObject as error:
        said = str(error)
    else:
        said = json.dumps(found.to_json(), ensure_ascii=False)
    assert said.encode()


@needs_clang
def test_cut_off_anywhere() -> None:
    for image in (compiled("empty", EVALUATE), foreign()):
        step = max(1, len(image) // 500)
        for size in range(0, len(image), step):
            with pytest.raises(BadObject):
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
        (elf_image([(".BTF", 1, 0, 0, 0, b"\x9f\xeb")]), ".BTF is cut off"),
        (elf_image([(".BTF.ext", 1, 0, 0, 0, b"\x9f\xeb")]), ".BTF.ext is cut off"),
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


def btf(types: bytes, strings: bytes) -> bytes:
    return struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


@pytest.mark.parametrize(
    "types, message",
    [
        (struct.pack("<3I", 0, 31 << 24, 0), "of the unknown kind 31"),
        (struct.pack("<3I", 0, 4 << 24 | 9, 0), "cut off inside type number 1"),
        (struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 7, 0, 0), "refers to type number 7 of 1"),
        (struct.pack("<3I", 1, 15 << 24 | 1, 0) + struct.pack("<3I", 1, 0, 0), "which is no variable"),
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
            "more than 64 arrays",
        ),
        (struct.pack("<3I", 99, 15 << 24 | 1, 0) + struct.pack("<3I", 1, 0, 0), "has a name at 99 of"),
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
