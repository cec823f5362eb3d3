"""Texts from outside on their way into C: every one goes through this module."""

from __future__ import annotations

_SAFE = frozenset(range(0x20, 0x7F)) - set(b'"\\?%')


def c_string(text: bytes) -> str:
    """A C string literal, quotes included. Whatever the bytes are, they stay inside it.

    Octal escapes have three digits at most, so the next character can never become part of one (as it could with \\x);
    `?` is escaped because of trigraphs.
    """
    return '"' + "".join(chr(b) if b in _SAFE else f"\\{b:03o}" for b in text) + '"'


def c_comment(text: str) -> str:
    """Text for a C comment, on one line: it can neither end the comment nor begin another, nor splice lines."""
    shown = "".join(c if c.isprintable() and c.isascii() else _escaped(c) for c in " ".join(text.split()))
    shown = shown.replace("*/", "*\\/").replace("/*", "/\\*").replace("??", "?\\?")
    return shown


def _escaped(char: str) -> str:
    return char if char.isprintable() and ord(char) < 0x250 else f"\\u{ord(char):04x}"


def asm_ascii(text: bytes) -> str:
    """An argument of the assembler's `.ascii` inside a C string literal: two layers of quoting."""
    return c_string(c_string(text).replace("%", "%%").encode())[1:-1]
