"""A file is written whole or not at all."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oomlang.cli.failures import Failure
from oomlang.cli.output import same_file, write_output, write_outputs
from tests.unit.cli.conftest import RIGHT, UNFORMATTED, Outcome

Call = Callable[..., Outcome]

# root may write everywhere, unless it is asked not to
UNPRIVILEGED = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    if os.geteuid() == 0
    else ()
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_new_file_has_the_mode_that_the_umask_leaves(folder: Path) -> None:
    old = os.umask(0o027)
    try:
        write_output(str(folder / "new"), b"data")
    finally:
        os.umask(old)
    assert (folder / "new").read_bytes() == b"data"
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o640


def test_an_old_file_is_replaced_and_keeps_its_mode(folder: Path) -> None:
    path = folder / "old"
    path.write_bytes(b"old")
    path.chmod(0o751)
    before = path.stat().st_ino
    write_output(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert path.stat().st_ino != before
    assert os.listdir(folder) == ["old"]


def test_a_link_stays_and_its_target_is_replaced(folder: Path) -> None:
    (folder / "real").write_bytes(b"old")
    (folder / "link").symlink_to("real")
    write_output(str(folder / "link"), b"new")
    assert (folder / "link").is_symlink()
    assert (folder / "real").read_bytes() == b"new"


def test_a_name_as_long_as_names_can_be_is_written(folder: Path) -> None:
    name = "é" * 127
    write_output(str(folder / name), b"data")
    assert os.listdir(folder) == [name]


def test_a_pipe_is_written_to_and_not_replaced(folder: Path) -> None:
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    write_output(str(fifo), b"data")
    reader.join()
    assert got == [b"data"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize(
    "name, message",
    [
        ("no/file", "there is no directory"),
        ("folder", "it is a directory"),
        ("folder/", "it is a directory"),
        ("file/x", "not a directory"),
        ("/dev/full", "no space left on device"),
    ],
)
def test_what_cannot_be_written_is_said(folder: Path, name: str, message: str) -> None:
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(b"")
    with pytest.raises(Failure, match=message):
        write_output(os.path.join(folder, name), b"data")
    assert sorted(os.listdir(folder)) == ["file", "folder"]


def test_of_several_files_none_is_replaced_when_one_cannot_be_written(folder: Path) -> None:
    (folder / "first").write_bytes(b"old")
    with pytest.raises(Failure):
        write_outputs([(str(folder / "first"), b"new"), (str(folder / "no" / "second"), b"new")])
    assert (folder / "first").read_bytes() == b"old"
    assert os.listdir(folder) == ["first"]


def test_an_interrupt_leaves_no_temporary_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (folder / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_output(str(folder / "file"), b"new")
    assert (folder / "file").read_bytes() == b"old"
    assert os.listdir(folder) == ["file"]


def test_names_of_one_file_are_known_as_such(folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    (folder / "link").symlink_to("file")
    assert same_file(str(folder / "file"), str(folder / "link"))
    assert same_file(str(folder / "new"), os.path.join(folder, ".", "new"))
    assert not same_file(str(folder / "file"), str(folder / "new"))
    assert not same_file("-", "-")


# --- through the command line ---------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_output(program: Call, folder: Path) -> None:
    (folder / "policy.oom").write_bytes(RIGHT)
    (folder / "policy.bpf.c").write_bytes(b"old")
    outcome = program(
        *("compile", "policy.oom", "--emit", "c"),
        cwd=folder,
        prefix=("sh", "-c", 'ulimit -f 1 && exec "$@"', "sh"),  # half a KiB: the disk that is full
    )
    assert outcome.code == 3
    assert outcome.err == "error: cannot write policy.bpf.c: file too large\n"
    assert (folder / "policy.bpf.c").read_bytes() == b"old"
    assert sorted(os.listdir(folder)) == ["policy.bpf.c", "policy.oom"]


def test_an_unwritable_directory_leaves_the_old_output(program: Call, folder: Path) -> None:
    policy = folder / "policy.oom"
    policy.write_bytes(UNFORMATTED)
    folder.chmod(0o555)
    try:
        outcome = program("fmt", policy, prefix=UNPRIVILEGED)
    finally:
        folder.chmod(0o755)
    assert outcome.code == 2
    assert outcome.err == f"error: cannot write {policy}: no permission to write in {folder}\n"
    assert policy.read_bytes() == UNFORMATTED


def test_a_read_only_file_is_not_replaced(program: Call, folder: Path) -> None:
    policy = folder / "policy.oom"
    policy.write_bytes(UNFORMATTED)
    policy.chmod(0o444)
    outcome = program("fmt", policy, prefix=UNPRIVILEGED)
    assert outcome.code == 2
    assert outcome.err == f"error: cannot write {policy}: it is read-only\n"
    assert policy.read_bytes() == UNFORMATTED


def test_an_unreadable_file_is_said(program: Call, folder: Path) -> None:
    policy = folder / "policy.oom"
    policy.write_bytes(RIGHT)
    policy.chmod(0)
    outcome = program("check", policy, prefix=UNPRIVILEGED)
    assert (outcome.code, outcome.err) == (2, f"error: cannot read {policy}: permission denied\n")
