"""The driver of clang: whatever stands in clang's place, the answer names it, comes in time and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import oomlang
from oomlang.diagnostics import EnvironmentLacks, InternalError
from oomlang.targets.bpf.clang import Clang, compile_c, find_clang

POLICY = "kill highest rss\n"
C = "int x;\n"
FakeClang = Callable[..., str]
SHORT = 120.0
"""Seconds for what takes none unless something is waited for that never comes."""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$TMPDIR, empty."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def fake_clang(tmp_path: Path) -> FakeClang:
    """`fake_clang(script)`: the path of a clang 19 that does in place of compiling what the script says, with $out."""

    def make(script: str, *, version: str = "echo clang version 19.1.7") -> str:
        path = tmp_path / "clang"
        path.write_text(
            f'#!/bin/bash\nif [ "$1" = --version ]; then {version}; exit; fi\n'
            'while [ "$1" != -o ]; do shift; done; out=$2\n'
            f"{script}\n"
        )
        path.chmod(0o755)
        return str(path)

    return make


def lacks(clang: str) -> str:
    """What compiling a policy with this clang says that the environment lacks."""
    began = time.monotonic()
    with pytest.raises(EnvironmentLacks) as caught:
        oomlang.compile(POLICY, clang=clang)
    assert time.monotonic() - began < SHORT
    assert len(str(caught.value)) < 20_000
    return str(caught.value)


# --- finding one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version, said",
    [
        (
            f"echo clang version {'1' * 5000}",
            "is not a clang; asked for its version, it says: clang version 11111",
        ),
        ("echo clang version ١٩", "is not a clang"),
        ("echo gcc 12; exit 1", "it says: gcc 12"),
        ("echo no such library >&2; exit 127", "it says: no such library"),
        ("true", "it says: (nothing)"),
        ("head -c 100000 /dev/urandom", "is not a clang"),
        ("yes", "printed more than 1 MiB"),
        ("yes >&2", "printed more than 1 MiB"),
        ("kill -9 $$", "is not a clang"),
        ("echo clang version 14.0.6", "is clang 14\n"),
        ("sleep 1000 & echo clang version 3", "is clang 3\n"),
    ],
)
def test_a_version_that_will_not_do(fake_clang: FakeClang, version: str, said: str) -> None:
    assert said in lacks(fake_clang("", version=version))


def test_a_version_that_never_comes(fake_clang: FakeClang, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomlang.targets.bpf.clang._VERSION_LIMIT", 0.2)
    assert "--version` did not finish within 0.2 s" in lacks(fake_clang("", version="sleep 1000"))


def test_what_is_no_program(tmp_path: Path) -> None:
    assert f"there is no clang at `{tmp_path}/none`" in lacks(f"{tmp_path}/none")
    assert "there is no `no-such-clang` on the PATH" in lacks("no-such-clang")
    assert f"`{tmp_path}` is a directory" in lacks(str(tmp_path))
    plain = tmp_path / "plain"
    plain.write_bytes(b"\x7fELF")
    assert f"`{plain}` may not be executed" in lacks(str(plain))
    plain.chmod(0o755)
    assert "exec format error" in lacks(str(plain))
    plain.write_text("#!/nonexistent/interpreter\n")
    assert "the interpreter that it names does not exist" in lacks(str(plain))


def test_a_relative_path_is_meant_from_here(
    fake_clang: FakeClang, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_clang("echo words >&2; exit 7")
    monkeypatch.chdir(tmp_path)
    assert "words" in lacks("./clang")
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert find_clang() == str(tmp_path / "clang")


def test_a_clang_too_many_s_does_not_hide_the_policy_s_errors() -> None:
    with pytest.raises(oomlang.OomlangError):
        oomlang.compile("kill highest rrs\n", clang="/nonexistent")


# --- what it makes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script, said",
    [
        ("true", "wrote no BPF object: no such file"),
        (': > "$out"', "wrote no BPF object"),
        ('echo garbage > "$out"', "wrote no BPF object"),
        ('head -c 100000 /dev/urandom > "$out"', "wrote no BPF object"),
        ('ln -s /dev/zero "$out"', "it is a link"),
        ('ln -s "$out" "$out"', "it is a link"),
        ('ln -s /proc/self/mem "$out"', "it is a link"),
        ('mkfifo "$out"', "it is no regular file"),
        ('mkdir "$out"', "is a directory"),
        ('truncate -s 40G "$out"', "it is larger than 32 MiB"),
        ('rm -rf "$PWD"', "no such file"),
        ('printf "\\x7fELF" > "$out"; yes >&2 & exit 0', "wrote no BPF object"),
    ],
)
def test_what_is_no_object_is_clang_s_failure(
    fake_clang: FakeClang, temporary: Path, script: str, said: str
) -> None:
    assert said in lacks(fake_clang(script))
    assert os.listdir(temporary) == []


@pytest.mark.needs("clang")
@pytest.mark.parametrize("bytes_", [1, 16, 63, 64, 1000, -1])
def test_a_cut_object_is_clang_s_failure(fake_clang: FakeClang, bytes_: int) -> None:
    cut = f'clang-19 -O2 -target bpfel -mcpu=v3 -g -c -o whole.o -x c /dev/stdin; head -c {bytes_} whole.o > "$out"'
    assert "wrote no BPF object" in lacks(fake_clang(cut))


@pytest.mark.needs("clang")
def test_an_object_of_something_else_is_clang_s_failure(fake_clang: FakeClang) -> None:
    other = 'echo "int x;" | clang-19 -target bpfel -g -c -o "$out" -x c -'
    assert "made its object of something else" in lacks(fake_clang(other))
    native = 'echo "int x;" | clang-19 -g -c -o "$out" -x c -'
    assert "wrote no BPF object" in lacks(fake_clang(native))


@pytest.mark.needs("clang")
def test_a_real_clang_s_object_that_is_not_what_we_meant_is_our_bug(fake_clang: FakeClang) -> None:
    renamed = (
        'sed s/evaluate_task/evaluate_talk/g | clang-19 -O2 -g -target bpfel -mcpu=v3 -c -x c -o "$out" -'
    )
    with pytest.raises(InternalError, match="fails our own checks"):
        oomlang.compile(POLICY, clang=fake_clang(renamed))


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script, said",
    [
        ("echo any text >&2; exit 1", "compiles nothing, not even one line; it says:\nany text\n"),
        ("echo '<stdin>:1:1: error: no' >&2; exit 1", "<stdin>:1:1: error: no"),
        ("exit 1", "(nothing)"),
        ("head -c 300000 /dev/urandom >&2; exit 1", "compiles nothing"),
        ("printf '0.\\tx\\n1.\\ty\\n  #3 0x1 f\\n' >&2; exit 70", "it says:\n1.\ty\n"),
        ("printf '\\e[2J\\xff\\n' >&2; exit 3", "failed (exit code 3); it says:\n\x1b[2J\\xff"),
        ("exec <&-; exec 2>&-; exit 1", "compiles nothing"),
        ("kill -SEGV $$", "was ended by signal 11;"),
        ("exit 139", "was ended by signal 11;"),
        ("echo cut >&2; kill -TERM $$", "was ended by signal 15; it says:\ncut"),
        ("yes >&2", "printed more than 1 MiB"),
        ("yes", "printed more than 1 MiB"),
        ("sleep 1000 & echo oh >&2; exit 1", "oh"),
        ("echo \"fatal error: 'linux/types.h' file not found\" >&2; exit 1", "apt-get install libbpf-dev linux-libc-dev"),
        ("echo '/usr/include/bpf/x.h:3:1: error: odd' >&2; exit 1", "finds errors in /usr/include/bpf/x.h"),
        ("echo 'error: unable to create target' >&2; exit 1", "cannot compile for BPF"),
    ],
)  # fmt: skip
def test_a_failing_clang_is_heard(fake_clang: FakeClang, temporary: Path, script: str, said: str) -> None:
    assert said in lacks(fake_clang(script))
    assert os.listdir(temporary) == []


@pytest.mark.parametrize(
    "script, said",
    [
        ("echo 'LLVM ERROR: out of memory' >&2; kill -ABRT $$", "ran out of memory"),
        ("echo 'terminate called: std::bad_alloc' >&2; exit 134", "ran out of memory"),
        ("kill -9 $$", "was ended by signal 9, perhaps for want of memory"),
        ("exit 137", "was ended by signal 9, perhaps for want of memory"),
        ("kill -XCPU $$", "was ended by signal 24, the limit of CPU time"),
        ("kill -XFSZ $$", "was ended by signal 25, the limit of a file's size"),
    ],
)
def test_want_of_memory_or_time_is_no_reason_for_another_version(
    fake_clang: FakeClang, script: str, said: str
) -> None:
    words = lacks(fake_clang(script))
    assert said in words
    assert "another" not in words
    assert "make the policy smaller" in words or "raise the limit" in words


@pytest.mark.parametrize(
    "script", ["sleep 1000", "exec sleep 1000 2>&-", "sleep 1000 & wait", "trap '' TERM INT; sleep 1000"]
)
def test_a_clang_that_hangs_is_given_up(fake_clang: FakeClang, temporary: Path, script: str) -> None:
    began = time.monotonic()
    with pytest.raises(EnvironmentLacks, match=r"did not finish within 0\.3 s\nmake the policy smaller"):
        compile_c(C * 100_000, clang=fake_clang(script), time_limit=0.3)
    assert time.monotonic() - began < SHORT
    assert os.listdir(temporary) == []


@pytest.mark.needs("clang")
@pytest.mark.parametrize("leave", ["sleep 1000 &", "setsid sleep 200 &", "(trap '' HUP TERM; sleep 1000) &"])
def test_children_with_its_stderr_are_not_waited_for(fake_clang: FakeClang, leave: str) -> None:
    began = time.monotonic()
    image = compile_c(C, clang=fake_clang(f'{leave}\nexec clang-19 -target bpfel -g -c -o "$out" -x c -'))
    assert image.startswith(b"\x7fELF")
    assert time.monotonic() - began < SHORT


def test_its_children_end_with_it(fake_clang: FakeClang, tmp_path: Path) -> None:
    lacks(fake_clang(f"sleep 1000 & echo $! > {tmp_path}/child; exit 2"))
    child = (tmp_path / "child").read_text().strip()
    deadline = time.monotonic() + SHORT
    while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
        time.sleep(0.01)  # whoever inherited it has yet to reap it
    assert not os.path.exists(f"/proc/{child}")


def test_a_clang_that_is_not_needed_after_all_is_ended(fake_clang: FakeClang, temporary: Path) -> None:
    with Clang(fake_clang("exec sleep 1000")) as started:
        process = started._tool._process
        assert os.listdir(temporary) != []
    assert process.returncode == -signal.SIGKILL
    assert os.listdir(temporary) == []


@pytest.mark.needs("clang")
def test_c_that_a_sound_clang_refuses_is_our_bug() -> None:
    with pytest.raises(
        InternalError, match="clang refuses the C that oomlang emitted; it says:\n<stdin>:1:1: error"
    ):
        compile_c("nonsense;\n")


# --- where it works ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["No space left on device", "Disk quota exceeded"])
@pytest.mark.parametrize(
    "script",
    [
        "echo \"error: unable to open output file: '{}'\" >&2; exit 1",
        "echo 'IO failure on output stream: {}' >&2; echo PLEASE submit a bug report >&2; exit 70",
    ],
)
def test_no_room_is_said_and_nothing_else(
    fake_clang: FakeClang, temporary: Path, script: str, reason: str
) -> None:
    assert lacks(fake_clang(script.format(reason))).endswith(
        f"cannot write to {temporary}: {reason.lower()}\nmake room in $TMPDIR, or set it to a directory that has some"
    )


@pytest.mark.parametrize(
    "place, reason", [("none", "no such file or directory"), ("file", "not a directory")]
)
def test_a_tmpdir_that_is_none(
    fake_clang: FakeClang, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/{place}")
    assert lacks(fake_clang("")) == (
        f"cannot write to $TMPDIR ({tmp_path}/{place}): {reason}\nset TMPDIR to a directory that can be written to"
    )


def test_a_relative_tmpdir_is_meant_from_here(
    fake_clang: FakeClang, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", "tmp")
    assert "wrote no BPF object: no such file" in lacks(fake_clang(f'dirname "$out" > {tmp_path}/place'))
    assert (tmp_path / "place").read_text().startswith(f"{tmp_path}/tmp/oomlang-")


CHECKOUT = Path(__file__).parents[4]
IN_A_NAMESPACE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")


@pytest.mark.needs("root", "clang", "mount namespace")
@pytest.mark.may_skip("a container, or a chroot, may not have mounts of its own")
@pytest.mark.parametrize(
    "options, fill, said",
    [
        ("size=64k", "head -c 60k /dev/zero > full", "No space left on device\nhelp: make room in $TMPDIR"),
        ("size=64k", "head -c 80k /dev/zero > full", "No space left on device\nhelp: make room in $TMPDIR"),
        ("nr_inodes=1", "true", "No space left on device\nhelp: make room in $TMPDIR"),
        ("nr_inodes=2", "true", "No space left on device\nhelp: make room in $TMPDIR"),
        ("size=1m", "mount -o remount,ro .", "Read-only file system\nhelp: set TMPDIR to"),
    ],
)
def test_a_tmpdir_without_room(temporary: Path, options: str, fill: str, said: str) -> None:
    policy = temporary.parent / "policy.oom"
    policy.write_text(POLICY)
    out = temporary.parent / "policy.o"
    script = (
        f"mount -t tmpfs -o {options} tmpfs $TMPDIR && cd $TMPDIR && ({fill} 2>&-; "
        f"cd {CHECKOUT}; {sys.executable} -m oomlang compile {policy} -o {out})"
    )
    done = subprocess.run([*IN_A_NAMESPACE, script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert said.lower() in done.stderr.lower()
    assert "another" not in done.stderr
    assert not out.exists()


@pytest.mark.needs("root", "mount namespace")
@pytest.mark.may_skip("a container, or a chroot, may not have mounts of its own")
@pytest.mark.parametrize("options", ["size=8k", "nr_inodes=1", "nr_inodes=3", "ro"])
def test_a_home_without_room_for_a_cache_is_no_matter(temporary: Path, options: str) -> None:
    script = (
        f"mount -t tmpfs -o {options} tmpfs $TMPDIR && cd {CHECKOUT} && export HOME=$TMPDIR XDG_CACHE_HOME= && "
        f"echo '{POLICY.strip()}' | {sys.executable} -m oomlang compile - --emit c -o /dev/null"
    )
    done = subprocess.run([*IN_A_NAMESPACE, script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
