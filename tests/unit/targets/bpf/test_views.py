"""What the collector says a policy reads: nothing else is read, and all of it is."""

from __future__ import annotations

from dataclasses import replace

from oomlang.compiler import Compilation
from oomlang.ir import nodes as ir
from oomlang.ir.passes import run
from oomlang.ir.passes.levels import levels
from oomlang.ir.passes.paths import paths
from oomlang.targets.bpf.views import Collector, Needs, View


def _needs(text: str) -> Needs:
    policy = Compilation(text.encode()).optimized
    return Collector(policy).policy(policy)


def _view(view: View) -> tuple[set[str], set[str], bool]:
    return view.facts, view.inputs, view.asks


def test_facts_are_told_apart_by_what_they_are_of() -> None:
    needs = _needs(
        "input knob: bytes = 1MiB\ninput unused: int = 0\ninput tag per memcg: int = 0\n"
        'kernel decides when oom.order == 2\nnever kill when comm == "a" or uid == 0\n'
        "kill first when rss > knob and tag > 0\nkill highest memcg.usage"
    )
    assert needs.task == {"comm", "uid", "rss"}
    assert needs.event == {"oom.order"}
    assert needs.knobs == {"knob"}
    assert {key: _view(view) for key, view in needs.views.items()} == {
        None: ({"memcg.usage"}, {"tag"}, False)
    }
    assert needs.facts == {"comm", "uid", "rss", "oom.order", "memcg.usage"}
    assert not needs.asks


def test_each_depth_and_each_walk_is_a_view_of_its_own() -> None:
    needs = _needs(
        "input tag per memcg: int = 0\n"
        "kill highest memcg.usage at depth 2\n"
        "kill lowest memcg.swap at each depth when memcg.depth > 3\n"
        "kill highest tag at depth 1\nkill highest memcg.low"
    )
    assert {key: _view(view) for key, view in needs.views.items()} == {
        2: ({"memcg.usage"}, set(), False),
        ("each", 2): ({"memcg.swap"}, set(), False),
        1: (set(), {"tag"}, False),
        None: ({"memcg.depth", "memcg.low"}, set(), False),
    }
    names = {view.name for view in needs.views.values()}
    assert names == {"memcg", "memcg_at_1", "memcg_at_2", "each_2"}


def test_a_walk_is_there_though_nothing_is_read_on_it() -> None:
    policy = Compilation(b"kill highest memcg.usage at each depth").optimized
    (rule,) = policy.rules
    assert isinstance(rule, ir.EachDepthKey)
    needs = Collector(policy).rules([replace(rule, value=ir.Number(1))])
    assert needs.views.keys() == {("each", 1)}


def test_questions_are_asked_of_the_cgroup_that_they_are_about() -> None:
    own = _needs('never kill when memcg under "/a" or memcg.name == "b"\nkill highest rss')
    assert own.views[None].asks
    assert not own.scope_asks
    assert own.asked == {"memcg", "memcg.name"}
    above = _needs('never kill when memcg at depth 2 under "/a/b"\nkill highest rss')
    assert above.views.keys() == {2}
    assert above.views[2].asks
    scope = _needs('kernel decides when oom.memcg under "/a"\nkill highest memcg.usage')
    assert scope.scope_asks
    assert scope.asks
    assert scope.asked == {"oom.memcg"}
    assert not any(view.asks for view in scope.views.values())


def test_what_can_change_meanwhile_is_kept_by_the_cgroups_id() -> None:
    def view(rule: str) -> View:
        return _needs(f"input tag per memcg: int = 0\n{rule}\nkill highest rss").views[None]

    fixed = view("kill first when memcg.depth > 1")
    assert (fixed.changes, fixed.reads_id) == (False, False)
    asks = view('kill first when memcg under "/a"')
    assert (asks.changes, asks.reads_id) == (False, True)
    id = view("kill first when memcg.id > 1")
    assert (id.changes, id.reads_id) == (False, True)
    for rule in ("kill first when tag > 1", "kill first when memcg.usage > 1MiB"):
        assert (view(rule).changes, view(rule).reads_id) == (True, True)


def test_a_let_reads_from_where_it_is_used() -> None:
    text = (
        b"let used = memcg.usage + memcg.swap\nlet unused = memcg.high\nlet twice = used * 2\n"
        b"kill highest twice at depth 3\nkill highest used at each depth"
    )
    policy = run(Compilation(text).ir, (paths, levels))  # lets stay lets
    needs = Collector(policy).policy(policy)
    read = {"memcg.usage", "memcg.swap"}
    assert {key: view.facts for key, view in needs.views.items()} == {3: read, ("each", 2): read}
    assert needs.lets == {"used", "twice"}


def test_lets_that_are_computed_once_are_kept_at_their_level() -> None:
    text = (
        b"let half = oom.total / 3\nlet used = memcg.usage - half\nlet weight = rss + used\n"
        b"kill first when rss > half\nkill highest used at depth 1 step 1MiB\n"
        b"kill highest used at each depth\nkill highest weight at depth 2 step 8KiB\nkill highest weight"
    )
    policy = run(Compilation(text).ir, (paths, levels))
    policy = replace(policy, lets=tuple(replace(let, shared=True) for let in policy.lets))
    needs = Collector(policy).policy(policy)
    assert needs.event_lets == {"half"}
    assert {key: view.lets for key, view in needs.views.items()} == {
        key: {"used"} for key in (None, 1, 2, ("each", 3))
    }
    assert needs.task_lets == {("weight", 2), ("weight", None)}


def test_some_rules_need_less_than_all() -> None:
    policy = Compilation(b"kill first when uid == 0\nkill highest memcg.usage at depth 1").optimized
    first, second = policy.rules
    collector = Collector(policy)
    of_first, of_second = collector.rules([first]), collector.rules([second])
    assert of_first.task == {"uid"}
    assert not of_first.views
    assert not of_second.task
    assert of_second.views.keys() == {1}
