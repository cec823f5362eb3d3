from __future__ import annotations

import dataclasses

import pytest

from oomlang import live
from oomlang.compiler import Compilation
from oomlang.host import UNLIMITED, MachineFacts, MemcgFacts, TaskFacts, Unseen
from oomlang.ir import nodes as ir
from oomlang.targets.interp import Guard, Machine, Verdict, decide

MIB = 1 << 20


def _task(
    pid: int, memcg: tuple[bytes, ...] | None, *, rss: int = 0, has_mm: bool | None = True
) -> TaskFacts:
    facts = {"rss": rss, "swap": 0, "pgtables": 0, "oom_score_adj": 0}
    return TaskFacts(pid=pid, comm=b"t%d" % pid, memcg=memcg, start=pid, has_mm=has_mm, facts=facts)


def _memcg(path: tuple[bytes, ...], id: int, limit: int, room: int | None = 0) -> MemcgFacts:
    return MemcgFacts(path=path, id=id, facts={"memcg.limit": limit, "memcg.usage": id}, swap_room=room)


A, AB, C = (b"a",), (b"a", b"b"), (b"c",)
FACTS = MachineFacts(
    taken_at=0.0,
    kernel="6.12",
    ram=1000 * MIB,
    swap=24 * MIB,
    page_size=4096,
    ticks_per_second=100,
    hierarchy="v2",
    memcgs={
        (): MemcgFacts(path=(), id=1),
        A: _memcg(A, 2, 100 * MIB, 7 * MIB),
        AB: _memcg(AB, 3, UNLIMITED, 24 * MIB),
        C: _memcg(C, 4, UNLIMITED, 24 * MIB),
    },
    tasks=(_task(10, AB, rss=5 * MIB), _task(11, C, rss=6 * MIB), _task(12, A, has_mm=False)),
)


def _pids(machine: Machine) -> list[int]:
    return [candidate.pid for candidate in decide(_policy(""), machine).ranking]


def _policy(text: str) -> ir.Policy:
    return Compilation(text.encode()).ir


def test_the_machine_runs_out_of_memory() -> None:
    machine = live.machine(FACTS)
    assert machine.event.total == 1024 * MIB
    assert machine.event.is_global
    assert _pids(machine) == [11, 10]


def test_only_tasks_of_the_scope_are_candidates() -> None:
    machine = live.machine(FACTS, scope=A)
    assert _pids(machine) == [10]
    assert [c.guard for c in machine.candidates] == [Guard.NONE, Guard.NONE, Guard.NO_MM]


@pytest.mark.parametrize(
    "scope, total",
    [((), 1024 * MIB), (A, 107 * MIB), (AB, 107 * MIB), (C, 1024 * MIB)],
    ids=["machine", "limit and swap", "of an ancestor", "no limit at all"],
)
def test_the_size_of_an_event(scope: tuple[bytes, ...], total: int) -> None:
    assert live.total(FACTS, scope) == total


def test_a_limit_that_was_not_seen_leaves_the_size_open() -> None:
    memcgs = {**FACTS.memcgs, A: MemcgFacts(path=A, id=2)}
    assert live.total(dataclasses.replace(FACTS, memcgs=memcgs), AB) is None
    memcgs = {**FACTS.memcgs, A: _memcg(A, 2, 100 * MIB, None)}
    assert live.total(dataclasses.replace(FACTS, memcgs=memcgs), AB) is None


def test_inputs_reach_the_policy() -> None:
    policy = _policy("input p per memcg: int = 0\ninput k: int = 1\nkill highest p when k == 2\n")
    unset = decide(policy, live.machine(FACTS))
    inputs = {"p": {AB: 3, (b"none",): 9}}
    set_ = decide(policy, live.machine(FACTS, knobs={"k": 2}, memcg_inputs=inputs))
    assert [d.victim.pid if d.victim else 0 for d in (unset, set_)] == [11, 10]


def test_who_would_invoke_the_killer_is_not_known() -> None:
    policy = _policy("kill first when invoker")
    assert not decide(policy, live.machine(FACTS)).certain
    told = decide(policy, live.machine(FACTS, invoker=10))
    assert told.certain
    assert told.victim is not None
    assert told.victim.pid == 10


def test_a_task_of_which_nothing_was_seen_makes_the_answer_uncertain() -> None:
    hidden = TaskFacts(pid=13, comm=None, memcg=None, start=None, has_mm=None, facts={})
    decision = decide(_policy(""), live.machine(dataclasses.replace(FACTS, tasks=(*FACTS.tasks, hidden))))
    assert decision.verdict is Verdict.VICTIM
    assert {c.pid for c in decision.contenders} == {11, 13}


def test_where_whole_processes_may_be_unseen_the_victim_is_uncertain() -> None:
    known = decide(_policy(""), live.machine(FACTS))
    assert (known.certain, known.others) == (True, False)
    one = Unseen(what=("task",), why="it ended meanwhile", pids=(13,))
    assert decide(_policy(""), live.machine(dataclasses.replace(FACTS, unseen=(one,)))).certain
    all_others = Unseen(what=("task", "pid"), why="this is a pid namespace of its own")
    hidden = decide(_policy(""), live.machine(dataclasses.replace(FACTS, unseen=(all_others,))))
    assert (hidden.victim, hidden.certain, hidden.others) == (hidden.candidates[1], False, True)


def test_an_unknown_scope_is_an_error() -> None:
    with pytest.raises(live.NoSuchMemcg, match=r"/a/\\xff"):
        live.machine(FACTS, scope=(b"a", b"\xff"))
