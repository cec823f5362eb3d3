"""What is claimed of some event is true of one that is at hand."""

from __future__ import annotations

import pytest

from oomlang.compiler import Compilation
from oomlang.ir.witness import KnownEvent, event_that_kills_nobody
from oomlang.targets.interp import Candidate, Event, Machine, Memcg, Verdict, decide
from tests.unit.targets.interp.machines import TASK_FACTS

SPARED = 'never kill when comm == "sshd" or '

RIGHT = {
    "sysrq is left to the kernel": f"kernel decides when oom.order < 0\n{SPARED}oom.sysrq",
    "the same by another rule": f"kill nothing when oom.sysrq\n{SPARED}oom.order == -1",
    "a global event has no cgroup": 'never kill when oom.global and oom.memcg under "/b"',
    "nor has an event of a cgroup the machine": f'kernel decides when oom.memcg under "/a"\n{SPARED}'
    '(oom.memcg under "/a/b")',
    "a knob that is 0 takes the events away": "input off: bool = false\nkernel decides when off\n"
    + SPARED
    + "off",
    "together they take all": f"kernel decides when oom.total < 1GiB\nkernel decides when oom.total < 2GiB and oom.global\n"
    f"{SPARED}oom.global and oom.total < 2GiB",
}
"""Policies that are right, since the event rules take away all events in which a `never kill` rule covers every task."""

WRONG = {
    "oom.global": "never kill when oom.global",
    "an order": f"{SPARED}oom.order > 3",
    "sysrq": f"kernel decides when oom.order > 3\n{SPARED}oom.sysrq",
    "a scope": f'{SPARED}oom.memcg under "/a/*/b"',
    "a size": f"kernel decides when oom.total > 1TiB\n{SPARED}oom.total > 512GiB",
    "a knob": f"input off: bool = false\n{SPARED}off",
    "a named value": f"let large = oom.total > 4GiB\n{SPARED}large",
    "all tasks, for two rules": "never kill when uid == 0 and oom.global\nnever kill when uid > 0",
}


def _codes(text: str) -> set[str]:
    return {d.code.value for d in Compilation(f"{text}\nkill highest rss\n".encode()).diagnostics}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_a_policy_is_right_where_no_event_leaves_nobody(text: str) -> None:
    assert "E0402" not in _codes(text)


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_rules_that_have_nothing_to_do_with_it_change_nothing(text: str) -> None:
    more = "".join(f"kernel decides when oom.order == {order}\n" for order in range(20, 30))
    assert "E0402" not in _codes(text.replace("never kill", f"{more}never kill", 1))
    assert "E0402" not in _codes(more + text)


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_an_event_in_which_nobody_is_left_is_one_for_the_interpreter_too(text: str) -> None:
    assert "E0402" in _codes(text)
    policy = Compilation(f"{text}\nkill highest rss\n".encode())._lowered[0]
    assert policy is not None
    event = event_that_kills_nobody(policy, [rule.condition for rule in policy.never])
    assert event is not None
    decision = decide(policy, _machine(event))
    assert decision.verdict is Verdict.NONE_LEFT
    assert decision.certain


def _machine(event: KnownEvent) -> Machine:
    scope = root = Memcg(path=(), parent=None)
    for depth in range(len(event.scope)):
        scope = Memcg(path=event.scope[: depth + 1], parent=scope)
    below = Memcg(path=(*scope.path, b"x"), parent=scope)
    tasks = [
        Candidate(
            pid=pid,
            comm=comm,
            memcg=memcg,
            start=pid,
            facts={**dict.fromkeys(TASK_FACTS, 0), "uid": uid, "rss": 1 << 20},
        )
        for pid, (comm, memcg, uid) in enumerate(
            ((c, m, u) for c in (b"sshd", b"hog") for m in (scope, below) for u in (0, 1000)), start=2
        )
    ]
    return Machine(
        event=Event(
            total=event.facts["oom.total"],
            order=event.facts["oom.order"],
            scope=scope if scope is not root else None,
        ),
        candidates=tasks,
        knobs=dict(event.knobs),
    )
