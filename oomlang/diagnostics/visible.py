"""Text from outside, made fit for a terminal: nothing in it moves the cursor, hides itself or turns the line around.

In: any text and the encoding of the stream that it goes to. Out: one printable piece for each character, and how many
columns a piece takes. A policy and its file name are a stranger's text: an escape sequence in either must reach the
reader's eyes and not the reader's terminal.
"""

from __future__ import annotations

import functools
import unicodedata

# Printable by Unicode's reckoning, yet nothing to be seen: two texts that differ in one of these look the same.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def visible(text: str, encoding: str = "utf-8") -> str:
    """The text with every control, format and unprintable character replaced by a picture or a number of it."""
    if text.isascii() and text.isprintable():  # nearly always
        return text
    return "".join(piece(char, encoding) for char in text)


@functools.lru_cache(maxsize=4096)
def piece(char: str, encoding: str = "utf-8") -> str:
    """What stands for one character: itself, `␛`, `<U+202E>`, or `\\xff` for a byte that was never a character."""
    number = ord(char)
    if 0xDC80 <= number <= 0xDCFF:  # os.fsdecode's escape for a byte of a file name
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x20 or number == 0x7F:
        shown = "␡" if number == 0x7F else chr(0x2400 + number)
    elif not char.isprintable() or char in _UNSEEN or _is_variation_selector(number):
        return f"<U+{number:04X}>"
    else:
        shown = char
    try:
        shown.encode(encoding)
    except UnicodeEncodeError:
        return f"<U+{number:04X}>"
    return shown


def width(text: str) -> int:
    """How many columns of a terminal a visible text takes."""
    return len(text) if text.isascii() else sum(_char_width(char) for char in text)


def wrapped(text: str, columns: int) -> list[str]:
    """A visible text as lines of at most so many columns where its words allow it; what stands in backticks is a word."""
    if width(text) <= columns:
        return [text]
    import re
    import textwrap

    whole = re.sub("`[^`]*`", lambda match: match[0].replace(" ", "\0"), text)  # no visible text holds a NUL
    rows = textwrap.wrap(whole, max(columns, 40), break_long_words=False, break_on_hyphens=False)
    return [row.replace("\0", " ") for row in rows]


@functools.lru_cache(maxsize=4096)
def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0  # combining marks; vowels and finals that join the syllable before them
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _is_variation_selector(number: int) -> bool:
    return 0xFE00 <= number <= 0xFE0F or 0xE0100 <= number <= 0xE01EF
