"""`oomlang snapshot`: the file, and what is said of what could not be read."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from oomlang.cli import explain_sources
from oomlang.host import Unseen, read_snapshot
from tests.unit.cli.conftest import Outcome
from tests.unit.explanation.hosts import USUAL

Call = Callable[..., Outcome]

SCHEMA = Path(__file__).parents[3] / "docs/schemas/snapshot.schema.json"


def test_this_machine_becomes_a_snapshot(call: Call, tmp_path: Path) -> None:
    outcome = call("snapshot", "-o", tmp_path / "host.json")
    assert (outcome.code, outcome.out) == (0, b"")
    data = (tmp_path / "host.json").read_bytes()
    jsonschema.validate(json.loads(data), json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert read_snapshot(data).tasks


def test_standard_output_is_the_default(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_sources, "read_machine", lambda: USUAL)
    assert read_snapshot(call("snapshot").out) == USUAL


def test_redacted_names_are_gone(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_sources, "read_machine", lambda: USUAL)
    data = call("snapshot", "--redact").out
    assert b"nginx" not in data
    assert b"batch" not in data
    assert read_snapshot(data).redacted
    assert [t.facts for t in read_snapshot(data).tasks] == [t.facts for t in USUAL.tasks]


def test_what_could_not_be_seen_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = (Unseen(what=("task",), why="permission denied", pids=(7,)),)
    monkeypatch.setattr(explain_sources, "read_machine", lambda: dataclasses.replace(USUAL, unseen=unseen))
    assert call("snapshot").err == "not seen: processes of pid 7: permission denied\n"


def test_a_machine_without_proc_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking() -> None:
        raise FileNotFoundError(2, "No such file or directory", "/proc")

    monkeypatch.setattr(explain_sources, "read_machine", lacking)
    outcome = call("snapshot")
    assert outcome.code == 3
    assert outcome.err == "error: cannot read /proc: no such file or directory\nhelp: is /proc mounted?\n"
