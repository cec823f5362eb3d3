"""No pattern that reads text from outside can be made to take more than linear time, whatever a line holds.

Each pattern there is gets attacked with repetitions of strings that its own pieces match, in lines that just miss it.
"""

from __future__ import annotations

import ast
import importlib
import io
import pkgutil
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

import oomlang.diagnostics
import oomlang.explanation
import oomlang.host
import oomlang.replay
from oomlang.host.reports import read_reports
from oomlang.host.reports.forms import FORMS
from oomlang.host.reports.table import Table
from tests.unit.growth import assert_linear, seconds

_PACKAGES = (oomlang.host, oomlang.replay, oomlang.explanation, oomlang.diagnostics)
_MODULES = (
    "oomlang.live",
    "oomlang.cli.explain_inputs",
    "oomlang.cli.replay_files",
    "oomlang.cli.streams",
    "oomlang.cli.values",
)
parser, codes = (importlib.import_module(f"re.{name}") for name in ("_parser", "_constants"))
"""The standard library's own reader of patterns, which has no public name."""

_SIZES = (64, 1024, 4096, 16384)
_FAST = 0.004
"""Seconds in which 16 KiB are read in linear time many times over, and in quadratic time never."""


def _modules() -> Iterator[ModuleType]:
    for package in _PACKAGES:
        yield package
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield importlib.import_module(found.name)
    yield from map(importlib.import_module, _MODULES)


def _patterns() -> dict[str, re.Pattern[Any]]:
    """Every compiled pattern, by where it is."""
    found: dict[str, re.Pattern[Any]] = {}
    for module in _modules():
        for name, value in vars(module).items():
            pattern = value if isinstance(value, re.Pattern) else getattr(value, "__self__", None)
            if isinstance(pattern, re.Pattern):
                found[f"{module.__name__}.{name}"] = pattern
    for form in FORMS:
        for cell in form.read.__closure__ or ():
            pattern = getattr(cell.cell_contents, "__self__", None)
            if isinstance(pattern, re.Pattern):
                found[f"form {form.name}"] = pattern
    header = b"[ pid ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
    found["row"] = Table.of(header)._row
    return found


_PATTERNS = _patterns()
_INLINE = {
    ("oomlang.host.reports.forms", "_form"),  # each is one of FORMS
    ("oomlang.host.reports.table", "__post_init__"),  # the row
    ("oomlang.cli.replay_files", "size"),  # of the command line: at most 15 digits
    ("oomlang.cli.streams", "_json"),  # one character
    ("oomlang.diagnostics.visible", "wrapped"),
}
"""Functions that compile a pattern; each is looked at above or says why it need not be."""


def test_no_pattern_is_left_out() -> None:
    for module in _modules():
        tree = ast.parse(Path(str(module.__file__)).read_text())
        for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
            calls = [
                n
                for n in ast.walk(function)
                if isinstance(n, ast.Call)
                and isinstance(n.func, ast.Attribute)
                and isinstance(n.func.value, ast.Name)
                and n.func.value.id == "re"
            ]
            assert not calls or (module.__name__, function.name) in _INLINE, (module.__name__, function.name)
    assert len(_PATTERNS) > 25


# --- Whole lines

