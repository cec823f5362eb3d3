"""`oomlang facts` and `oomlang explain-code`."""

import json
from collections.abc import Callable

import pytest

from oomlang.diagnostics import Code
from oomlang.diagnostics.catalogue import page
from oomlang.facts import FACTS
from tests.unit.cli.conftest import Outcome

Call = Callable[..., Outcome]


def test_a_pipe_gets_a_line_for_each_fact(call: Call) -> None:
    lines = call("facts").out.decode().splitlines()
    assert [line.split()[0] for line in lines] == list(FACTS)
    assert [line.split()[1] for line in lines] == [fact.type.value for fact in FACTS.values()]


def test_a_terminal_gets_a_table_with_every_fact(on_terminal: Callable[..., str]) -> None:
    table = on_terminal("facts", environment={"NO_COLOR": "1"})
    assert all(f" {name} " in table for name in FACTS)


def test_json_has_the_whole_table(call: Call) -> None:
    facts = {fact["name"]: fact for fact in json.loads(call("facts", "--format", "json").out)["facts"]}
    assert list(facts) == list(FACTS)
    assert facts["comm"]["text_bytes"] == 15
    assert facts["oom_score_adj"]["range"] == {"least": -1000, "most": 1000}
    assert facts["age"]["unit"] == "ms"
    assert facts["memcg.usage"]["sources"] == {"procfs": None, "cgroupfs": "memory.current", "report": None}
    assert "mm_struct.total_vm" in facts["vm"]["kernel_fields"]


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_has_a_page(call: Call, name: str) -> None:
    text = call("facts", name).out.decode()
    assert text.startswith(f"{name}\n")
    assert " ".join(FACTS[name].doc.split()) in " ".join(text.split())


def test_markdown_has_a_row_of_seven_cells_for_each_fact(call: Call) -> None:
    rows = [r for r in call("facts", "--format", "markdown").out.decode().splitlines() if r.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(FACTS)
    assert {row.replace("\\|", "").count("|") for row in rows} == {8}


@pytest.mark.parametrize("word", ["E0204", "e0204", "error[E0204]", "0204"])
def test_a_code_is_explained_however_it_is_written(call: Call, word: str) -> None:
    outcome = call("explain-code", word)
    assert outcome.code == 0
    assert outcome.out.decode().startswith("E0204: ")


def test_without_a_code_all_are_listed(call: Call) -> None:
    lines = call("explain-code").out.decode().splitlines()
    assert lines == [f"{code.value}  {page(code).title}" for code in Code]
    assert json.loads(call("explain-code", "--format", "json").out) == {c.value: page(c).title for c in Code}


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_every_code_has_a_page_in_every_form(call: Call, form: str) -> None:
    for code in Code:
        outcome = call("explain-code", code.value, "--format", form)
        assert outcome.code == 0
        assert page(code).title in outcome.out.decode()
