"""What tools/setup says when it may not do what is needed. What it does, all later tests rest on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
# What the script calls before it would install something.
PROGRAMS = ("basename", "cat", "dirname", "flock", "grep", "mktemp", "rm", "sha256sum", "sh")


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A copy of what tools/setup reads, and in bin/ a PATH with neither a compiler nor root's rights."""
    (tmp_path / "tools").mkdir()
    shutil.copy(CHECKOUT / "tools/setup", tmp_path / "tools/setup")
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    (tmp_path / "bin").mkdir()
    for program in PROGRAMS:
        path = shutil.which(program)
        assert path is not None
        (tmp_path / "bin" / program).symlink_to(path)
    give(tmp_path, "id", "echo 1000")
    return tmp_path


def give(machine: Path, program: str, script: str) -> None:
    path = machine / "bin" / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(machine: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.fspath(machine / "bin"), "HOME": os.fspath(machine)}
    command = [os.fspath(machine / "tools/setup"), *argv]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_without_root_it_prints_the_command_and_calls_nothing(bare_machine: Path) -> None:
    give(bare_machine, "apt-get", f"touch {bare_machine}/called")

    done = setup(bare_machine, "bench")

    assert done.returncode == 3
    assert "\n  sudo apt-get install --no-install-recommends clang-19 " in done.stderr
    assert " hyperfine" in done.stderr
    assert not (bare_machine / "called").exists()
    assert not (bare_machine / ".venv").exists()


def test_without_apt_it_names_the_packages(bare_machine: Path) -> None:
    done = setup(bare_machine)

    assert done.returncode == 3
    assert "Install what Debian 12 calls: clang-19" in done.stderr


def test_a_failing_apt_get_is_heard(bare_machine: Path) -> None:
    give(bare_machine, "id", "echo 0")
    give(bare_machine, "apt-get", "echo 'E: the mirror is on fire'; exit 100")

    done = setup(bare_machine)

    assert done.returncode == 3
    assert "E: the mirror is on fire" in done.stderr
    assert "tools/setup: apt-get update failed.\n" in done.stderr


def test_empty_package_lists_are_got_once(bare_machine: Path) -> None:
    give(bare_machine, "id", "echo 0")
    calls = bare_machine / "calls"
    give(
        bare_machine,
        "apt-get",
        f'echo "$1" >> {calls}; [ $1 = update ] && exit\necho "E: Unable to locate package"; exit 100',
    )

    done = setup(bare_machine)

    assert done.returncode == 3
    assert calls.read_text().split() == ["install", "update", "install"]
    assert "E: Unable to locate package\n\ntools/setup: apt-get could not install" in done.stderr


def test_what_single_tests_need_is_a_group(bare_machine: Path) -> None:
    done = setup(bare_machine, "tests")

    assert done.returncode == 3
    for package in ("chromium", "gcc", "ninja-build", "patch", "zstd"):
        assert f" {package}" in done.stderr


def test_an_unknown_group_is_a_usage_error(bare_machine: Path) -> None:
    done = setup(bare_machine, "kitchen")

    assert done.returncode == 2
    assert "no such group: kitchen (there are: tests, bench)" in done.stderr
