"""Event rules, guards, keys, ties, and what a decision says of itself."""

import pytest

from oomlang.compiler import Compilation
from oomlang.ir import nodes as ir
from oomlang.targets.interp import (
    STOCK,
    UNLIMITED,
    Builtin,
    Candidate,
    Decision,
    Event,
    Exclusion,
    Guard,
    Machine,
    Memcg,
    Verdict,
    decide,
)

ROOT = Memcg(path=(), parent=None)
ZERO = dict.fromkeys(
    ("memcg.usage", "memcg.min", "memcg.low", "memcg.swap", "memcg.oom_group", "memcg.oom_kills"), 0
)


def memcg(parent: Memcg, name: str, id: int | None, **facts: int) -> Memcg:
    given = {f"memcg.{n}": v for n, v in facts.items()}
    unlimited = {"memcg.limit": UNLIMITED, "memcg.high": UNLIMITED}
    return Memcg(path=(*parent.path, name.encode()), parent=parent, id=id, facts=ZERO | unlimited | given)


def task(
    pid: int, rss: int = 0, *, within: Memcg | None = ROOT, guard: Guard = Guard.NONE, **facts: int
) -> Candidate:
    known = dict.fromkeys(("swap", "pgtables", "oom_score_adj", "uid", "age"), 0)
    return Candidate(
        pid=pid, comm=b"t%d" % pid, memcg=within, start=0, facts={**known, "rss": rss, **facts}, guard=guard
    )


def without(candidate: Candidate, *names: str) -> Candidate:
    """The same task, some facts unobservable."""
    facts = {n: v for n, v in candidate.facts.items() if n not in names}
    return Candidate(
        pid=candidate.pid,
        comm=candidate.comm,
        memcg=candidate.memcg,
        start=0,
        facts=facts,
        guard=candidate.guard,
    )


def policy(text: str) -> ir.Policy:
    return Compilation(text.encode()).ir


def run(text: str, *candidates: Candidate, event: Event | None = None) -> Decision:
    return decide(
        policy(text) if text else STOCK, Machine(event=event or Event(total=2**30), candidates=candidates)
    )


def order(decision: Decision) -> list[int]:
    return [c.pid for c in decision.ranking]


# Event rules


def test_the_first_event_rule_that_holds_decides_the_event() -> None:
    text = "kill nothing when oom.order > 5\nkernel decides when oom.global\nkill highest rss"
    high = run(text, task(1), event=Event(total=1, order=6))
    low = run(text, task(1), event=Event(total=1, order=5))
    assert (high.verdict, high.event_rule and high.event_rule.origin.number) == (Verdict.KILL_NOTHING, 1)
    assert (low.verdict, low.event_rule and low.event_rule.origin.number) == (Verdict.KERNEL_DECIDES, 2)
    assert low.victim is None
    assert low.certain


def test_an_event_rule_that_cannot_be_evaluated_leaves_both_ends_open() -> None:
    found = run("kill nothing when oom.order > 5", task(1), event=Event(total=1, order=None))
    assert found.possible == {Verdict.KILL_NOTHING, Verdict.VICTIM}
    assert not found.certain
    assert [(u.candidates, u.missing) for u in found.unevaluated] == [((), ("oom.order",))]


def test_an_event_rule_that_cannot_be_evaluated_does_no_harm_where_the_next_ends_the_same() -> None:
    text = "kill nothing when oom.order > 5\nkill nothing when oom.total > 1MiB"
    found = run(text, task(1), event=Event(total=2**30, order=None))
    assert (found.verdict, found.certain) == (Verdict.KILL_NOTHING, True)


# Guards


@pytest.mark.parametrize("guard", [Guard.NO_MM, Guard.REAPED, Guard.VFORK])
def test_what_a_guard_covers_is_skipped(guard: Guard) -> None:
    hog = task(1, 2**20, guard=guard)
    found = run("", hog, task(2))
    assert order(found) == [2]
    assert found.exclusions == (Exclusion(candidate=hog, cause=guard),)


