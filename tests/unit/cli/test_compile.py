"""`oomlang compile`."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomlang.cli.skeleton import c_name
from tests.unit.cli.conftest import RIGHT, WRONG, Outcome

Call = Callable[..., Outcome]
DOUBTFUL = b"let unused = 1\nkill highest rss\n"
EM_BPF = b"\xf7\x00"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the commands run in, with a policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.oom").write_bytes(RIGHT)
    return tmp_path


@pytest.mark.needs("clang")
@pytest.mark.parametrize("target", ["evaluate-task", "dry-run"])
def test_an_object_is_written_under_the_policy_s_name_here(call: Call, folder: Path, target: str) -> None:
    outcome = call("compile", folder / "policy.oom", "--target", target)
    assert (outcome.code, outcome.out, outcome.err) == (0, b"", "wrote policy.bpf.o\n")
    image = Path("policy.bpf.o").read_bytes()
    assert (image[:4], image[18:20]) == (b"\x7fELF", EM_BPF)
    assert sorted(os.listdir()) == ["policy.bpf.o", "policy.oom"]


@pytest.mark.needs("clang")
def test_the_output_can_be_named_and_piped(call: Call, folder: Path) -> None:
    assert call("compile", "policy.oom", "-o", "out.o") == Outcome(code=0, out=b"", err="")
    assert call("compile", "policy.oom", "-o", "-") == Outcome(code=0, out=Path("out.o").read_bytes(), err="")
    assert call("compile", "-", "-o", "-", stdin=RIGHT).out[:4] == b"\x7fELF"


def test_c_needs_no_clang(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMLANG_CLANG", "/nonexistent")
    assert call("compile", "policy.oom", "--emit", "c").err == "wrote policy.bpf.c\n"
    assert Path("policy.bpf.c").read_bytes().startswith(b"// SPDX")


@pytest.mark.needs("clang", "bpftool")
def test_a_skeleton_is_a_header_with_the_policy_s_name(call: Call, folder: Path) -> None:
    assert call("compile", "policy.oom", "--emit", "skeleton").err == "wrote policy.skel.h\n"
    assert b"struct policy {" in Path("policy.skel.h").read_bytes()


@pytest.mark.parametrize(
    "stem, name",
    [("policy", "policy"), ("a-b c.d", "a_b_c_d"), ("2nd", "policy_2nd"), ("é", "_"), ("x" * 99, "x" * 40)],
)
def test_a_skeleton_s_name_is_an_identifier(stem: str, name: str) -> None:
    assert c_name(stem) == name
    assert re.fullmatch(r"[A-Za-z_]\w{0,62}", c_name(stem), re.ASCII)


@pytest.mark.needs("clang")
@pytest.mark.parametrize(
    "script, said",
    [
        ("echo 'Error: no skeletons today' >&2; exit 1", "Error: no skeletons today"),
        ("kill -9 $$", "was killed by signal 9"),
        (None, "there is none in PATH"),
    ],
)
def test_a_bpftool_that_fails_is_3_with_its_own_words(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, said: str
) -> None:
    clang = subprocess.run(["which", "clang-19"], capture_output=True, check=True, text=True, timeout=60)
    monkeypatch.setenv("OOMLANG_CLANG", clang.stdout.strip())
    monkeypatch.setattr("oomlang.cli.skeleton._MORE_PATH", ())
    monkeypatch.setenv("PATH", str(folder / "tools"))
    (folder / "tools").mkdir()
    if script is not None:
        (folder / "tools" / "bpftool").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "tools" / "bpftool").chmod(0o755)
    outcome = call("compile", "policy.oom", "--emit", "skeleton")
    assert outcome.code == 3
    assert said in outcome.err
    assert not (folder / "policy.skel.h").exists()


def test_warnings_are_said_and_do_not_keep_the_output_back(call: Call, folder: Path) -> None:
    outcome = call("compile", "-", "--emit", "c", "-o", "-", stdin=DOUBTFUL)
    assert outcome.code == 0
    assert "warning[W0602]" in outcome.err
    assert outcome.out.startswith(b"// SPDX")


@pytest.mark.parametrize("emit", ["obj", "c", "skeleton"])
def test_a_wrong_policy_leaves_the_old_output(call: Call, folder: Path, emit: str) -> None:
    Path("policy.oom").write_bytes(WRONG)
    Path("out").write_bytes(b"old")
    outcome = call("compile", "policy.oom", "--emit", emit, "-o", "out", "--depfile", "out.d")
    assert outcome.code == 1
    assert "error[E0201]" in outcome.err
    assert Path("out").read_bytes() == b"old"
    assert not Path("out.d").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("policy.oom", "-o", "policy.oom"),
        ("policy.oom", "-o", "./link.oom"),
        ("policy.oom", "-o", "out", "--depfile", "policy.oom"),
        ("policy.oom", "-o", "out", "--depfile", "out"),
        ("policy.oom", "-o", "out", "--depfile", "-"),
        ("policy.oom", "-o", "-", "--depfile", "out.d"),
        ("policy.oom", "-o", ""),
        ("-",),
        ("policy.oom", "--target", "oom-ops"),
        ("policy.oom", "--kernel", "nonexistent"),
        ("policy.oom", "--kernel", "policy.oom"),
    ],
)
def test_what_would_destroy_something_is_refused(
    call: Call, folder: Path, arguments: tuple[str, ...]
) -> None:
    Path("link.oom").symlink_to("policy.oom")
    outcome = call("compile", "--emit", "c", *arguments, stdin=RIGHT)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert Path("policy.oom").read_bytes() == RIGHT
    assert sorted(os.listdir()) == ["link.oom", "policy.oom"]


def test_an_object_is_not_written_to_a_terminal(on_terminal: Callable[..., str], folder: Path) -> None:
    assert "an object is no text for a terminal" in on_terminal("compile", "policy.oom", "-o", "-")


# --- the kernel it is for ---------------------------------------------------------------------------------------------

VARIED = b"""\
input priority per memcg: int = 0
let excess = memcg.swap
never kill when memcg under "/system.slice"
kill first when memcg.oom_group
kill highest excess + memcg.usage at depth 2
kill highest nice
kill lowest priority
"""


@pytest.fixture
def kernel_without(tmp_path: Path) -> Callable[[str], Path]:
    """This machine's kernel, with one name of its types blotted out."""

    def make(name: str) -> Path:
        types = Path("/sys/kernel/btf/vmlinux").read_bytes()
        entry = b"\0" + name.encode() + b"\0"
        assert entry in types
        path = tmp_path / f"without-{name}.btf"
        path.write_bytes(types.replace(entry, b"\0" + b"?" * len(name) + b"\0"))
        return path

    return make


