"""Small files of /proc and cgroupfs, read whole with as few system calls as there can be."""

from __future__ import annotations

import os

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_CLOEXEC
_ENOUGH = 16 << 10


def read_file(path: str | bytes, directory: int | None = None, *, enough: int = _ENOUGH) -> bytes:
    """A file's bytes; `path` relative to the open directory if there is one. Errors: `OSError`.

    enough: bytes that such a file never reaches; where it does, it is read to its end all the same. The files here
    give everything in the first read.
    """
    fd = os.open(path, _FILE, dir_fd=directory)
    try:
        data = os.read(fd, enough)
        if len(data) == enough:
            while part := os.read(fd, 1 << 20):
                data += part
        return data
    finally:
        os.close(fd)


def read_number(path: str | bytes, directory: int | None = None) -> int | None:
    """A file that holds one number; None for any other content. Errors: `OSError`."""
    try:
        return int(read_file(path, directory))
    except ValueError:
        return None
