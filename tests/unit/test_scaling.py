"""What the front end does grows in proportion to what it is given, whatever bound a policy or a test pushes against."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

import oomlang
from oomlang.compiler import Compilation
from oomlang.test_cases import run_tests
from tests.unit.growth import assert_linear, seconds

Make = Callable[[int], str]


def _lines(form: str) -> Make:
    """A policy of as many lines, `N` in each its number."""
    return lambda size: "".join(form.replace("N", str(n)) + "\n" for n in range(1, size + 1))


def _test(*forms: str, end: str = "") -> Make:
    """A policy whose test has as many lines of each form, `N` in them their number."""

    def make(size: int) -> str:
        body = "".join(_lines(form)(size) for form in forms)
        return f'kill highest rss\ntest "t" {{\nmemory 8GiB\n{body}{end}\n}}\n'

    return make


def _joined(before: str, between: str, form: str, after: str = "\n") -> Make:
    def make(size: int) -> str:
        return before + between.join(form.replace("N", str(n)) for n in range(1, size + 1)) + after

    return make


def _both(*makes: Make) -> Make:
    return lambda size: "".join(make(size) for make in makes)


POLICIES: dict[str, tuple[int, Make]] = {
    "comments": (8000, _lines("# a comment, and N")),
    "rules on one number": (1024, _lines("kill first when rss > NMiB")),
    "rules on two numbers": (512, _lines("kill first when rss > NMiB and uid < N")),
    "rules on two orders": (512, _lines("never kill when rss > NMiB and swap < NKiB")),
    "rules of events": (512, _lines("kill nothing when oom.total > NMiB and oom.order > 3")),
    "the same rule": (1024, _lines("kill first when rss > 1MiB and uid < 9 # N")),
    "rankings": (512, _lines("kill highest rss step NMiB when uid < N")),
    "names of tasks": (512, _lines('kill first when comm == "aN"')),
    "patterns of names": (150, _lines('kill first when comm like "aN*"')),
    "paths": (150, _lines('never kill when memcg under "/a/N"')),
    "lets": (1000, _lines("let aN = rss / N + swap")),
    "lets that rules ask": (
        512,
        _both(_lines("let aN = rss / N + swap"), _lines("kill first when aN > NMiB and uid < N")),
    ),
    "a chain of lets": (
        800,
        lambda size: (
            "let a0 = rss > 1MiB\n"
            + "".join(f"let a{n} = not a{n - 1}\n" for n in range(1, size))
            + f"kill first when a{size - 1}\n"
        ),
    ),
    "unknown names": (256, _lines("kill first when bN > 1B")),
    "a list": (256, _joined("kill first when uid in (", ", ", "N", ")\n")),
    "operands": (100, _joined("kill first when ", " or ", "rss > NMiB")),
    "sums": (100, _joined("kill highest ", " + ", "rss / N")),
    "nesting": (100, lambda size: f"kill first when {'(' * size}rss > 1MiB{')' * size}\n"),
    "broken statements": (1024, _lines("kill kill N")),
    "inputs": (64, _lines("input iN: int = N")),
    "a statement of many lines": (1024, _joined("kill first when (", "\n or ", "rss > NMiB", ")\n")),
    "a long text": (200_000, lambda size: f'kill first when comm == "{"x" * size}"\n'),
    "a long name": (200_000, lambda size: f"kill highest {'x' * size}\n"),
    "a long number": (100_000, lambda size: f"kill first when rss > {'9' * size}\n"),
    "a line of texts": (20_000, lambda size: "kill first when " + '"x" ' * size + "\n"),
    "brackets": (200_000, lambda size: f"kill first when {'(' * size}rss > 1MiB{')' * size}\n"),
    "unknown tasks": (2000, _test('task "tN" in "/" {}', 'expect safe "xN"')),
    "unknown memcgs": (2000, _test('task "tN" in "/xN" {}', 'memcg "/mN" {}', end="expect none")),
    "tests": (500, _lines('test "N" { memory 1GiB\n task "x" in "/" { rss 1MiB }\n expect victim "x" }')),
}

TESTS: dict[str, tuple[int, Make]] = {
    "tasks": (2000, _test('task "tN" in "/" { rss NMiB }', end='expect order "t1"')),
    "an order of all": (
        1500,
        lambda size: _test(
            'task "tN" in "/" { rss NMiB }',
            end="expect order " + ", ".join(f'"t{n}"' for n in range(size, 0, -1)),
        )(size),
    ),
    "expectations": (1500, _test('task "tN" in "/" { rss NMiB oom_score_adj -1000 }', 'expect safe "tN"')),
    "memcgs": (3000, _test('memcg "/mN" { usage NKiB }', end='task "x" in "/" {}\nexpect victim "x"')),
    "memcgs below each other": (
        3000,
        _test('memcg "/a/mN/b" { usage NKiB }', end='task "x" in "/a" {}\nmemcg "/a" {}\nexpect victim "x"'),
    ),
}


def _diagnostics(text: str) -> object:
    return Compilation(text.encode()).diagnostics


def _run(text: str) -> None:
    compilation = Compilation(text.encode())
    run_tests(compilation.policy, compilation.ir)


@pytest.mark.parametrize("what", POLICIES)
def test_a_check_takes_time_in_proportion_to_the_policy(what: str) -> None:
    size, make = POLICIES[what]
    assert_linear(make, _diagnostics, size, what)


@pytest.mark.parametrize("what", TESTS)
def test_a_test_takes_time_in_proportion_to_what_stands_in_it(what: str) -> None:
    size, make = TESTS[what]
    assert_linear(make, _run, size, what)


def test_a_policy_of_a_thousand_lets_and_rules_is_checked_at_once() -> None:
    """What stays linear can still be slow: each rule against its neighbours took 10 ms."""
    _, make = POLICIES["lets that rules ask"]
    assert seconds(_diagnostics, make(1000), turns=2) < 5


def test_events_of_64_inputs_are_looked_at_one_by_one() -> None:
    """There are 2**64 of them, which no list holds."""
    make = _both(_lines("input iN: bool = false"), _lines("never kill when iN"))
    assert seconds(_diagnostics, make(64)) < 10


# Nothing recurses as deep as a policy is long

_LETS = 1000
DEEP: dict[str, str] = {
    "a cycle of lets": "".join(f"let a{n} = a{(n + 1) % 250} + 1B\n" for n in range(250))
    + "kill highest a0\n",
    "a cycle of all lets": "".join(f"let a{n} = a{(n + 1) % 1024} + 1B\n" for n in range(1024)),
    "a chain of lets": "".join(f"let a{n} = a{n + 1} / 2\n" for n in range(_LETS))
    + f"let a{_LETS} = rss\nkill highest a0\n",
    "a chain of conditions": "".join(f"let a{n} = not a{n + 1}\n" for n in range(_LETS))
    + f"let a{_LETS} = rss > 1B\nkill first when a0\n",
    "a chain of conditions with more": "".join(f"let a{n} = a{n + 1} and uid > {n}\n" for n in range(_LETS))
    + f"let a{_LETS} = rss > 1B\nkill first when a0\n",
    "a chain of minuses": "".join(f"let a{n} = {'-' * 10}a{n + 1}\n" for n in range(_LETS))
    + f"let a{_LETS} = oom_score_adj\nkill highest a0\n",
    "brackets": "kill first when " + "(" * 478_000 + "rss > 1MiB" + ")" * 478_000 + "\n",
    "brackets that stay open": "kill first when " + "(" * 957_000 + "\n",
    "nots": "kill first when " + "not " * 50_000 + "oom.global\n",
    "minuses": "kill highest " + "-" * 200_000 + "uid\n",
    "ifs": "kill highest " + "if rss > 1B then 1B else " * 8000 + "rss\n",
    "additions": "kill highest " + " + ".join(["rss"] * 20_000) + "\n",
    "conditions": "kill first when " + " and ".join(["rss > 1B"] * 20_000) + "\n",
    "braces": 'test "t" ' + "{" * 100_000 + "}" * 100_000 + "\n",
}


@pytest.mark.parametrize("what", DEEP)
def test_a_deep_policy_is_checked_and_formatted_without_recursing(what: str) -> None:
    def both(text: str) -> None:
        oomlang.check(text.encode())
        with suppress(oomlang.OomlangError):  # what cannot be read is not formatted
            oomlang.format(text)

    assert seconds(both, DEEP[what]) < 20


@pytest.mark.parametrize("what", ["a cycle of lets", "a cycle of all lets"])
def test_a_cycle_of_lets_is_named_however_long(what: str) -> None:
    assert "E0213" in {d.code.value for d in Compilation(DEEP[what].encode()).diagnostics}
