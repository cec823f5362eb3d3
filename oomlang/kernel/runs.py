"""Running loaded programs: iterators read to their end, test runs, run-time statistics.

In: descriptors of links and programs. Out: the bytes an iterator wrote; a test run's result and time.
Errors: `LibbpfError`; `EnvironmentLacks` without the privileges.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oomlang.kernel.bindings import LibbpfError, bindings

_READ_BYTES = 64 << 10  # the kernel's own buffer for an iterator has 32 KiB
_STATISTICS_OF_RUN_TIME = 0  # BPF_STATS_RUN_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRun:
    """What BPF_PROG_TEST_RUN gave back: the program's return value, nanoseconds a run, and the context
    afterwards.
    """

    return_value: int
    duration_ns: int
    context: bytes


def read_iterator(link_fd: int) -> bytes:
    """Everything that one pass of an iterator writes (`bpf_seq_write`, `bpf_seq_printf`), in order."""
    library = bindings()
    fd = library.check(library.lib.bpf_iter_create(link_fd), "start the BPF iterator")
    parts: list[bytes] = []
    try:
        while True:
            try:
                part = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                # A million objects in a row wrote nothing: the kernel lets others run and wants to be asked
                # again (bpf_seq_read(), kernel/bpf/bpf_iter.c).
                continue
            if not part:
                return b"".join(parts)
            parts.append(part)
    except OSError as exc:
        raise LibbpfError("read what the BPF iterator writes", errno=exc.errno or 0) from exc
    finally:
        os.close(fd)


def run_program(
    program_fd: int, *, context: bytes = b"", repeat: int = 0, cpu: int | None = None
) -> ProgramRun:
    """Run a program once, or `repeat` times, on a context.

    `context`: the arguments, 8 bytes each, for raw tracepoints; any structure for `syscall` programs, which
    may write to it. `cpu` and `repeat` are for raw tracepoints and for programs that take packets.
    """
    library = bindings()
    ffi = library.ffi
    opts = ffi.new("struct bpf_test_run_opts *")
    opts.sz = ffi.sizeof("struct bpf_test_run_opts")
    room = ffi.new("char[]", context) if context else ffi.NULL
    if context:
        opts.ctx_in, opts.ctx_size_in = room, len(context)
    opts.repeat = repeat
    if cpu is not None:
        opts.cpu, opts.flags = cpu, 1  # BPF_F_TEST_RUN_ON_CPU
    library.check(library.lib.bpf_prog_test_run_opts(program_fd, opts), "test-run the BPF program")
    # A syscall program changes its context in place; the kernel copies it back to ctx_in.
    return ProgramRun(
        return_value=opts.retval,
        duration_ns=opts.duration,
        context=bytes(ffi.buffer(room, len(context))) if context else b"",
    )


@contextmanager
def statistics() -> Iterator[None]:
    """Within it the kernel counts runs and run time of every program on the machine (Linux 5.8)."""
    library = bindings()
    fd = library.check(library.lib.bpf_enable_stats(_STATISTICS_OF_RUN_TIME), "switch BPF statistics on")
    try:
        yield
    finally:
        os.close(fd)
