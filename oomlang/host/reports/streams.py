"""Logs as lines, as fast as they can be passed over.

In: a file, plain (in UTF-16, too) or compressed with gzip, bzip2, xz or zstd. Out: blocks of whole lines. Memory stays
bounded whatever the file holds: a block is about a MiB, and of a line that is longer the rest is left out.
"""

from __future__ import annotations

import bz2
import codecs
import lzma
import re
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from oomlang.diagnostics import EnvironmentLacks

BLOCK = 1 << 20
LONGEST = 1 << 16
"""Bytes of a line that are looked at. The kernel's own lines are shorter than 1 KiB."""

_MAGIC = 10

_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""The file's head and that of its first block, or of its end: a line of text may begin with the first four bytes."""


class LogError(Exception):
    """A log that cannot be read; the message says why."""


class Readable(Protocol):
    """Whatever bytes can be read from, a few or many at a time."""

    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    """What zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


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

    def read(self, size: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._file.read(size)
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
        yield _Inflated(source, lambda: zlib.decompressobj(wbits=31)), source
    elif magic.startswith(b"\xfd7zXZ\0"):
        yield _Inflated(source, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)), source
    elif _BZIP2.match(magic):
        yield _Inflated(source, bz2.BZ2Decompressor), source
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        with _zstd(source) as text:
            yield text, source
    elif magic.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield _Utf16(source), source
    else:
        yield source, source


class _Utf16:
    """What PowerShell writes for `>`, as UTF-8."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")

    def read(self, size: int, /) -> bytes:
        while data := self._source.read(size):
            if text := self._decoder.decode(data):
                return text.encode("utf-8", "replace")
        return b""


class _Inflated:
    """A compressed stream, of one part or several, as the text up to its end or to where it is damaged."""

    def __init__(self, source: Readable, new: Callable[[], _Decompressor]) -> None:
        self._source, self._new = source, new
        self._part: _Decompressor | None = None
        self._input = b""

    def read(self, size: int, /) -> bytes:
        while True:
            if not self._input and (self._part is None or getattr(self._part, "needs_input", True)):
                self._input = self._source.read(BLOCK)
                if not self._input:
                    if self._part is not None:
                        raise LogError("the compressed data ends too early")
                    return b""
            if self._part is None:
                self._input = self._input.lstrip(b"\0")  # padding between the parts
                if not self._input:
                    continue
                self._part = self._new()
            try:
                data = self._part.decompress(self._input, size)
            except (lzma.LZMAError, zlib.error, OSError) as error:  # OSError: bz2's word for it
                raise LogError(f"the compressed data is damaged: {str(error).lower()}") from error
            self._input = getattr(self._part, "unconsumed_tail", b"")  # lzma and bz2 keep it to themselves
            if self._part.eof:
                self._input, self._part = self._part.unused_data, None
            if data:
                return data


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
        except LogError:
            if rest:
                yield rest
            raise
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