_PREFIXES = (
    b"",
    b"[  100.000000] ",
    b"Mar  4 05:06:07 host1 kernel: [  100.000000] ",
    b"2024-03-04T05:06:07.1+00:00 host1 kernel: ",
    b"6,1822,88123441253,-;",
    b"kern  :info  : ",
    b"MESSAGE=",
    b'{"MESSAGE":"',
)
_HEADER = b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
_WORDS = (
    b"x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    _HEADER,
    b"[   1000]     0  1000    10000     5000   409600        0             0 x",
    b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=1000,uid=0",
    b"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=x,pid=1000,uid=0",
    b"Memory cgroup out of memory: Killed process 1000 (x) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:4kB, UID:0 "
    b"pgtables:5kB oom_score_adj:0",
    b"Killed process 1000, UID 0, (x), UID 5, total-vm:1kB, anon-rss:2kB, file-rss:3kB",
    b"Out of memory: Kill process 1000 (x) score 5 or sacrifice child",
    b"oom_reaper: reaped process 1000 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    b"Task in /a/b killed as a result of limit of /a",
    b"Tasks in /a are going to be killed due to memory.oom.group set",
    b"memory: usage 24576kB, limit 24576kB, failcnt 8",
    b"Memory cgroup stats for /a: cache:0KB rss:0KB",
    b"262144 pages RAM",
    b"Total swap = 0kB",
    b"CPU: 1 UID: 0 PID: 77 Comm: x",
    b"** 57 printk messages dropped **",
    b"[91B blob data]",
    b"Mem-Info: #012 active_anon:1",
)


def _pieces(words: bytes) -> Iterator[bytes]:
    """A line as a whole, each of its tokens, and each two that follow each other."""
    yield words
    tokens = re.findall(rb"\w+|\s+|[^\w\s]", words)
    for length in (1, 2, 4):
        yield from (b"".join(tokens[i : i + length]) for i in range(0, len(tokens) - length + 1, length))


@pytest.mark.parametrize("words", _WORDS, ids=lambda w: w[:20].decode())
def test_a_line_of_a_log_is_read_in_linear_time(words: bytes) -> None:
    begun = b"[  99.0] " + _WORDS[0] + b"\n[  99.0] " + _HEADER + b"\n"
    with _at_most(120, "a line hangs"):
        for number, piece in enumerate(_pieces(words)):
            prefix = _PREFIXES[number % len(_PREFIXES)]
            for beginning in {
                prefix,
                b"[  100.0] ",
                b"[  100.0] " + words,
                prefix + words.partition(b" ")[0] + b" ",
            }:
                for end in (b"\n", b" oom-kill \n", b"!oom_score_adj name\n"):
                    _assert_linear(
                        lambda size: begun + beginning + piece * (size // len(piece)) + end,  # noqa: B023  # as above
                        lambda log: list(read_reports(io.BytesIO(log))),
                        f"{beginning!r} and many {piece!r}",
                    )


# --- Strings that a pattern's pieces match


def _sample(items: Any) -> str:
    """A short string that a sequence of a parsed pattern matches."""
    return "".join(_one(op, value) for op, value in items)


def _one(op: Any, value: Any) -> str:
    name = str(op)
    if name == "LITERAL":
        return chr(value)
    if name == "NOT_LITERAL":
        return "x" if value != ord("x") else "y"
    if name == "ANY":
        return "x"
    if name == "IN":
        return _member(value)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, _, inner = value
        return _sample(inner) * int(max(low, 1))
    if name == "SUBPATTERN":
        return _sample(value[-1])
    if name == "ATOMIC_GROUP":
        return _sample(value)
    if name == "BRANCH":
        return _sample(value[1][0])
    return ""  # places and looks ahead


def _member(items: Any) -> str:
    wanted = [chr(c) for c in (*b'x1 \tTA:=/,([{."', *range(32, 127), 10)]
    for char in wanted:
        if _in(items, ord(char)):
            return char
    raise AssertionError(f"no character of {items}")


_CLASSES: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda c: c.isalnum() or c == "_",
}


def _in(items: Any, char: int) -> bool:
    found = False
    for op, value in items:
        if op is codes.LITERAL:
            found |= value == char
        elif op is codes.RANGE:
            found |= value[0] <= char <= value[1]
        elif op is codes.CATEGORY:
            kind = str(value).removeprefix("CATEGORY_")
            test = _CLASSES[kind.removeprefix("NOT_")]
            found |= test(chr(char)) is not kind.startswith("NOT_")
    return found is not any(op is codes.NEGATE for op, _ in items)


