"""The standard streams: what they can show, and every way in which oomlang writes to them.

Standard output carries results, standard error what there is to say about them. Text on its way to a terminal goes
through `visible`, so that no file name and no policy can steer it; bytes and JSON are written as they are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oomlang.diagnostics import Diagnostic, Source

_STYLES = {
    "error": "1;31",
    "warning": "1;33",
    "help": "1;36",
    "title": "1",
    "added": "32",
    "removed": "31",
    "place": "36",
}
_NARROWEST, _WIDEST = 40, 160


def prepare() -> None:
    """Make the streams safe to write to, whatever the caller's environment gave us."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person is looking."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def wants_color(stream: IO[str] | None) -> bool:
    """Whether to write colours: only to a terminal that has them, and not against https://no-color.org."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def encoding_of(stream: IO[str] | None) -> str:
    """The stream's encoding."""
    return getattr(stream, "encoding", None) or "utf-8"


def width_of(stream: IO[str] | None, default: int) -> int:
    """Columns of the terminal behind the stream, or the default where there is none."""
    if stream is not None and is_terminal(stream):
        try:
            columns = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        if columns:
            return min(max(columns, _NARROWEST), _WIDEST)
    return default


def paint(text: str, style: str, stream: IO[str] | None) -> str:
    """The text in colour where the stream takes it."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if text and wants_color(stream) else text


def shown(text: str, stream: IO[str] | None) -> str:
    """A text of any number of lines, fit for the stream."""
    from oomlang.diagnostics.visible import visible

    encoding = encoding_of(stream)
    return "\n".join(visible(line, encoding) for line in text.split("\n"))


# --- standard output --------------------------------------------------------------------------------------------------


def print_text(text: str) -> None:
    """A result in words."""
    _write(shown(text, sys.stdout))


def print_painted(text: str) -> None:
    """A result that was made fit (`shown`) and perhaps painted."""
    _write(text)


def print_bytes(data: bytes) -> None:
    """A result that is a file's content, byte for byte."""
    from oomlang.cli.failures import file_failure

    _write("")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise file_failure("write to", "standard output", error) from error


def print_json(value: Mapping[str, Any] | list[Any]) -> None:
    """A result as JSON in UTF-8, whatever the locale says; what does not print is written as `\\u001b`.

    A member of the outermost object may be an iterator: its items are a list, made and written one after another, so that
    a long one takes no memory.
    """
    if not isinstance(value, Mapping):
        print_bytes(_json(value, 0) + b"\n")
        return
    before = b"{\n  "
    for name, member in value.items():
        print_bytes(before + _json(name, 1) + b": ")
        before = b",\n  "
        if isinstance(member, Iterator):
            inner = b"[\n    "
            for item in member:
                print_bytes(inner + _json(item, 2))
                inner = b",\n    "
            print_bytes(b"\n  ]" if inner[:1] == b"," else b"[]")
        else:
            print_bytes(_json(member, 1))
    print_bytes(b"\n}\n" if value else b"{}\n")


def _json(value: Any, depth: int) -> bytes:
    """A value at a depth of the whole."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Outside of its strings JSON has only ASCII, so that any such character stands in a string.
    text = re.sub(r"[^\x20-\x7e\n]", lambda m: m[0] if m[0].isprintable() else json.dumps(m[0])[1:-1], text)
    return (text.replace("\n", "\n" + "  " * depth) if depth else text).encode()


def flush() -> None:
    """Write what is still buffered. Raises `BrokenPipeError`, and `Failure` for a full disk."""
    from oomlang.cli.failures import file_failure

    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise file_failure("write to", "standard output", error) from error


def _write(text: str) -> None:
    from oomlang.cli.failures import Failure, file_failure

    if sys.stdout is None:
        raise Failure("standard output is closed")
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise file_failure("write to", "standard output", error) from error


# --- standard error ---------------------------------------------------------------------------------------------------


def say(kind: str, text: str, details: str = "") -> None:
    """`error: text`, on one line whatever names are in it; the lines of the details are indented below it."""
    from oomlang.diagnostics.visible import visible

    head = paint(kind, kind, sys.stderr)
    lines = [f"{head}: {visible(text, encoding_of(sys.stderr))}"]
    if details:
        lines += [f"  {shown(line, sys.stderr)}".rstrip() for line in details.rstrip("\n").split("\n")]
    _say("\n".join(lines) + "\n")


def say_text(text: str) -> None:
    """Words for standard error, as they are but for what a terminal must not get."""
    _say(shown(text, sys.stderr))


def say_diagnostics(source: Source, diagnostics: Iterable[Diagnostic], *, with_summary: bool = True) -> None:
    """The diagnostics of a policy, drawn for what standard error can show."""
    items = list(diagnostics)
    if not items:
        return
    from oomlang.diagnostics.render import DEFAULT_WIDTH, render_text

    _say(
        render_text(
            source,
            items,
            color=wants_color(sys.stderr),
            encoding=encoding_of(sys.stderr),
            width=width_of(sys.stderr, DEFAULT_WIDTH),
            with_summary=with_summary,
        )
    )


def _say(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass  # nobody can be told any more; the exit code still says it
