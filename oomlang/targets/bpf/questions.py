"""What a policy asks about a cgroup's path and name, answered in one walk over the path.

In: the policy's questions. Out: what `questions.c.j2` lays out. Each question is a bit. The walk goes down from the root; at
each level the name is read once and held against what that level's patterns can be, and the patterns that it rules out lose
their bits. The names of one length are told apart by it first, so that a level with many literals costs no more than few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oomlang.facts.patterns import Glob, PathPattern
from oomlang.operations import C
from oomlang.operations.model import OR, UNARY
from oomlang.records import dataclass
from oomlang.targets.bpf.texts import WORD, Automata, compare, from_end, from_start, shown

_BITS = 64
_ALTERNATIVES = 48
"""Patterns that one function compares a name with: BPF's jumps reach 32,767 instructions, of which a name takes 130."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the walk. deeper: by word, the questions that this level has to be read for. constrained: those that
    it can rule out. functions: the comparisons, in groups.
    """

    number: int
    deeper: list[tuple[int, str]]
    constrained: list[tuple[int, str]]
    functions: list[dict[str, Any]]


class Questions:
    """The walk of one policy. words: of 64 questions each. end_words: how many of a name's last words are compared."""

    def __init__(self, questions: Iterable[PathPattern | Glob], automata: Automata) -> None:
        self._automata = automata
        self.asked = list(questions)
        self.words = max(1, -(-len(self.asked) // _BITS))
        self._paths = {i: q for i, q in enumerate(self.asked) if isinstance(q, PathPattern)}
        self.deepest = max((len(p.components) for p in self._paths.values()), default=0)
        self.end_words = 1
        self.levels = [self._level(number) for number in range(1, self.deepest + 1)]
        self.names = self._names()

    @property
    def comments(self) -> list[str]:
        """The questions in words, by bit."""
        return [
            f"{shown(q.text)} and below" if isinstance(q, PathPattern) else f"a name like {shown(q.text)}"
            for q in self.asked
        ]

    @property
    def open(self) -> list[list[tuple[int, str]] | list[tuple[int, str, int]]]:
        """The questions that are open for a cgroup at the root, all words of them; then, by word and level, those that are
        from each level on where these are more.
        """
        names = [i for i, q in enumerate(self.asked) if isinstance(q, Glob)]
        by_level = [
            self._words(
                [*names, *(i for i, p in self._paths.items() if len(p.components) <= level)], keep_empty=True
            )
            for level in range(self.deepest + 1)
        ]
        return [
            by_level[0],
            *(
                [
                    (*word, level)
                    for word, above in zip(here, by_level[level - 1], strict=True)
                    if word != above
                ]
                for level, here in enumerate(by_level[1:], start=1)
            ),
        ]

    def test(self, words: str, numbers: Iterable[int], read: Callable[[str], str] = str) -> C:
        """The C condition that one of several questions is answered with yes.

        words: the C of the array of answers. read: the C that reads a place.
        """
        tests = [f"({read(f'{words}[{word}]')} & {mask})" for word, mask in self._words(numbers)]
        return C(" || ".join(tests), OR) if len(tests) > 1 else C(f"!!{tests[0]}", UNARY)

    def _words(self, numbers: Iterable[int], *, keep_empty: bool = False) -> list[tuple[int, str]]:
        masks = [0] * self.words
        for number in numbers:
            masks[number // _BITS] |= 1 << number % _BITS
        return [(word, f"0x{mask:x}ULL") for word, mask in enumerate(masks) if mask or keep_empty]

    def _level(self, number: int) -> Level:
        here = {i: p.components[number - 1] for i, p in self._paths.items() if len(p.components) >= number}
        constrained = {i: g for i, g in here.items() if not g.matches_all}
        return Level(
            number=number,
            deeper=self._words(i for i, p in self._paths.items()
                               if any(not c.matches_all for c in p.components[number - 1 :])),
            constrained=self._words(constrained),
            functions=self._functions(f"match_level_{number}", constrained),
        )  # fmt: skip

    def _names(self) -> list[dict[str, Any]]:
        return self._functions("match_name", {i: q for i, q in enumerate(self.asked) if isinstance(q, Glob)})

    @property
    def name_bits(self) -> list[tuple[int, str]]:
        """The questions about names."""
        return self._words(i for i, q in enumerate(self.asked) if isinstance(q, Glob))

    def _functions(self, name: str, wanted: Mapping[int, Glob]) -> list[dict[str, Any]]:
        by_glob: dict[Glob, list[int]] = {}
        for number, glob in wanted.items():
            by_glob.setdefault(glob, []).append(number)
        # Those of one length stand together, whatever group they come into.
        globs = sorted(by_glob, key=lambda g: (len(g.parts) > 1, g.shortest, g.parts))
        groups = [globs[i : i + _ALTERNATIVES] for i in range(0, len(globs), _ALTERNATIVES)]
        return [
            {
                "name": name if len(groups) == 1 else f"{name}_{n}",
                "lengths": self._lengths({g: by_glob[g] for g in group if len(g.parts) == 1}),
                "others": [
                    {"comment": shown(g.text), "test": self._test(g), "found": self._words(by_glob[g])}
                    for g in group
                    if len(g.parts) > 1
                ],
            }
            for n, group in enumerate(groups, start=1)
        ]

    def _lengths(self, wanted: Mapping[Glob, list[int]]) -> list[dict[str, Any]]:
        """The patterns without a star, by the length of what they match."""
        found: dict[int, list[dict[str, Any]]] = {}
        for glob, numbers in wanted.items():
            (part,) = glob.parts
            tests = [compare(f"subject.word[{i}]", v, m) for i, v, m in from_start(part)]
            found.setdefault(len(part), []).append(
                {
                    "comment": shown(glob.text),
                    "test": " &&\n\t\t    ".join(tests),
                    "found": self._words(numbers),
                }
            )
        return [{"length": length, "rows": rows} for length, rows in found.items()]

    def _test(self, glob: Glob) -> str:
        """A condition on the subject, for a pattern with stars."""
        first, *middle, last = glob.parts
        tests = [f"subject.length >= {glob.shortest}"] if glob.shortest else []
        tests += [compare(f"subject.word[{i}]", v, m) for i, v, m in from_start(first)]
        if middle:
            tests.append(self._automata.call(glob))
        elif last:
            self.end_words = max(self.end_words, -(-len(last) // WORD))
            # The words of the end are counted once all patterns are known; until then from the last one backwards.
            tests += [compare(f"subject.end[END_WORDS - {-(-len(last) // WORD) - i}]", v, m)
                      for i, v, m in from_end(last, -(-len(last) // WORD))]  # fmt: skip
        return " &&\n\t    ".join(tests) or "true"