def _sequences(items: Any) -> Iterator[list[Any]]:
    """The sequences of a parsed pattern: the whole, and each inside of a group, a repetition or a branch."""
    items = list(items)
    yield items
    for op, value in items:
        name = str(op)
        if name == "BRANCH":
            inside = value[1]
        elif name in ("SUBPATTERN", "MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            inside = [value[-1]]
        elif name == "ATOMIC_GROUP":
            inside = [value]
        else:
            continue
        for one in inside:
            yield from _sequences(one)


def _attacks(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str]]:
    """A beginning and what to repeat behind it."""
    parsed = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    whole = list(parsed)
    beginnings = {_sample(whole[:i]) for i in range(len(whole) + 1)}
    units: dict[str, None] = {" ": None, "1": None, "x": None, "\n": None}
    for sequence in _sequences(parsed):
        for i in range(len(sequence)):
            for j in sorted({i + 1, i + 2, i + 3, len(sequence)}):
                unit = _sample(sequence[i:j])
                if unit:
                    units[unit] = None
    for beginning in sorted(beginnings):
        for unit in units:
            yield beginning, unit


def _line(beginning: str, unit: str, size: int, pattern: re.Pattern[Any]) -> Any:
    text = beginning + unit * (max(0, size - len(beginning)) // len(unit) + 1) + "\0"
    return text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text


def _ways(name: str, pattern: re.Pattern[Any]) -> tuple[Callable[[Any], Any], ...]:
    """How the package uses a pattern: one that is only matched at a beginning need not be fast from each byte on."""
    module, _, variable = name.rpartition(".")
    text = Path(str(importlib.import_module(module).__file__)).read_text() if module else ""
    used = set(re.findall(rf"\b{variable}\.(\w+)\(", text)) if module else set()
    searched = used & {"search", "sub", "findall", "finditer", "split"}
    return (
        (pattern.match, pattern.fullmatch, pattern.search) if searched else (pattern.match, pattern.fullmatch)
    )


@pytest.mark.parametrize(
    "pattern",
    [
        rb"(?:.*?: )?Kill process (\d+) \((.*)\) score \d+ or sacrifice child",
        rb",(?:oom_memcg=(/.*)|global_oom),task_memcg=(/.*?),task=(.*),pid=(\d+),uid=\d+\s*$",
        rb"\d{4}-\d\d(?:\.\d+)?\S* x",
        rb"(?:[a-z]+,?)+;",
    ],
)
def test_the_attack_finds_patterns_that_backtrack(pattern: bytes) -> None:
    compiled = re.compile(pattern, re.DOTALL)
    with pytest.raises((AssertionError, TimeoutError)):
        _attack(compiled, (compiled.match, compiled.search), "this", limit=1)


@pytest.mark.parametrize("name", _PATTERNS)
def test_a_pattern_reads_near_misses_in_linear_time(name: str) -> None:
    _attack(_PATTERNS[name], _ways(name, _PATTERNS[name]), name, limit=60)


def _attack(pattern: re.Pattern[Any], ways: Iterable[Callable[[Any], Any]], name: str, limit: float) -> None:
    with _at_most(limit, f"{name} hangs"):
        for beginning, unit in _attacks(pattern):
            for way in ways:
                _assert_linear(
                    lambda size: _line(beginning, unit, size, pattern),  # noqa: B023  # called before the next turn
                    way,
                    f"{name}: {beginning!r} and many {unit!r}",
                )


def _assert_linear(make: Callable[[int], Any], read: Callable[[Any], Any], what: str) -> None:
    """That what is read in time grows no faster than the text."""
    # From small to large, so that what would take for ever is noticed before.
    if any(seconds(read, make(size)) >= _FAST for size in _SIZES):
        assert_linear(make, read, _SIZES[-1], what)


@contextmanager
def _at_most(limit: float, what: str) -> Iterator[None]:
    """A time limit; the pattern engine looks for signals."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(what)

    old = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
