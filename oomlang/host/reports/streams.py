"""Logs as lines, as fast as they can be passed over.

In: a file, plain or compressed with gzip, xz or zstd. Out: blocks of whole lines. Memory stays bounded whatever the file
holds: a block is about a MiB, and of a line that is longer the rest is left out.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from oomlang.diagnostics import EnvironmentLacks

BLOCK = 1 << 20
LONGEST = 1 << 16
"""Bytes of a line that are looked at. The kernel's own lines are shorter than 1 KiB."""

_MAGIC = 6


class LogError(Exception):
    """A log that cannot be read; the message says why."""


class Readable(Protocol):
    """Whatever bytes can be read from, a few or many at a time."""

    def read(self, size: int, /) -> bytes: ...


class _Rest:
    """A stream from which the first bytes were read already. done: bytes read of the file itself."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._head = b""
        self.done = 0

    def peek(self, size: int) -> bytes:
        while len(self._head) < size and (data := self._file.read(size - len(self._head))):
            self._head += data
        return self._head

    def read(self, size: int = -1, /) -> bytes:
        data, self._head = (self._head, b"") if self._head else (self._file.read(size), b"")
        self.done += len(data)
        return data


@contextmanager
def opened(file: Readable) -> Iterator[tuple[Readable, _Rest]]:
    """The text of a log, uncompressed; and the file, whose `done` says how far it is.

    Raises `EnvironmentLacks` where a zstd file is read on a machine without the program `zstd`.
    """
    source = _Rest(file)
    magic = source.peek(_MAGIC)
    if magic.startswith(b"\x1f\x8b"):
        yield gzip.GzipFile(fileobj=cast("BinaryIO", source)), source
    elif magic.startswith(b"\xfd7zXZ\0"):
        with lzma.LZMAFile(cast("BinaryIO", _Seekless(source))) as text:
            yield text, source
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        with _zstd(source) as text:
            yield text, source
    else:
        yield source, source


class _Seekless:
    """What `lzma` asks of a file."""

    def __init__(self, source: _Rest) -> None:
        self.read = source.read

    def readable(self) -> bool:
        return True


@contextmanager
def _zstd(source: _Rest) -> Iterator[Readable]:
    program = shutil.which("zstd")
    if program is None:
        raise EnvironmentLacks(
            "a log compressed with zstd needs the program `zstd`", mend="install it: apt-get install zstd"
        )
    with subprocess.Popen(
        [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin is not None  # all three are pipes
        assert stdout is not None
        assert stderr is not None

        def feed() -> None:
            try:
                with stdin:
                    while data := source.read(BLOCK):
                        stdin.write(data)
            except OSError:
                pass  # it has ended, and said why

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            yield _Checked(process, stdout, stderr)
        finally:
            process.kill()
            feeder.join()


class _Checked:
    """The output of a program whose failure must not look like the end of its output."""

    def __init__(self, process: subprocess.Popen[bytes], out: Readable, errors: Readable) -> None:
        self._process, self._out, self._errors = process, out, errors

    def read(self, size: int, /) -> bytes:
        data = self._out.read(size)
        if not data and self._process.wait(timeout=60):
            words = self._errors.read(1000).decode("utf-8", "replace").strip()
            raise LogError(words.splitlines()[-1] if words else "zstd failed")
        return data


def blocks(text: Readable) -> Iterator[bytes]:
    """The text in blocks of whole lines, each with its end; the last line may lack it.

    Raises `LogError` where compressed data is damaged, after the blocks before the damage.
    """
    rest = b""
    skipping = False  # inside a line that is too long
    while True:
        try:
            data = text.read(BLOCK)
        except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
            if rest:
                yield rest
            raise LogError(f"the compressed data is damaged: {error}") from error
        if not data:
            break
        if skipping:
            end = data.find(b"\n")
            if end < 0:
                continue
            data, skipping = data[end:], False
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end] if rest else data if end == len(data) else data[:end]
            rest = data[end:]
        else:
            rest += data
        if len(rest) > BLOCK:
            rest, skipping = rest[:LONGEST], True
    if rest:
        yield rest
