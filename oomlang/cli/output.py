"""Writing files: the whole new content, or the old file as it was.

The content goes to a temporary file in the target's own directory, which is then renamed over the target. A device or a
pipe cannot be replaced and is written to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from oomlang.cli.failures import NOWHERE, SOMEWHERE, Failure, file_failure, is_nowhere
from oomlang.cli.streams import print_bytes
from oomlang.records import dataclass

STDOUT = "-"
_NAME_BYTES = 200
"""Of a file's name in the name of its temporary file, which has to stay below NAME_MAX (255)."""


def write_output(path: str, data: bytes) -> None:
    """Write a file, or standard output for `-`. Errors: `Failure`, and the old file is untouched."""
    write_outputs([(path, data)])


def write_outputs(files: Iterable[tuple[str, bytes]], *, durable: bool = False) -> None:
    """Write several files so that none is replaced before all could be written.

    durable: wait until the disk has the new content before the old one is given up; for files that nobody can make
    again.
    """
    ready: list[_Temporary] = []
    direct: list[tuple[str, bytes]] = []
    try:
        for path, data in files:
            temporary = None if path == STDOUT else _prepare(path, data, durable)
            if temporary is None:
                direct.append((path, data))
            else:
                ready.append(temporary)
        for path, data in direct:
            _write_directly(path, data)
        while ready:
            _rename(ready[0])
            del ready[0]
    finally:
        for temporary in ready:
            _unlink(temporary.path)


def same_file(one: str, other: str) -> bool:
    """Whether two names stand for one file; both `-` do not."""
    if STDOUT in (one, other):
        return False
    try:
        return os.path.samefile(one, other)
    except OSError:
        return _whole(one) == _whole(other)  # one of them is not there (yet)


def _whole(name: str) -> str:
    try:
        return os.path.abspath(name)
    except FileNotFoundError:  # the working directory is gone, and relative names stand for nothing
        return os.path.normpath(name)


@dataclass(frozen=True, slots=True)
class _Temporary:
    """A written file at `path` that is to become `target`; `name` is what the user called it."""

    path: str
    target: str
    name: str


def _prepare(name: str, data: bytes, durable: bool) -> _Temporary | None:
    """Write the content beside its target; None where the target is no regular file."""
    try:
        old = os.stat(name)
    except FileNotFoundError:
        old = None
    except OSError as error:
        raise _failure(name, error) from error
    if name.endswith("/") or (old is not None and stat.S_ISDIR(old.st_mode)):
        raise Failure(f"cannot write {name}: it is a directory")
    if old is not None and not stat.S_ISREG(old.st_mode):
        return None
    target = _target(name)
    if old is not None and not os.access(target, os.W_OK):
        raise Failure(f"cannot write {name}: it is read-only")
    folder, base = os.path.split(target)
    short = os.fsdecode(os.fsencode(base)[:_NAME_BYTES])
    temporary = os.path.join(folder, f".{short}.{os.urandom(6).hex()}.tmp")
    try:
        _write_new(temporary, data, old, durable)
    except OSError as error:
        _unlink(temporary)
        raise _failure(name, error) from error
    except BaseException:
        _unlink(temporary)
        raise
    return _Temporary(temporary, target, name)


def _write_new(path: str, data: bytes, old: os.stat_result | None, durable: bool) -> None:
    # Made by open and not by mkstemp, so that the umask decides about a new file's mode.
    with open(path, "xb", buffering=0) as file:
        if old is not None:
            try:
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            except PermissionError:
                pass  # only root may give files away
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        if durable:
            os.fsync(file.fileno())


def _write_directly(name: str, data: bytes) -> None:
    if name == STDOUT:
        print_bytes(data)
        return
    try:
        with open(name, "wb") as file:
            file.write(data)
    except OSError as error:
        raise _failure(name, error) from error


def _rename(temporary: _Temporary) -> None:
    try:
        os.replace(temporary.path, temporary.target)
    except OSError as error:
        raise _failure(temporary.name, error) from error


def _target(name: str) -> str:
    """The file that a name stands for: a link stays one, and what it points at is replaced. Errors: `Failure`."""
    try:
        return os.path.realpath(name)
    except OSError as error:
        raise _failure(name, error) from error


def _failure(name: str, error: OSError) -> Failure:
    if is_nowhere(name):
        return Failure(f"cannot write {name}: {NOWHERE}", mend=SOMEWHERE)
    # Of a link the directory matters that it leads to.
    folder = os.path.dirname(os.path.realpath(name) if os.path.islink(name) else name) or "."
    if isinstance(error, FileNotFoundError):
        missing = os.path.realpath(folder) if os.path.islink(folder) else folder
        return Failure(f"cannot write {name}: there is no directory {missing}")
    if isinstance(error, PermissionError):
        return Failure(f"cannot write {name}: no permission to write in {folder}")
    return file_failure("write", name, error)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
