"""C → object, by the real clang.

The command line is fixed, so that the same C gives the same bytes wherever it is run: no path gets into the object.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import NoReturn, Self

from oomlang.diagnostics import EnvironmentLacks, InternalError

MINIMUM_VERSION = 15
"""clang 15: the first whose BPF back end the emitted C was written for (enum relocations, calls into static functions)."""

TIME_LIMIT = 300.0
"""Seconds. A policy at the limit of rules takes a small part of it."""

_CANDIDATES = ("clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15")
_INSTALL = "install it: `apt-get install clang-19` (Debian, Ubuntu), `dnf install clang` (Fedora)"
_VERSION = re.compile(r"clang version (\d+)")
_FLAGS = (
    "-x", "c", "-std=gnu11", "-O2", "-g", "-target", "bpfel", "-mcpu=v3", "-Wall", "-Wno-unused-function",
    "-Wno-compare-distinct-pointer-types", "-fno-ident", "-fdebug-compilation-dir=.", "-c",
)  # fmt: skip


def find_clang(named: str | None = None) -> str:
    """The path of the clang to use: the one named, `$OOMLANG_CLANG`, or the first on the PATH that is new enough.

    Raises `EnvironmentLacks` saying what is needed. The version is only asked of a clang without one in its name.
    """
    given = named or os.environ.get("OOMLANG_CLANG")
    if given:
        path = shutil.which(given)
        if path is None:
            raise EnvironmentLacks(f"there is no clang at `{given}`", mend="name one that exists, or none")
        _require_version(path)
        return path
    tried = ""
    for name in _CANDIDATES:
        path = shutil.which(name)
        if path is None:
            continue
        if "-" in name:
            return path
        try:
            _require_version(path)
        except EnvironmentLacks as lacks:
            tried = tried or lacks.what
            continue
        return path
    raise EnvironmentLacks(
        tried or "compiling needs clang, and there is none on the PATH",
        mend=f"clang {MINIMUM_VERSION} or newer is needed; {_INSTALL}",
    )


def _require_version(path: str) -> None:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentLacks(f"`{path}` does not run: {error}", mend=_INSTALL) from error
    match = _VERSION.search(answer.stdout)
    if match is None:
        said = (answer.stdout or answer.stderr).strip().splitlines()[:1]
        raise EnvironmentLacks(
            f"`{path}` is not a clang: it says {said[0] if said else 'nothing'!r}", mend=_INSTALL
        )
    if int(match[1]) < MINIMUM_VERSION:
        raise EnvironmentLacks(
            f"`{path}` is clang {match[1]}", mend=f"clang {MINIMUM_VERSION} or newer is needed; {_INSTALL}"
        )


class Clang:
    """A clang that has been started and waits for its C; a context manager.

    Half of what it takes for a small policy is to start, so it is worth starting before the C is there.
    """

    def __init__(self, clang: str | None = None) -> None:
        """clang: a program to use in place of the one found. Raises `EnvironmentLacks` where there is none that will do."""
        self._program = find_clang(clang)
        self._folder = tempfile.TemporaryDirectory(prefix="oomlang-")
        self._out = os.path.join(self._folder.name, "policy.o")
        try:
            self._process = subprocess.Popen(
                [self._program, *_FLAGS, "-o", self._out, "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                encoding="utf-8",
                # Its own variables must not change what it makes, nor a locale the language it speaks.
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                cwd=self._folder.name,
            )
        except OSError as error:
            self._folder.cleanup()
            raise EnvironmentLacks(f"`{self._program}` does not run: {error}", mend=_INSTALL) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it where it is still waiting, and remove what it has made."""
        with self._process:
            if self._process.poll() is None:
                self._process.kill()
        self._folder.cleanup()

    def compile(self, c_source: str, *, time_limit: float = TIME_LIMIT) -> bytes:
        """The object that it makes of the C; once.

        Raises `EnvironmentLacks` where it crashes, runs out of time or lacks the libbpf headers, with its own words;
        `InternalError` where it refuses our C.
        """
        try:
            _, said = self._process.communicate(c_source, timeout=time_limit)
        except subprocess.TimeoutExpired as error:
            raise EnvironmentLacks(
                f"`{self._program}` did not finish within {time_limit:g} s",
                mend="try again on a machine that is less busy",
            ) from error
        if self._process.returncode != 0:
            _explain(self._program, self._process.returncode, said)
        try:
            with open(self._out, "rb") as file:
                return file.read()
        except OSError as error:
            raise EnvironmentLacks(
                f"`{self._program}` said it was done and wrote no object: {error}", mend=""
            ) from error


def compile_c(c_source: str, *, clang: str | None = None, time_limit: float = TIME_LIMIT) -> bytes:
    """Compile C to a BPF object and return its bytes; see `Clang`."""
    with Clang(clang) as started:
        return started.compile(c_source, time_limit=time_limit)


def _explain(program: str, code: int, said: str) -> NoReturn:
    words = said.strip() or "(nothing)"
    if "bpf/bpf_helpers.h" in said and "not found" in said:
        raise EnvironmentLacks(
            "clang does not find libbpf's headers (bpf/bpf_helpers.h)",
            mend="install them: `apt-get install libbpf-dev` (Debian, Ubuntu), `dnf install libbpf-devel` (Fedora)",
        )
    if "unable to create target" in said or "No available targets" in said:
        raise EnvironmentLacks(f"`{program}` cannot compile for BPF; it says:\n{words}", mend=_INSTALL)
    if code < 0 or code > 1 or "PLEASE submit a bug report" in said or "out of memory" in said.lower():
        how = f"was ended by signal {-code}" if code < 0 else f"crashed (exit code {code})"
        raise EnvironmentLacks(
            f"`{program}` {how}; it says:\n{words}", mend="try another version: set OOMLANG_CLANG to its path"
        )
    if "No space left on device" in said:
        raise EnvironmentLacks(
            f"`{program}` ran out of space; it says:\n{words}", mend="make room in $TMPDIR"
        )
    raise InternalError(f"clang refuses the C that oomlang emitted; it says:\n{words}")
