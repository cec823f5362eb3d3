"""Another program at work for us (clang, bpftool), and the directory that it works in.

In: a command line, and what the program reads. Out: what it said and how it ended. Whatever the program does, it costs a
bounded time and memory, and nothing of it stays behind: it has a process group of its own, which ends with it,
and whoever else holds its pipes is not waited for.
"""

from __future__ import annotations

import errno
import os
import resource
import selectors
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import IO, Self

from oomlang.diagnostics import EnvironmentLacks
from oomlang.interrupts import postponed
from oomlang.records import dataclass

NO_ROOM = "make room in $TMPDIR, or set it to a directory that has some"

_BLOCK = 1 << 20
"""Bytes; no pipe holds more."""
_LOOK = 0.05
"""Seconds between two looks at whether a program whose pipes are still open has ended."""
_REAPED_WITHIN = 5.0
"""Seconds to wait for a killed program: longer takes only one that hangs in the kernel, which nobody can end."""
_WORDS_LINES, _WORDS_COLUMNS = 30, 300
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class Endless(Exception):
    """A program took too long or printed too much; the message says which, as in `did not finish within 3 s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended: its exit code, negative for a signal, and what it printed."""

    code: int
    out: bytes
    err: bytes


class Tool:
    """A program that has been started and waits for its input; a context manager that ends it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        mend: str,
        folder: str | None = None,
        environment: Mapping[str, str] | None = None,
        most: int = 1 << 20,
        memory: int = 4 << 30,
    ) -> None:
        """folder: where it works. environment: its variables, by default ours. most: bytes that it may print. memory:
        bytes of data that each of its processes may have.

        Raises `EnvironmentLacks` where it cannot be started, with `mend` where that is the program's own fault.
        """
        try:
            with postponed():
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=folder,
                    env=environment,
                    process_group=0,
                    bufsize=0,
                )
                self._end = weakref.finalize(self, _end, self._process)  # also where nobody comes to enter it
        except OSError as error:
            raise EnvironmentLacks(
                f"`{command[0]}` cannot be started: {_why_not_started(command[0], error)}",
                mend="" if error.errno in _EXHAUSTED else mend,
            ) from error
        _limit_memory(self._process.pid, memory)
        self._most = most
        self._said = {"out": bytearray(), "err": bytearray()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it and all that it has started, whatever state it is in."""
        self._end()

    def finish(self, data: bytes = b"", *, time_limit: float) -> Ended:
        """Give it its input and wait for its end; once. time_limit: seconds. Raises `Endless`."""
        deadline = time.monotonic() + time_limit
        try:
            self._talk(data, deadline)
            self._await_end(deadline)
        except TimeoutError:
            raise Endless(f"did not finish within {time_limit:g} s") from None
        _end_group(self._process)
        code = self._process.wait()
        return Ended(code=code, out=bytes(self._said["out"]), err=bytes(self._said["err"]))

    def _talk(self, data: bytes, deadline: float) -> None:
        """Send and hear until it has closed its pipes or ended."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None  # all three are pipes
        assert stdout is not None
        assert stderr is not None
        unsent = memoryview(data)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ, self._said["out"])
            selector.register(stderr, selectors.EVENT_READ, self._said["err"])
            for stream in (stdin, stdout, stderr):
                os.set_blocking(stream.fileno(), False)
            while selector.get_map():
                ended = self._has_ended()
                left = deadline - time.monotonic()
                for key, _ in selector.select(0 if ended else max(0.0, min(left, _LOOK))):
                    if key.data is None:
                        unsent = _send(stdin, unsent)
                        closed = not unsent
                    else:
                        block = os.read(key.fd, _BLOCK)
                        key.data.extend(block)
                        closed = not block
                    if closed:
                        selector.unregister(key.fileobj)
                        if key.data is None:
                            stdin.close()
                if sum(map(len, self._said.values())) > self._most:
                    raise Endless(f"printed more than {self._most >> 20} MiB")
                if ended:
                    return  # its last words were in the pipes; who still has these may go on
                if left <= 0:
                    raise TimeoutError

    def _await_end(self, deadline: float) -> None:
        pause = 0.0005
        while not self._has_ended():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(pause)
            pause = min(2 * pause, _LOOK)

    def _has_ended(self) -> bool:
        """It is not reaped yet, so that its number and its group's are not given to anybody else."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # our parent had us ignore SIGCHLD: there is nothing to reap
            return True


def _end(process: subprocess.Popen[bytes]) -> None:
    with postponed():
        _end_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        try:
            process.wait(_REAPED_WITHIN)
        except subprocess.TimeoutExpired:
            pass


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return  # reaped: the number may be somebody else's
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass  # nobody is left in it, or nobody of ours


def _limit_memory(pid: int, memory: int) -> None:
    """Set while it starts: nothing that has to happen between fork and exec is safe beside threads."""
    try:
        limit, most = resource.prlimit(pid, resource.RLIMIT_DATA)
        if limit == resource.RLIM_INFINITY or limit > memory:
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory, most))
    except OSError:
        pass  # it has ended already, or may not be looked at


def _send(stdin: IO[bytes], unsent: memoryview) -> memoryview:
    """Write what fits; what is left, nothing where nobody reads."""
    try:
        return unsent[os.write(stdin.fileno(), unsent[:_BLOCK]) :] if unsent else unsent
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return memoryview(b"")


def _why_not_started(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and os.path.exists(path):
        return "the interpreter that it names does not exist"
    return reason_of(error)


def reason_of(error: OSError) -> str:
    """The system's word for what went wrong, to go on with after a colon."""
    reason = error.strerror or str(error)
    return reason[:1].lower() + reason[1:]


def words(said: bytes) -> str:
    """What a program said, as lines for a message; what is too long for one is cut."""
    lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
    shown = [
        line if len(line) <= _WORDS_COLUMNS else line[:_WORDS_COLUMNS] + "…" for line in lines[:_WORDS_LINES]
    ]
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more lines")
    return "\n".join(shown) or "(nothing)"


class _WorkFolder(tempfile.TemporaryDirectory[str]):
    def cleanup(self) -> None:
        with postponed():
            super().cleanup()


def work_folder() -> tempfile.TemporaryDirectory[str]:
    """A directory for a tool's files, in `$TMPDIR` where that is set: who sets it does not want another.

    Raises `EnvironmentLacks` where none can be made there.
    """
    parent = os.environ.get("TMPDIR")
    try:
        folder = os.path.abspath(parent) if parent else tempfile.gettempdir()
        with postponed():
            return _WorkFolder(prefix="oomlang-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise _not_written(error) from error


def write_file(path: str, data: bytes) -> None:
    """Write a file into such a directory. Raises `EnvironmentLacks` where it cannot be."""
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise _not_written(error) from error


def _not_written(error: OSError) -> EnvironmentLacks:
    place = os.environ.get("TMPDIR")
    reason = reason_of(error)
    return EnvironmentLacks(
        f"cannot write to $TMPDIR ({place}): {reason}"
        if place
        else f"cannot write temporary files: {reason}",
        mend=NO_ROOM if error.errno in _FULL else "set TMPDIR to a directory that can be written to",
    )
