"""How logs wrap the kernel's lines: what stands before a message, for each of the ways in which people keep them.

In: a line of a log without its end. Out: a `Message`, the kernel's own words with the host and time that the log gives.

A report's first lines settle its form; its other lines have to have the same, and the same host, so that what other
programs log in between cannot pass for the kernel's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from oomlang.facts.table import TEXT_BYTES


class Message(NamedTuple):
    """A message of the kernel's, and what the log says of it."""

    text: bytes
    host: bytes
    time: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write kernel messages. read: the message of a line, None where the line is not of this form."""

    name: str
    read: Callable[[bytes], Message | None]


# Every repetition is possessive (`++`): a line that is none of a form is refused after one look at each of its bytes.
_CALLER = rb"(?:\s?\[\s*+[TC]\d++\])?"  # CONFIG_PRINTK_CALLER
_STAMP = rb"\[\s*+\d++\.\d++(?:\s++<[^>]{0,20}+>)?\]"
_FACILITY = rb"(?:<\d{1,3}>)?(?:[a-z]++\d?\s*+:[a-z]++\s*+:\s?)?"
_TIMES = (
    rb"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d++)?",
    rb"(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d++)?(?: ?(?:[A-Z]{1,5}|[+-]\d\d:?\d\d))?",
    rb"\d++\.\d++",
    _STAMP,
)
_TIME = rb"(?:" + rb"|".join(_TIMES) + rb")"


def _form(name: str, pattern: bytes) -> Form:
    match = re.compile(pattern, re.DOTALL).match
    groups = re.compile(pattern).groupindex
    with_host, with_time = "host" in groups, "time" in groups

    def read(line: bytes) -> Message | None:
        found = match(line)
        if found is None:
            return None
        host = (found["host"] or b"") if with_host else b""
        time = (found["time"] or b"") if with_time else b""
        return Message(unescaped(line[found.end() :]), host, time)

    return Form(name, read)


def _json(line: bytes) -> Message | None:
    """A line of `journalctl -o json`, `json-seq` or `json-sse`, or an object of `json-pretty` as one line (`pretty`)."""
    entry = _entry(line)
    if entry is None or entry.get("_TRANSPORT", "kernel") != "kernel":
        return None
    message = entry.get("MESSAGE")
    if isinstance(message, str):
        text = message.encode("utf-8", "surrogatepass")
    elif isinstance(message, list):  # bytes that are no text; journald writes them as numbers
        try:
            text = bytes(message)
        except (ValueError, TypeError):
            return None
    else:
        return None
    host, time = (entry.get(k) for k in ("_HOSTNAME", "__REALTIME_TIMESTAMP"))
    return Message(
        text,
        host.encode("utf-8", "replace") if isinstance(host, str) else b"",
        _utc(time).encode("utf-8", "replace") if isinstance(time, str) else b"",
    )


def _entry(line: bytes) -> dict[str, object] | None:
    start = line.find(b"{", 0, 8)
    if start < 0:
        return None
    try:
        entry = json.loads(line[start:])
    except (ValueError, RecursionError):  # cut off, or no JSON at all
        return None
    return entry if isinstance(entry, dict) else None


def is_damaged(form: Form, line: bytes) -> bool:
    """Whether a line that has no message for this form is none of a whole log of this form."""
    return form is _JOURNAL_JSON and b'"' in line and _entry(line) is None


def _utc(microseconds: str) -> str:
    """A moment of the journal's as text; as it is where it is none."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(int(microseconds) / 1e6, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return microseconds


_JOURNAL_JSON = Form("journal-json", _json)
_SYSLOG_HEAD = (
    rb"\s*+(?:<\d{1,3}>)?(?:1 )?(?P<time>"
    + _TIME
    + rb") (?:(?P<host>[^\s\[]\S{0,255}+) )?kernel(?:\[\d++\])?"
    rb"(?::| - (?:-|\S++) (?:-|\[[^\]]*+\])) ?"
)

FORMS = (
    _JOURNAL_JSON,
    _form("syslog", _SYSLOG_HEAD + rb"(?:" + _STAMP + _CALLER + rb" )?"),
    _form("kmsg", rb"\d++,\d++,(?P<time>\d++),[^;]{0,80}+;"),
    _form(
        "dmesg",
        rb"\s*+" + _FACILITY + rb"(?P<time>" + _STAMP + rb"|\[[A-Z][a-z]{2} [^\]]{1,40}+\]|\[\s*+[+]\d++\.\d++\])"
        + _CALLER + rb" ?",
    ),
    _form("dmesg-iso", rb"\s*+" + _FACILITY + rb"(?P<time>\d{4}-\d\d-\d\dT[^\s\[]++)" + _CALLER + rb" "),
    _form("dmesg-x", rb"\s*+(?:<\d{1,3}>|[a-z]++\d?\s*+:[a-z]++\s*+:\s)"),
    _form("field", rb"\s*+MESSAGE="),
    _form("wrapped", rb".{0,200}?\bkernel: (?P<time>" + _STAMP + rb" )?"),
    _form("bare", rb""),
)  # fmt: skip
"""In the order in which they are tried; the last takes every line."""

_ANOTHER = re.compile(
    rb"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d++)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*+)"
    rb" \S++ (?!kernel(?:\[|:))[^\s:\[]++(?:\[\d++\])?: "
)


def of_another_program(line: bytes) -> bool:
    """Whether a line of a journal or syslog names another program than the kernel, whatever it says after that."""
    return _ANOTHER.match(line) is not None


LINE_END = b"#012"
"""How rsyslog writes a line end inside of a message (its octal number), unless it is told to leave it."""

_INDENTATION = re.compile(rb"\A(?:\s|#011)++")
_head = re.compile(_SYSLOG_HEAD).match
_stamp = re.compile(_STAMP + _CALLER + rb" ?").match


def parts(line: bytes, named: int = -1) -> list[bytes]:
    """A line of syslog's with a message of the kernel's of several lines, as a line of syslog's for each of them; the
    line itself where it is none. named: where the name at the beginning of a report ends, if one begins in this line.
    """
    head = _head(line)
    if head is None:
        return [line]
    start = head.end()
    stamp = _stamp(line, start)
    if 0 <= named - (stamp.end() if stamp is not None else start) <= TEXT_BYTES["comm"]:
        start = named  # only a name stands before it
    first, *others = line[start:].split(LINE_END)
    prefix = line[: head.end()]
    return [line[:start] + first, *(prefix + _INDENTATION.sub(b"", part) for part in others)]


_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def unescaped(text: bytes) -> bytes:
    """What does not print stands as \\xNN in /dev/kmsg and in dmesg's output, and so does a backslash."""
    return _ESCAPE.sub(_byte, text) if b"\\x" in text else text


def _byte(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    # A name may hold these four characters itself; what prints is never written so.
    return bytes((byte,)) if byte < 32 or byte >= 127 or byte == 0x5C else match[0]
