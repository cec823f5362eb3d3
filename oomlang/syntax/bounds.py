"""What a text must keep to before it is parsed: brackets that nest, and statements that are as long, as a policy can use.

The parser keeps some hundred bytes for each character. What it could not digest is found here by two scans that
keep nothing.
"""

from __future__ import annotations

import re

from oomlang.diagnostics import Code, Diagnostics, Span
from oomlang.facts.types import MAX_NESTING, MAX_STATEMENT
from oomlang.syntax.literals import TEXT

_BRACKET = re.compile(rf'{TEXT}"?|#[^\n]*|[(){{}}]')
_LINE_OR_BRACKET = re.compile(rf'{TEXT}"?|#[^\n]*|[(){{}}\n]')


def surely_kept(text: str) -> bool:
    """Whether no statement of a text can be out of bounds. False says nothing: `exceeded` looks at each."""
    long = len(text) > MAX_STATEMENT and _longest_stretch(text) > MAX_STATEMENT
    return not long and _too_deep(text, 0, len(text)) is None


def exceeded(text: str, statement: Span, diagnostics: Diagnostics) -> bool:
    """Whether a statement is out of bounds; says so."""
    size = statement.end - statement.start
    if size > MAX_STATEMENT:
        diagnostics.error(
            Code.TOO_MANY,
            Span(statement.start, statement.start + 1),
            f"this statement has {size} characters; the limit is {MAX_STATEMENT}",
            help="write several statements, or look for a quote or a bracket that is not closed",
        )
        return True
    at = _too_deep(text, statement.start, statement.end)
    if at is not None:
        diagnostics.error(
            Code.TOO_DEEP,
            Span(at, at + 1),
            f"the brackets of this statement nest more than {MAX_NESTING} levels deep",
            help="remove those that are not needed, or give a part of it a name with `let`",
        )
    return at is not None


def _longest_stretch(text: str) -> int:
    """An upper bound of how long statements are: they go on over a line end only where brackets are open."""
    longest = start = round_ = curly = 0
    for found in _LINE_OR_BRACKET.finditer(text):
        match found[0]:
            case "\n" if round_ == 0 and curly <= 1:  # curly: the braces of a test
                longest, start = max(longest, found.start() - start), found.end()
            case "(":
                round_ += 1
            case ")":
                round_ = max(0, round_ - 1)
            case "{":
                curly += 1
            case "}":
                curly, round_ = max(0, curly - 1), 0
            case _:
                pass
    return max(longest, len(text) - start)


def _too_deep(text: str, start: int, end: int) -> int | None:
    """Where the first bracket opens that is nested too deep among those of its kind."""
    round_ = curly = 0
    for found in _BRACKET.finditer(text, start, end):
        match found[0]:
            case "(":
                round_ += 1
            case ")":
                round_ = max(0, round_ - 1)
            case "{":
                curly += 1
            case "}":
                curly, round_ = max(0, curly - 1), 0
            case _:
                continue
        if max(round_, curly) > MAX_NESTING:
            return found.start()
    return None
