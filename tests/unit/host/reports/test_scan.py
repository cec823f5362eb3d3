import bz2
import gzip
import io
import itertools
import json
import lzma
import random
import re
import tracemalloc
from collections.abc import Callable
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


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_damaged_compressed_data_gives_what_came_before_it(compress: Callable[[bytes], bytes]) -> None:
    noise = random.Random(1).randbytes(3 * BLOCK).hex().encode()
    data = compress(MEMCG + noise)
    middle = len(data) // 2
    overwritten = data[:middle] + bytes(99) + data[middle + 99 :]
    for damaged, words in ((data[:middle], "ends too early"), (overwritten, "is damaged: ")):
        reports = read_reports(io.BytesIO(damaged))
        assert next(reports).missing == ()
        with pytest.raises(LogError, match=words):
            list(reports)


def test_text_that_begins_like_a_compressed_file_is_text() -> None:
    (report,) = read(b"BZh9 is how a file of bzip2 begins\n" + MEMCG)
    assert report.missing == ()


def pretty(data: bytes, **fields: object) -> list[bytes]:
    """The objects of a journal as json-pretty."""
    messages = [
        re.sub(rb"^\[\s*[\d.]+\] ", b"", line).decode("utf-8", "replace") for line in data.splitlines()[1:]
    ]
    entries = [{"_TRANSPORT": "kernel", "MESSAGE": message, **fields} for message in messages]
    return [json.dumps(entry, indent="\t", separators=(",", " : ")).encode() + b"\n" for entry in entries]


def test_objects_over_several_lines_have_the_number_of_their_first() -> None:
    before = [b'{\n\t"_TRANSPORT" : "kernel",\n\t"MESSAGE" : "usb"\n}\n'] * 90_000
    (report,) = read(b"".join([*before, *pretty(MEMCG)]))
    place = next(i for i, message in enumerate(pretty(MEMCG)) if b"invoked oom-killer" in message)
    assert report.line == (len(before) + place) * 4 + 1


def test_objects_across_blocks_are_whole() -> None:
    log = b"".join(pretty(MEMCG))
    for shift in range(0, 6000, 487):
        filler = b'{\n\t"MESSAGE" : "%s"\n}\n' % (b"y" * 78)
        (report,) = read(filler * ((BLOCK - shift) // len(filler)) + log)
        assert len(report.tasks) == 4
        assert report.missing == ()


def test_an_object_of_many_megabytes_is_passed_over_and_its_lines_counted() -> None:
    large = b'{\n\t"COREDUMP" : [\n' + b"\t\t127,\n" * (2 << 20) + b"\t\t1\n\t]\n}\n"
    (report,) = read(large + b"".join(pretty(MEMCG)))
    assert report.line == large.count(b"\n") + 5
    assert report.missing == ()


def test_other_programs_objects_are_not_the_kernels_word() -> None:
    objects = pretty(MEMCG)
    spoof = pretty(SYSRQ, _TRANSPORT="syslog", SYSLOG_IDENTIFIER="kernel")
    (report,) = read(b"".join([*objects[:40], *spoof, *objects[40:], *spoof]))
    assert [task.comm for task in report.tasks] == [b"keeper", b"small", b"large", b"last"]


def test_a_damaged_line_of_a_journal_is_said() -> None:
    table = next(i for i, line in enumerate(MEMCG.splitlines()[1:]) if b"oom_score_adj name" in line)
    compact = [json.dumps(json.loads(line)).encode() + b"\n" for line in pretty(MEMCG)]
    for objects in (compact, pretty(MEMCG)):
        row = objects[table + 2]
        for damaged in (row[:-10] + b"\n", row[20:], row.replace(b'"MESSAGE"', b"MESSAGE")):
            (report,) = read(b"".join([*objects[: table + 2], damaged, *objects[table + 3 :]]))
            assert report.missing == ("a damaged line of the journal",)
            assert len(report.tasks) < 4


def test_a_journal_cut_off_inside_of_an_object_is_read_from_the_next() -> None:
    log = b"".join(pretty(b"\n" + MEMCG))
    for start in (2, 15, 30, 50):
        (report,) = read(log[start:])
        assert report.missing == ()
    for end in range(log.index(b"oom_score_adj name"), len(log), 97):
        (report,) = read(log[:end])
        assert report.missing or len(report.tasks) == 4


def folded(data: bytes) -> bytes:
    """A report as one message of rsyslog's, from its first line on."""
    return b"Nov 24 07:16:49 h kernel: " + b"#012".join(data.splitlines()[2:]) + b"\n"


def test_what_looks_like_a_line_end_in_a_name_is_no_line_end() -> None:
    lines = b"".join(on_host(b"h", MEMCG))
    for old in (b" small", b"(small)", b"task=small", b"last invoked"):
        assert old in lines
    named = lines.replace(b"small", b"a#012b").replace(b"last", b"#012")
    named = named.replace(b"/batch.slice", b"/x#012Out of memory: Killed process 1 (y)")
    (report,) = read(named)
    assert report.missing == ()
    assert [task.comm for task in report.tasks] == [b"keeper", b"a#012b", b"large", b"#012"]
    assert report.scope == (b"x#012Out of memory: Killed process 1 (y)",)
    assert [kill.comm for kill in report.kills] == [b"a#012b"]


def test_in_a_folded_report_such_a_name_is_not_taken_for_a_shorter_one() -> None:
    (plain,) = read(folded(MEMCG))
    assert plain.missing == ()
    (report,) = read(folded(MEMCG.replace(b"last", b"a#012b")))
    assert report.invoker_comm == b"a#012b"
    assert any("the rest of a task's name" in what for what in report.missing)


def test_a_folded_report_that_syslog_cut_off_lacks_its_end() -> None:
    whole = folded(MEMCG)
    start = whole.index(b"oom_score_adj name")
    for end in range(start, start + 700, 13):
        report, *_ = read(whole[:end] + b"\n" + b"Nov 24 07:16:50 h kernel: usb 1-1: reset\n")
        assert {"its end", "the task table"} & {*report.missing}


def test_a_folded_report_of_many_tasks_is_whole() -> None:
    lines = MEMCG.splitlines(keepends=True)
    row = next(i for i, line in enumerate(lines) if b" keeper" in line)
    more = [
        lines[row].replace(b"   58]", b"%5d]" % pid).replace(b"   58 ", b"%5d " % pid)
        for pid in range(100, 3000)
    ]
    (report,) = read(folded(b"".join([*lines[:row], *more, *lines[row:]])))
    assert len(report.tasks) == 2904
    assert report.missing == ()


def test_another_programs_message_is_not_unfolded() -> None:
    spoof = folded(SYSRQ).replace(b" kernel: ", b" app[7]: ")
    (report,) = read(spoof + folded(MEMCG) + spoof)
    assert len(report.tasks) == 4


@given(st.binary(max_size=300), st.integers(0, len(MEMCG)), st.integers(0, 200))
@example(b"\x1f\x8b", 0, 0)
@example(b"BZh91AY&SY", 0, 0)
@example(b'{\n\t"MESSAGE" : "', 0, 0)
@example(b"#012", 500, 0)
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
