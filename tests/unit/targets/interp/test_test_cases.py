"""Test blocks: the machines they describe, what they expect, and which rules they show at work."""

import pytest

from oomlang.compiler import Compilation
from oomlang.diagnostics import OomlangError
from oomlang.ir import nodes as ir
from oomlang.targets.interp import UNLIMITED, Comparison, Exclusion, Machine, Verdict
from oomlang.targets.interp.expectations import Case, Check, Coverage, Outcome
from oomlang.test_cases import cases, run_tests


def compiled(text: str) -> Compilation:
    return Compilation(text.encode())


def case(block: str, policy: str = "") -> Case:
    (found,) = cases(compiled(f'{policy}\ntest "t" {{\n{block}\nexpect none\n}}\n').policy)
    return found


def machine(block: str, policy: str = "") -> Machine:
    return case(block, policy).machine


def outcomes(text: str) -> tuple[tuple[Outcome, ...], Coverage]:
    compilation = compiled(text)
    return run_tests(compilation.policy, compilation.ir)


def outcome(policy: str, block: str) -> Outcome:
    (found,), _ = outcomes(f'{policy}\ntest "t" {{\n{block}\n}}\n')
    return found


def check(policy: str, block: str) -> Check:
    (found,) = outcome(policy, block).checks
    return found


# Machines


def test_the_total_of_a_global_event_is_memory_and_swap() -> None:
    assert machine("memory 8GiB\nswap 2GiB").event.total == 10 * 2**30


@pytest.mark.parametrize(
    "limits, expected",
    [
        ('memcg "/a" {}\nmemcg "/a/b" { limit 1GiB }', 1),
        ('memcg "/a" { limit 2GiB }\nmemcg "/a/b" {}', 2),
        ('memcg "/a/b" {}', 8),
    ],
)
def test_the_total_of_a_scope_is_the_nearest_limit(limits: str, expected: int) -> None:
    found = machine(f'memory 8GiB\n{limits}\nscope "/a/b"')
    assert found.event.total == expected * 2**30
    assert found.event.scope is not None
    assert found.event.scope.path == (b"a", b"b")


def test_the_root_as_a_scope_is_a_global_event() -> None:
    assert machine('scope "/"').event.is_global


def test_tasks_that_say_nothing_get_pids_in_order_and_are_younger_further_down() -> None:
    found = case(
        'task "a" in "/" {}\ntask "b" in "/" { pid 1000 }\ntask "c" in "/" { age 5s }\ntask "d" in "/" {}'
    )
    assert {id: t.pid for id, t in found.tasks.items()} == {"a": 1001, "b": 1000, "c": 1002, "d": 1003}
    by_start = sorted(found.tasks, key=lambda id: found.tasks[id].start or 0)
    assert by_start == ["c", "a", "b", "d"]


def test_facts_that_are_not_given_are_0_and_rss_is_the_sum_of_its_parts() -> None:
    task = case('task "a" in "/" { rss.anon 1MiB  rss.shmem 1MiB }').tasks["a"]
    assert task.facts["rss"] == 2 * 2**20
    assert {task.facts[n] for n in ("uid", "swap", "oom_score_adj", "threads", "vm")} == {0}
    assert task.comm == b"a"


def test_the_same_comm_twice_under_two_ids() -> None:
    tasks = case('task "a" in "/" {}\ntask "a" as "b" in "/" {}').tasks
    assert [t.comm for t in tasks.values()] == [b"a", b"a"]


def test_an_implied_parent_sums_its_children() -> None:
    block = """
      memcg "/a/b/x" { usage 1GiB  swap 1MiB }
      memcg "/a/b/y" { usage 2GiB  low 1GiB }
      memcg "/a/c"   { usage 4GiB  limit 5GiB }
      task "t" in "/a/b/x" {}
    """
    task = case(block).tasks["t"]
    assert task.memcg is not None
    root, a, b, _ = task.memcg.chain
    assert root.path == ()
    assert (a.facts["memcg.usage"], b.facts["memcg.usage"]) == (7 * 2**30, 3 * 2**30)
    assert a.facts["memcg.swap"] == 2**20
    assert (a.facts["memcg.low"], a.facts["memcg.min"], a.facts["memcg.oom_group"]) == (0, 0, 0)
    assert (a.facts["memcg.limit"], a.facts["memcg.high"]) == (UNLIMITED, UNLIMITED)


