"""What `check` takes at the limits of the language, clang compiles and the running kernel's verifier takes.

A small part of it here; `bench/limits.py FIRST COUNT` tries as many as one likes.
"""

from __future__ import annotations

from random import Random

import pytest

from oomlang.compiler import Compilation
from tests.limits import policies
from tests.limits.kernel import accepted, carry

pytestmark = pytest.mark.needs("root", "clang", "bpf")

MOST_FRAMES = 8
MOST_FUNCTIONS = 256
MOST_STACK = 512
ROOM = 500_000
"""Instructions walked: half of what the kernel allows, so that other kernels and compilers have some room."""

OF_ONE_FACT = "\n".join(f'kill first when comm like "p{i}*" or comm like "*{i}a*b*{i}"' for i in range(60))
"""Each rule compares the length of the same name: outcomes that the verifier must not follow through all the others."""

WIDE = "kill first when " + " or ".join(
    f"(memcg.usage at depth {i % 16 + 1}) > {i + 1}MiB or (memcg.swap at depth {i % 16 + 1}) > {i + 1}MiB or vm > {i}TiB"
    for i in range(300)
)
"""More facts in one rule than the stack holds."""


def _policy(text: str) -> bytes:
    return f'policy "limit"\n{text}\nkill highest rss\n'.encode()


@pytest.mark.parametrize(
    "text", [pytest.param(OF_ONE_FACT, id="rules on one fact"), pytest.param(WIDE, id="one wide rule")]
)
def test_what_used_to_be_too_much_for_the_verifier_or_the_stack_is_taken(text: str) -> None:
    figures = carry(_policy(text))
    assert figures.processed < ROOM
    assert figures.frames <= MOST_FRAMES
    assert figures.stack <= MOST_STACK


@pytest.mark.parametrize("shape", policies.SHAPES, ids=lambda shape: shape.__name__)
def test_a_tenth_of_each_limit_is_taken(shape: policies.Shape) -> None:
    text = accepted(policies.text(shape(Random(1), 0.1)))
    assert text is not None
    figures = carry(text)
    assert figures.processed < ROOM
    assert figures.frames <= MOST_FRAMES
    assert figures.stack <= MOST_STACK
    assert figures.functions <= MOST_FUNCTIONS


def test_the_generator_is_deterministic_and_mostly_right() -> None:
    seeds = range(20)
    assert [policies.policy(s, 0.05) for s in seeds] == [policies.policy(s, 0.05) for s in seeds]
    assert all(accepted(policies.policy(s, 0.05)) for s in seeds)


def test_a_short_rule_reads_as_before_and_a_long_one_reads_memory() -> None:
    short, long = (
        Compilation(_policy(t), "x.oom").program("dry-run").c_source
        for t in ("kill last when uid == 0", WIDE)
    )
    assert "fresh(" not in short
    assert "fresh(memcg_at_7.usage)" in long
