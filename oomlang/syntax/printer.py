"""Text → the same text in the house format (`oomlang fmt`).

In: the text of a policy. Out: the text that differs from it only in blanks. It works on tokens and not on the syntax
tree, so that comments and line breaks stay where the author put them: like gofmt, it decides about the blanks between
and the ones in front, and never where a line ends.

The format:
- Two blanks of indentation for each open bracket. No two blank lines in a row, none at either end of the file or of a
  block. Lines end in "\\n".
- One blank around binary operators, inside `{ }` and after `,` and `:`; none inside `( )`, none between a function and
  its `(`, none behind a sign. Two blanks between the facts in a test's braces.
- On consecutive lines stand below each other: the `=` of `let`, the `in` and the `{` of `task`, the `{` of `memcg`, and
  the comments at the ends of lines, two blanks behind the longest. A line that would need too many blanks for it starts
  anew.
- `#x` becomes `# x` where x is a letter or a digit. Other comments (`#!`, `##`, `#----`) are left as they are.

The text need not be a correct policy: what cannot be read keeps the blanks it has, one for any number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from oomlang.syntax.literals import TEXT

_TOKEN = re.compile(
    rf"""
      (?P<blank>   [ \t\r]+ )
    | (?P<newline> \n )
    | (?P<comment> \#[^\n]* )
    | (?P<text>    {TEXT}" )
    | (?P<open>    [({{] )
    | (?P<close>   [)}}] )
    | (?P<mark>    [,:] )
    | (?P<sign>    [+-] )
    | (?P<binary>  == | != | <= | >= | [<>=*/] )
    | (?P<number>  [0-9][0-9A-Za-z_.]*%? )
    | (?P<word>    [A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)* )
    | (?P<other>   "[^\n]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset(("and", "or", "not", "in", "like", "under", "if", "else", "when", "step", "at"))
"""The reserved words behind which an operand follows; other keywords are told by where they stand."""

_T = TypeVar("_T")

_INDENT = 2
_DEEPEST_INDENT = 40
"""Brackets that indent; more is no policy, and its output would grow with the square of its length."""

_WIDEST_GAP = 40
"""Blanks that alignment may put into a line."""


@dataclass(slots=True)
class _Line:
    """One line of output.

    kind: what it is aligned with (`let`, `task`, `memcg`), or nothing. cells: the tokens with the blanks between them,
    apart wherever something may have to be aligned; one blank goes between two cells. opens, closes: the last token is
    an opening bracket, the first is a closing one.
    """

    indent: int = 0
    kind: str = ""
    cells: list[list[str]] = field(default_factory=lambda: [[]])
    comment: str = ""
    opens: bool = False
    closes: bool = False
    only_closes: bool = True

    @property
    def has_code(self) -> bool:
        return self.cells != [[]]

    @property
    def empty(self) -> bool:
        return not self.has_code and not self.comment

    @property
    def code(self) -> str:
        return " ".join("".join(cell) for cell in self.cells)


@dataclass(slots=True)
class _State:
    """What has been read so far, as far as it decides about blanks."""

    round: int = 0  # open ( and {
    curly: int = 0
    position: int = 0  # tokens of this statement before the current one
    first: str = ""  # its first word
    previous: str = ""
    previous_kind: str = ""
    operand: bool = False  # the last token ends an operand, so that a sign behind it is binary
    callable: bool = False  # the last token may be a function's name
    unary: bool = False  # the last token is a sign in front of its operand

    @property
    def inner(self) -> bool:
        """Inside the braces of a test's memcg or task."""
        return self.curly > 1

    @property
    def continues(self) -> bool:
        """Whether a line end would not end the statement; the parser has the same rule."""
        return self.round > 0 or self.inner


def format_text(text: str) -> str:
    """A policy's text in the house format.

    Never fails, takes time linear in the length of the text, and formatting twice is the same as once. A text without
    anything in it becomes the empty text.
    """
    lines = _without_needless_blank_lines(_read(text.lstrip("\ufeff \t\r\n")))
    _align_cells(lines)
    return "".join(f"{line}\n" for line in _written(lines))


def _read(text: str) -> Iterator[_Line]:
    """Split into lines with the blanks between tokens settled."""
    state = _State()
    line, blank = _Line(), False
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match[0]
        if kind == "blank":
            blank = True
            continue
        if kind == "newline":
            yield line
            line, blank = _Line(indent=_depth(state)), False
            if not state.continues:
                state.position, state.first = 0, ""
                state.operand = state.callable = state.unary = False
                state.previous = state.previous_kind = ""
            continue
        if kind == "comment":
            line.comment = _comment(token)
        else:
            _append(line, state, kind, token.rstrip(" \t\r") if kind == "other" else token, blank)
        blank = False
    yield line


def _append(line: _Line, state: _State, kind: str, token: str, blank: bool) -> None:
    """Add one token to its line, and take note of it."""
    starts_line = not line.has_code
    if starts_line:
        line.closes = kind == "close"
        if not state.continues and token in ("let", "task", "memcg"):
            line.kind = token
    unary = kind == "sign" and (state.inner or not state.operand)
    if _begins_cell(line, state, token):
        line.cells.append([token])
    else:
        gap = "" if starts_line else _gap(state, kind, token, blank, unary)
        line.cells[-1].append(gap + token)

    if kind == "word" and state.position == 0:
        state.first = token
    keyword = kind == "word" and (
        token in _KEYWORDS or state.position == 0 or (state.position == 1 and state.first == "kill")
    )
    state.operand = kind in ("number", "text", "other") or token == ")" or (kind == "word" and not keyword)
    state.callable = kind == "word" and not keyword and token not in ("true", "false")
    state.unary = unary
    state.previous, state.previous_kind = token, kind
    state.position += 1
    _note_bracket(state, token)
    line.only_closes = line.only_closes and kind == "close"
    if line.only_closes:
        line.indent = _depth(state)  # closing brackets in front stand below what opened them
    line.opens = kind == "open"


def _note_bracket(state: _State, token: str) -> None:
    """Count brackets as the parser's token filter does."""
    match token:
        case "(":
            state.round += 1
        case ")":
            state.round = max(0, state.round - 1)
        case "{":
            state.curly += 1
            if state.curly == 1:
                state.position, state.first = 0, ""
        case "}":
            state.curly = max(0, state.curly - 1)
            state.round = 0
        case _:
            pass


def _gap(state: _State, kind: str, token: str, blank: bool, unary: bool) -> str:
    """The blanks between the last token and this one, on the same line."""
    if state.previous == "(" or token == ")" or kind == "mark" or state.unary:
        return ""
    if token == "(":
        return "" if state.callable else " "
    if "other" in (kind, state.previous_kind):
        return " " if blank else ""
    if state.previous == "{" and token == "}":
        return ""
    if (
        state.inner
        and kind == "word"
        and token not in ("true", "false")
        and state.previous_kind in ("number", "text")
    ):
        return "  "
    if state.inner and kind == "word" and state.previous in ("true", "false"):
        return "  "
    return " "


def _begins_cell(line: _Line, state: _State, token: str) -> bool:
    """Whether a token is one of those that stand below each other on consecutive lines."""
    if state.continues:
        return False
    match line.kind:
        case "let":
            return token == "=" and state.position == 2
        case "task":
            return (token == "in" and len(line.cells) == 1) or (token == "{" and len(line.cells) == 2)
        case "memcg":
            return token == "{" and len(line.cells) == 1
        case _:
            return False


def _depth(state: _State) -> int:
    return _INDENT * min(state.round + state.curly, _DEEPEST_INDENT)


def _comment(token: str) -> str:
    body = token[1:].rstrip(" \t\r")
    return f"# {body}" if body[:1].isalnum() else f"#{body}"


def _without_needless_blank_lines(lines: Iterator[_Line]) -> list[_Line]:
    kept: list[_Line] = []
    for line in lines:
        previous = kept[-1] if kept else None
        if line.empty and (previous is None or previous.empty or previous.opens):
            continue
        if line.closes and previous is not None and previous.empty:
            kept.pop()
        kept.append(line)
    while kept and kept[-1].empty:
        kept.pop()
    return kept


def _align_cells(lines: list[_Line]) -> None:
    for kind in ("let", "task", "memcg"):
        for column in range(2):
            _pad(lines, kind, column)


def _pad(lines: list[_Line], kind: str, column: int) -> None:
    """Widen one column's cells on consecutive lines of a kind, so that the next column's stand below each other."""

    def width(line: _Line) -> int | None:
        if line.kind != kind or len(line.cells) < column + 2:
            return None
        return sum(len(part) for part in line.cells[column])

    for run, widest in _runs(lines, width):
        for line in run:
            line.cells[column] = ["".join(line.cells[column]).ljust(widest)]


def _written(lines: list[_Line]) -> Iterator[str]:
    codes = [" " * line.indent + line.code if line.has_code else "" for line in lines]
    columns: dict[int, int] = {}

    def width(index: int) -> int | None:
        return len(codes[index]) if codes[index] and lines[index].comment else None

    for run, widest in _runs(list(range(len(lines))), width):
        columns.update(dict.fromkeys(run, widest))
    for index, (line, code) in enumerate(zip(lines, codes, strict=True)):
        if index in columns:
            yield f"{code.ljust(columns[index])}  {line.comment}"
        elif line.comment:
            yield " " * line.indent + line.comment
        else:
            yield code


def _runs(items: list[_T], width: Callable[[_T], int | None]) -> Iterator[tuple[list[_T], int]]:
    """Consecutive items that have a width, with the largest; a run ends where aligning would take too many blanks."""
    run: list[_T] = []
    low = high = 0
    for item in items:
        size = width(item)
        if run and (size is None or max(high, size) - min(low, size) > _WIDEST_GAP):
            yield run, high
            run = []
        if size is not None:
            low, high = (min(low, size), max(high, size)) if run else (size, size)
            run.append(item)
    if run:
        yield run, high