def test_oom_score_adj_of_minus_1000_is_a_guard() -> None:
    found = run("", task(1, 2**20, oom_score_adj=-1000))
    assert (found.verdict, found.certain) == (Verdict.NONE_LEFT, True)
    assert found.exclusions[0].cause is Guard.UNKILLABLE


def test_a_victim_that_is_still_dying_ends_the_scan() -> None:
    found = run("", task(1, 2**20), task(2, guard=Guard.DYING))
    assert (found.verdict, found.victim, found.certain) == (Verdict.ABORTED, None, True)


def test_a_dying_victim_is_a_candidate_like_any_other_for_sysrq() -> None:
    found = run("", task(1, 2**20), task(2, 2**21, guard=Guard.DYING), event=Event(total=1, order=-1))
    assert order(found) == [2, 1]
    assert found.verdict is Verdict.VICTIM


def test_a_dying_victim_outside_the_scope_does_not_matter() -> None:
    inside, outside = memcg(ROOT, "a", 2), memcg(ROOT, "b", 3)
    event = Event(total=1, scope=inside)
    found = run("", task(1, within=inside), task(2, within=outside, guard=Guard.DYING), event=event)
    assert order(found) == [1]
    assert found.verdict is Verdict.VICTIM


def test_a_dying_victim_and_an_unknown_order() -> None:
    found = run("", task(1), task(2, guard=Guard.DYING), event=Event(total=1, order=None))
    assert found.possible == {Verdict.ABORTED, Verdict.VICTIM}


def test_the_first_never_kill_rule_that_covers_a_task_excludes_it() -> None:
    found = run(
        "never kill when uid == 5\nnever kill when uid in (5, 6)", task(1, uid=5), task(2, uid=6), task(3)
    )
    causes = [e.cause.number for e in found.exclusions if isinstance(e.cause, ir.Origin)]
    assert causes == [1, 2]
    assert order(found) == [3]


def test_nothing_is_left_of_no_candidates() -> None:
    found = run("kill highest rss")
    assert (found.verdict, found.certain, found.ranking) == (Verdict.NONE_LEFT, True, ())


# Keys and ties


def test_steps_round_down_and_lowest_turns_round_after_that() -> None:
    text = "kill lowest oom_score_adj step 10"
    # -11 → -2, -10 and -1 → -1, 0 and 9 → 0; ties by pid, the badness of all being 0 or more apart
    tasks = [task(pid, oom_score_adj=adj) for pid, adj in enumerate((-11, -10, -1, 0, 9), start=1)]
    assert order(run(text, *tasks, event=Event(total=0))) == [1, 3, 2, 5, 4]


def test_those_for_which_when_does_not_hold_come_last() -> None:
    found = run("kill lowest rss when uid == 7", task(1, 5, uid=7), task(2, 1, uid=7), task(3, 0), task(4, 9))
    assert order(found) == [2, 1, 4, 3]


def test_first_and_last() -> None:
    text = "kill first when uid == 1\nkill last when uid == 2"
    assert order(run(text, task(1, uid=2), task(2), task(3, uid=1))) == [3, 2, 1]


def test_ties_go_by_badness_then_start_then_pid() -> None:
    def at(pid: int, rss: int, start: int) -> Candidate:
        return Candidate(
            pid=pid,
            comm=b"",
            memcg=ROOT,
            start=start,
            facts={"rss": rss, "swap": 0, "pgtables": 0, "oom_score_adj": 0},
        )

    found = run("", at(1, 8192, 0), at(2, 4096, 5), at(4, 4096, 2), at(3, 4096, 2))
    assert order(found) == [1, 2, 4, 3]
    assert [c.cause for c in found.neighbours()] == [Builtin.BADNESS, Builtin.YOUNGER, Builtin.PID]


