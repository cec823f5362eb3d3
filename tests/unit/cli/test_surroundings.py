"""File names that lie, links to nowhere and a working directory that is gone: one honest line, whatever the verb."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import RIGHT, UNFORMATTED, WRONG, Outcome

Call = Callable[..., Outcome]

_FAILING = b'kill highest rss\n\ntest "a\\nFAILED b" {\n  task "x" in "/" { rss 1MiB }\n  expect none\n}\n'
_HOSTILE = {
    "a line feed": "a\nerror: forged",
    "a carriage return": "a\rerror: forged",
    "an escape sequence": "a\x1b[2Jerror: forged",
    "a C1 control": "a\x9berror: forged",
    "right to left": "a\u202eerror: forged",
    "a line separator": "a\u2028error: forged",
    "a tab and a bell": "a\t\aerror: forged",
}
_VERBS: tuple[tuple[str, ...], ...] = (
    ("check",),
    ("test",),
    ("test", "--coverage"),
    ("test", "--fail-under", "100"),
    ("fmt", "--check"),
    ("fmt", "--diff"),
    ("fmt",),
    ("compile", "--emit", "c"),
    ("compile",),
    ("explain",),
    ("inspect",),
    ("load",),
    ("replay", "p.oom"),
    ("diff", "p.oom"),
    ("explain", "p.oom", "--snapshot"),
    ("explain", "p.oom", "--report"),
    ("compile", "p.oom", "--kernel"),
    ("compile", "p.oom", "--emit", "c", "-o"),
    ("compile", "p.oom", "-o", "p.o", "--depfile"),
    ("snapshot", "-o"),
    ("explain", "p.oom", "--html"),
    ("explain-code",),
    ("facts",),
    ("explain", "p.oom", "--task"),
    ("explain", "p.oom", "--scope"),
    ("explain", "p.oom", "--set"),
)
"""Each takes the name as its last argument."""


def _lines(outcome: Outcome) -> list[str]:
    return [*outcome.out.decode("utf-8", "replace").splitlines(), *outcome.err.splitlines()]


@pytest.mark.parametrize("verb", _VERBS, ids=" ".join)
@pytest.mark.parametrize("kind", _HOSTILE)
@pytest.mark.parametrize(
    "content", [None, WRONG, UNFORMATTED, _FAILING], ids=["none", "wrong", "unformatted", "failing"]
)
def test_a_file_name_forges_no_line(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: tuple[str, ...],
    kind: str,
    content: bytes | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.oom").write_bytes(RIGHT)
    name = f"{_HOSTILE[kind]}.oom"
    if content is not None:
        Path(name).write_bytes(content)
    elif verb[-1] in ("-o", "--html", "--depfile"):
        name = f"{_HOSTILE[kind]}/no/such/folder"  # a place that it cannot write to
    outcome = call(*verb, name)
    assert outcome.code != 4
    # What is written to a file or passed on as C is no line for a person.
    assert not [line for line in _lines(outcome) if line.strip().startswith(("error: forged", "FAILED b"))]
    shown = outcome.out.decode() + outcome.err
    assert not {c for c in shown if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("a\nb",),
        ("check", "--a\nb"),
        ("check", "--format", "a\nb", "p"),
        ("replay", "p.oom", "--swap", "a\nb", "x"),
    ],
    ids=str,
)
def test_an_argument_forges_no_line(call: Call, arguments: tuple[str, ...]) -> None:
    outcome = call(*arguments)
    assert outcome.code == 2
    assert all(line.startswith(("error: ", "help: ")) for line in outcome.err.splitlines())


def test_an_objects_own_words_forge_no_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a\nerror: b.oom").write_bytes(RIGHT)
    assert call("compile", "a\nerror: b.oom", "-o", "p.o").code == 0
    outcome = call("inspect", "p.o")
    assert outcome.code == 0
    assert not [line for line in _lines(outcome) if line.startswith("error: b")]


# --- Names that are no UTF-8


@pytest.mark.parametrize("name", [b"a\xff.oom", b"\xc3.oom", b"\xed\xa0\x80.oom", b"\xf0\x9f\x92.oom"])
def test_a_name_that_is_no_utf_8_is_compiled_and_inspected(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = os.fsdecode(name)
    Path(policy).write_bytes(_FAILING)
    assert call("compile", policy, "-o", "p.o").code == 0
    outcome = call("inspect", "p.o", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["policy"]["source_name"] == name.decode("utf-8", "backslashreplace")
    assert "is refused" not in call("load", "p.o").err
    for verb in ("check", "test", "explain"):
        outcome = call(verb, policy, "--format", "json")
        assert outcome.code < 2
        json.loads(outcome.out)
    assert call("check", policy, "--format", "sarif").code == 0
    assert call("test", policy, "--format", "junit").code == 1


# --- Links


def test_a_link_into_a_missing_directory_names_that_directory(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.oom").write_bytes(RIGHT)
    Path("out").symlink_to("missing/below/file")
    Path("folder").symlink_to("nowhere")
    real = os.path.realpath(tmp_path)
    for name, missing in (
        ("out", f"{real}/missing/below"),
        ("folder/out", f"{real}/nowhere"),
        ("absent/out", "absent"),
        (f"{real}/absent/out", f"{real}/absent"),
    ):
        for arguments in (
            ("compile", "p.oom", "--emit", "c", "-o", name),
            ("snapshot", "-o", name),
            ("explain", "p.oom", "--html", name),
        ):
            outcome = call(*arguments)
            assert outcome.code == 2
            assert f"error: cannot write {name}: there is no directory {missing}\n" in outcome.err


def test_a_link_to_a_file_that_is_not_there_yet_is_written_through(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.oom").write_bytes(RIGHT)
    Path("there").mkdir()
    Path("out").symlink_to("there/file")
    assert call("compile", "p.oom", "--emit", "c", "-o", "out").code == 0
    assert Path("out").is_symlink()
    assert Path("there/file").read_bytes().startswith(b"// SPDX")


# --- A working directory that is gone

_READERS = (
    ("check", "p.oom"),
    ("test", "p.oom"),
    ("fmt", "p.oom"),
    ("compile", "p.oom"),
    ("explain", "p.oom"),
    ("explain", "POLICY", "--snapshot", "x"),
    ("explain", "POLICY", "--report", "x"),
    ("replay", "POLICY", "x"),
    ("diff", "POLICY", "x"),
    ("inspect", "x"),
    ("load", "x"),
)
_WRITERS = (
    ("compile", "POLICY"),
    ("compile", "POLICY", "-o", "x"),
    ("compile", "POLICY", "--emit", "c"),
    ("compile", "POLICY", "-o", "HERE/x", "--depfile", "d"),
    ("snapshot", "-o", "x"),
    ("explain", "POLICY", "--html", "x"),
)
_ELSEWHERE = (
    ("check", "POLICY"),
    ("test", "POLICY"),
    ("fmt", "POLICY"),
    ("compile", "POLICY", "-o", "HERE/x"),
    ("compile", "POLICY", "--emit", "c", "-o", "-"),
    ("snapshot", "-o", "HERE/x"),
    ("snapshot",),
    ("explain", "POLICY", "--html", "HERE/x"),
    ("diff", "POLICY", "POLICY"),
    ("facts",),
    ("explain-code", "E0204"),
    ("completion", "bash"),
    ("--help",),
)


@pytest.mark.parametrize("arguments", [*_READERS, *_WRITERS, *_ELSEWHERE], ids=" ".join)
def test_a_working_directory_that_is_gone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    policy = tmp_path / "policy.oom"
    policy.write_bytes(RIGHT)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    words = {"POLICY": str(policy), "HERE/x": str(tmp_path / "x")}
    outcome = call(*(words.get(a, a) for a in arguments))
    if arguments in _ELSEWHERE:
        assert outcome.code == 0
    else:
        assert outcome.code == 2
        action = "write" if arguments in _WRITERS else "read"
        assert outcome.err.startswith(f"error: cannot {action} ")
        assert "the working directory has been deleted\n" in outcome.err


def test_the_program_starts_in_a_directory_that_is_gone(
    start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    policy = tmp_path / "policy.oom"
    policy.write_bytes(RIGHT)
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    process = start("check", policy, prefix=("sh", "-c", script, "sh"), cwd=tmp_path)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"no errors in {policy}\n".encode())
