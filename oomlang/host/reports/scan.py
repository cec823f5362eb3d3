"""All the reports of a log, in the order in which they end.

In: the log's bytes. Out: `Report`s, as soon as they are complete. Outside of reports the log is searched for the few words
that can begin one; only inside of them it is read line by line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from oomlang.host.reports.forms import FORMS, LINE_END, Form, Message, is_damaged, of_another_program, parts
from oomlang.host.reports.model import Report
from oomlang.host.reports.parser import Builder, is_start
from oomlang.host.reports.pretty import INNER_END, Objects, is_pretty
from oomlang.host.reports.streams import LONGEST, LogError, Readable, blocks, opened
from oomlang.host.reports.victims import reaped

NEEDLES = (
    b"oom-kill",
    b"illed process ",
    b"ill process ",
    b" killed as a result of limit of ",
    b"oom_score_adj name",
    b"oom_reaper",
    b'"MESSAGE":[',
    b'"MESSAGE" : [',
)
"""Every message that begins a report, or says of a process that it is reaped, has one of them. The last two: messages that
the journal writes as numbers.
"""

_PRETTY_NEEDLES = (*NEEDLES, b'"MESSAGE": [')

_INVOKED = b" invoked oom-killer: gfp_mask="

PATIENCE = 20_000
"""Lines without one of the report's, after which the rest of it is taken for lost."""

_MOST_OPEN = 256
"""Reports of different hosts that are read at a time; the one begun first is taken for cut off then."""

_MISSED = re.compile(rb": Missed \d++ kernel messages\Z")
"""A word of systemd-journald's."""

_REMEMBERED = 64
_TRIED = 5
"""Forms that one line may open a report in; which it is shows in the next lines."""


def read_reports(file: Readable, progress: Callable[[int], None] | None = None) -> Iterator[Report]:
    """The reports of a log. progress: is told the bytes of the file that are done.

    Raises `LogError` where compressed data is damaged, after the reports before it; `EnvironmentLacks`, `OSError`.
    """
    scanner = _Scanner()
    with opened(file) as (text, source):
        try:
            for block in blocks(text):
                yield from scanner.take(block)
                if progress is not None:
                    progress(source.done)
        except (LogError, OSError):
            yield from scanner.end()
            raise
        # What was begun is a report too, whatever ended the log.
        yield from scanner.end()


@dataclass(slots=True)
class _Open:
    """A report in one of the forms that its first line allows."""

    form: Form
    host: bytes
    builder: Builder
    first: int
    last: int
    reaped: tuple[tuple[int, bytes], ...]


class _Read:
    """A line as the messages that it has in each form; each is read once, however many reports are open."""

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._messages: dict[str, Message | None] = {}
        self._damaged: bool | None = None

    def message(self, form: Form) -> Message | None:
        """The message of the line in a form; None where it has none."""
        if form.name not in self._messages:
            self._messages[form.name] = form.read(self._line)
        return self._messages[form.name]

    def is_damaged(self, form: Form) -> bool:
        """Whether the line, which has no message in this form, cannot be one of it."""
        if form.name != "journal-json":
            return False
        if self._damaged is None:
            self._damaged = is_damaged(form, self._line)
        return self._damaged


