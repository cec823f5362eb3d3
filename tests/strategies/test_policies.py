"""What the generators promise to the tests that use them."""

import re
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oomlang.compiler import check
from tests.strategies.blocks import policies_with_tests
from tests.strategies.policies import Features, policies

# What only several rules together make wrong; a generator that knew would be a second checker.
ACROSS_RULES = {"NEVER_DECIDES", "NEVER_REACHED", "COVERS_ALL", "ALWAYS_TRUE", "ALWAYS_FALSE"}


def errors(text: str) -> set[str]:
    _, diagnostics = check(text.encode())
    return {d.code.name for d in diagnostics if d.severity == "error"}


@given(policies_with_tests())
def test_policies_are_well_typed(text: str) -> None:
    assert errors(text) <= ACROSS_RULES


def test_the_checker_takes_most_of_them() -> None:
    taken: list[bool] = []

    @settings(max_examples=200, phases=[Phase.generate], database=None)
    @given(policies())
    def count(text: str) -> None:
        taken.append(not errors(text))

    count()
    assert sum(taken) > 0.8 * len(taken)


USES = {
    "lists": r" in \([0-9-]",
    "texts": r"(comm|memcg\.name) ",
    "paths": " under ",
    "logic": r"\b(and|or|not)\b",
    "arithmetic": r" [-+*] ",
    "division": " / ",
    "ratios": "[0-9]%|: ratio",
    "functions": r"\b(min|max|abs|clamp)\(",
    "conditionals": " if ",
    "at_depth": " at depth ",
    "each_depth": " at each depth",
    "steps": " step ",
    "whens": "(?m)^kill (highest|lowest) .* when ",
    "inputs": r"(?m)^input \w+:",
    "memcg_inputs": r"(?m)^input \w+ per memcg:",
    "lets": "(?m)^let ",
    "event_rules": "(?m)^(kernel decides|kill nothing) ",
    "never_kill": "(?m)^never kill ",
    "name": "(?m)^policy ",
}


@pytest.mark.parametrize("feature", USES)
@settings(max_examples=30)
@given(data=st.data())
def test_a_feature_that_is_off_is_not_used(feature: str, data: st.DataObject) -> None:
    quoted = re.compile(r'"(?:\\.|[^"\\])*"')
    off: dict[str, Any] = {feature: False}
    text = data.draw(policies(Features(**off)))
    assert not re.search(USES[feature], quoted.sub('""', text))


@given(policies(Features.none(facts=frozenset({"rss", "invoker"}))))
def test_only_the_facts_that_are_asked_for_are_read(text: str) -> None:
    assert set(re.findall(r"[a-z_.]+", text)) <= {
        "kill",
        "highest",
        "lowest",
        "first",
        "last",
        "when",
        "rss",
        "invoker",
        "B",
        "iB",
    }
