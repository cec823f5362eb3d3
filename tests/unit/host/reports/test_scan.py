import io
import itertools
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oomlang.host.reports import LogError, Report, read_reports
from oomlang.host.reports.streams import BLOCK

DATA = Path(__file__).parents[3] / "data" / "reports"
MEMCG = (DATA / "vm-memcg.dmesg").read_bytes()
SYSRQ = (DATA / "vm-sysrq.dmesg").read_bytes()


def read(data: bytes) -> list[Report]:
    return list(read_reports(io.BytesIO(data)))


def on_host(host: bytes, data: bytes) -> list[bytes]:
    return [b"Nov 24 07:16:49 " + host + b" kernel: " + line for line in data.splitlines(keepends=True)[1:]]


def test_a_log_without_a_report_has_none() -> None:
    assert read(b"") == []
    assert read(b"[    1.0] Linux version 6.12\n" * 1000) == []


def test_reports_of_two_hosts_in_one_file_are_told_apart() -> None:
    one, two = on_host(b"alpha", MEMCG), on_host(b"beta", SYSRQ)
    mixed = [line for pair in itertools.zip_longest(one, two, fillvalue=b"") for line in pair]
    found = {report.host: report for report in read(b"".join(mixed))}
    assert [task.comm for task in found["alpha"].tasks] == [b"keeper", b"small", b"large", b"last"]
    assert [task.comm for task in found["beta"].tasks] == [b"web", b"db", b"batch", b"shell"]


def test_what_other_programs_log_is_not_the_kernels_word() -> None:
    lines = on_host(b"h", MEMCG)
    spoofs = [
        b"Nov 24 07:16:49 h sshd[1]: x invoked oom-killer: gfp_mask=0x0, order=9, oom_score_adj=0\n",
        b"Nov 24 07:16:49 h me: kernel: Out of memory: Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB\n",
        b"Nov 24 07:16:49 h su[4]: [   99]     0    99     1295     1054     1024     30       0    49152      0  0 fake\n",
    ]
    for place in range(0, len(lines), 7):
        (report,) = read(b"".join([*lines[:place], *spoofs, *lines[place:]]))
        assert report.order == 0
        assert len(report.tasks) == 4


def test_lines_between_the_lines_of_a_report_do_not_matter() -> None:
    noise = b"[    3.8] [drm] connector 12\n[    3.8] usb 1-1: reset\n\n"
    (plain,) = read(MEMCG)
    (mixed,) = read(b"".join(line + noise for line in MEMCG.splitlines(keepends=True)))
    assert mixed.tasks == plain.tasks
    assert mixed.missing == ()


def test_lost_lines_are_said() -> None:
    at = MEMCG.index(b"[    3.818153]")
    (report,) = read(MEMCG[:at] + b"[    3.8] ** 17 printk messages dropped **\n" + MEMCG[at:])
    assert any("lost" in what for what in report.missing)


def test_rows_that_the_journal_hides_are_said() -> None:
    lines = on_host(b"h", MEMCG)
    row = next(i for i, line in enumerate(lines) if b"small" in line)
    lines[row] = b"Nov 24 07:16:49 h kernel: [97B blob data]\n"
    (report,) = read(b"".join(lines))
    assert any("journal" in what for what in report.missing)


def test_a_kill_without_a_report_is_an_event_without_facts() -> None:
    kill = (
        b"[    9.1] Memory cgroup out of memory: Killed process 5 (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, "
        b"shmem-rss:0kB, UID:0 pgtables:32kB oom_score_adj:0\n"
    )
    reports = read(kill + kill + MEMCG)
    assert [len(report.tasks) for report in reports] == [0, 0, 4]
    assert reports[0].chosen == 5
    assert reports[0].is_global is False


def test_whoever_was_reaped_before_is_marked_as_reaped() -> None:
    reaper = (
        b"[    1.1] oom_reaper: reaped process 60 (large), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB\n"
    )
    (report,) = read(reaper + MEMCG)
    assert [task.comm for task in report.tasks if task.reaped] == [b"large"]
    (report,) = read(MEMCG + reaper)
    assert not any(task.reaped for task in report.tasks)


def test_line_numbers_count_from_the_start_of_the_file() -> None:
    for before in (b"", b"x\n", b"noise\n" * 500_000):
        (report,) = read(before + MEMCG)
        assert report.line == before.count(b"\n") + 3


def test_a_report_across_blocks_is_whole() -> None:
    for shift in range(0, 6000, 611):
        padding = b"y" * 79 + b"\n"
        filler = padding * ((BLOCK - shift) // 80)
        (report,) = read(filler + MEMCG)
        assert len(report.tasks) == 4
        assert report.missing == ()


def test_a_line_without_end_takes_bounded_memory() -> None:
    class Endless(io.RawIOBase):
        left = 64

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            return b"oom-kill " * (BLOCK // 9) if self.left > 0 else b""

    tracemalloc.start()
    assert list(read_reports(Endless())) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * BLOCK


def test_damaged_compressed_data_gives_what_came_before_it() -> None:
    import gzip
    import random

    noise = random.Random(1).randbytes(3 * BLOCK).hex().encode()
    data = gzip.compress(MEMCG + noise)
    reports = read_reports(io.BytesIO(data[: len(data) // 2]))
    assert next(reports).missing == ()
    with pytest.raises(LogError, match="ends too early"):
        next(reports)


@given(st.binary(max_size=300), st.integers(0, len(MEMCG)), st.integers(0, 200))
@example(b"\x1f\x8b", 0, 0)
def test_any_bytes_anywhere_are_survived(garbage: bytes, place: int, left_out: int) -> None:
    # What begins like a compressed file and is none is refused in words of ours.
    with suppress(LogError):
        for report in read(MEMCG[:place] + garbage + MEMCG[place + left_out :]):
            assert report.line >= 1


@given(
    st.lists(st.sampled_from(MEMCG.splitlines(keepends=True) + SYSRQ.splitlines(keepends=True)), max_size=60)
)
def test_lines_in_any_order_are_survived(lines: list[bytes]) -> None:
    for report in read(b"".join(lines)):
        assert len({task.tgid for task in report.tasks}) == len(report.tasks)
