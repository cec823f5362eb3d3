from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.host.process_files import StatusReader, memory_cgroup_line, parse_stat

_TAIL = b" S 1 2 3 0 -1 4194560 0 0 0 0 0 0 0 0 20 -5 3 0 4711 1000 25 0\n"
_STATUS = b"Name:\tx\nUid:\t33\t0\t0\t0\nVmSize:\t 400 kB\nVmRSS:\t 300 kB\nRssAnon:\t 200 kB\n"


@pytest.mark.parametrize("comm", [b"bash", b"a) R 1 2", b"((", b"", b"a\nb", b"\xff\x1b[31m"])
def test_a_comm_can_hold_whatever_it_likes(comm: bytes) -> None:
    stat = parse_stat(b"17 (" + comm + b")" + _TAIL)
    assert (stat.comm, stat.facts, stat.start) == (comm, {"nice": -5}, 4711)


def test_flags_tell_kernel_threads_and_those_that_are_exiting() -> None:
    for flags, kernel_thread, exiting in (
        (0x208040, True, False),
        (0x400104, False, True),
        (0x400100, False, False),
    ):
        stat = parse_stat(b"17 (x)" + _TAIL.replace(b"4194560", b"%d" % flags))
        assert (stat.kernel_thread, stat.exiting) == (kernel_thread, exiting)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_stat_line_or_a_value_error(data: bytes) -> None:
    try:
        parse_stat(data)
        StatusReader().read(data)
    except ValueError:
        pass


def test_sizes_are_bytes_and_a_line_that_is_not_there_is_no_fact() -> None:
    facts, has_mm = StatusReader().read(_STATUS + b"Threads:\t9\n")
    assert facts == {
        "uid": 33,
        "threads": 9,
        "vm": 400 * 1024,
        "rss": 300 * 1024,
        "rss.anon": 200 * 1024,
    }
    assert has_mm


def test_lines_that_move_are_found_again() -> None:
    reader = StatusReader()
    first = reader.read(_STATUS + b"Threads:\t9\n")
    moved = reader.read(_STATUS.replace(b"VmRSS:", b"VmNew:\t1 kB\nVmRSS:") + b"Speed:\t1\nThreads:\t9\n")
    without = reader.read(b"Name:\tx\nUid:\t33\t0\t0\t0\nThreads:\t9\n")
    assert first == moved
    assert without == ({"uid": 33, "threads": 9}, False)
    assert reader.read(_STATUS + b"Threads:\t9\n") == first


def test_the_memory_line_of_a_cgroup_file() -> None:
    hybrid = b"9:name=systemd:/s\n4:cpu,memory:/a:b/c d\n1:cpuset:/\n0::/u\n"
    assert memory_cgroup_line(hybrid) == (b"/a:b/c d", b"/u")
    assert memory_cgroup_line(b"0::/user.slice\n") == (None, b"/user.slice")
    assert memory_cgroup_line(b"3:cpuset:/memory\n") == (None, None)
    assert memory_cgroup_line(b"") == (None, None)