@pytest.mark.needs("clang", "btf")
@pytest.mark.parametrize(
    "name, lines",
    [
        ("oom_group", [4]),
        ("memsw", [5]),
        ("ancestors", [3, 5]),
        ("static_prio", [6]),
        ("memory_cgrp_id", [3, 4, 5, 7]),
        ("kn", [3, 7]),
        ("start_boottime", []),
    ],
)
def test_what_a_kernel_lacks_is_traced_to_the_rules_that_need_it(
    call: Call, folder: Path, kernel_without: Callable[[str], Path], name: str, lines: list[int]
) -> None:
    Path("policy.oom").write_bytes(VARIED)
    outcome = call("compile", "policy.oom", "--target", "dry-run", "--kernel", kernel_without(name))
    assert outcome.code == 3
    assert name in outcome.err
    assert [int(line) for line in re.findall(r"policy\.oom:(\d+) `", outcome.err)] == lines
    assert ("needed by every policy for dry-run" in outcome.err) is not bool(lines)
    assert not Path("policy.bpf.o").exists()


@pytest.mark.needs("clang", "btf")
def test_a_kernel_that_has_all_is_accepted_and_becomes_a_dependency(
    call: Call, folder: Path, kernel_without: Callable[[str], Path]
) -> None:
    kernel = kernel_without("oom_group")
    outcome = call(
        *(
            "compile",
            "policy.oom",
            "--target",
            "dry-run",
            "--kernel",
            kernel,
            "-o",
            "out.o",
            "--depfile",
            "out.d",
        )
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert Path("out.d").read_text() == f"out.o: policy.oom {kernel}\n"


@pytest.mark.needs("clang", "btf")
def test_a_kernel_without_the_hooks_is_told_by_name(
    call: Call, folder: Path, kernel_without: Callable[[str], Path]
) -> None:
    # A name that no policy needs: a kernel with the hooks lacks none of them either.
    kernel = kernel_without("nr_threads")
    outcome = call("compile", "policy.oom", "--kernel", kernel)
    if outcome.code == 0:  # this machine's kernel has them
        return
    assert outcome.code == 3
    assert "function bpf_oom_evaluate_task" in outcome.err
    assert "--target dry-run" in outcome.err
    assert not Path("policy.bpf.o").exists()
