"""Which objects `oomlang load` refuses before it looks at the machine."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable

import pytest

import oomlang
from oomlang.objects.elf import read_object
from oomlang.targets.bpf.seal import digest, is_intact, seal
from tests.unit.cli.conftest import Outcome, call

__all__ = ["call"]

Call = Callable[..., Outcome]

pytestmark = pytest.mark.needs("clang")

POLICY = 'policy "mine"\nnever kill when comm == "sshd"\nkill highest rss when uid > 1000\n'


@functools.cache
def _image(target: str = "evaluate-task") -> bytes:
    assert target in ("evaluate-task", "dry-run")
    return oomlang.compile(POLICY, target="evaluate-task" if target == "evaluate-task" else "dry-run").object


def _resealed(image: bytes) -> bytes:
    """With a digest that fits, as somebody would who changes an object on purpose."""
    held = digest(image)
    assert held is not None
    return seal(image.replace(held.encode(), b"0" * 64))


def _refused(call: Call, image: bytes, words: str) -> None:
    outcome = call("load", "-", stdin=image)
    assert outcome.code == 1, outcome
    assert "<stdin> is refused" in outcome.err or "error" in outcome.err
    assert words in outcome.err


def test_a_changed_byte_anywhere_is_refused(call: Call) -> None:
    image = _image()
    assert is_intact(image)
    for at in range(0, len(image), 97):
        changed = bytearray(image)
        changed[at] ^= 0x10
        assert not is_intact(bytes(changed)), at
    for section in read_object(image).sections:
        if section.size == 0 or section.type == 8:
            continue
        changed = bytearray(image)
        changed[section.offset + section.size // 2] ^= 1
        assert call("load", "-", stdin=bytes(changed)).code == 1, section.name


def test_a_changed_number_in_the_code_is_noticed_by_nothing_but_the_digest(call: Call) -> None:
    at = _image().index((1000).to_bytes(4, "little"))
    changed = bytearray(_image())
    changed[at] = 0
    _refused(call, bytes(changed), "its digest is another")


def test_another_format_or_language_is_refused(call: Call) -> None:
    _refused(
        call,
        _resealed(_image().replace(b'"format":2', b'"format":1')),
        "only 2 is known here: compile the policy again",
    )
    _refused(call, _resealed(_image().replace(b'"language":1', b'"language":9')), "language version 9")


def test_another_target_is_refused(call: Call) -> None:
    _refused(call, _image("dry-run"), "it is for the target dry-run")


def test_what_oomlang_did_not_make_is_refused(call: Call, compiled: Callable[[str], bytes]) -> None:
    _refused(call, compiled("hooks"), "oomlang did not make it")
    for junk in (b"", b"\x7fELF", b"policy\n", _image()[:2000], _image()[:-1]):
        assert call("load", "-", stdin=junk).code == 1


def test_metadata_that_disagrees_with_the_programs_is_refused(call: Call) -> None:
    for old, new in (
        (b'"section":"tp_btf/select', b'"section":"tp_btf/selekt'),
        (b'"name":"nothing_found"', b'"name":"nothing_fount"'),
    ):
        assert _image().count(old) == 1
        _refused(call, _resealed(_image().replace(old, new)), "not as oomlang makes it")


def test_a_rule_that_says_it_has_no_lines_of_c_is_refused(call: Call) -> None:
    found = re.search(rb'"c_lines":\[\[(\d+),', _image())
    assert found is not None
    width = len(found[1])
    for number in (b"0", b"-1", b"9" * width):
        changed = _image().replace(found[0], b'"c_lines":[[%b,' % number.rjust(width))
        _refused(call, _resealed(changed), "`rules[0].c_lines[0]` is no range of lines")


@pytest.mark.needs("root", "bpf")
def test_a_kernel_without_the_hooks_is_told_apart_from_a_wrong_object(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oomlang.kernel.loader_environment._btf_id", lambda name, attach_type: None)
    outcome = call("load", "-", stdin=_image())
    assert outcome.code == 3
    assert "this kernel has no OOM hooks for BPF; it lacks function bpf_oom_evaluate_task" in outcome.err
    assert "help: boot a kernel that has them" in outcome.err
    status = call("status", "--format", "json")
    assert status.code == 0
    assert json.loads(status.out)["hook"]["present"] is False


def test_settings_that_the_policy_does_not_take_are_usage(call: Call) -> None:
    image = oomlang.compile(
        'policy "p"\ninput floor: bytes = 1MiB\ninput priority per memcg: int = 0\n'
        "kill lowest priority\nkill first when rss > floor\n"
    ).object
    for setting, words in (
        ("floor", "sets nothing"),
        ("flor=1MiB", "has no input `flor`"),
        ("floor=1", "is no value for floor"),
        ("floor=1MB", "is no value for floor"),
        ("floor=-1B", "floor cannot be -1B"),
        ("floor/a=1B", "one value for all cgroups"),
        ("priority=3", "is an input per memcg"),
        ("priority/no/such/cgroup=3", "there is no memory cgroup"),
        ("priority/a=3000000000", "priority cannot be"),
    ):
        outcome = call("load", "-", "--set", setting, stdin=image)
        assert outcome.code == 2, setting
        assert words in outcome.err, setting
