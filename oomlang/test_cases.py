"""Test blocks, made into machines and run.

In: a typed policy and its IR. Out: `Outcome`s of `oomlang.targets.interp.expectations`.

What a test block leaves open. cgroup ids count up from 2 in the order of the file, the ids that are given
left out; a parent that only a path implies comes right before the first cgroup below it. A cgroup whose usage
or swap is not given has the sum of its children's; without children 0. pids count up from 1000 in the order
of the file, the given ones left out. A task that stands further down is younger than one of the same `age`.
`oom.total` is the limit of the scope, or of its nearest ancestor with one, and the swap, as mem_cgroup_get_max() of the
kernel has it; without such a limit memory and swap together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from oomlang.facts import FACTS
from oomlang.facts.table import Scope, kept_by_name
from oomlang.ir import nodes as ir
from oomlang.semantics import model
from oomlang.targets.interp.expectations import Case, Coverage, Expect, Expectation, Outcome, coverage, run
from oomlang.targets.interp.machine import Candidate, Event, Machine, Memcg

FIRST_PID = 1000
FIRST_MEMCG_ID = 2
_SUMMED = [f.name for f in kept_by_name(Scope.MEMCG) if f.test.summed]
_NOT_GIVEN = {
    scope: {f.name: f.test.default for f in kept_by_name(scope)} for scope in (Scope.TASK, Scope.MEMCG)
}
_Path = tuple[bytes, ...]


def run_tests(policy: model.Policy, meaning: ir.Policy) -> tuple[tuple[Outcome, ...], Coverage]:
    """Run all test blocks of a policy. meaning: its IR."""
    outcomes = tuple(run(meaning, case) for case in cases(policy))
    return outcomes, coverage(meaning, outcomes)


def cases(policy: model.Policy) -> tuple[Case, ...]:
    """The test blocks as cases."""
    return tuple(_case(test) for test in policy.tests)


def _case(test: model.Test) -> Case:
    memcgs = _memcgs(test)
    pids = _counted(FIRST_PID, [t.facts.get("pid") for t in test.tasks])
    tasks = {
        task.id: Candidate(
            pid=pid,
            comm=task.comm,
            memcg=memcgs[task.path],
            facts={name: task.facts.get(name, default) for name, default in _NOT_GIVEN[Scope.TASK].items()},
            start=(-task.facts.get("age", 0) << 32) + place,  # by age, then by the order of the file
        )
        for place, (task, pid) in enumerate(zip(test.tasks, pids, strict=True))
    }
    scope = memcgs[test.scope] if test.scope else None
    event = Event(
        total=_total(test),
        order=test.order,
        scope=scope,
        invoker=tasks[test.invoker].pid if test.invoker is not None else 0,
    )
    return Case(
        name=test.name,
        machine=Machine(event=event, candidates=tuple(tasks.values()), knobs=test.inputs),
        tasks=tasks,
        expectations=tuple(
            Expectation(expect=Expect[e.expect.name], tasks=e.tasks, span=e.span) for e in test.expectations
        ),
    )


def _total(test: model.Test) -> int:
    limits = {m.path: m.facts["memcg.limit"] for m in test.memcgs if "memcg.limit" in m.facts}
    for path in _upwards(test.scope or ()):
        if path in limits:
            return limits[path] + test.swap
    return test.memory + test.swap


def _upwards(path: _Path) -> Iterator[_Path]:
    """The path itself and those of its ancestors, the root left out."""
    for length in range(len(path), 0, -1):
        yield path[:length]


def _memcgs(test: model.Test) -> dict[_Path, Memcg]:
    """Every cgroup of a test by its path, with those that paths only imply, and the root."""
    declared = {m.path: m for m in test.memcgs}
    order: dict[_Path, None] = {}
    for path in declared:
        above = [p for p in _upwards(path) if p != path and p not in declared]
        order.update(dict.fromkeys(reversed(above)))
        order.setdefault(path)
    order.pop((), None)
    facts = {p: dict(declared[p].facts) if p in declared else {} for p in order}
    below: Counter[tuple[_Path, str]] = Counter()
    for path in sorted(order, key=len, reverse=True):  # children before their parents
        for name in _SUMMED:
            below[path[:-1], name] += facts[path].setdefault(name, min(below[path, name], _most(name)))
    ids = dict(zip(order, _counted(FIRST_MEMCG_ID, [facts[p].get("memcg.id") for p in order]), strict=True))
    root = declared.get(())
    found: dict[_Path, Memcg] = {
        (): Memcg(path=(), parent=None, inputs=root.inputs if root is not None else {})
    }
    for path in sorted(order, key=len):
        found[path] = Memcg(
            path=path,
            parent=found[path[:-1]],
            id=ids[path],
            facts=_NOT_GIVEN[Scope.MEMCG] | facts[path],
            inputs=declared[path].inputs if path in declared else {},
        )
    return found


def _most(name: str) -> int:
    range = FACTS[name].range
    assert range is not None  # a size
    return range.high


def _counted(first: int, given: list[int | None]) -> list[int]:
    """The given numbers, and for each None the next one that is not given."""
    taken = {number for number in given if number is not None}
    following = first
    found = []
    for number in given:
        if number is None:
            while following in taken:
                following += 1
            number, following = following, following + 1
        found.append(number)
    return found
