"""The C that holds names, paths and comms against patterns says what `Glob.matches` and `PathPattern.covers` say.

Who is killed hangs on this. Random patterns, and texts made of them, are run on the host, all against all; the patterns
lie at every boundary that the C has: words of 8 bytes, both kinds of automata, both ends, 255 bytes.
A longer run: HYPOTHESIS_PROFILE=long.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest

from oomlang.facts.patterns import ANY, Glob, PathPattern, exactly, glob
from oomlang.ir import nodes as ir
from oomlang.targets.bpf.attachments import TARGETS, Target
from tests.unit.targets.bpf.on_host import Place, answers, policy

pytestmark = pytest.mark.needs("clang")

SEEDS = range(100 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1)
NAME_BYTES, COMM_BYTES = 255, 15
FEW = b"ab"
"""Of few bytes, so that parts overlap and stand in a text more than once."""
MANY = bytes(b for b in range(1, 256) if b not in b"/*?\n")
targets = pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)


def _text(random: Random, length: int, alphabet: bytes | None = None) -> bytes:
    alphabet = alphabet or random.choice((FEW, FEW, MANY))
    return bytes(random.choice(alphabet) for _ in range(length))


def _part(random: Random, length: int) -> bytes:
    """What stands between stars: some bytes, some of them `?`."""
    text = bytearray(_text(random, length))
    for place in range(length):
        if random.random() < random.choice((0, 0, 0.3, 1)):
            text[place] = ANY
    return bytes(text)


def _pattern(random: Random, longest: int) -> bytes:
    """A pattern of up to so many bytes but for its stars."""
    stars = random.choice((0, 0, 1, 1, 1, 2, 3, 5, 20))
    lengths = [n for n in (0, 1, 7, 8, 9, 15, 16, 17, 24, 62, 63, 64, 65, 128, 254, 255) if n <= longest]
    left = random.choice(lengths) if random.random() < 0.5 else random.randint(0, min(longest, 20))
    parts = []
    for _ in range(stars):
        length = random.randint(0, left)
        parts.append(_part(random, length))
        left -= length
    parts.append(_part(random, left))
    random.shuffle(parts)
    return b"*".join(parts)


def edges(longest: int) -> list[bytes]:
    """Patterns at each boundary."""
    alphabet = b"abcdefghijklmnopqrstuvwxyz\x80\xff"
    long = (alphabet * 10)[:longest]
    found = [
        b"",
        b"?",
        b"*",
        b"?*",
        b"*?",
        b"?*?",
        b"ab*ba",
        b"aba*aba",
        b"*aa*",
        b"a*a*a",
        b"\xff*\x80",
        b"*a?a*",
    ]
    for n in (1, 7, 8, 9, 14, 15, 16, 17, 31, 32, 62, 63, 64, 65, 127, 128, 129, 191, 192, 193, 254, 255):
        if n > longest:
            continue
        text = long[:n]
        half = n // 2
        found += [
            text, text + b"*", b"*" + text, text[:half] + b"*" + text[half:], b"*" + text + b"*",
            text[:half] + b"**" + text[half:-1] + b"*" + text[-1:], b"?" * n, b"?" * n + b"*", b"*" + b"?" * n,
            b"?" * (n - 1) + text[-1:], text[:1] + b"?" * (n - 1), b"*" + b"?" * (n - 1) + b"a*",
            b"a" * n, b"*" + b"a" * n + b"*", b"*".join([b"a"] * n), b"*" + b"*".join([b"?"] * n) + b"*a*",
        ]  # fmt: skip
    return [p for p in found if glob(p).shortest <= longest]


def _texts_of(random: Random, pattern: Glob, longest: int) -> Iterable[bytes]:
    """A text that the pattern matches, and some next to it."""
    room = longest - pattern.shortest
    text = b""
    for number, part in enumerate(pattern.parts):
        if number and room:
            gap = random.choice((0, 0, 1, min(room, 9), random.randint(0, room)))
            room -= gap
            text += _text(random, gap)
        text += bytes(_text(random, 1)[0] if byte == ANY else byte for byte in part)
    assert pattern.matches(text)
    yield text
    # Both ends match, but over each other.
    first, last = pattern.parts[0], pattern.parts[-1]
    for shared in range(1, min(len(first), len(last)) + 1):
        overlap = first.replace(b"?", b"a") + last[shared:].replace(b"?", b"a")
        if Glob((b"", last)).matches(overlap):
            yield overlap[:longest]
    place = random.randrange(len(text) + 1)
    for changed in (
        text[:place] + text[place + 1 :],
        text[:place] + _text(random, 1) + text[place:],
        text[:place] + _text(random, 1) + text[place + 1 :],
        text[:-1],
        text + b"a",
        random.choice((b"?", b"*")) + text[1:],
    ):
        yield changed[:longest]


def _comm(random: Random, text: bytes) -> bytes:
    """A comm as the kernel has it: behind the NUL lies what was left over of a longer name."""
    garbage = _text(random, 16, random.choice((FEW, MANY, b"\0a")))
    return (text + b"\0" + garbage)[:15] + b"\0" if len(text) < 15 else text + b"\0"


def _digits(conditions: Iterable[bool]) -> str:
    return "".join(str(int(c)) for c in conditions)


def _check(
    said: Sequence[tuple[str, str]], expected: Sequence[str], what: Sequence[object], of: Sequence[object]
) -> None:
    assert len(said) == len(expected)
    for (first, again), right, text in zip(said, expected, of, strict=True):
        for answer in (first, again):
            wrong = [str(w) for w, a, b in zip(what, answer, right, strict=True) if a != b]
            assert not wrong, f"{text!r}: the C says otherwise about {wrong}"


@pytest.mark.parametrize("seed", SEEDS)
def test_comm_is_matched_as_the_pattern_says(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    patterns = list(map(glob, edges(COMM_BYTES) + [_pattern(random, COMM_BYTES) for _ in range(60)]))
    patterns += [exactly(_text(random, random.randint(0, COMM_BYTES))) for _ in range(20)]
    patterns = list(dict.fromkeys(patterns))
    comms = {text for pattern in patterns for text in _texts_of(random, pattern, COMM_BYTES)} | {b""}
    ordered = sorted(t for t in comms if b"\0" not in t)
    places = [Place(comm=_comm(random, text), ids=(1,)) for text in ordered]
    asked = [ir.Match("comm", None, (pattern,)) for pattern in patterns]
    # Several in one list, as `in` has them.
    asked += [ir.Match("comm", None, (a, b)) for a, b in itertools.pairwise(patterns)][:40]
    said = answers(policy(of_task=asked), TARGETS[0], places, tmp_path)
    expected = [_digits(any(p.matches(t) for p in m.patterns) for m in asked) for t in ordered]
    _check(said, expected, asked, ordered)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_name_is_matched_as_the_pattern_says(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    written = [
        *edges(NAME_BYTES),
        b"*".join([b"ab"] * 101),
        *(_pattern(random, NAME_BYTES) for _ in range(120)),
    ]
    patterns = list(dict.fromkeys(map(glob, written)))
    random.shuffle(patterns)
    texts = {text for pattern in patterns for text in _texts_of(random, pattern, NAME_BYTES)}
    # "." and ".." are none, but nothing here minds.
    names = [b"", *sorted(t for t in texts if t and not set(t) & set(b"/\0\n"))]
    names = [names[0], *random.sample(names[1:], min(len(names) - 1, 300))]
    places = [
        Place(path=(name,), ids=(1, n)) if name else Place(ids=(1,)) for n, name in enumerate(names, start=2)
    ]
    asked = [ir.Asked("memcg", None, (number,)) for number in range(len(patterns))]
    asked += [
        ir.Asked("memcg", None, tuple(sorted(random.sample(range(len(patterns)), 5)))) for _ in range(40)
    ]
    said = answers(policy(of_task=asked, questions=patterns), TARGETS[0], places, tmp_path)
    expected = [_digits(any(patterns[q].matches(n) for q in a.questions) for a in asked) for n in names]
    _check(said, expected, [(a, patterns[a.questions[0]].text) for a in asked], names)


def _paths(random: Random, count: int, longest: int) -> list[PathPattern]:
    """Path patterns that share components."""
    components = [
        b"*",
        b"a",
        b"b",
        b"?",
        b"a*",
        b"*b",
        b"a*b",
        *(_pattern(random, longest) or b"*" for _ in range(30)),
    ]
    found = {PathPattern(())}
    while len(found) < count:
        depth = random.choice((1, 1, 2, 2, 3, 4, 16))
        found.add(PathPattern(tuple(glob(random.choice(components)) for _ in range(depth))))
    return sorted(found, key=lambda p: p.text)


def _named(random: Random, component: Glob) -> bytes:
    text = random.choice(list(_texts_of(random, component, NAME_BYTES)))
    return bytes(b if b not in b"/\0\n" else ord("x") for b in text) or b"a"


def _path_near(random: Random, pattern: PathPattern) -> tuple[bytes, ...]:
    names = [_named(random, component) for component in pattern.components]
    names += [_text(random, random.randint(1, 9), FEW) for _ in range(random.choice((0, 0, 1, 2)))]
    if names and random.random() < 0.2:
        names.pop()
    if names and random.random() < 0.2:
        names[random.randrange(len(names))] = _text(random, random.choice((1, 2, 255)))
    return tuple(names[:16])


def _ids(paths: Sequence[tuple[bytes, ...]]) -> list[tuple[int, ...]]:
    """Ids as on a machine: each cgroup its own, its ancestors' the same wherever they are met."""
    known: dict[tuple[bytes, ...], int] = {}
    return [tuple(known.setdefault(path[:n], len(known) + 1) for n in range(len(path) + 1)) for path in paths]


