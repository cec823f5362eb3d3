"""Dependency files, read by the programs that they are for."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomlang.cli.depfile import depfile_text
from oomlang.cli.failures import Failure
from tests.unit.cli.conftest import RIGHT, Outcome

NAMES = ["plain", "a b", "a#b", "a$b", "a:b", "a\\b", "a\\ b", "a  b", "é", "a$(x)b", "-a"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_depfile_is_written_beside_the_output(call: Callable[..., Outcome], folder: Path) -> None:
    Path("my policy.oom").write_bytes(RIGHT)
    Path("out").mkdir()
    outcome = call("compile", "my policy.oom", "--emit", "c", "-o", "out/p.bpf.c", "--depfile", "out/p.d")
    assert (outcome.code, outcome.err) == (0, "")
    assert Path("out/p.d").read_text() == "out/p.bpf.c: my\\ policy.oom\n"


@pytest.mark.needs("make")
@pytest.mark.parametrize("name", NAMES)
def test_make_reads_every_name(folder: Path, name: str) -> None:
    output, policy = f"{name}.o", f"{name}.oom"
    Path("deps").write_bytes(depfile_text(output, [policy]))
    # The rule has neither name in it: make can only have them from the depfile.
    Path("Makefile").write_text("include deps\n.DEFAULT:\n\t@false\n%.o:\n\t@touch ./'$(subst ','\\'',$@)'\n")
    Path(output).touch()
    Path(policy).touch()
    os.utime(policy, (1, 1))
    query = ["make", "-q", "--", output]
    assert subprocess.run(query, check=False, timeout=60).returncode == 0
    os.utime(output, (2, 2))
    os.utime(policy, (3, 3))
    assert subprocess.run(query, check=False, timeout=60).returncode == 1


@pytest.mark.needs("ninja")
@pytest.mark.parametrize("name", NAMES)
def test_ninja_reads_every_name(folder: Path, name: str) -> None:
    output, policy = f"{name}.o", f"{name}.oom"
    Path("deps").write_bytes(depfile_text(output, [policy]))
    escaped = output.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")
    Path("build.ninja").write_text(f"rule r\n  command = true\n  depfile = deps\nbuild {escaped}: r\n")
    Path(output).touch()
    Path(policy).touch()
    os.utime(policy, (1, 1))
    # Ninja has to know the command to find the output up to date.
    subprocess.run(["ninja"], check=True, timeout=60, capture_output=True)
    os.utime(policy, None)
    run = subprocess.run(
        ["ninja", "-n", "-d", "explain"], check=True, timeout=60, capture_output=True, text=True
    )
    assert f"most recent input {policy}" in run.stdout + run.stderr


@pytest.mark.parametrize("name", ["a\nb", "a\r", "a\\"])
def test_a_name_that_no_depfile_can_hold_is_refused(name: str) -> None:
    with pytest.raises(Failure):
        depfile_text("out", [name])
