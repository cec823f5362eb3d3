"""The policy library: each example is right, formatted, tested to the last rule, and compiles for every target."""

import re
from pathlib import Path

import pytest

import oomlang
from oomlang.compiler import TARGETS, Compilation, Target, check
from oomlang.diagnostics.render import render_text
from oomlang.syntax.printer import format_text
from oomlang.test_cases import run_tests

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.oom"))

pytestmark = pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)


def test_checks_without_a_word(example: Path) -> None:
    source, diagnostics = check(example.read_bytes(), example.name)
    assert render_text(source, diagnostics, color=False) == ""


def test_is_formatted(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    assert text == format_text(text)
    assert max(map(len, text.splitlines())) <= 120


def test_is_a_policy_that_one_can_take_in(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    policy, _, _ = text.partition("\ntest ")
    assert text.startswith("# ")
    assert 1 <= len(re.findall(r"^(?!#|$)", policy, re.MULTILINE)) <= 40
    assert Compilation(example.read_bytes(), example.name).policy.name == example.stem


def test_its_tests_pass_and_show_every_rule_at_work(example: Path) -> None:
    compilation = Compilation(example.read_bytes(), example.name)
    outcomes, coverage = run_tests(compilation.policy, compilation.ir)
    failed = [(o.case.name, [c for c in o.checks if not c.passed]) for o in outcomes if not o.passed]
    assert outcomes != ()
    assert failed == []
    assert [f"{origin.line}: {origin.text}" for origin in coverage.uncovered] == []


@pytest.mark.needs("clang")
@pytest.mark.parametrize("target", TARGETS)
def test_compiles(example: Path, target: Target) -> None:
    artifact = oomlang.compile(example.read_bytes(), name=example.name, target=target)
    assert artifact.metadata.name == example.stem
    assert artifact.diagnostics == ()
