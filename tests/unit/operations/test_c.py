"""The C of every operation gives what the interpreter gives, and overflows nowhere on the way."""

import random
import subprocess
from pathlib import Path

import pytest

from oomlang.facts import Interval
from oomlang.operations import OPERATIONS, C, Operation, Ranges
from oomlang.targets.bpf.runtime import needed, piece

HEAD = """
#include <stdio.h>
typedef long long s64;
typedef unsigned long long u64;
#define __always_inline inline
"""
Case = tuple[tuple[int, ...], Ranges]


def cases(operation: Operation, count: int) -> list[Case]:
    """Operands, and ranges that hold them and that the checker lets pass."""
    rng = random.Random(operation.name)
    found: list[Case] = []
    while len(found) < count:
        limits = [rng.choice((2**63 - 1, 2**57, 2**50, 20_001, 3)) for _ in range(operation.arity)]
        operands = tuple(rng.choice((rng.randint(-limit, limit), -limit, limit, 0)) for limit in limits)
        exact = tuple(Interval(value, value) for value in operands)
        signs = tuple(Interval(min(value, 0), max(value, 0)) for value in operands)
        ranges = rng.choice((exact, signs, (*signs[:-1], exact[-1])))
        if operation.fits(ranges):
            found.append((operands, ranges))
    return found


def program(operation: Operation, chosen: list[Case]) -> str:
    """A program that writes a line a case."""
    places = tuple(C(f"v[{i}]") for i in range(operation.arity))
    lines = []
    for operands, ranges in chosen:
        values = ", ".join(f"{value}LL" for value in operands)
        text = operation.c(places, ranges).text
        lines.append(f'\t{{ volatile s64 v[] = {{{values}}}; printf("%lld\\n", {text}); }}')
    body = "\n".join(lines)
    # Each piece after those that it needs.
    pieces = sorted(needed([body]), key=lambda name: len(needed([piece(name)])))
    return "\n".join([HEAD, *map(piece, pieces), "int main(void)\n{", body, "\treturn 0;\n}\n"])


@pytest.mark.needs("clang")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_c_gives_what_the_interpreter_gives(operation: Operation, tmp_path: Path) -> None:
    chosen = cases(operation, 300)
    source, binary = tmp_path / "operation.c", tmp_path / "operation"
    source.write_text(program(operation, chosen))
    # A signed overflow ends the program.
    checked = ["-fsanitize=undefined", "-fsanitize-trap=undefined", "-Wno-unused-function"]
    subprocess.run(["clang-19", "-O1", *checked, "-o", binary, source], check=True, timeout=60)
    done = subprocess.run([binary], check=True, capture_output=True, text=True, timeout=60)
    expected = [operation.exact(ranges)(*operands) for operands, ranges in chosen]
    assert [int(line) for line in done.stdout.split()] == expected
