"""`oomlang test`: what it runs, what it says of failures, and how it ends."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.unit.cli.conftest import WRONG, Outcome

Call = Callable[..., Outcome]

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/schemas/test.schema.json").read_text(encoding="utf-8"))
MACHINE = """
  memory 8GiB
  memcg "/batch.slice" { usage 1GiB }
  memcg "/web.service" { usage 5GiB }
  task "python3" in "/batch.slice" { rss 1GiB }
  task "nginx" in "/web.service" { rss 5GiB  uid 33 }
  task "sshd" in "/web.service" { rss 12MiB }
"""
RULES = """never kill when comm == "sshd"
kill first when memcg under "/batch.slice"
kill highest rss step 1GiB
"""


def policy(*expectations: str, rules: str = RULES) -> bytes:
    tests = [f'\ntest "number {i}" {{{MACHINE}  expect {e}\n}}\n' for i, e in enumerate(expectations)]
    return (rules + "".join(tests)).encode()


def test_passing_tests_are_counted(call: Call) -> None:
    outcome = call("test", "-", stdin=policy('victim "python3"', 'safe "sshd"'))
    assert (outcome.code, outcome.out, outcome.err) == (0, b"2 passed\n", "")


def test_a_failure_says_what_was_expected_what_came_and_why(call: Call) -> None:
    outcome = call("test", "-", stdin=policy('order "nginx", "python3"'))
    text = outcome.out.decode()
    assert outcome.code == 1
    assert "FAILED number 0\n  <stdin>:12:3\n" in text
    assert '    expected  order "nginx", "python3"\n    got       "python3", "nginx"\n' in text
    assert (
        '    because   kill first when memcg under "/batch.slice" (<stdin>:2): it holds for "python3" and not for '
        '"nginx" (memcg: /batch.slice and /web.service)\n'
    ) in text
    rows = [line.split() for line in text.splitlines() if line.startswith("    ")][-3:]
    assert [row[:2] for row in rows] == [["1", '"python3"'], ["2", '"nginx"'], ["-", '"sshd"']]
    assert text.endswith("\n1 failed\n")


@pytest.mark.parametrize(
    "expectation, got, because",
    [
        ('safe "nginx"', "it is number 2 to die: no guard and no `never kill` rule covers it", ""),
        (
            'victim "sshd"',
            '"python3" dies',
            'never kill when comm == "sshd" (<stdin>:1) covers "sshd" (comm: sshd)',
        ),
        ("none", '"python3" dies', ""),
        ("kernel decides", '"python3" dies', ""),
    ],
)
def test_every_kind_of_expectation_says_what_came(
    call: Call, expectation: str, got: str, because: str
) -> None:
    outcome = call("test", "-", stdin=policy(expectation))
    text = outcome.out.decode()
    assert outcome.code == 1
    assert f"    got       {got}\n" in text
    assert (f"    because   {because}\n" in text) is bool(because)


def test_an_event_rule_that_decided_is_named(call: Call) -> None:
    rules = RULES + "kill nothing when oom.order > 1\n"
    test = f'\ntest "order" {{\n  order 3{MACHINE}  expect victim "python3"\n}}\n'
    outcome = call("test", "-", stdin=(rules + test).encode())
    said = "nothing is killed: kill nothing when oom.order > 1 (<stdin>:4) holds"
    assert outcome.code == 1, outcome.err
    assert f"    got       {said}\n" in outcome.out.decode()


def test_coverage_lists_the_rules_that_no_test_shows_at_work(call: Call) -> None:
    outcome = call("test", "--coverage", "-", stdin=policy('victim "python3"'))
    text = outcome.out.decode()
    assert "<stdin>: the tests show 2 of 3 rules at work\n" in text
    assert "  <stdin>:3  no test  kill highest rss step 1GiB\n" in text


@pytest.mark.parametrize("percent, code", [("66.6", 0), ("66.7", 1), ("100", 1)])
def test_too_little_coverage_fails(call: Call, percent: str, code: int) -> None:
    outcome = call("test", "--fail-under", percent, "-", stdin=policy('victim "python3"'))
    assert outcome.code == code
    assert ("the tests show 66.6% of the rules at work" in outcome.err) is bool(code)


def test_k_chooses_by_name(call: Call) -> None:
    text = policy('victim "python3"', 'victim "nginx"')
    assert call("test", "-k", "NUMBER 0", "-", stdin=text).out == b"1 passed\n"
    none = call("test", "-k", "nothing like it", "-", stdin=text)
    assert (none.code, none.err) == (2, "error: no test has `nothing like it` in its name\n")


def test_no_tests_are_said(call: Call) -> None:
    outcome = call("test", "-", stdin=b"kill highest rss\n")
    assert (outcome.code, outcome.out, outcome.err) == (0, b"", "<stdin>: no tests\n")


def test_a_wrong_policy_gets_its_diagnostics_and_hides_no_other(call: Call, tmp_path: Path) -> None:
    (tmp_path / "wrong.oom").write_bytes(WRONG)
    (tmp_path / "right.oom").write_bytes(policy('victim "python3"'))
    outcome = call("test", tmp_path / "wrong.oom", tmp_path / "right.oom")
    assert (outcome.code, outcome.out) == (1, b"1 passed\n")
    assert "error[E" in outcome.err


def test_a_file_that_cannot_be_read_is_wrong_usage(call: Call, tmp_path: Path) -> None:
    (tmp_path / "right.oom").write_bytes(policy('victim "python3"'))
    outcome = call("test", tmp_path / "missing.oom", tmp_path / "right.oom")
    assert (outcome.code, outcome.out) == (2, b"1 passed\n")


def test_two_tasks_with_one_pid_are_an_error_of_the_policy(call: Call) -> None:
    text = policy('victim "python3"').replace(b"rss 1GiB", b"rss 1GiB  pid 7").replace(b"uid 33", b"pid 7")
    outcome = call("test", "-", stdin=text)
    assert outcome.code == 1
    assert "the pid 7 is given twice" in outcome.err


def _json(outcome: Outcome) -> Any:
    found = json.loads(outcome.out)
    jsonschema.validate(found, SCHEMA)
    return found


def test_json_follows_its_schema(call: Call) -> None:
    found = _json(call("test", "--format", "json", "-", stdin=policy('victim "nginx"', 'safe "sshd"')))
    (file,) = found["files"]
    assert (found["passed"], found["failed"]) == (1, 1)
    assert file["tests"][0]["order"] == ["python3", "nginx"]
    assert [e["why"] is None for t in file["tests"] for e in t["expectations"]] == [False, True]
    assert [len(rule["tests"]) for rule in file["coverage"]["rules"]] == [2, 2, 0]


def test_json_of_a_policy_without_tests_is_json(call: Call) -> None:
    outcome = call("test", "--format", "json", "-", stdin=b"")
    assert _json(outcome)["files"][0]["tests"] == []
    assert outcome.err == ""


def test_junit_is_xml_with_a_failure(call: Call) -> None:
    outcome = call("test", "--format", "junit", "-", stdin=policy('victim "nginx"', 'safe "sshd"'))
    top = ElementTree.fromstring(outcome.out)
    assert outcome.code == 1
    assert [case.get("name") for case in top.iter("testcase")] == ["number 0", "number 1"]
    (failure,) = top.iter("failure")
    assert failure.get("message") == 'expected victim "nginx"; got: "python3" dies'


@pytest.mark.parametrize("form", ["text", "json", "junit"])
def test_hostile_names_reach_no_terminal(call: Call, form: str) -> None:
    text = (
        policy('victim "nginx"').decode().replace("nginx", "a\u202e\u200b<b>&'").replace("number", "\u009b2J")
    )
    outcome = call("test", "--coverage", "--format", form, "-", stdin=text.encode())
    assert outcome.code == 1, outcome.err
    shown = outcome.out.decode()
    assert "\u202e" not in shown
    assert "\u009b" not in shown
    if form == "junit":
        ElementTree.fromstring(outcome.out)


def test_colours_only_on_a_terminal(on_terminal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "p.oom").write_bytes(policy('victim "nginx"'))
    assert "\x1b[1;31mFAILED\x1b[0m number 0" in on_terminal("test", tmp_path / "p.oom")
    plain = on_terminal("test", tmp_path / "p.oom", environment={"NO_COLOR": "1"})
    assert "\x1b" not in plain
