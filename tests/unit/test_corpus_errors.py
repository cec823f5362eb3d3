"""Every wrong policy of tests/corpus/errors says exactly what stands beside it.

`tools/update-corpus` writes the expected texts anew.
"""

import os
from pathlib import Path

import pytest

from oomlang.compiler import check
from oomlang.diagnostics import Code
from oomlang.diagnostics.render import render_text
from oomlang.facts.types import MAX_INPUTS, MAX_LETS, MAX_LIST, MAX_RULES

CORPUS = Path(__file__).parents[1] / "corpus" / "errors"
POLICIES = sorted(CORPUS.glob("*.oom"))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.stem)
def test_a_wrong_policy_gets_exactly_its_diagnostics(policy: Path) -> None:
    source, diagnostics = check(policy.read_bytes(), policy.name)
    rendered = render_text(source, diagnostics, color=False)
    expectation = policy.with_suffix(".expected")
    if os.environ.get("UPDATE_CORPUS"):
        expectation.write_text(rendered, encoding="utf-8")
    assert rendered != ""
    assert rendered == expectation.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "statement, most, what",
    [
        ("kill first when uid == {}", MAX_RULES, "rules"),
        ("input i{}: int = 0", MAX_INPUTS, "inputs"),
        ("let v{} = nice", MAX_LETS, "lets"),
        ("kill last when uid in ({list})", MAX_LIST, "elements"),
    ],
)
def test_each_limit_is_named_where_it_is_passed(statement: str, most: int, what: str) -> None:
    def errors_with(count: int) -> list[tuple[str, str, int]]:
        lines = [statement.format(i, list=", ".join(map(str, range(count)))) for i in range(count)]
        source, found = check("\n".join(lines[: 1 if "{list}" in statement else None]).encode())
        return [
            (d.code.value, d.message, source.position(d.span.start)[0])
            for d in found
            if d.severity == "error"
        ]

    assert errors_with(most) == []
    line = 1 if what == "elements" else most + 1
    owner = "this list" if what == "elements" else "this policy"
    assert errors_with(most + 1) == [("E0307", f"{owner} has {most + 1} {what}; the limit is {most}", line)]


def test_every_code_is_in_the_corpus() -> None:
    seen = {d.code for policy in POLICIES for d in check(policy.read_bytes(), policy.name)[1]}
    assert [code for code in Code if code not in seen] == []


def test_no_expectation_has_lost_its_policy() -> None:
    assert {p.stem for p in CORPUS.glob("*.expected")} == {p.stem for p in POLICIES}