def test_a_declared_parent_sums_its_children_only_where_it_says_nothing_itself() -> None:
    block = """
      memcg "/a" { low 1GiB }
      memcg "/a/b" { usage 2GiB  swap 1MiB }
      memcg "/a/b/c" { usage 1GiB  swap 8MiB }
      task "t" in "/a/b/c" {}
    """
    task = case(block).tasks["t"]
    assert task.memcg is not None
    _, a, b, _ = task.memcg.chain
    assert (a.facts["memcg.usage"], a.facts["memcg.swap"]) == (2 * 2**30, 2**20)
    assert (b.facts["memcg.usage"], b.facts["memcg.swap"]) == (2 * 2**30, 2**20)


def test_cgroup_ids_count_up_an_implied_parent_right_before_the_first_below_it() -> None:
    block = 'memcg "/z" {}\nmemcg "/a/b" {}\nmemcg "/c" { id 3 }\nmemcg "/a/d" {}\n' + "\n".join(
        f'task "{n}" in "{p}" {{}}' for n, p in (("z", "/z"), ("b", "/a/b"), ("c", "/c"), ("d", "/a/d"))
    )
    tasks = case(block).tasks
    memcgs = [tasks[n].memcg for n in "zbcd"]
    assert [m.id for m in memcgs if m is not None] == [2, 5, 3, 6]
    assert memcgs[1] is not None
    assert memcgs[1].parent is not None
    assert memcgs[1].parent.id == 4


def test_inputs_are_set_for_the_machine_and_for_cgroups() -> None:
    policy = (
        "input tag per memcg: int = 3\ninput knob: int = 4\nkill highest tag\nkill first when uid == knob"
    )
    found = case('set knob = 9\nmemcg "/a" { tag 7 }\nmemcg "/" { tag 8 }\ntask "t" in "/a" {}', policy)
    assert found.machine.knobs == {"knob": 9}
    memcg = found.tasks["t"].memcg
    assert memcg is not None
    assert [m.inputs for m in memcg.chain] == [{"tag": 8}, {"tag": 7}]


def test_the_invoker_and_the_order() -> None:
    found = machine('order 3\ntask "a" in "/" {}\ntask "b" in "/" {}\ninvoker "b"')
    assert (found.event.invoker, found.event.order) == (1001, 3)
    assert machine('task "a" in "/" {}').event.invoker == 0


@pytest.mark.parametrize(
    "block, message",
    [
        ('task "a" in "/" { pid 7 }\ntask "b" in "/" { pid 7 }', "pid 7 is given twice"),
        ('memcg "/a" { id 7 }\nmemcg "/b" { id 7 }', "cgroup id 7 is given twice"),
        ('memcg "/a" { id 1 }', "not the id"),
    ],
)
def test_a_test_that_cannot_be_a_machine_is_an_error_with_its_place(block: str, message: str) -> None:
    with pytest.raises(OomlangError) as error:
        case(block)
    assert message in str(error.value)


# Expectations

HOGS = """
  memory 8GiB
  memcg "/a" {}
  task "sshd"  in "/" { rss 5GiB }
  task "small" in "/" { rss 1GiB }
  task "large" in "/" { rss 2GiB }
"""
POLICY = 'never kill when comm == "sshd"\nkill highest rss'


def test_the_victim() -> None:
    assert check(POLICY, HOGS + 'expect victim "large"').passed
    failed = check(POLICY, HOGS + 'expect victim "small"')
    assert (failed.passed, failed.got) == (False, ("large",))
    assert isinstance(failed.why, Comparison)
    assert isinstance(failed.why.cause, ir.Origin)
    assert failed.why.cause.text == "kill highest rss"