def test_the_same_pid_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="same pid"):
        run("", task(1), task(1))


def test_a_rule_that_tells_two_apart_is_named_with_both_values() -> None:
    found = run("kill first when uid == 9\nkill highest rss step 4KiB", task(1, 5000), task(2, 9000))
    comparison = found.compare(found.candidates[0], found.candidates[1])
    assert isinstance(comparison.cause, ir.Origin)
    assert comparison.cause.text == "kill highest rss step 4KiB"
    assert comparison.cause.line == 2
    assert comparison.first.pid == 2
    assert comparison.first_value is not None
    assert comparison.second_value is not None
    assert (comparison.first_value.value, comparison.first_value.number) == (9000, 2)
    assert (comparison.second_value.value, comparison.second_value.number) == (5000, 1)


def test_an_excluded_one_comes_behind_and_its_exclusion_says_why() -> None:
    found = run("never kill when uid == 5", task(1, 2**20, uid=5), task(2), task(3, uid=5))
    a, b, c = found.candidates
    comparison = found.compare(a, b)
    assert (comparison.first, comparison.second) == (b, a)
    assert isinstance(comparison.cause, Exclusion)
    assert found.compare(a, c).cause is None


def test_what_is_no_candidate_cannot_be_asked_about() -> None:
    found = run("", task(1))
    with pytest.raises(ValueError, match="no candidate"):
        found.assess(task(9))
    with pytest.raises(ValueError, match="with itself"):
        found.compare(found.candidates[0], found.candidates[0])


def test_an_assessment_holds_facts_inputs_and_keys() -> None:
    text = "input tag per memcg: int = 3\nkill highest tag\nkill highest rss when uid == 1"
    found = run(text, task(1, 4096))
    assessment = found.assess(found.candidates[0])
    assert {r.name: r.value for r in assessment.readings} == {
        "rss": 4096,
        "badness": 4096,
        "uid": 0,
        "tag": 3,
    }
    assert [(k.holds, k.value) for k in assessment.keys][:2] == [(True, 3), (False, 4096)]
    assert assessment.place == 1


# At each depth


def test_the_worst_subtree_dies_before_the_worst_cgroup() -> None:
    a, b = memcg(ROOT, "a", 2, usage=10), memcg(ROOT, "b", 3, usage=9)
    small, large = memcg(a, "x", 4, usage=1), memcg(b, "y", 5, usage=9)
    text = "kill highest memcg.usage at each depth"
    found = run(text, task(1, 9, within=large), task(2, 1, within=small))
    assert order(found) == [2, 1]
    comparison = next(found.neighbours())
    assert comparison.level == 1
    assert comparison.first_value is not None
    assert [(v.memcg.path[-1], v.value) for v in comparison.first_value.levels] == [(b"a", 10), (b"x", 1)]


def test_levels_count_from_the_scope() -> None:
    a = memcg(ROOT, "a", 2, usage=10)
    x, y = memcg(a, "x", 3, usage=3), memcg(a, "y", 4, usage=7)
    found = run(
        "kill lowest memcg.usage at each depth",
        task(1, within=a),
        task(2, within=x),
        task(3, within=y),
        task(4, within=ROOT),
        event=Event(total=1, scope=a),
    )
    # A task of the scope itself has it as its ancestor at every level; the one of the root is outside.
    assert order(found) == [2, 3, 1]
    assert [c.level for c in found.neighbours()] == [1, 1]


def test_a_cgroup_stands_for_itself_where_it_is_not_deep() -> None:
    a = memcg(ROOT, "a", 2, usage=10)
    x, y = memcg(a, "x", 3, usage=3), memcg(a, "y", 4, usage=12)
    found = run(
        "kill highest memcg.usage at each depth", task(1, within=a), task(2, within=x), task(3, within=y)
    )
    assert order(found) == [3, 1, 2]


