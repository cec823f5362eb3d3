from __future__ import annotations

import pytest

from oomlang.compiler import Compilation
from oomlang.ir import nodes as ir
from oomlang.ir.passes import run
from oomlang.ir.passes.levels import levels
from oomlang.ir.passes.paths import paths
from oomlang.targets.bpf.let_uses import let_uses

DECLARED = """
input knob: int = 1
input tag per memcg: int = 2
let a_nothing = 4096B
let a_event = oom.total / 2
let a_task = rss + a_event
let a_name = comm like "a*"
let a_cgroup = memcg.usage + a_event
let a_path = memcg under "/a*"
let a_named = memcg.name == "b"
let a_scope = oom.memcg under "/a"
let a_knobs = knob + 1
let a_tags = tag + 1
let a_both = rss > a_cgroup
let usage_above = memcg.usage at depth 2
let tag_above = tag at depth 1
let path_above = memcg at depth 1 under "/a"
let a_above = a_cgroup at depth 2
let tags_above = (a_tags at depth 1) + a_knobs
let task_above = a_both at depth 2
let task_of_task = task_above or a_name
kill highest rss
"""


def _lets() -> dict[str, ir.LetDeclaration]:
    return {let.name: let for let in run(Compilation(DECLARED.encode()).ir, (paths, levels)).lets}


@pytest.mark.parametrize(
    "name, candidate, view",
    [
        ("a_nothing", False, False),
        ("a_event", False, False),
        ("a_task", True, False),
        ("a_name", True, False),
        ("a_cgroup", False, True),
        ("a_path", False, True),
        ("a_named", False, True),
        ("a_scope", False, False),
        ("a_knobs", False, False),
        ("a_tags", False, True),
        ("a_both", True, True),
        # A let at a depth has a view of its own.
        ("usage_above", False, False),
        ("tag_above", False, False),
        ("path_above", False, False),
        ("a_above", False, False),
        ("tags_above", False, False),
        ("task_above", True, False),
        ("task_of_task", True, False),
    ],
)
def test_a_let_takes_what_it_reads(name: str, candidate: bool, view: bool) -> None:
    assert let_uses(_lets().values())[name] == (candidate, view)


def test_a_let_that_is_kept_is_read_from_where_its_level_has_it() -> None:
    def shared(name: str, level: ir.Level) -> ir.LetDeclaration:
        value = _lets()[name].value
        return _let(name, value, level=level, shared=True)

    lets = [
        shared("a_event", ir.Level.EVENT),
        shared("a_cgroup", ir.Level.MEMCG),
        shared("a_both", ir.Level.TASK),
        _let("of_event", ir.Let("a_event")),
        _let("of_cgroup", ir.Let("a_cgroup")),
        _let("of_cgroup_above", ir.Let("a_cgroup", 1)),
        # It is computed for the candidate, its cgroup included: who uses it needs no view.
        _let("of_task", ir.Let("a_both")),
    ]
    uses = let_uses(lets)
    assert uses["of_event"] == (False, False)
    assert uses["of_cgroup"] == (False, True)
    assert uses["of_cgroup_above"] == (False, False)
    assert uses["of_task"] == (True, False)


def _let(
    name: str, value: ir.Expression, *, level: ir.Level = ir.Level.TASK, shared: bool = False
) -> ir.LetDeclaration:
    like = _lets()["a_nothing"]
    return ir.LetDeclaration(
        name=name, type=like.type, interval=like.interval, value=value,
        line=1, column=1, text=name, level=level, shared=shared,
    )  # fmt: skip