def test_a_victim_that_is_excluded_says_by_what() -> None:
    failed = check(POLICY, HOGS + 'expect victim "sshd"')
    assert isinstance(failed.why, Exclusion)
    assert isinstance(failed.why.cause, ir.Origin)
    assert failed.why.cause.number == 1


def test_the_order() -> None:
    assert check(POLICY, HOGS + 'expect order "large", "small"').passed
    failed = check(POLICY, HOGS + 'expect order "small", "large"')
    assert (failed.passed, failed.got) == (False, ("large", "small"))
    assert isinstance(failed.why, Comparison)
    assert [failed.why.first.comm, failed.why.second.comm] == [b"large", b"small"]


def test_an_order_longer_than_what_is_left() -> None:
    failed = check(POLICY, HOGS + 'expect order "large", "small", "sshd"')
    assert (failed.passed, failed.got) == (False, ("large", "small"))
    assert isinstance(failed.why, Exclusion)


def test_safe() -> None:
    assert check(POLICY, HOGS + 'expect safe "sshd"').passed
    assert not check(POLICY, HOGS + 'expect safe "small"').passed
    assert check("", 'task "a" in "/" { oom_score_adj -1000 }\nexpect safe "a"').passed


def test_a_task_outside_the_scope_is_neither_safe_nor_a_victim() -> None:
    found = outcome(POLICY, HOGS + 'scope "/a"\nexpect safe "sshd"')
    assert (found.passed, found.outside) == (False, ("sshd", "small", "large"))
    assert found.decision.verdict is Verdict.NONE_LEFT


def test_never_kill_keeps_nobody_safe_where_the_kernel_decides() -> None:
    policy = f"kernel decides when oom.global\n{POLICY}"
    assert not check(policy, HOGS + 'expect safe "sshd"').passed
    assert check(policy, 'task "a" in "/" { oom_score_adj -1000 }\nexpect safe "a"').passed
    assert check(f"kill nothing when oom.global\n{POLICY}", HOGS + 'expect safe "small"').passed


@pytest.mark.parametrize(
    "policy, block, expectation",
    [
        (POLICY, 'task "sshd" in "/" {}', "none"),
        ("kernel decides when oom.global\nkill highest rss", HOGS, "kernel decides"),
        ("kill nothing when oom.global\nkill highest rss", HOGS, "kill nothing"),
    ],
)
def test_events_without_a_victim_of_ours(policy: str, block: str, expectation: str) -> None:
    assert check(policy, f"{block}\nexpect {expectation}").passed
    for other in {"none", "kernel decides", "kill nothing"} - {expectation}:
        assert not check(policy, f"{block}\nexpect {other}").passed


def test_a_victim_where_an_event_rule_ends_the_event_names_the_rule() -> None:
    failed = check("kill nothing when oom.global\nkill highest rss", HOGS + 'expect victim "large"')
    assert isinstance(failed.why, ir.Origin)
    assert failed.why.number == 1
    assert failed.got == ()


# Coverage


def test_a_rule_is_covered_by_the_tests_in_which_it_decides() -> None:
    text = f"""
      kill nothing when oom.order > 3
      never kill when comm == "sshd"
      kill last when uid == 5
      kill highest rss
      kill highest age
      test "one" {{ {HOGS}
        expect victim "large"
      }}
      test "two" {{
        order 4
        expect kill nothing
      }}
    """
    found, coverage = outcomes(text)
    assert all(o.passed for o in found)
    assert [tests for _, tests in coverage.rules] == [("two",), ("one",), (), ("one",), ()]
    assert [origin.number for origin in coverage.uncovered] == [3, 5]
    assert coverage.share == 0.6


def test_a_policy_without_rules_is_wholly_covered() -> None:
    _, coverage = outcomes('test "t" {\ntask "a" in "/" {}\nexpect victim "a"\n}')
    assert (coverage.share, coverage.uncovered) == (1.0, ())
