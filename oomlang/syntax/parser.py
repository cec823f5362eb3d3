"""Text → syntax tree.

In: the bytes of a policy. Out: a `tree.Policy`, and a diagnostic for every statement that cannot be read; such a
statement is `tree.Broken` in the tree. The fast path parses the whole file at once; only a file with a syntax error is
taken apart into statements, so that each gets its own message.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.lark import PostLex
from lark.lexer import PatternRE, PatternStr, TerminalDef
from lark.utils import TextSlice

from oomlang.data import cache_path, data_path
from oomlang.diagnostics import Code, Diagnostics, Source, Span
from oomlang.facts.types import MAX_NAME
from oomlang.syntax import bounds, tree
from oomlang.syntax.builder import Builder
from oomlang.syntax.errors import explain
from oomlang.syntax.literals import TEXT

_MOST_BROKEN = 200
"""Statements of one file whose syntax errors are described."""

_STARTS = ["policy", "statement", "test_statement"]
# What matters for finding where statements end: texts and comments hide everything inside them.
_BOUNDARY = re.compile(rf'{TEXT}"?|#[^\n]*|[(){{}}]|\r?\n')
_DECLARES = re.compile(r"\s*(?:let|input)\s+([A-Za-z_]\w*)")
# Blanks and comments. Only what the grammar skips: any other white space has to be reported.
_LEADING = re.compile(r"(?:[ \t]|\r?\n|#[^\n]*)*")
_TOP_LEVEL = re.compile(r"(?:oomlang|policy|input|let|kernel|never|kill|test)\b")
_IN_TEST = re.compile(r'[ \t]*(?:(?:memcg|task)[ \t]*"|(?:expect|set)\b)')
_TEST_HEADER = re.compile(rf'test[ \t]+({TEXT}")[ \t]*\{{')


class _LineEnds(PostLex):
    """Drops the line ends that separate nothing: inside ( ), inside a test's inner { }, after {, and repeated ones."""

    always_accept = ("_NL",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        round_, curly, previous = 0, 0, "{"
        for token in stream:
            if previous == "{" and curly == 0 and token.type in ("MEMCG", "TASK"):
                curly = 1  # a statement of a test, parsed by itself
            if token.type == "_NL":
                if round_ or curly > 1 or previous in ("_NL", "{"):
                    continue
            elif token == "(":
                round_ += 1
            elif token == ")":
                round_ = max(0, round_ - 1)
            elif token == "{":
                curly += 1
            elif token == "}":
                curly = max(0, curly - 1)
                round_ = 0
            previous = token.type if token.type == "_NL" else str(token)
            yield token


@functools.cache
def _parser() -> Lark:
    """The LALR parser. Its tables are kept in the user's cache folder under the hash of the grammar, lark and Python."""
    import lark

    with open(data_path("grammar", "oomlang.lark"), encoding="utf-8") as file:
        grammar = file.read()
    key = hashlib.sha256(f"{grammar}\0{lark.__version__}\0{sys.version_info[:2]}".encode()).hexdigest()[:16]
    cached = cache_path(f"grammar-{key}.lark")
    if cached is None:
        return _build(grammar, cache=False)
    if os.path.exists(cached):
        return _build(grammar, cache=cached)
    # Made under another name and renamed, so that a second oomlang never reads half of it.
    try:
        handle, name = tempfile.mkstemp(dir=os.path.dirname(cached))
    except OSError:
        return _build(grammar, cache=False)
    os.close(handle)
    try:
        parser = _build(grammar, cache=name)
        with contextlib.suppress(OSError):
            os.replace(name, cached)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)  # where something, a signal perhaps, came between
    return parser


def _build(grammar: str, *, cache: str | bool) -> Lark:
    return Lark(
        grammar,
        parser="lalr",
        start=_STARTS,
        postlex=_LineEnds(),
        keep_all_tokens=True,
        edit_terminals=_whole_words,
        cache=cache,
    )


def _whole_words(terminal: TerminalDef) -> TerminalDef:
    """Make each keyword match whole words only, so that `killer` is not read as `kill` and `er`."""
    if isinstance(terminal.pattern, PatternStr) and terminal.pattern.value.isalpha():
        terminal.pattern = PatternRE(terminal.pattern.value + r"(?![\w.])")
        terminal.priority = 1  # before NAME, wherever the keyword may stand
    return terminal


