"""Syntax errors in the language's words: what stands there, what was expected instead, and how to mend it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from oomlang.diagnostics import Code, Diagnostics, Source, Span
from oomlang.facts.units import DECIMAL_BYTES, UNITS
from oomlang.syntax.literals import TEXT
from oomlang.syntax.suggest import closest

if TYPE_CHECKING:
    from collections.abc import Collection

    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

STATEMENTS = (
    "policy",
    "input",
    "let",
    "kernel decides when",
    "kill nothing when",
    "never kill when",
    "kill first when",
    "kill last when",
    "kill highest",
    "kill lowest",
    "test",
)
"""How the statements begin, for messages."""

TEST_STATEMENTS = ("memory", "swap", "order", "scope", "invoker", "set", "memcg", "task", "expect")

_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": 'a text in "…"',
    "AT_DEPTH": "`at depth`",
    "AT_EACH_DEPTH": "`at each depth`",
    "COMPARE": "a comparison",
    "SIGN": "`+` or `-`",
    "SCALE": "`*` or `/`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "_NL": "the end of the line",
    "$END": "the end of the line",
}
_VALUE = {"NUMBER", "STRING", "NAME", "LPAR", "TRUE", "FALSE", "NOT", "SIGN"}
_OPERATORS = {"AND", "OR", "IF", "ELSE", "IN", "LIKE", "UNDER", "COMPARE", "SIGN", "SCALE", "AT_DEPTH"}
_WORD = re.compile(rf'[A-Za-z_][\w.]*|\d[\w.%]*|{TEXT}"|.', re.DOTALL)
_BRACKET = re.compile(rf'{TEXT}"|#[^\n]*|[(){{}}]')
_NUMBER_BEFORE = re.compile(r"\b(\d[\d_]*)[ \t]+\Z")

# What people write who come from another language, and what it is called here.
_FOREIGN = {
    "&&": "write `and`",
    "||": "write `or`",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    ";": "one statement a line: no `;` is needed",
    "'": 'texts stand in double quotes: "…"',
    "%": "a ratio is a number followed by %: 90%",
    "//": "a comment begins with #",
    "\t": "",
}
_FOREIGN_STATEMENTS = {
    "prefer": "write `kill first when …`, or `kill last when …` for those to keep",
    "avoid": "write `kill last when …`, or `never kill when …`",
    "protect": "write `never kill when …`",
    "ignore": "write `never kill when …`",
    "skip": "write `never kill when …`",
    "sort": "write `kill highest …` or `kill lowest …`",
    "rank": "write `kill highest …` or `kill lowest …`",
    "if": "conditions stand behind the rule: `kill first when …`",
    "when": "conditions stand behind the rule: `kill first when …`",
}


def explain(
    error: UnexpectedToken | UnexpectedCharacters,
    accepts: Collection[str],
    source: Source,
    chunk: Span,
    diagnostics: Diagnostics,
) -> None:
    """Add the diagnostic for the first thing in a statement that the grammar does not take."""
    token = getattr(error, "token", None)
    offset = token.start_pos if token is not None else error.pos_in_stream
    offset = chunk.end if offset is None else min(offset, chunk.end)
    at_end = offset >= chunk.end or (token is not None and token.type in ("$END", "_NL"))
    found = "" if at_end else _WORD.match(source.text, offset, chunk.end)[0]  # type: ignore[index]  # never at the end
    # The end of a line is pointed at just behind its last character.
    span = Span(offset, offset + len(found)) if found else Span(max(chunk.start, offset - 1), offset)
    expected = expected_words(accepts)

    if offset == chunk.start and found:
        _unknown_statement(found, span, accepts, diagnostics)
    elif found == '"':
        help = 'end it with " on the same line'
        diagnostics.error(Code.BAD_STRING, span, "this text has no closing quote", help=help)
    elif token is not None and token.type == "AT_EACH_DEPTH":
        diagnostics.error(
            Code.SYNTAX,
            Span(offset, offset + len(token)),
            "`at each depth` stands right behind what `kill highest` or `kill lowest` ranks by",
            help="to read one level of the tree, write `at depth 2`",
        )
    elif token is not None and token.type == "COMPARE" and "AND" in accepts:
        diagnostics.error(
            Code.CHAINED,
            span,
            "comparisons cannot be chained",
            help="write `a < b and b < c`, with `and` between them",
        )
    elif at_end:
        opened = _unclosed(source.text, chunk)
        if opened is not None:
            diagnostics.error(Code.UNCLOSED, opened, f"this `{source.slice(opened)}` is never closed")
        else:
            diagnostics.error(Code.SYNTAX, span, f"the line ends too early: expected {expected}")
    else:
        # The first `/` of `//` was taken for a division.
        for start in (offset, max(offset - 1, 0)):
            two = source.text[start : start + 2]  # one, where the file ends
            if two in _FOREIGN:
                found, span = two, Span(start, start + len(two))
        number = _NUMBER_BEFORE.search(source.text, chunk.start, offset)
        help = _FOREIGN.get(found) or _unseen(found)
        if number is not None and (found in UNITS or found in DECIMAL_BYTES):
            help = f"the unit stands right behind its number: {number[1]}{found if found in UNITS else 'MiB'}"
        help = help or _hint(found, accepts)
        kind = "unexpected" if token is not None or found.isalnum() else "unexpected character"
        diagnostics.error(Code.SYNTAX, span, f"{kind} {_shown(found)}: expected {expected}", help=help)


def _unknown_statement(found: str, span: Span, accepts: Collection[str], diagnostics: Diagnostics) -> None:
    if found in ")}":
        diagnostics.error(Code.SYNTAX, span, f"this `{found}` closes nothing", help="remove it")
        return
    in_test = "EXPECT" in accepts
    known = TEST_STATEMENTS if in_test else STATEMENTS
    first_words = dict.fromkeys(s.split()[0] for s in known)
    message = f"no statement begins with {_shown(found)}"
    help = _FOREIGN_STATEMENTS.get(found.lower(), "")
    if in_test and found in {s.split()[0] for s in STATEMENTS}:
        message, help = f"`{found}` does not stand inside a test", "end the test first, with a line `}`"
    elif found in TEST_STATEMENTS and not in_test:
        message, help = f"`{found}` stands inside a test only", 'test "what it shows" { … }'
    elif found in ("/", "--"):
        help = _FOREIGN["//"]
    elif not help:
        guess = closest(found, first_words)
        help = (
            f"did you mean `{guess}`?"
            if guess
            else "a line begins with " + ", ".join(f"`{s}`" for s in known)
        )
    diagnostics.error(Code.UNKNOWN_STATEMENT, span, message, help=help)


def _shown(found: str) -> str:
    if found.isprintable() and len(found) <= 40:
        return f"`{found}`"
    return f"`U+{ord(found):04X}`" if len(found) == 1 else f"`{found[:1]}…`"


def _hint(found: str, accepts: Collection[str]) -> str:
    """What was probably meant: another operator, or a keyword that is misspelt."""
    if found == "not" and "IN" in accepts:
        return "`not` stands before the whole comparison: not comm in (…)"
    if found == "step" and "AND" in accepts:
        return "`step` stands before `when`: kill highest … step … when …"
    if found == "of" and "SCALE" in accepts:
        return "write a share as a product: memcg.limit * 80%"
    if found == "if" and "WHEN" in accepts:
        return "write `when`"
    if found == "=" and "COMPARE" in accepts:
        return "write `==` to compare"
    if found == "==" and "EQUAL" in accepts:
        return "write `=` to define"
    if found == "=" and {"STRING", "FALSE"} <= set(accepts) and "NAME" not in accepts:
        return "the value stands right behind its fact: rss 5GiB"
    if (found in (":", ",") and {"STRING", "FALSE"} <= set(accepts)) or (
        found == "," and "RBRACE" in accepts
    ):
        return "facts and values stand side by side: { rss 5GiB  uid 0 }"
    if found == "/" and "NUMBER" in accepts:
        return 'a path stands in quotes: "/system.slice"'
    if found == "at" and "AT_EACH_DEPTH" in accepts:
        return "write `at depth 2` or `at each depth`"
    if found.startswith('"') and set(accepts) == {"LPAR"}:
        return f"put the list in parentheses: ({found})" if len(found) <= 40 else ""
    if (
        {"FIRST", "HIGHEST"} <= set(accepts)
        and found.isidentifier()
        and not closest(found, ["highest", "lowest", "first"])
    ):
        return f"write `kill highest {found}`, or `kill first when …` for a condition"
    words = [a.lower() for a in accepts if a.isalpha() and a not in _WORDS]
    words += [w for t, w in (("AT_DEPTH", "at depth"), ("AT_EACH_DEPTH", "at each depth")) if t in accepts]
    guess = closest(found, words) if found.isalpha() else None
    return f"did you mean `{guess}`?" if guess else ""


def _unseen(found: str) -> str:
    """A hint for a character that a person does not see, or takes for another."""
    category = unicodedata.category(found[0])
    if category == "Zs":
        return "it looks like a blank and is none: type a blank in its place"
    return "remove it" if category in ("Cc", "Cf", "Zl", "Zp") and found != "\t" else ""


def _unclosed(text: str, chunk: Span) -> Span | None:
    """The innermost bracket that the statement opens and does not close."""
    opened: list[int] = []
    for match in _BRACKET.finditer(text, chunk.start, chunk.end):
        if match[0] in "({":
            opened.append(match.start())
        elif match[0] in ")}" and opened:
            opened.pop()
    return Span(opened[-1], opened[-1] + 1) if opened else None


def expected_words(accepts: Collection[str]) -> str:
    """A set of terminals as a person would list them."""
    rest = set(accepts)
    words: list[str] = []
    if {"NUMBER", "NAME", "LPAR"} <= rest or {"NUMBER", "STRING", "FALSE"} <= rest:
        words.append("a value")
        rest -= _VALUE
    if {"AND", "OR"} & rest and len(_OPERATORS & rest) >= 3:
        words.append("an operator")
        rest -= _OPERATORS | {"LPAR"}
    plain = sorted(_WORDS.get(t, f"`{t.lower()}`") for t in rest)
    ends = [w for w in plain if w == _WORDS["$END"]]
    words += [w for w in plain if w not in ends] + ends[:1]
    return (
        words[0]
        if len(words) == 1
        else ", ".join(words[:-1]) + " or " + words[-1]
        if words
        else "nothing more"
    )
