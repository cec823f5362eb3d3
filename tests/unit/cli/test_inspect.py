"""`oomlang inspect`."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cli.conftest import Outcome

Call = Callable[..., Outcome]

POLICY = b"""\
policy "mine"
input floor: bytes = 256MiB
kernel decides when oom.sysrq
never kill when comm == "sshd"
kill highest (rss +
  swap) when rss > floor
"""


@pytest.fixture
def image(call: Call) -> bytes:
    outcome = call("compile", "-", "-o", "-", stdin=POLICY)
    assert outcome.code == 0
    return outcome.out


@pytest.mark.needs("clang")
def test_the_meaning_is_told_in_the_policy_s_words(call: Call, image: bytes) -> None:
    outcome = call("inspect", "-", stdin=image)
    assert (outcome.code, outcome.err) == (0, "")
    text = outcome.out.decode()
    assert text.startswith('<stdin>: policy "mine" for evaluate-task\n')
    for line in (
        "<stdin>:3  kernel decides when oom.sysrq",
        '<stdin>:4  never kill when comm == "sshd"',
        "<stdin>:5  kill highest (rss + swap) when rss > floor",
        "floor  bytes  = 256MiB  0B to 1024TiB",
        "fmod_ret/bpf_oom_evaluate_task",
        "checks       all hold",
    ):
        assert line in text


@pytest.mark.needs("clang")
def test_a_source_whose_name_is_no_text_is_still_named(call: Call, tmp_path: Path) -> None:
    policy = tmp_path / os.fsdecode(b"a\xff.oom")
    policy.write_bytes(POLICY)
    made = tmp_path / "policy.bpf.o"
    assert call("compile", policy, "-o", made).code == 0
    outcome = call("inspect", made)
    assert outcome.code == 0
    assert "from a\\xff.oom (sha256" in outcome.out.decode()


@pytest.mark.needs("clang")
def test_json_says_the_same(call: Call, image: bytes) -> None:
    found = json.loads(call("inspect", "--format", "json", "-", stdin=image).out)
    assert found["policy"]["name"] == "mine"
    assert [rule["line"] for rule in found["policy"]["rules"]] == [3, 4, 5]


@pytest.mark.needs("clang")
def test_an_object_that_was_tampered_with_is_1(call: Call, image: bytes) -> None:
    outcome = call("inspect", "-", stdin=image.replace(b"Dual BSD/GPL", b"Proprietary!"))
    assert outcome.code == 1
    assert "error: not as oomlang makes it: " in outcome.err


@pytest.mark.needs("clang")
def test_nothing_in_an_object_steers_a_terminal(call: Call, image: bytes) -> None:
    outcome = call("inspect", "-", stdin=image.replace(b"evaluate_task\0", b"evalu\x1b[31mask\0"))
    assert b"\x1b" not in outcome.out
    assert "\x1b" not in outcome.err


def test_what_is_no_object_is_2(call: Call, tmp_path: Path) -> None:
    assert call("inspect", "/bin/sh").code == 2
    assert call("inspect", tmp_path).code == 2
    assert call("inspect", tmp_path / "no").code == 2
    assert call("inspect", "/dev/null").code == 2


@given(
    data=st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda tail: b"\x7fELF\x02\x01\x01" + b"\0" * 9 + tail)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_one_line(call: Call, data: bytes) -> None:
    outcome = call("inspect", "-", stdin=data)
    assert outcome.code == 2
    assert outcome.err.startswith("error: <stdin> is no BPF object that can be described: ")
    assert outcome.err.count("\n") == 1
