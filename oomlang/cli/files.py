"""Reading what the command line names: policies, objects, standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from oomlang.cli.failures import Failure, file_failure

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

STDIN = "-"
SUFFIX = ".oom"
_MAX_POLICY = 16 << 20
_MAX_OBJECT = 64 << 20
_MAX_SNAPSHOT = 1 << 30
"""Far above anything sensible, and a way out of /dev/zero."""


class PolicyFile(click.Path):
    """A policy's path, or `-`. The shell completes directories and *.oom."""

    def __init__(self) -> None:
        super().__init__(readable=False)  # whoever reads it says better what is wrong

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="policy")]


def name_of(path: str) -> str:
    """The name that programs get to read; for messages see `called`."""
    return "<stdin>" if path == STDIN else path


def called(path: str) -> str:
    """What messages call the file, on one line: its name is a stranger's text."""
    from oomlang.diagnostics.visible import visible

    return visible(name_of(path))


def read_policy(path: str) -> bytes:
    """The bytes of a policy. Raises `Failure` with the reason."""
    return _read(path, _MAX_POLICY, "a policy", SUFFIX)


def read_object(path: str) -> bytes:
    """The bytes of an object. Raises `Failure` with the reason."""
    return _read(path, _MAX_OBJECT, "a BPF object", ".o")


def read_snapshot_file(path: str) -> bytes:
    """The bytes of a snapshot. Raises `Failure` with the reason."""
    return _read(path, _MAX_SNAPSHOT, "a snapshot", ".json")


def policies(paths: tuple[str, ...]) -> Iterator[tuple[str, bytes | Failure]]:
    """Each file with its bytes, or with what keeps them from being read, so that one does not hide the others."""
    if paths.count(STDIN) > 1:
        raise Failure("standard input can only be read once")
    for path in dict.fromkeys(paths):
        try:
            yield path, read_policy(path)
        except Failure as failure:
            yield path, failure


def _read(path: str, most: int, what: str, suffix: str) -> bytes:
    try:
        if path == STDIN:
            if sys.stdin is None:
                raise Failure("standard input is closed")
            data = _at_most(sys.stdin.buffer, most)
        else:
            with open(path, "rb") as file:
                data = _at_most(file, most)
    except IsADirectoryError as error:
        mend = "" if path == STDIN else f"name the files in it: {os.path.join(path, '*' + suffix)}"
        raise file_failure("read", name_of(path), error, mend=mend) from error
    except OSError as error:
        raise file_failure("read", name_of(path), error) from error
    if len(data) > most:
        raise Failure(f"{name_of(path)} is larger than {most >> 20} MiB: that is not {what}")
    return data


def _at_most(file: BinaryIO, most: int) -> bytes:
    """The file's bytes, and one more than `most` where it has more."""
    return file.read(most + 1)
