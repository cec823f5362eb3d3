from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import oomlang
from oomlang.compiler import TARGETS, Target
from oomlang.objects.metadata import Rule
from oomlang.targets.bpf.inspect import MapInfo, inspect_object
from tests.unit.targets.bpf.objects import POLICIES, Image, compiled, foreign, metadata, refusal

EVALUATE: Target = "evaluate-task"
needs_clang = pytest.mark.needs("clang")


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
    assert found.policy == expected
    assert (found.policy.name, found.policy.target) == (policy if POLICIES[policy] else "oomlang", target)
    assert found.policy.source.name == f"{policy}.oom"
    assert {(p.name, p.section) for p in found.programs} == {(p.name, p.section) for p in expected.programs}
    assert {(m.name, m.type, m.key, m.value) for m in found.maps} == {
        (m.name, m.type, m.key, m.value) for m in expected.maps
    }
    assert found.license == "Dual BSD/GPL"
    assert found.core_relocations > 0
    assert found.kfuncs == (("set_oom_policy_name",) if target == EVALUATE else ())
    assert (found.policy.record is None) == (target == EVALUATE)
    assert all(p.stack is not None and 0 < p.stack <= 512 for p in found.programs)
    assert all(0 < p.instructions <= found.instructions for p in found.programs)


@needs_clang
def test_rules_have_their_place_and_text() -> None:
    policy = inspect_object(compiled("paths", EVALUATE)).policy
    assert policy is not None
    assert policy.rules[0] == Rule(
        number=1,
        kind="kernel decides",
        line=2,
        column=1,
        text='kernel decides when oom.memcg under "/user.slice"',
        facts=("oom.memcg",),
        inputs=(),
        c_lines=policy.rules[0].c_lines,
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
    document = {**metadata("empty", EVALUATE).to_json(), **changes}
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
        (b"{}", "it is of the format 'None', and only 2 is known here"),
        (b'{"format": 1}', "it is of the format '1', and only 2 is known here: compile the policy again"),
        (b'{"format": true}', "it is of the format 'True'"),
        (b'{"format": 2}', "`language` is missing"),
    ],
)
def test_metadata_that_is_none(text: bytes, message: str) -> None:
    assert message in refusal(with_metadata(text))


@needs_clang
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": 3}, "it is of the format '3'"),
        ({"language": 2}, "it is of language version 2, and only 1 is known here"),
        ({"name": 5}, "`name` is no text"),
        ({"name": "\ud800"}, "`name` is no text"),
        ({"source": []}, "`source` is no object"),
        ({"source": {"name": "x"}}, "`source.sha256` is missing"),
        ({"target": "oom-ops"}, "unknown target 'oom-ops': the targets are evaluate-task, dry-run"),
        ({"decides": 1}, "`decides` is neither true nor false"),
        ({"record": {"size": 8, "fields": [["end", 0]]}}, "`record.fields[0]` is no object"),
        ({"maps": {}}, "`maps` is no list"),
        ({"maps": [{"name": "m", "type": "hash", "key": True, "value": 8}]}, "`maps[0].key` is no number"),
        ({"facts": [1]}, "`facts[0]` is no text"),
        ({"record": {"size": 1 << 70, "fields": []}}, "`record.size` is no number"),
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
    document = metadata("walk", EVALUATE).to_json()
    rules = [{**document["rules"][0], "c_lines": rule}]
    lets = [{"name": "x", "line": 1, "column": 1, "text": "let x = rss", "c_lines": let}]
    assert f"is not as oomlang writes it: {message}" in refusal(changed(rules=rules, lets=lets))


@needs_clang
def test_a_named_value_that_nothing_uses_has_no_lines() -> None:
    let = {"name": "x", "line": 1, "column": 1, "text": "let x = rss", "c_lines": []}
    assert inspect_object(changed(lets=[let])).is_ours


@needs_clang
def test_names_and_texts_are_given_as_they_are() -> None:
    hostile = 'x\x1b[2J\n"\0\u202e'
    found = inspect_object(changed(name=hostile))
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


@pytest.mark.needs("gcc")
def test_an_object_for_this_machine(tmp_path: Path) -> None:
    source, out = tmp_path / "x.c", tmp_path / "x.o"
    source.write_text("int x(void) { return 1; }\n")
    subprocess.run(["gcc", "-c", str(source), "-o", str(out)], check=True, timeout=60, capture_output=True)
    assert "for another machine" in refusal(out.read_bytes())
