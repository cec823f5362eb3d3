"""The C that holds texts against patterns.

In: globs. Out: conditions and tables in C. What stands at a pattern's start or end is compared in words, where it lies; a
pattern with a part in its midst becomes an automaton, a row of a table that one fixed function walks
(runtime/glob_matches.h).
So no pattern is a function of its own, and none takes longer than its text is long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

from oomlang.facts.patterns import ANY, Glob
from oomlang.targets.bpf.escape import c_comment

WORD = 8
COMM_BYTES = 2 * WORD
_NARROW = 63
"""Characters of a pattern whose states, one more, fit into a word."""

_ALL = 2 ** (8 * WORD) - 1


class Automata:
    """The rows of the tables of automata, each pattern once."""

    def __init__(self) -> None:
        self._narrow: dict[Glob, int] = {}
        self._wide: dict[Glob, int] = {}

    def call(self, pattern: Glob) -> str:
        """A condition on the subject (runtime/subject.h)."""
        if pattern.shortest <= _NARROW:
            return f"glob_matches({self._narrow.setdefault(pattern, len(self._narrow))})"
        return f"long_glob_matches({self._wide.setdefault(pattern, len(self._wide))})"

    def tables(self) -> list[str]:
        """Their C, for the pieces of the runtime that walk them."""
        found = []
        if self._narrow:
            found.append(_table("globs", "u64 star, end, next[256]", map(_narrow_row, self._narrow)))
        if self._wide:
            members = "u64 star[4], end[4], next[256][4]"
            found.append(_table("long_globs", members, map(_wide_row, self._wide)))
        return found


def _table(name: str, members: str, rows: Iterable[str]) -> str:
    return f"static const struct {{\n\t{members};\n}} {name}[] = {{\n{''.join(rows)}}};"


def _automaton(pattern: Glob) -> tuple[int, int, int, dict[int, int]]:
    """star, end, what `?` alone lets through, and what each byte of the pattern does besides: sets of states as bits."""
    star, anything, of, state = 0, 0, dict[int, int](), 0
    for number, part in enumerate(pattern.parts):
        if number:
            star |= 1 << state
        for byte in part:
            state += 1
            if byte == ANY:
                anything |= 1 << state
            else:
                of[byte] = of.get(byte, 0) | 1 << state
    return star, 1 << state, anything, {byte: bits | anything for byte, bits in sorted(of.items())}


def _by_byte(anything: int, of: Mapping[int, int]) -> list[tuple[str, int]]:
    """C designators of bytes and the states that each leads to; together they name no byte twice, as C wants it."""
    found: list[tuple[str, int]] = []
    for bits, bytes in groupby(range(256), key=lambda byte: of.get(byte, anything)):
        first, *rest = bytes
        if bits:
            found.append((f"[{first} ... {rest[-1]}]" if rest else f"[{first}]", bits))
    return found


def _narrow_row(pattern: Glob) -> str:
    star, end, anything, of = _automaton(pattern)
    rows = [f"{bytes} = {_hex(bits)}" for bytes, bits in _by_byte(anything, of)]
    return f"\t/* {shown(pattern.text)} */\n\t{{ {_hex(star)}, {_hex(end)}, {{\n{_wrapped(rows)}\t}} }},\n"


def _wide_row(pattern: Glob) -> str:
    star, end, anything, of = _automaton(pattern)
    rows = [f"{bytes} = {_four(bits)}" for bytes, bits in _by_byte(anything, of)]
    body = "".join(f"\t\t{row},\n" for row in rows)
    return f"\t/* {shown(pattern.text)} */\n\t{{ {_four(star)}, {_four(end)}, {{\n{body}\t}} }},\n"


def _wrapped(items: list[str]) -> str:
    return "".join(f"\t\t{', '.join(items[i : i + 3])},\n" for i in range(0, len(items), 3))


def _hex(bits: int) -> str:
    return f"0x{bits:x}ULL"


def _four(bits: int) -> str:
    return "{ " + ", ".join(_hex(bits >> 64 * i & _ALL) for i in range(4)) + " }"


# Words


def from_start(part: bytes) -> list[tuple[int, int, int]]:
    """(index, value, mask) of the words that a text must begin with; `?` and what lies behind the part are masked out."""
    found = []
    for index in range(-(-len(part) // WORD)):
        chunk = part[index * WORD : index * WORD + WORD]
        mask = bytes(0 if b == ANY else 0xFF for b in chunk)
        value = bytes(b & m for b, m in zip(chunk, mask, strict=True))
        if any(mask):
            found.append((index, int.from_bytes(value, "little"), int.from_bytes(mask, "little")))
    return found


def from_end(part: bytes, words: int) -> list[tuple[int, int, int]]:
    """The same for the end of a text that lies right-aligned in so many words."""
    size = words * WORD
    first = (size - len(part)) // WORD
    padded = bytes([ANY]) * (size - len(part)) + part
    return [(index + first, value, mask) for index, value, mask in from_start(padded[first * WORD :])]


def compare(word: str, value: int, mask: int) -> str:
    """The C test of one word."""
    return f"{word} == {_hex(value)}" if mask == _ALL else f"({word} & {_hex(mask)}) == {_hex(value)}"


def shown(text: bytes) -> str:
    """A pattern in a comment."""
    return c_comment('"' + text.decode("utf-8", "backslashreplace") + '"')


# comm


def needs_length(pattern: Glob) -> bool:
    """Whether the test of a comm needs its length."""
    if pattern.literal is not None:
        return False
    return len(pattern.parts) != 2 or ANY in pattern.text or all(pattern.parts)


def needs_end(pattern: Glob) -> bool:
    """Whether the test of a comm looks at its last bytes in particular."""
    return len(pattern.parts) == 2 and bool(pattern.parts[1])


def comm_test(pattern: Glob, automata: Automata, read: Callable[[str], str] = str) -> str:
    """A condition on the candidate's comm, which lies in two words (runtime/comm.h). read: the C that reads a place."""
    parts = pattern.parts
    if pattern.literal is not None:
        words = (
            int.from_bytes(pattern.literal.ljust(COMM_BYTES, b"\0")[at : at + WORD], "little")
            for at in (0, WORD)
        )
        low, high = map(_hex, words)
        return f"({read('c->comm.low')} == {low} && {read('c->comm.high')} == {high})"
    if len(parts) > 2:
        return f"(take_comm(c) && {automata.call(pattern)})"
    tests = []
    if len(parts) == 1:
        tests.append(f"{read('c->comm_length')} == {len(parts[0])}")
    elif needs_length(pattern):
        tests.append(f"{read('c->comm_length')} >= {pattern.shortest}")
    for index, value, mask in from_start(parts[0]):
        tests.append(compare(read(f"c->comm.{('low', 'high')[index]}"), value, mask))
    if len(parts) == 2:
        for index, value, mask in from_end(parts[1], 2):
            tests.append(compare(read(f"c->comm_end.{('low', 'high')[index]}"), value, mask))
    return f"({' && '.join(tests)})" if tests else "true"