@targets
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [3, 64, 65, 150])
def test_a_path_is_matched_as_the_pattern_says(count: int, seed: int, target: Target, tmp_path: Path) -> None:
    random = Random(f"{seed} {count} {target.name}")
    patterns = _paths(random, count, 24 if count > 64 else NAME_BYTES)
    globs = [glob(b) for b in (b"", b"a*", b"*", b"*b", b"a?b")] if count not in (64, 65) else []
    questions: list[ir.Question] = [*patterns, *globs]
    random.shuffle(questions)
    paths = [(), *(_path_near(random, p) for p in patterns for _ in range(max(1, 150 // count)))]
    places = [
        Place(path=p, ids=ids, v1=random.random() < 0.3) for p, ids in zip(paths, _ids(paths), strict=True)
    ]
    numbers = [n for n, q in enumerate(questions) if isinstance(q, PathPattern)]
    of_event = [ir.Asked("oom.memcg", None, (n,)) for n in numbers[:70]]
    of_event += [ir.Asked("oom.memcg", None, tuple(numbers[n : n + 3])) for n in range(0, len(numbers), 9)]
    of_task = [ir.Asked("memcg", depth, (n,)) for n in range(len(questions)) for depth in (None, 1, 3)]
    said = answers(policy(of_event, of_task, questions), target, places, tmp_path)

    def holds(question: ir.Question, path: tuple[bytes, ...]) -> bool:
        if isinstance(question, PathPattern):
            return question.covers(path)
        return question.matches(path[-1] if path else b"")

    known = [{cut: [holds(q, p[:cut]) for q in questions] for cut in range(len(p) + 1)} for p in paths]
    asked = [*of_event, *of_task]
    expected = [
        _digits(any(of[min(len(p), a.depth or len(p))][q] for q in a.questions) for a in asked)
        for p, of in zip(paths, known, strict=True)
    ]
    _check(said, expected, [(a, questions[a.questions[0]].text) for a in asked], paths)


@pytest.mark.parametrize("count", [48, 49, 150])
def test_a_level_with_many_alternatives_tells_all_of_them_apart(count: int, tmp_path: Path) -> None:
    names = [b"%s-%d" % (b"job" * (n % 5), n) for n in range(count)]
    stars = [name + b"*" for name in names[:60]]
    patterns = [PathPattern((glob(b"x"), glob(component))) for component in [*names, *stars]]
    paths = [(b"x", name + end) for name in names for end in (b"", b"0", b"!")] + [(b"y", names[0])]
    places = [Place(path=p, ids=(1, 2 + (p[0] == b"y"), n)) for n, p in enumerate(paths, start=4)]
    asked = [ir.Asked("memcg", None, (n,)) for n in range(len(patterns))]
    said = answers(policy(of_task=asked, questions=patterns), TARGETS[0], places, tmp_path)
    _check(said, [_digits(p.covers(path) for p in patterns) for path in paths], patterns, paths)


@pytest.mark.parametrize("v1", [False, True], ids=["v2", "v1"])
def test_what_is_remembered_of_a_cgroup_goes_by_its_id_where_none_can_be_renamed(
    v1: bool, tmp_path: Path
) -> None:
    places = [Place(path=(name,), ids=(1, 7), v1=v1) for name in (b"a", b"b")]
    questions = [PathPattern((glob(b"a"),))]
    asked = policy(of_task=[ir.Asked("memcg", None, (0,))], questions=questions)
    said = answers(asked, TARGETS[0], places, tmp_path)
    assert said == ([("1", "1"), ("0", "0")] if v1 else [("1", "1"), ("1", "1")])
