"""`oomlang fmt`."""

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import RIGHT, UNFORMATTED, Outcome

Call = Callable[..., Outcome]
BROKEN = b"kill   highest\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.oom"
    path.write_bytes(UNFORMATTED)
    return path


def test_a_file_is_formatted_in_place_and_keeps_its_mode(call: Call, policy: Path) -> None:
    policy.chmod(0o600)
    assert call("fmt", policy) == Outcome(code=0, out=f"formatted {policy}\n".encode(), err="")
    assert policy.read_bytes() == RIGHT
    assert stat.S_IMODE(policy.stat().st_mode) == 0o600


def test_a_formatted_file_is_not_touched(call: Call, policy: Path) -> None:
    policy.write_bytes(RIGHT)
    before = policy.stat()
    assert call("fmt", policy) == Outcome(code=0, out=b"", err="")
    assert policy.stat().st_ino == before.st_ino
    assert policy.stat().st_mtime_ns == before.st_mtime_ns


def test_standard_input_goes_to_standard_output(call: Call) -> None:
    assert call("fmt", "-", stdin=UNFORMATTED) == Outcome(code=0, out=RIGHT, err="")


def test_check_lists_what_would_change_and_writes_nothing(call: Call, policy: Path) -> None:
    assert call("fmt", "--check", policy) == Outcome(code=1, out=f"{policy}\n".encode(), err="")
    assert policy.read_bytes() == UNFORMATTED
    assert call("fmt", "--check", "-", stdin=RIGHT) == Outcome(code=0, out=b"", err="")


@pytest.mark.parametrize(
    "text", [UNFORMATTED, UNFORMATTED.strip(), b"\xef\xbb\xbfkill  highest rss", b"kill highest rss\r\n"]
)
@pytest.mark.needs("patch")
def test_a_diff_is_one_that_patch_applies(
    call: Call, policy: Path, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(policy.parent)
    policy.write_bytes(text)
    outcome = call("fmt", "--diff", policy.name)
    assert outcome.code == 1
    assert policy.read_bytes() == text
    subprocess.run(["patch", "--binary", "-p0", "-s"], input=outcome.out, check=True, timeout=60)
    assert policy.read_bytes() == RIGHT


def test_a_policy_with_a_syntax_error_is_refused_and_the_others_are_formatted(
    call: Call, policy: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.oom"
    broken.write_bytes(BROKEN)
    outcome = call("fmt", broken, policy)
    assert outcome.code == 1
    assert "broken.oom:1:" in outcome.err
    assert broken.read_bytes() == BROKEN
    assert policy.read_bytes() == RIGHT


def test_a_broken_policy_from_standard_input_gives_no_output(call: Call) -> None:
    outcome = call("fmt", "-", stdin=BROKEN)
    assert (outcome.code, outcome.out) == (1, b"")


def test_check_and_diff_exclude_each_other(call: Call, policy: Path) -> None:
    assert call("fmt", "--check", "--diff", policy).code == 2