def parse(data: bytes, name: str) -> tuple[tree.Policy, Diagnostics]:
    """Read a policy.

    data: the file's bytes. name: what messages call it. Returns the tree and the diagnostics found so far; the tree is
    worth a look even when there are some (see `tree.Broken`).
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", "replace")
        source = Source(name, text)
        diagnostics = Diagnostics(source)
        start = len(data[: error.start].decode("utf-8"))
        diagnostics.error(
            Code.NOT_TEXT,
            Span(start, start + 1),
            f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
            help="save it as UTF-8",
        )
        return tree.Policy(source=source, statements=()), diagnostics
    source = Source(name, text)
    diagnostics = Diagnostics(source)
    return tree.Policy(source=source, statements=_statements(source, diagnostics)), diagnostics


def _statements(source: Source, diagnostics: Diagnostics) -> tuple[tree.Statement, ...]:
    if not bounds.surely_kept(source.text):
        return tuple(_Pieces(source, diagnostics).statements())
    try:
        parsed = _parser().parse(source.text, start="policy")
    except UnexpectedInput:
        return tuple(_Pieces(source, diagnostics).statements())
    return tuple(Builder(diagnostics).transform(parsed))


class _Pieces:
    """Parses a text statement by statement, so that each syntax error is found, and each statement out of bounds."""

    def __init__(self, source: Source, diagnostics: Diagnostics) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._broken = 0
        self._given_up = False

    def statements(self) -> Iterator[tree.Statement]:
        def parse_one(chunk: Span) -> Any:
            return self._test(chunk) or self._statement(chunk, "statement")

        return self._each(0, len(self._source.text), _TOP_LEVEL, parse_one)

    def _each(
        self, start: int, end: int, begins: re.Pattern[str], parse_one: Callable[[Span], Any]
    ) -> Iterator[Any]:
        for chunk in _chunks(self._source.text, start, end, begins):
            if self._broken >= _MOST_BROKEN:
                if not self._given_up:
                    message = (
                        f"{self._broken} statements before this one cannot be read; the rest is not looked at"
                    )
                    self._diagnostics.error(Code.SYNTAX, chunk, message, help="is this file a policy?")
                self._given_up = True
                yield tree.Broken(span=Span(chunk.start, max(chunk.end, end)), declares=None)
                return
            yield parse_one(chunk)

    def _statement(self, chunk: Span, start: str) -> Any:
        text = self._source.text
        if bounds.exceeded(text, chunk, self._diagnostics):
            self._broken += 1
            return self._broken_statement(chunk)
        interactive = _parser().parse_interactive(TextSlice(text, chunk.start, chunk.end), start=start)
        try:
            for _ in interactive.iter_parse():
                pass
            # The end is a token like any other, standing just behind the statement.
            parsed = interactive.feed_token(Token("$END", "", chunk.end, end_pos=chunk.end))
        except (UnexpectedToken, UnexpectedCharacters) as error:
            self._broken += 1
            accepts: set[str] = interactive.accepts()  # type: ignore[no-untyped-call]  # lark's annotations end here
            explain(error, accepts, self._source, chunk, self._diagnostics)
            return self._broken_statement(chunk)
        return Builder(self._diagnostics).transform(parsed)

    def _broken_statement(self, chunk: Span) -> tree.Broken:
        declares = _DECLARES.match(self._source.text, chunk.start, chunk.end)
        return tree.Broken(span=chunk, declares=declares[1][:MAX_NAME] if declares else None)

    def _test(self, chunk: Span) -> tree.Test | None:
        """Parse a test block line by line, or return None where this is none, or its first line cannot be read."""
        text, diagnostics = self._source.text, self._diagnostics
        header = _TEST_HEADER.match(text, chunk.start, chunk.end)
        if header is None:
            return None
        close = _closing_brace(text, header.end(), chunk.end)
        if close is None:
            opening = Span(header.end() - 1, header.end())
            diagnostics.error(
                Code.UNCLOSED, opening, "this `{` is never closed", help="end the test with a line `}`"
            )
        elif not _LEADING.fullmatch(text, close + 1, chunk.end):
            behind = _trimmed(text, close + 1, chunk.end)
            diagnostics.error(Code.SYNTAX, behind, "nothing may stand behind the `}` of a test on its line")

        def parse_one(inner: Span) -> Any:
            return self._statement(inner, "test_statement")

        inner_end = chunk.end if close is None else close
        statements = tuple(self._each(header.end(), inner_end, _IN_TEST, parse_one))
        name = Builder(diagnostics).text([Token("STRING", header[1], header.start(1), end_pos=header.end(1))])
        return tree.Test(span=chunk, name=name, statements=statements)


def _chunks(text: str, start: int, end: int, begins: re.Pattern[str]) -> Iterator[Span]:
    """Where the statements between two offsets lie: their lines, joined while a bracket is open.

    A bracket that is never closed must not hide the rest of the file or of the test: a line that starts, unindented,
    with the first word of a statement always begins a new one, as do lines that only make sense in a test.
    """
    begin, depth = start, 0
    for match in _BOUNDARY.finditer(text, start, end):
        char = match[0]
        if char in "({":
            depth += 1
        elif char in ")}":
            depth = max(0, depth - 1)
        elif char.endswith("\n") and (depth == 0 or begins.match(text, match.end(), end)):
            if not _LEADING.fullmatch(text, begin, match.start()):
                yield _trimmed(text, begin, match.start())
            begin, depth = match.end(), 0
    if not _LEADING.fullmatch(text, begin, end):
        yield _trimmed(text, begin, end)


def _trimmed(text: str, start: int, end: int) -> Span:
    """The span without the blanks and comments that stand before and after the statement's own text."""
    start = _LEADING.match(text, start, end).end()  # type: ignore[union-attr]  # matches the empty text too
    piece = last = start
    for match in _BOUNDARY.finditer(text, start, end):
        if match[0][0] in "#\r\n":
            if own := text[piece : match.start()].rstrip(" \t"):
                last = piece + len(own)
            piece = match.end()
    if own := text[piece:end].rstrip(" \t"):
        last = piece + len(own)
    return Span(start, last)


def _closing_brace(text: str, start: int, end: int) -> int | None:
    """Where the test's own brace closes that opened just before `start`.

    An inner brace that is never closed must not take it: a last line with nothing but a brace at its very start closes
    the test.
    """
    depth, last = 1, None
    for match in _BOUNDARY.finditer(text, start, end):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            last = match.start()
            if depth == 0:
                return last
    if last is not None and text[last - 1] == "\n" and _LEADING.fullmatch(text, last + 1, end):
        return last
    return None