def test_equal_cgroups_are_told_apart_by_the_higher_id_and_tasks_in_one_are_equal() -> None:
    a, b = memcg(ROOT, "a", 20, usage=5), memcg(ROOT, "b", 3, usage=5)
    found = run(
        "kill lowest memcg.usage at each depth",
        task(1, 0, within=a),
        task(2, 9, within=b),
        task(3, 1, within=a),
    )
    assert order(found) == [3, 1, 2]


def test_beyond_the_sixteenth_level_cgroups_are_equal() -> None:
    def chain(last: str, id: int, depth: int) -> Memcg:
        return memcg(above[depth - 1], last, id, usage=id)

    above = [ROOT]
    for depth in range(1, 17):
        above.append(memcg(above[-1], "d", 100 + depth, usage=1))
    text = "kill highest memcg.usage at each depth"
    at_16 = run(text, task(1, 4096, within=chain("x", 2, 16)), task(2, 0, within=chain("y", 3, 16)))
    at_17 = run(text, task(1, 4096, within=chain("x", 2, 17)), task(2, 0, within=chain("y", 3, 17)))
    assert order(at_16) == [2, 1]
    assert order(at_17) == [1, 2]


def test_sixteen_levels_count_from_the_scope() -> None:
    above = [ROOT]
    for depth in range(1, 17):
        above.append(memcg(above[-1], "d", 100 + depth, usage=1))
    x, y = memcg(above[16], "x", 2, usage=2), memcg(above[16], "y", 3, usage=3)
    event = Event(total=1, scope=above[1])
    found = run(
        "kill highest memcg.usage at each depth", task(1, 4096, within=x), task(2, within=y), event=event
    )
    assert order(found) == [2, 1]
    assert next(found.neighbours()).level == 16


def test_at_each_depth_has_those_last_for_which_when_does_not_hold() -> None:
    a, b = memcg(ROOT, "a", 2, usage=5), memcg(ROOT, "b", 3, usage=1)
    text = "kill highest memcg.usage at each depth when uid == 7"
    found = run(text, task(1, 0, within=a), task(2, 4096, within=b), task(3, 0, within=b, uid=7))
    assert order(found) == [3, 2, 1]


# Unobservable facts


def test_an_unknown_value_makes_only_those_uncertain_that_it_can_reorder() -> None:
    unknown, high, low = without(task(1), "age"), task(2, age=100), task(3, age=3)
    found = run("kill first when uid == 4\nkill highest age", unknown, high, low, task(4, uid=4))
    assert order(found)[0] == 4
    assert (found.victim and found.victim.pid, found.certain) == (4, True)
    behind = found.compare(unknown, high)
    assert not behind.certain
    assert isinstance(behind.cause, ir.Origin)
    assert behind.undecided == (behind.cause,)
    assert found.compare(high, low).certain
    assert [(u.candidates, u.missing) for u in found.unevaluated] == [((unknown,), ("age",))]


def test_all_that_could_be_the_victim_are_named() -> None:
    found = run("kill highest age", without(task(1), "age"), task(2, age=100), task(3, age=3))
    assert sorted(c.pid for c in found.contenders) == [1, 2]
    assert not found.certain
    assert found.possible == {Verdict.VICTIM}


def test_one_that_a_never_kill_rule_may_cover_stays_and_is_no_certain_victim() -> None:
    found = run("never kill when uid == 0", without(task(1, 2**20), "uid"), task(2, uid=1))
    assert order(found) == [1, 2]
    assert [c.pid for c in found.contenders] == [1, 2]
    assert not found.certain
    assert not next(found.neighbours()).certain


def test_if_all_may_be_excluded_perhaps_none_is_left() -> None:
    found = run("never kill when uid == 0", without(task(1), "uid"))
    assert found.possible == {Verdict.VICTIM, Verdict.NONE_LEFT}


