"""Diagnostics → the text that a person reads.

In: a source, its diagnostics, and what the output can show (colours, encoding, width). Out: a text that ends in a line
end, or an empty one where there is nothing to say:

    error[E0204]: cannot compare bytes with a plain number
      ┌─ policy.oom:7:21
    7 │ never kill when rss > 1024
      │                 --- ^ ----
      │                 │      int
      │                 bytes
      = help: give the number a unit: 1024KiB, 1024MiB or 1024B

    1 error

Everything that comes from outside goes through `visible`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oomlang.diagnostics.model import Diagnostic, Source, Span
from oomlang.diagnostics.visible import piece, visible, width, wrapped

DEFAULT_WIDTH = 120
DEFAULT_LIMIT = 100
"""After so many diagnostics a person has stopped reading; JSON and SARIF carry all."""
_TAB = 4
_MULTILINE = 3
"""A span over at most this many lines is shown whole; a longer one by its first and its last line."""

_RESET = "\x1b[0m"
_STYLES = {
    "plain": "",
    "strong": "\x1b[1m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "frame": "\x1b[34m",
    "second": "\x1b[36m",
    "help": "\x1b[1;36m",
}


@dataclass(frozen=True, slots=True)
class _Frame:
    """The characters that a drawing is made of."""

    corner: str
    bar: str
    gap: str
    cut: str


_BOX = _Frame(corner="┌─", bar="│", gap="⋮", cut="…")
_ASCII = _Frame(corner="-->", bar="|", gap="...", cut="...")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A stretch of one line to underline: columns `[start, end)`, first of characters, then of the screen."""

    start: int
    end: int
    primary: bool
    text: str


