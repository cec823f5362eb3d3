"""The same policy, laid out in another way: other blanks, other line ends, and comments wherever there can be one.

`tokens` takes a text apart; `scattered` draws a layout; `comment_everywhere` puts a comment of its own on every line
end that the language allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

# Not the printer's scanner: a mistake there would hide itself.
_TOKEN = re.compile(
    r'"(?:\\[^\n]|[^"\\\n])*"|at[ \t]+(?:each[ \t]+)?depth\b|[0-9][\w.]*%?|[A-Za-z_][\w.]*|==|!=|<=|>=|\n|[^\s]'
)


def tokens(text: str) -> list[str]:
    """The tokens of a correct policy without comments. `at depth` and `at each depth` are one each."""
    return _TOKEN.findall(text)


def _placed(text: str) -> Iterator[tuple[str, bool]]:
    """Each token, and whether a line may end in front of it (or, where it is a line end, may be doubled)."""
    round_ = curly = 0
    previous = "\n"
    for token in tokens(text):
        yield token, round_ > 0 or curly > 1 or token == "\n" or previous in ("\n", "{")
        round_ += (token == "(") - (token == ")")
        curly += (token == "{") - (token == "}")
        previous = token


def _apart(left: str, right: str) -> bool:
    """Whether two tokens would be read as one, or as others, without a blank between them."""
    pair = left[-1:] + right[:1]
    return bool(re.fullmatch(r"[\w.%]{2}|[=!<>]=", pair))


def _comments() -> SearchStrategy[str]:
    body = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=8)
    return body.map(lambda b: f"#{b}\n")


@st.composite
def _scattered(draw: DrawFn, texts: SearchStrategy[str]) -> str:
    text = draw(texts)
    blanks = st.sampled_from(("", " ", "  ", "\t", " \t "))
    line_ends = st.sampled_from(("\n", "\r\n", "\n\n\n", " \n")) | _comments()
    out: list[str] = []
    previous = ""
    for token, breakable in _placed(text):
        gap = draw(blanks)
        if breakable and draw(st.integers(0, 5)) == 5:
            gap += draw(line_ends) + draw(blanks)
        elif not gap and _apart(previous, token):
            gap = " "
        if token == "\n":
            token = draw(line_ends)
        elif token.startswith("at"):
            token = re.sub(r"[ \t]+", lambda _: draw(st.sampled_from((" ", "  ", "\t"))), token)
        out += (gap, token)
        previous = token
    return "".join(out)


def scattered(texts: SearchStrategy[str]) -> SearchStrategy[str]:
    """Each text with other blanks between its tokens, other line ends, and comments."""
    return _scattered(texts)


def comment_everywhere(text: str) -> tuple[str, list[str]]:
    """The text with a comment of its own at each place where a line can end; and these comments in their order."""
    out: list[str] = []
    comments: list[str] = []

    def comment() -> str:
        comments.append(f"# mark {len(comments)}")
        return comments[-1]

    previous = "\n"
    for token, breakable in _placed(text):
        if token == "\n":
            out.append(f"  {comment()}\n")
        elif breakable:
            out.append(f" {comment()}\n{comment()}\n {token}")
        else:
            out.append(f" {token}" if previous != "\n" else token)
        previous = token
    return "".join(out) + comment(), comments