@dataclass(slots=True)
class _Scanner:
    line: int = 1
    objects: Objects | None = None
    needles: tuple[bytes, ...] = ()
    begun: bytes = b""
    last_form: Form | None = None
    open: list[list[_Open]] = field(default_factory=list)
    reaped: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def take(self, block: bytes) -> Iterator[Report]:
        """The reports that a block of whole lines completes."""
        if not self.needles:  # the first of the log; a pipe may give less of it than shows what it is
            block, self.begun = self.begun + block, b""
            block = block.removeprefix(b"\xef\xbb\xbf")
            if block.strip() in (b"", b"{") and len(block) < LONGEST:
                self.begun = block
                return
            self.needles = NEEDLES
            if is_pretty(block):
                self.objects, self.needles = Objects(), _PRETTY_NEEDLES
        yield from self._block(self.objects.take(block) if self.objects is not None else block)

    def _lines(self, block: bytes, start: int, end: int) -> int:
        """How many lines of the file end in a part of a block."""
        inner = block.count(INNER_END, start, end) if self.objects is not None else 0
        return block.count(b"\n", start, end) + inner

    def _block(self, block: bytes) -> Iterator[Report]:
        position, size = 0, len(block)
        places = dict.fromkeys(self.needles, -1)
        while position < size:
            if not self.open:
                nearest = size
                for needle, place in places.items():
                    if place < position:
                        place = block.find(needle, position)
                        places[needle] = place if place >= 0 else size
                    nearest = min(nearest, places[needle])
                if nearest == size:
                    self.line += self._lines(block, position, size)
                    return
                begin = block.rfind(b"\n", position, nearest) + 1
                if begin > position:
                    self.line += self._lines(block, position, begin)
                    position = begin
            end = block.find(b"\n", position)
            if end < 0:
                end = size
            line = block[position : min(end, position + LONGEST)]
            if LINE_END in line:
                yield from self._folded(block[position:end].removesuffix(b"\r"))
            else:
                yield from self._line(line.removesuffix(b"\r"))
            self.line += self._lines(block, position, end) + 1
            position = end + 1

    def _folded(self, line: bytes) -> Iterator[Report]:
        """A line that may hold several messages of the kernel's.

        That it does is settled by the line with which a report begins, after its only name; else what looks like a line
        end belongs to a name.
        """
        begin = line.find(_INVOKED)
        messages = [line]
        if begin >= 0 or any(self._is_of_folded(line, o) for alternatives in self.open for o in alternatives):
            messages = parts(line, begin)
        for message in messages:
            yield from self._line(message[:LONGEST], folded=len(messages) > 1)

    def _is_of_folded(self, line: bytes, candidate: _Open) -> bool:
        message = candidate.form.read(line) if candidate.builder.folded else None
        return message is not None and message.host == candidate.host

    def end(self) -> Iterator[Report]:
        """What is left at the end of the log."""
        if self.objects is not None:
            yield from self._block(self.objects.rest())
        for alternatives in self.open:
            yield self._close(alternatives)
        self.open = []

    def _line(self, line: bytes, folded: bool = False) -> Iterator[Report]:
        taken = False
        if line.startswith(b">"):
            line = line.lstrip(b"> ")  # quoted in mail
        if b"kernel messages" in line and _MISSED.search(line):
            for alternatives in self.open:
                for candidate in alternatives:
                    candidate.builder.lose("the journal missed some of the kernel's lines")
        read = _Read(line)
        for alternatives in list(self.open):
            state = self._offer(alternatives, read)
            taken = taken or state == "taken"
            if state == "next" or alternatives[0].builder.done or self.line - alternatives[0].last > PATIENCE:
                yield self._close(alternatives)
                self.open.remove(alternatives)
        if not taken and any(needle in line for needle in self.needles):
            self._begin(line, folded)
            if len(self.open) > _MOST_OPEN:
                yield self._close(self.open.pop(0))

    def _offer(self, alternatives: list[_Open], read: _Read) -> str:
        """Offer a line to an open report: `taken`, `ignored`, or `next` where the next report begins with it."""
        for candidate in alternatives:
            message = read.message(candidate.form)
            if message is None or message.host != candidate.host:
                if message is None and read.is_damaged(candidate.form):
                    candidate.builder.lose("a damaged line of the journal")
                continue
            builder = candidate.builder
            if builder.starts_another(message.text):
                return "next"
            if builder.take(message.text):
                candidate.last = self.line
                if len(alternatives) > 1:
                    alternatives[:] = [candidate]
                return "taken"
            if len(alternatives) == 1:
                self._note_reaped(message)
                return "ignored"
        return "ignored"

    def _begin(self, line: bytes, folded: bool) -> None:
        if of_another_program(line):
            return
        found: list[_Open] = []
        for form in FORMS:
            message = form.read(line)
            if message is None:
                if self.objects is not None:
                    return  # what is cut off of an object is no line of another form
                continue
            if self._note_reaped(message):
                return
            if not is_start(message.text):
                continue
            builder = Builder(self.line, _text(message.time), _text(message.host), folded)
            builder.take(message.text)
            found.append(_Open(form, message.host, builder, self.line, self.line, tuple(self.reaped)))
            if len(found) == _TRIED or form.name == "journal-json":
                break
        if found:
            # The file's form so far is the likeliest one of this report.
            found.sort(key=lambda o: o.form is not self.last_form)
            self.open.append(found)

    def _note_reaped(self, message: Message) -> bool:
        if message.text.startswith(b"oom_reaper: ") and (found := reaped(message.text)):
            self.reaped.append(found)
            return True
        return False

    def _close(self, alternatives: list[_Open]) -> Report:
        chosen = alternatives[0]
        if len(alternatives) == 1 and chosen.last > chosen.first:
            self.last_form = chosen.form
        return chosen.builder.report(chosen.reaped)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