def render_text(
    source: Source,
    diagnostics: Iterable[Diagnostic],
    *,
    color: bool,
    encoding: str = "utf-8",
    width: int = DEFAULT_WIDTH,
    limit: int = DEFAULT_LIMIT,
    with_summary: bool = True,
) -> str:
    """All diagnostics of one source, and a last line that counts them.

    color: use ANSI colours. encoding: the output stream's; one without box drawing gets ASCII lines, and characters
    that it lacks are shown by number. width: source lines longer than this many columns are cut around what is marked.
    limit: how many diagnostics are drawn; what is left out is counted.
    """
    items = list(diagnostics)
    drawing = _Drawing(source, color, encoding, width)
    blocks = ["\n".join(drawing.diagnostic(item)) for item in items[:limit]]
    if len(items) > limit:
        blocks.append(f"and {len(items) - limit} more")
    if items and with_summary:
        blocks.append(summary(items))
    return "".join(f"{block}\n" for block in "\n\n".join(blocks).split("\n")) if blocks else ""


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; an empty text for none."""
    severities = [d.severity for d in diagnostics]
    counts = [(severities.count(s), s) for s in ("error", "warning")]
    return ", ".join(f"{n} {severity}{'s' if n != 1 else ''}" for n, severity in counts if n)


def _frame_for(encoding: str) -> _Frame:
    try:
        (_BOX.corner + _BOX.bar + _BOX.gap + _BOX.cut).encode(encoding)
    except UnicodeEncodeError:
        return _ASCII
    return _BOX


class _Drawing:
    """Draws the diagnostics of one source for one kind of output."""

    def __init__(self, source: Source, color: bool, encoding: str, room: int) -> None:
        self._source = source
        self._color = color
        self._encoding = encoding
        self._room = room
        self._frame = _frame_for(encoding)

    def diagnostic(self, item: Diagnostic) -> list[str]:
        """The lines of one diagnostic."""
        marks: dict[int, list[_Mark]] = {}
        self._add_marks(marks, item.span, item.label.strip(), primary=True)
        for label in item.labels:
            self._add_marks(marks, label.span, label.text.strip(), primary=False)
        gutter = len(str(max(marks)))
        line, column = self._source.position(item.span.start)

        head = self._paint(f"{item.severity}[{item.code.value}]", item.severity)
        lines = [head + self._paint(f": {self._visible(item.message)}", "strong")]
        corner = self._paint(f"{' ' * gutter} {self._frame.corner} ", "frame")
        lines.append(f"{corner}{self._visible(self._source.name)}:{line}:{column}")
        previous = None
        for number in sorted(marks):
            if previous is not None and number == previous + 2:
                lines.append(self._source_line(number - 1, [], gutter, item.severity)[0])
            elif previous is not None and number > previous + 2:
                lines.append(self._paint(f"{' ' * gutter} {self._frame.gap}", "frame"))
            lines += self._source_line(number, marks[number], gutter, item.severity)
            previous = number
        lines += self._help(item.help, gutter)
        return lines

    def _add_marks(self, marks: dict[int, list[_Mark]], span: Span, text: str, *, primary: bool) -> None:
        """Split a span into one mark a line; its text goes to the last one."""
        first, start = self._source.position(span.start)
        last, end = self._source.position(max(span.start, span.end))
        if end == 1 and last > first:  # up to and with a line end
            last -= 1
            end = len(self._source.line(last)) + 1
        numbers: Sequence[int] = range(first, last + 1)
        if len(numbers) > _MULTILINE:
            numbers = (first, last)
        for number in numbers:
            content = self._source.line(number)
            indent = len(content) - len(content.lstrip())
            left = start - 1 if number == first else indent
            right = end - 1 if number == last else len(content.rstrip())
            if number == last or right > left:  # an empty line in between has nothing to underline
                mark = _Mark(left, right, primary, text if number == last else "")
                marks.setdefault(number, []).append(mark)

    def _source_line(self, number: int, marks: list[_Mark], gutter: int, severity: str) -> list[str]:
        """A line of the source, and below it what is marked in it."""
        content, placed = self._fit(self._source.line(number), marks, self._room - gutter - 3)
        bar = self._frame.bar
        lines = [self._paint(f"{number:>{gutter}} {bar}", "frame") + (f" {content}" if content else "")]
        empty = self._paint(f"{' ' * gutter} {bar}", "frame")
        lines += [f"{empty} {row}" for row in self._rows(placed, severity)]
        return lines

    def _fit(self, content: str, marks: list[_Mark], room: int) -> tuple[str, list[_Mark]]:
        """The line as it is shown, cut where it is too long, and the marks in columns of the screen."""
        room = max(room, 20)
        content, marks, before, after = _around(content, marks, 4 * room)
        pieces, starts = self._pieces(content)
        placed = []
        for mark in marks:
            start, end = (starts[min(at, len(pieces))] for at in (mark.start, mark.end))
            placed.append(_Mark(start, max(end, start + 1), mark.primary, mark.text))
        total = starts[-1]
        if total <= room and not before and not after:
            return "".join(pieces).rstrip(), placed

        cut = width(self._frame.cut)
        low = min((m.start for m in placed), default=0)
        high = max((m.end for m in placed), default=0)
        if high - low > room - 2 * cut:  # not all of it fits: then where the primary span begins
            main = next((m for m in placed if m.primary), placed[0])
            low, high = main.start, min(main.end, main.start + room // 2)
        left = max(0, min(low - (room - (high - low)) // 2, total - room))
        right = left + room
        inner_left = left + cut if left > 0 or before else 0
        inner_right = right - cut if right < total or after else total
        # At the window's left edge a combining mark would stand on the ellipsis.
        fits = [
            i
            for i in range(len(pieces))
            if inner_left <= starts[i]
            and starts[i + 1] <= inner_right
            and (starts[i + 1] > starts[i] or i == 0)
        ]
        begin, end = (fits[0], fits[-1] + 1) if fits else (0, 0)
        head = self._frame.cut if begin > 0 or before else ""
        tail = self._frame.cut if end < len(pieces) or after else ""
        text = head + "".join(pieces[begin:end]) + tail
        shift = starts[begin] - width(head)
        stop = width(text)
        moved = []
        for mark in placed:
            # What lies outside points at the ellipsis.
            start = min(max(mark.start - shift, 0), max(stop - max(width(tail), 1), 0))
            finish = max(min(mark.end - shift, stop), start + 1)
            moved.append(_Mark(start, finish, mark.primary, mark.text))
        return text.rstrip(), moved

    def _pieces(self, content: str) -> tuple[list[str], list[int]]:
        """Each character as it is shown, and the column where it begins (one more at the end)."""
        pieces: list[str] = []
        starts: list[int] = []
        column = base = 0
        for char in content:
            shown = " " * (_TAB - column % _TAB) if char == "\t" else piece(char, self._encoding)
            size = width(shown)
            # A combining mark stands on the character before it.
            base = column if size else base
            pieces.append(shown)
            starts.append(base)
            column += size
        return pieces, [*starts, column]

    def _rows(self, marks: list[_Mark], severity: str) -> list[str]:
        """The underlines of a line, then the labels that hang from them, the rightmost first."""
        if not marks:
            return []
        cells: dict[int, tuple[str, str]] = {}
        # Long ones first, so that a short one inside stays to be seen; the primary one over its equals.
        for mark in sorted(marks, key=lambda m: (m.start - m.end, m.primary)):
            style = severity if mark.primary else "second"
            cells.update((x, ("^" if mark.primary else "-", style)) for x in range(mark.start, mark.end))
        for mark in marks:
            if mark.primary and all(
                cells[x][0] != "^" for x in range(mark.start, mark.end)
            ):  # all hidden by others
                cells.update((x, ("^", severity)) for x in range(mark.start, mark.end))
        underlines = self._cells(cells)
        labelled = sorted((m for m in marks if m.text), key=lambda m: (-m.start, -m.end))
        if len(labelled) == 1 and labelled[0].end == max(m.end for m in marks):
            return [f"{underlines} {self._label(labelled[0], severity)}"]
        rows = [underlines]
        for i, mark in enumerate(labelled):
            rest = labelled[i + 1 :]
            bars = {m.start: (self._frame.bar, severity if m.primary else "second") for m in rest}
            at = mark.start
            if i == 0:  # right below its underline, and in the middle of it
                at += max(0, mark.end - mark.start - width(self._visible(mark.text)) + 1) // 2
            bars = {x: bar for x, bar in bars.items() if x < at}
            left = self._cells(bars)
            padding = " " * (at - (max(bars) + 1 if bars else 0))
            rows.append(f"{left}{padding}{self._label(mark, severity)}")
        return rows

    def _cells(self, cells: dict[int, tuple[str, str]]) -> str:
        """Single characters at their columns, runs of one style painted together."""
        out: list[str] = []
        run, run_style, at = "", "plain", 0
        for x in sorted(cells):
            char, style = cells[x]
            if x > at or style != run_style:
                out.append(self._paint(run, run_style) + " " * (x - at))
                run, run_style = "", style
            run += char
            at = x + 1
        return "".join(out) + self._paint(run, run_style)

    def _label(self, mark: _Mark, severity: str) -> str:
        return self._paint(self._visible(mark.text), severity if mark.primary else "second")

    def _help(self, text: str, gutter: int) -> list[str]:
        if not text:
            return []
        head = self._paint(f"{' ' * gutter} =", "frame") + " " + self._paint("help", "help")
        indent = " " * (gutter + len(" = help: "))
        first, *more = (
            row for line in text.split("\n") for row in wrapped(self._visible(line), self._room - len(indent))
        )
        return [f"{head}: {first}", *(f"{indent}{row}" for row in more)]

    def _visible(self, text: str) -> str:
        return visible(text, self._encoding)

    def _paint(self, text: str, style: str) -> str:
        code = _STYLES[style]
        return f"{code}{text}{_RESET}" if self._color and code and text else text


def _around(content: str, marks: list[_Mark], reach: int) -> tuple[str, list[_Mark], bool, bool]:
    """The part of a very long line that can come into view, so that no line costs more than what is shown of it.

    Returns it, the marks in it, and whether anything was left out before and after.
    """
    if len(content) <= 4 * reach:
        return content, marks, False, False
    main = next((m for m in marks if m.primary), marks[0] if marks else _Mark(0, 0, False, ""))
    low, high = max(0, main.start - reach), min(len(content), main.start + 2 * reach)

    def inside(at: int) -> int:
        return min(max(at, low), high) - low

    moved = [_Mark(inside(m.start), inside(m.end), m.primary, m.text) for m in marks]
    return content[low:high], moved, low > 0, high < len(content)
