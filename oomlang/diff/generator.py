"""Machines made up near the constants of policies.

In: constants and a source of chance. Out: a test block as data (`oomlang.semantics.model.Test`), which
`oomlang.test_cases` makes into a machine: what differs on one can be written down as a test.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from oomlang.diagnostics import Span
from oomlang.diff.constants import Constants
from oomlang.facts import FACTS, Scope, Type
from oomlang.facts.interval import Interval
from oomlang.facts.table import TEXT_BYTES, kept_by_name
from oomlang.facts.types import RATIO_ONE
from oomlang.host.model import MemcgPath
from oomlang.semantics import model

NOWHERE = Span(0, 0)

_TASKS = 5
_MEMCGS = 4
_TASK_FACTS = kept_by_name(Scope.TASK)
_MEMCG_FACTS = kept_by_name(Scope.MEMCG)
_OF_TOTAL = {"oom.total", *(f.name for f in _MEMCG_FACTS if f.unlimited)}
_ASKED = 0.8
"""How often a task is given a fact that a policy reads."""
_USUAL = {
    Type.BYTES: (0, 2**20, 2**26, 2**28, 2**30, 3 * 2**30),
    Type.DURATION: (0, 1000, 60_000, 3_600_000, 86_400_000),
    Type.INT: (0, 1, 2, 10),
    Type.BOOL: (0, 1),
    Type.RATIO: (0, 100, 5000, 10000),
}
_COMMS = (b"sshd", b"postgres", b"python3", b"worker", b"bash")
_PATHS: tuple[MemcgPath, ...] = ((b"a",), (b"a", b"b"), (b"c",))


def scenario(found: Constants, chance: random.Random) -> model.Test:
    """One machine and its event."""
    memory = _total(found, chance)
    # Whatever is compared with a share of the event's size lies near that share of it.
    shares = {memory * n // RATIO_ONE for n in found.numbers.get("", ()) if 0 < n <= 2 * RATIO_ONE}
    if shares and _OF_TOTAL & found.facts:
        for name in found.facts - {"oom.total"}:
            if FACTS[name].type is Type.BYTES:
                found = replace(
                    found, numbers={**found.numbers, name: found.numbers.get(name, set()) | shares}
                )
    memcgs = _memcgs(found, chance)
    paths: list[MemcgPath] = [m.path for m in memcgs]
    tasks = _tasks(found, chance, paths)
    scopes = [p for p in paths if p in found.scopes] or paths
    order = _value(chance, Type.INT, FACTS["oom.order"].range, found.numbers.get("oom.order", ()))
    return model.Test(
        span=NOWHERE,
        name="the policies differ",
        memory=memory,
        swap=chance.choice((0, 0, 2**30)),
        order=chance.choice((0, -1, order)) if {"oom.order", "oom.sysrq"} & found.facts else 0,
        scope=chance.choice(scopes) if scopes and chance.random() < 0.4 else None,
        invoker=chance.choice(tasks).id if "invoker" in found.facts and chance.random() < 0.7 else None,
        inputs={
            i.name: _value(chance, i.type, i.interval, found.numbers[i.name])
            for i in found.inputs.values()
            if not i.per_memcg and chance.random() < 0.5
        },
        memcgs=memcgs,
        tasks=tasks,
        expectations=(),
    )


def _total(found: Constants, chance: random.Random) -> int:
    near = [n for n in found.numbers.get("oom.total", ()) if n >= 4096]
    return chance.choice((2**30, 2**33, 2**36, *near))


def _memcgs(found: Constants, chance: random.Random) -> tuple[model.TestMemcg, ...]:
    known = [*found.paths, *found.scopes, *((name,) for name in found.names if _is_component(name))]
    chosen = chance.sample([*known, *_PATHS], k=min(chance.randint(0, _MEMCGS), len(known) + len(_PATHS)))
    # A cgroup that only a path implies has the sum of its children: say all of them.
    paths = dict.fromkeys(path[:length] for path in chosen for length in range(1, len(path) + 1))
    return tuple(
        model.TestMemcg(
            span=NOWHERE,
            path=path,
            facts={
                f.name: _value(chance, f.type, f.range, found.numbers.get(f.name, ()))
                for f in _MEMCG_FACTS
                if f.test.summed
                or (f.name in found.facts and chance.random() < 0.7)
                or (f.made_up.unasked and chance.random() < f.made_up.unasked)
            },
            inputs={
                i.name: _value(chance, i.type, i.interval, found.numbers[i.name])
                for i in found.inputs.values()
                if i.per_memcg and chance.random() < 0.6
            },
        )
        for path in paths
    )


def _is_component(name: bytes) -> bool:
    return bool(name) and b"/" not in name and name not in (b".", b"..") and b"\n" not in name


def _tasks(found: Constants, chance: random.Random, paths: Sequence[MemcgPath]) -> tuple[model.TestTask, ...]:
    tasks: list[model.TestTask] = []
    for number in range(chance.randint(1, _TASKS)):
        task = _task(found, chance, number, paths)
        if tasks and task.facts and chance.random() < 0.4:
            # Like another one but for one fact: what tells those apart stands far down in a policy.
            name = chance.choice([*task.facts])
            facts = {**chance.choice(tasks).facts, name: task.facts[name]}
            task = replace(task, facts=_whole(facts))
        tasks.append(task)
    return tuple(tasks)


def _whole(facts: dict[str, int]) -> dict[str, int]:
    """The facts with each sum of others made up of its parts, where there are any."""
    for fact in _TASK_FACTS:
        if any(part in facts for part in fact.sum_of):
            facts[fact.name] = sum(facts.get(part, 0) for part in fact.sum_of)
    return facts


def _task(found: Constants, chance: random.Random, number: int, paths: Sequence[MemcgPath]) -> model.TestTask:
    comms = [comm[: TEXT_BYTES["comm"]] for comm in found.comms if comm]
    comm = chance.choice(comms) if comms and chance.random() < 0.7 else chance.choice(_COMMS)
    facts: dict[str, int] = {}
    for fact in _TASK_FACTS:
        share = _ASKED if fact.name in found.facts else fact.made_up.unasked
        if share and chance.random() < share:
            facts[fact.name] = _value(chance, fact.type, fact.range, found.numbers.get(fact.name, ()))
    for fact in _TASK_FACTS:
        if fact.made_up.usual and fact.name in facts and chance.random() < 0.6:
            facts[fact.name] = chance.choice(fact.made_up.usual)
    return model.TestTask(
        span=NOWHERE, id=f"t{number}", comm=comm, path=chance.choice([*paths, ()]), facts=_whole(facts)
    )


def _value(chance: random.Random, type: Type, range: Interval | None, near: Sequence[int] | set[int]) -> int:
    """A usual value, or one at or beside a constant; always in the range."""
    assert range is not None  # of all facts that are numbers
    pool = [*_USUAL[type]]
    if near and chance.random() < 0.7:
        numbers = sorted(near)
        # A step counts from 0, and what decides may lie beyond another rule's bound: sums of two are constants too.
        value = chance.choice(numbers) + (chance.choice(numbers) if chance.random() < 0.5 else 0)
        pool = [value - 1, value, value + 1]
    elif chance.random() < 0.05:
        pool = [range.low, range.high]
    return min(max(chance.choice(pool), range.low), range.high)
