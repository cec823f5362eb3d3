"""Spans, diagnostics and the exceptions that carry them to the command line."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

from oomlang.diagnostics.codes import Code


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of characters `[start, end)` in one source text."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The smallest span that holds both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


@dataclass(frozen=True)
class Source:
    """A policy's text and the name that messages call it by (a path, or `<stdin>`)."""

    name: str
    text: str

    @cached_property
    def _line_starts(self) -> list[int]:
        # Only "\n" ends a line: it is the only line end that the grammar knows, and str.splitlines
        # would also split at form feeds and U+2028 inside a text literal.
        starts = [0]
        starts.extend(i + 1 for i, c in enumerate(self.text) if c == "\n")
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both from 1; columns count characters, not bytes."""
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line (from 1), without its line end."""
        start = self._line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].removesuffix("\r")

    def slice(self, span: Span) -> str:
        """The characters of a span."""
        return self.text[span.start : span.end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A second place that a diagnostic points at, with a few words beside it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing that is wrong (or doubtful) in a policy, and where it stands."""

    code: Code
    span: Span
    message: str
    label: str = ""
    labels: tuple[Label, ...] = ()
    help: str = ""

    @property
    def severity(self) -> str:
        """`error` or `warning`; the first letter of the code says which."""
        return "warning" if self.code.value.startswith("W") else "error"


_MANY = 200


@dataclass(slots=True)
class Diagnostics:
    """The diagnostics of one source, collected over all passes."""

    source: Source
    _items: dict[Diagnostic, None] = field(default_factory=dict)

    def error(
        self,
        code: Code,
        span: Span,
        message: str,
        *,
        label: str = "",
        labels: tuple[Label, ...] = (),
        help: str = "",
    ) -> None:
        """Add a diagnostic (a warning where the code is a `W…`); exact repetitions are dropped."""
        item = Diagnostic(code=code, span=span, message=message, label=label, labels=labels, help=help)
        self._items[item] = None

    @property
    def items(self) -> tuple[Diagnostic, ...]:
        """All of them, sorted by position."""
        return tuple(sorted(self._items, key=lambda d: (d.span, d.code.value, d.message)))

    @property
    def many(self) -> bool:
        """Whether there are more than anybody reads: help that takes long to find is left out of the next ones."""
        return len(self._items) > _MANY

    @property
    def failed(self) -> bool:
        """Whether any of them is an error."""
        return any(d.severity == "error" for d in self._items)

    def raise_if_failed(self) -> None:
        """Raise `OomlangError` with all of them, warnings included, if any is an error."""
        if self.failed:
            self.throw()

    def throw(self) -> NoReturn:
        """Raise `OomlangError` with all of them."""
        raise OomlangError(self.source, self.items)


class OomlangError(Exception):
    """The policy is wrong: its diagnostics say where and how to mend it. Exit code 1."""

    def __init__(self, source: Source, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.source = source
        self.diagnostics = diagnostics
        first = next((d for d in diagnostics if d.severity == "error"), None)
        where = ""
        if first is not None:
            line, column = source.position(first.span.start)
            where = f"{source.name}:{line}:{column}: {first.severity}[{first.code.value}]: {first.message}"
        more = len(diagnostics) - 1
        super().__init__(where + (f" (and {more} more)" if more > 0 else ""))


class EnvironmentLacks(Exception):
    """This machine lacks something that the command needs (clang, root, the hook). Exit code 3."""

    def __init__(self, what: str, *, mend: str) -> None:
        self.what = what
        self.mend = mend
        super().__init__(f"{what}\n{mend}" if mend else what)


class InternalError(Exception):
    """A bug in oomlang itself. Exit code 4."""
