"""Every report in tests/data/reports, in all the clothes that logs give it."""

import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomlang.host.reports import Report, read_reports

DATA = Path(__file__).parents[3] / "data" / "reports"
FILES = sorted(path for path in DATA.iterdir() if path.suffix != ".py" and path.is_file())
RECORDED = [path for path in FILES if path.name.startswith("vm-")]


def read(data: bytes) -> list[Report]:
    return list(read_reports(io.BytesIO(data)))


def messages(path: Path) -> list[bytes]:
    """The kernel's messages of a recorded report, as they are in `dmesg -t`."""
    lines = path.read_bytes().splitlines()[1:]
    return [re.sub(rb"^\[\s*\d+\.\d+\] ", b"", line) for line in lines]


def facts(report: Report) -> tuple[object, ...]:
    """Everything that does not depend on the clothes."""
    return tuple(
        getattr(report, name) for name in Report.__dataclass_fields__ if name not in ("line", "time", "host")
    )


def hexed(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def as_json(
    lines: list[bytes], start: str = "", dumps: Callable[[dict[str, object]], str] = json.dumps
) -> bytes:
    out = []
    for line in lines:
        plain = re.sub(rb"\\x([0-9a-f]{2})", hexed, line)
        try:
            message: str | list[int] = plain.decode()
        except UnicodeDecodeError:
            message = list(plain)
        if b"\x1b" in plain:
            message = list(plain)
        entry = {"__REALTIME_TIMESTAMP": "1795000609123456", "MESSAGE": message, "_TRANSPORT": "kernel"}
        out.append(start + dumps({**entry, "_HOSTNAME": "h"}) + "\n")
    return "".join(out).encode()


def as_systemd(entry: dict[str, object]) -> str:
    """As `journalctl -o json-pretty` of systemd 252 spells it."""
    return json.dumps(entry, indent="\t", separators=(",", " : "))


def as_old_systemd(entry: dict[str, object]) -> str:
    """As that of systemd 239: numbers on one line."""
    fields = [f"\t{json.dumps(name)} : {json.dumps(value)}" for name, value in entry.items()]
    return "{\n" + ",\n".join(fields).replace("[", "[ ", 1) + "\n}"


def as_jq(entry: dict[str, object]) -> str:
    return json.dumps(entry, indent=2, separators=(",", ": "))


def folded(lines: list[bytes], stamp: bytes = b"") -> bytes:
    """As rsyslog writes a message of several lines; indented lines begin with a tab."""
    return b"Nov 24 07:16:49 h kernel: " + b"#012".join(stamp + line for line in lines) + b"\n"


CLOTHES: dict[str, Callable[[list[bytes]], bytes]] = {
    "dmesg -t": lambda lines: b"".join(line + b"\n" for line in lines),
    "dmesg -T": lambda lines: b"".join(b"[Tue Nov 24 07:16:49 2026] " + line + b"\n" for line in lines),
    "dmesg -x": lambda lines: b"".join(b"kern  :warn  : [    3.811498] " + line + b"\n" for line in lines),
    "dmesg -x -t": lambda lines: b"".join(b"kern  :warn  : " + line + b"\n" for line in lines),
    "dmesg -r": lambda lines: b"".join(b"<4>[    3.811498] " + line + b"\n" for line in lines),
    "dmesg -e": lambda lines: b"".join(b"[  +0.000010] " + line + b"\n" for line in lines),
    "dmesg -d": lambda lines: b"".join(b"[    3.811498 <    0.000010>] " + line + b"\n" for line in lines),
    "dmesg iso": lambda lines: b"".join(
        b"2026-11-24T07:16:49,811498+01:00 " + line + b"\n" for line in lines
    ),
    "caller": lambda lines: b"".join(b"[    3.811498][  T123] " + line + b"\n" for line in lines),
    "caller of 6.x": lambda lines: b"".join(b"[    3.811498] [   T123] " + line + b"\n" for line in lines),
    "kmsg": lambda lines: b"".join(b"6,99,3811498,-;" + line + b"\n" for line in lines),
    "short": lambda lines: b"".join(b"Nov 24 07:16:49 h kernel: " + line + b"\n" for line in lines),
    "short-precise": lambda lines: b"".join(
        b"Nov 24 07:16:49.123456 h kernel: " + line + b"\n" for line in lines
    ),
    "short-iso": lambda lines: b"".join(
        b"2026-11-24T07:16:49+0100 h kernel: " + line + b"\n" for line in lines
    ),
    "short-full": lambda lines: b"".join(
        b"Tue 2026-11-24 07:16:49 CET h kernel: " + line + b"\n" for line in lines
    ),
    "short-monotonic": lambda lines: b"".join(b"[    3.811498] h kernel: " + line + b"\n" for line in lines),
    "short-unix": lambda lines: b"".join(b"1795000609.123456 h kernel: " + line + b"\n" for line in lines),
    "syslog": lambda lines: b"".join(
        b"Nov  4 07:16:49 h kernel: [    3.811498] " + line + b"\r\n" for line in lines
    ),
    "rsyslog iso": lambda lines: b"".join(
        b"2026-11-24T07:16:49.123456+01:00 h kernel: [    3.811498] " + line + b"\n" for line in lines
    ),
    "rfc5424": lambda lines: b"".join(
        b"<4>1 2026-11-24T07:16:49.123Z h kernel - - - [    3.811498] " + line + b"\n" for line in lines
    ),
    "export": lambda lines: b"".join(b"_TRANSPORT=kernel\nMESSAGE=" + line + b"\n\n" for line in lines),
    "json": as_json,
    "json-seq": lambda lines: as_json(lines, "\x1e"),
    "json-pretty": lambda lines: as_json(lines, dumps=as_systemd),
    "json-pretty of old": lambda lines: as_json(lines, dumps=as_old_systemd),
    "jq": lambda lines: as_json(lines, dumps=as_jq),
    "jq on Windows": lambda lines: as_json(lines, dumps=as_jq).replace(b"\n", b"\r\n"),
    "rsyslog #012": folded,
    "rsyslog #012 with stamps": lambda lines: folded(lines, b"[    3.811498] "),
    "rsyslog #012#011": lambda lines: folded([lines[0], *(b"#011" + line for line in lines[1:])]),
    "rsyslog #012 in pieces": lambda lines: b"".join(
        folded(lines[place : place + 7]) for place in range(0, len(lines), 7)
    ),
    "indented": lambda lines: b"".join(b"    [    3.811498] " + line + b"\n" for line in lines),
    "collected": lambda lines: b"".join(b"pod/node-7 | kernel: " + line + b"\n" for line in lines),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_says_where_it_is_from(path: Path) -> None:
    assert re.match(rb"# (Recorded on Linux|Made by hand after) ", path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_holds_whole_reports(path: Path) -> None:
    reports = read(path.read_bytes())
    assert len(reports) == (4 if "several" in path.name else 1)
    for report in reports:
        assert not report.missing
        assert report.task(report.chosen) is not None
        assert report.order is not None
        assert report.invoker_thread is not None
        assert report.kills


@pytest.mark.parametrize("clothes", CLOTHES)
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_clothes_make_no_difference(path: Path, clothes: str) -> None:
    expected = [facts(report) for report in read(path.read_bytes())]
    # dmesg alone puts multi-line messages on one line.
    assert [facts(report) for report in read(CLOTHES[clothes](messages(path)))] == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_compression_makes_no_difference(path: Path) -> None:
    data = path.read_bytes()
    expected = read(data)
    assert read(gzip.compress(data)) == expected
    assert read(lzma.compress(data)) == expected
    assert read(bz2.compress(data)) == expected
    half = len(data) // 2
    assert read(bz2.compress(data[:half]) + bz2.compress(data[half:])) == expected  # as pbzip2 writes it


@pytest.mark.needs("zstd")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_zstd_makes_no_difference(path: Path) -> None:
    data = path.read_bytes()
    done = subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True, timeout=60)
    assert read(done.stdout) == read(data)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_report_cut_anywhere_is_read_as_far_as_it_goes(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for cut in range(len(lines)):
        for part in (lines[:cut], lines[cut:]):
            for report in read(b"".join(part)):
                whole = report.task(report.chosen) is not None and "its end" not in report.missing
                assert whole or report.missing


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_row_cut_off_at_the_end_is_not_taken_for_a_shorter_one(path: Path) -> None:
    data = path.read_bytes()
    whole = {(t.tgid, tuple(t.facts.items())) for report in read(data) for t in report.tasks}
    start = data.index(b"[  pid  ]")
    for cut in range(start, min(start + 400, len(data))):
        for report in read(data[:cut]):
            assert {(t.tgid, tuple(t.facts.items())) for t in report.tasks} <= whole


def test_hostile_names_are_read_as_they_were() -> None:
    (report,) = read((DATA / "vm-memcg-hostile.dmesg").read_bytes())
    assert [task.comm for task in report.tasks] == [
        b"a] b (c)",
        b"x,pid=1,uid=0",
        b"tab\there",
        b"line\nbreak",
        b"\x1b[31mred",
        "ünï".encode(),
        b" lead",
        b") total-vm:0kB",
    ]
    assert report.scope == report.victim_memcg == (b"odd, task=x]",)
    assert report.kills[0].comm == b") total-vm:0kB"
