"""C → object, by the real clang.

The command line is fixed, so that the same C gives the same bytes wherever it is run: no path gets into the object.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
from typing import Final, Self

from oomlang.diagnostics import EnvironmentLacks, InternalError
from oomlang.tool import NO_ROOM, Ended, Endless, Tool, reason_of, words, work_folder

MINIMUM_VERSION = 15
"""clang 15: the first whose BPF back end the emitted C was written for (enum relocations, calls into static functions)."""

TIME_LIMIT = 300.0
"""Seconds. A policy at the limit of rules takes a small part of it."""

_VERSION_LIMIT = 60.0
_TRIAL_LIMIT = 30.0
_MAX_OBJECT = 32 << 20
_CANDIDATES = ("clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15")
_INSTALL = "install it: `apt-get install clang-19` (Debian, Ubuntu), `dnf install clang` (Fedora)"
_ANOTHER = "try another clang: set OOMLANG_CLANG to its path"
_SMALLER = "make the policy smaller, or try on a machine that is less busy"
_MORE_MEMORY = "make the policy smaller, or give clang more memory"
_VERSION = re.compile(r"clang version ([0-9]{1,4})\b")
_NO_HEADER = re.compile(r"fatal error: '([^'\n]{1,200})' file not found")
_IN_HEADER = re.compile(r"^(/[^:\n]{1,300}\.h):[0-9]+:[0-9]+: (?:fatal )?error: ", re.MULTILINE)
_FLAGS = (
    "-x", "c", "-std=gnu11", "-O2", "-g", "-target", "bpfel", "-mcpu=v3", "-Wall", "-Wno-unused-function",
    "-Wno-compare-distinct-pointer-types", "-fno-ident", "-fdebug-compilation-dir=.", "-c",
)  # fmt: skip
_OF_THE_STACK = re.compile(rb"PLEASE submit a bug report|Stack dump:|0\.\t| *#[0-9]+ 0x")
_TRIAL = b"int trial;\n"

_NOT_WRITTEN: Final = {
    "No space left on device": NO_ROOM,
    "Disk quota exceeded": NO_ROOM,
    "Read-only file system": "set TMPDIR to a directory that can be written to",
    "Input/output error": "the disk is failing: set TMPDIR to a directory on another",
    "unable to open output file": "set TMPDIR to a directory that can be written to",
}
"""What is said where clang cannot write, and what helps."""

_TOO_LITTLE_MEMORY = ("out of memory", "bad_alloc", "annot allocate memory", "failed to map segment")

_LIMITS: Final = {
    int(signal.SIGKILL): (", perhaps for want of memory", _MORE_MEMORY),
    int(signal.SIGXCPU): (
        ", the limit of CPU time",
        "make the policy smaller, or raise the limit (ulimit -t)",
    ),
    int(signal.SIGXFSZ): (", the limit of a file's size", "raise the limit (ulimit -f)"),
}
"""Signals that say something about the machine, and nothing about clang."""


def find_clang(named: str | None = None) -> str:
    """The path of the clang to use: the one named, `$OOMLANG_CLANG`, or the first on the PATH that is new enough.

    Raises `EnvironmentLacks` saying what is needed. The version is only asked of a clang without one in its name.
    """
    given = named or os.environ.get("OOMLANG_CLANG")
    if given:
        path = shutil.which(given)
        if path is None:
            raise EnvironmentLacks(
                _why_not(given), mend="set OOMLANG_CLANG to the path of a clang, or to nothing"
            )
        path = os.path.abspath(path)  # it works in a directory of its own
        _require_version(path)
        return path
    tried = ""
    for name in _CANDIDATES:
        path = shutil.which(name)
        if path is None:
            continue
        path = os.path.abspath(path)
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


def _why_not(given: str) -> str:
    if os.path.isdir(given):
        return f"`{given}` is a directory, no clang"
    if os.path.exists(given):
        return f"`{given}` may not be executed"
    return f"there is no clang at `{given}`" if os.sep in given else f"there is no `{given}` on the PATH"


def _environment(folder: str | None = None) -> dict[str, str]:
    """Its own variables must not change what it makes, nor a locale the language it speaks."""
    variables = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    # What it writes about its crashes goes where it is removed.
    return variables | ({"TMPDIR": folder} if folder else {})


def _require_version(path: str) -> None:
    with Tool([path, "--version"], mend=_INSTALL, environment=_environment()) as tool:
        try:
            answer = tool.finish(time_limit=_VERSION_LIMIT)
        except Endless as error:
            raise EnvironmentLacks(f"`{path} --version` {error}", mend=_ANOTHER) from error
    match = _VERSION.search(answer.out.decode("utf-8", "replace"))
    if match is None:
        said = words(answer.out.strip() or answer.err).splitlines()[0]
        raise EnvironmentLacks(
            f"`{path}` is not a clang; asked for its version, it says: {said}", mend=_INSTALL
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
        self.program = find_clang(clang)
        self._folder = work_folder()
        self._out = os.path.join(self._folder.name, "policy.o")
        try:
            self._tool = self._start(self._out)
        except BaseException:
            self._folder.cleanup()
            raise

    def _start(self, out: str) -> Tool:
        folder = self._folder.name
        command = [self.program, *_FLAGS, "-o", out, "-"]
        return Tool(command, mend=_INSTALL, folder=folder, environment=_environment(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End it where it is still waiting, and remove what it has made."""
        try:
            self._tool.__exit__(*error)
        finally:
            self._folder.cleanup()

    def compile(self, c_source: str, *, time_limit: float = TIME_LIMIT) -> bytes:
        """The object that it makes of the C; once.

        Raises `EnvironmentLacks` where it crashes, runs out of time or memory, writes no object or lacks the libbpf
        headers, with its own words; `InternalError` where it refuses our C.
        """
        try:
            ended = self._tool.finish(c_source.encode("utf-8", "surrogatepass"), time_limit=time_limit)
        except Endless as error:
            raise EnvironmentLacks(f"`{self.program}` {error}", mend=_SMALLER) from error
        if ended.code != 0:
            raise self._failure(ended)
        from oomlang.objects.elf import ElfError, read_object

        try:
            image = _read_file(self._out)
            read_object(image)
        except (OSError, ElfError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise EnvironmentLacks(
                f"`{self.program}` said that it was done, but wrote no BPF object: {reason}",
                mend=_ANOTHER,
            ) from error
        return image

    def _failure(self, ended: Ended) -> EnvironmentLacks | InternalError:
        """What a clang that failed says about this machine, about itself, or about our C."""
        said = ended.err.decode("utf-8", "replace")
        for reason, mend in _NOT_WRITTEN.items():
            if reason in said:
                where = os.path.dirname(self._folder.name)
                return EnvironmentLacks(
                    f"`{self.program}` cannot write to {where}: {reason.lower()}", mend=mend
                )
        if any(reason in said for reason in _TOO_LITTLE_MEMORY):
            return self._lacks("ran out of memory", ended, mend=_MORE_MEMORY)
        if "unable to create target" in said or "No available targets" in said:
            return self._lacks("cannot compile for BPF", ended, mend=_INSTALL)
        if header := _NO_HEADER.search(said):
            return EnvironmentLacks(
                f"clang does not find a header that every policy needs ({header[1]})",
                mend="install libbpf's and the kernel's: `apt-get install libbpf-dev linux-libc-dev` (Debian, Ubuntu), "
                "`dnf install libbpf-devel kernel-headers` (Fedora)",
            )
        if number := _signal_of(ended.code):
            why, mend = _LIMITS.get(number, ("", _ANOTHER))
            return self._lacks(f"was ended by signal {number}{why}", ended, mend=mend)
        if ended.code != 1 or "PLEASE submit a bug report" in said:
            return self._lacks(f"failed (exit code {ended.code})", ended)
        if header := _IN_HEADER.search(said):
            return self._lacks(
                f"finds errors in {header[1]}, which is not ours", ended, mend="install libbpf-dev again"
            )
        if not self._compiles_anything():
            return self._lacks("compiles nothing, not even one line", ended)
        return InternalError(f"clang refuses the C that oomlang emitted; it says:\n{words(ended.err)}")

    def _lacks(self, what: str, ended: Ended, *, mend: str = _ANOTHER) -> EnvironmentLacks:
        return EnvironmentLacks(
            f"`{self.program}` {what}; it says:\n{words(_without_trace(ended.err))}", mend=mend
        )

    def _compiles_anything(self) -> bool:
        """Whether it compiles a line that no clang can refuse: a program that refuses that, too, is none."""
        with self._start(os.path.join(self._folder.name, "trial.o")) as trial:
            try:
                return trial.finish(_TRIAL, time_limit=_TRIAL_LIMIT).code == 0
            except Endless:
                return False


def compile_c(c_source: str, *, clang: str | None = None, time_limit: float = TIME_LIMIT) -> bytes:
    """Compile C to a BPF object and return its bytes; see `Clang`."""
    with Clang(clang) as started:
        return started.compile(c_source, time_limit=time_limit)


def _read_file(path: str) -> bytes:
    """The file's content, if it is one: what a link, a device or a pipe has to offer may never end."""
    if os.path.islink(path):
        raise OSError("it is a link")
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError("it is no regular file")
        data = file.read(_MAX_OBJECT + 1)
    if len(data) > _MAX_OBJECT:
        raise OSError(f"it is larger than {_MAX_OBJECT >> 20} MiB")
    return data


def _signal_of(code: int) -> int:
    """The signal that ended a program, or its driver or shell says ended it (128 and its number); 0 for none."""
    return max(-code, code - 128, 0)


def _without_trace(said: bytes) -> bytes:
    """A crash's words without the stack and the plea to report it to others: it is seldom their fault."""
    return b"\n".join(line for line in said.splitlines() if not _OF_THE_STACK.match(line))
