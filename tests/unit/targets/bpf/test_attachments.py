"""A target is its record, its directory, and its place in the tuple of targets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import oomlang
from oomlang.data import data_path
from oomlang.objects import names
from oomlang.objects.hooks import hook_of
from oomlang.targets.bpf import attachments
from oomlang.targets.bpf.attachments import TARGETS, Target, find_target
from oomlang.targets.bpf.inspect import inspect_object

PACKAGE = Path(oomlang.__file__).parent
HERE = Path(attachments.__file__).parent
targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@targets
def test_nothing_outside_its_directory_names_a_target(target: Target) -> None:
    words = [re.escape(target.name), *(re.escape(program.section) for program in target.programs)]
    named = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if HERE not in path.parents and re.search("|".join(words), path.read_text(encoding="utf-8"))
    ]
    assert named == []


@targets
def test_a_target_is_complete(target: Target) -> None:
    assert Path(data_path("templates"), target.template).exists()
    assert target.summary
    assert not target.summary.endswith(".")
    known = {names.helper_name(number) for number in range(1, 300)}
    for program in target.programs:
        assert hook_of(program.section) is not None
        assert program.helpers <= known
    # The loader can hand over to what decides, and to nothing else.
    assert (target.turn is not None) is target.decides
    assert any((hook := hook_of(p.section)) and hook.decides for p in target.programs) is target.decides


def test_targets_have_names_of_their_own() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
    with pytest.raises(ValueError, match="unknown target 'none': the targets are "):
        find_target("none")


@pytest.mark.needs("clang")
def test_one_more_in_the_tuple_is_one_more_to_compile_for(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(next(target for target in TARGETS if target.record), name="another")
    monkeypatch.setattr(attachments, "TARGETS", (*TARGETS, other))
    artifact = oomlang.compile("kill highest rss\n", target="another")
    assert artifact.metadata.target == "another"
    found = inspect_object(artifact.object)
    assert found.policy == artifact.metadata
    assert found.failed_checks == ()