def test_an_unknown_oom_score_adj_may_be_minus_1000() -> None:
    found = run("kill highest rss", without(task(1, 4096), "oom_score_adj"), task(2))
    assert found.assess(found.candidates[0]).maybe_excluded == (Guard.UNKILLABLE,)
    assert not found.certain


def test_tasks_in_one_cgroup_are_equal_in_what_is_unknown_of_it() -> None:
    hidden = Memcg(path=(b"a",), parent=ROOT, id=2)
    found = run("kill highest memcg.usage", task(1, 8192, within=hidden), task(2, 4096, within=hidden))
    assert (order(found), found.certain) == ([1, 2], True)
    assert next(found.neighbours()).cause is Builtin.BADNESS


def test_unknown_levels_above_do_not_matter_where_they_are_the_same() -> None:
    hidden = Memcg(path=(b"a",), parent=ROOT)
    x, y = memcg(hidden, "x", 3, usage=3), memcg(hidden, "y", 4, usage=7)
    found = run("kill highest memcg.usage at each depth", task(1, within=x), task(2, within=y))
    assert (order(found), found.certain) == ([2, 1], True)
    assert next(found.neighbours()).certain


def test_it_may_be_unknown_for_whom_at_each_depth_applies() -> None:
    a, b = memcg(ROOT, "a", 2, usage=5), memcg(ROOT, "b", 3, usage=1)
    text = "kill highest memcg.usage at each depth when uid == 7"
    open_, applies, not_ = without(task(1, within=a), "uid"), task(2, within=b, uid=7), task(3, within=a)
    found = run(text, open_, applies, not_)
    assert order(found) == [2, 3, 1]
    assert sorted(c.pid for c in found.contenders) == [1, 2]
    assert found.compare(applies, not_).certain
    assert not found.compare(open_, applies).certain
    # Where both values are known, only the condition of the one in the worse cgroup matters.
    in_better = without(task(4, within=b), "uid")
    assert run(text, task(5, within=a, uid=7), in_better).certain


def test_cgroups_of_unknown_ids_cannot_be_told_apart_by_them() -> None:
    a, b = memcg(ROOT, "a", None, usage=5), memcg(ROOT, "b", 3, usage=5)
    found = run("kill highest memcg.usage at each depth", task(1, within=a), task(2, within=b))
    assert not found.certain
    assert [u.missing for u in found.unevaluated] == [("memcg.id",)]


def test_what_is_unknown_of_an_ancestor_is_named() -> None:
    hidden = Memcg(path=(b"a",), parent=ROOT, id=9)
    x, y = memcg(hidden, "x", 3, usage=3), memcg(ROOT, "y", 4, usage=7)
    found = run("kill highest memcg.usage at each depth", task(1, within=x), task(2, within=y))
    assert not found.certain
    assert [u.missing for u in found.unevaluated] == [("memcg.usage",)]


def test_an_unknown_start_only_matters_in_a_tie() -> None:
    def at(pid: int, rss: int) -> Candidate:
        known = {"rss": rss, "swap": 0, "pgtables": 0, "oom_score_adj": 0}
        return Candidate(pid=pid, comm=b"", memcg=ROOT, start=None, facts=known)

    assert run("", at(1, 8192), at(2, 4096)).certain
    tie = run("", at(1, 4096), at(2, 4096))
    assert not tie.certain
    assert [(u.rule, u.missing) for u in tie.unevaluated] == [(Builtin.YOUNGER, ("start",))]


# Machines


def test_a_parent_is_the_cgroup_above() -> None:
    with pytest.raises(ValueError, match="above"):
        Memcg(path=(b"a", b"b"), parent=ROOT)
    with pytest.raises(ValueError, match="above"):
        Memcg(path=(b"a",), parent=None)


def test_a_candidate_of_an_unknown_cgroup_belongs_to_the_scope() -> None:
    found = run("", task(1, within=None), event=Event(total=1, scope=memcg(ROOT, "a", 2)))
    assert order(found) == [1]
