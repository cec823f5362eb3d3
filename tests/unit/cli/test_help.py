"""Help, start-up and completion: what a newcomer and a shell ask for."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import oomlang
from oomlang.cli.app import VERBS
from oomlang.cli.compile import TARGETS
from oomlang.compiler import TARGETS as COMPILER_TARGETS
from tests.unit.cli.conftest import ROOT, Outcome

Call = Callable[..., Outcome]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_s_help_has_an_example(call: Call, verb: str) -> None:
    outcome = call(verb, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(rf"Examples:\n( .*\n)*? .*oomlang {verb} ", outcome.out.decode())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_listed(call: Call, verb: str) -> None:
    assert re.search(rf"^  {verb} +{re.escape(VERBS[verb].summary)}$", call("--help").out.decode(), re.M)
    command = importlib.import_module(f"oomlang.cli.{VERBS[verb].module}").command
    assert isinstance(command, click.Command)
    assert command.name == verb


def test_the_version_is_the_package_s(call: Call) -> None:
    assert call("--version").out.decode() == f"oomlang {oomlang.__version__}\n"


def test_the_targets_are_the_compiler_s() -> None:
    assert TARGETS == COMPILER_TARGETS


@pytest.mark.parametrize(
    "arguments, unwanted",
    [
        (
            ["--help"],
            {"lark", "jinja2", "elftools", "rich", "cffi", "oomlang.diagnostics", "oomlang.compiler"},
        ),
        (
            ["--version"],
            {"lark", "jinja2", "elftools", "rich", "cffi", "oomlang.diagnostics", "oomlang.compiler"},
        ),
        (
            ["check", "-"],
            {
                "jinja2",
                "elftools",
                "rich",
                "cffi",
                "oomlang.kernel",
                "oomlang.diagnostics.render",
                "subprocess",
                "difflib",
            },
        ),
        (["facts", "rss"], {"lark", "jinja2", "elftools", "rich", "cffi", "oomlang.compiler"}),
    ],
)
def test_nothing_is_imported_that_is_not_needed(arguments: list[str], unwanted: set[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "oomlang", *arguments]
    run = subprocess.run(
        command,
        input=b"",
        capture_output=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.decode().splitlines()}
    assert "oomlang.cli.app" in imported
    assert imported & unwanted == set()


def test_the_public_names_are_loaded_when_they_are_used() -> None:
    code = """
import sys, oomlang
assert not [m for m in sys.modules if m.startswith("oomlang.")], "import oomlang is not free"
for name in oomlang.__all__:
    getattr(oomlang, name)
assert oomlang.format("kill   highest rss") == "kill highest rss\\n"
source, diagnostics = oomlang.check(b"kill highest rrs\\n")
assert isinstance(diagnostics[0], oomlang.Diagnostic)
assert set(oomlang.__all__) <= set(dir(oomlang))
try:
    oomlang.nonsense
except AttributeError:
    pass
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ROOT},
    )


# --- completion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in ("zsh", "fish"))]
)
def test_the_completion_script_is_one_that_the_shell_reads(call: Call, shell: str) -> None:
    outcome = call("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert b"_OOMLANG_COMPLETE" in outcome.out
    subprocess.run([shell, "-n"], input=outcome.out, check=True, timeout=60)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("oomlang com", ["compile", "completion"]),
        ("oomlang check --fo", ["--format"]),
        ("oomlang check --format ", ["text", "json", "sarif"]),
        ("oomlang check ", ["folder oom", "b c.oom", "a*.oom"]),
        ("oomlang check b", ["b c.oom"]),
        ("oomlang facts oom.s", ["oom.sysrq"]),
        ("oomlang explain-code e050", ["E0501", "E0502", "E0503", "E0504", "E0505", "E0506"]),
        ("oomlang compile x.oom --target ", ["evaluate-task", "dry-run"]),
    ],
)
def test_bash_completes(call: Call, tmp_path: Path, line: str, expected: list[str]) -> None:
    for name in ("a*.oom", "b c.oom", "other.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder oom").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "oomlang").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m oomlang "$@"\n')
    (tools / "oomlang").chmod(0o755)
    script = f"""
compopt() {{ :; }}
{call("completion", "bash").out.decode()}
COMP_WORDS=({line.rstrip()} {'""' if line.endswith(" ") else ""})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_oomlang_completion oomlang
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    run = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": ROOT},
    )
    assert run.stderr == b""
    assert sorted(set(run.stdout.decode().splitlines()) - {"tools"}) == sorted(expected)
