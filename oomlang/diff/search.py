"""The search for a machine on which two policies choose differently, and for the smallest one.

In: two policies and a seed. Out: how often they differed on machines near their constants, and an `Example` that was made
as small as it gets: each task, cgroup, fact and input that can go without the choices becoming the same has gone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from oomlang.diagnostics import Source
from oomlang.diff.choice import Relation, choice, relation
from oomlang.diff.constants import constants
from oomlang.diff.generator import scenario
from oomlang.facts import FACTS
from oomlang.ir import nodes as ir
from oomlang.semantics import model
from oomlang.targets.interp import Decision, decide
from oomlang.targets.interp.expectations import Case
from oomlang.test_cases import cases

_SHRUNK = 8
"""Of the differences that are found first; the smallest is shown."""


_BOUND = {
    name: (fact.name, *fact.sum_of)
    for fact in FACTS.values()
    for name in (fact.name, *fact.sum_of)
    if fact.sum_of
}
"""Facts that go together: a sum and its parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A machine on which the policies differ."""

    test: model.Test
    case: Case
    old: Decision
    new: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """seed, count: what was tried. different: on how many machines the choices differ."""

    seed: int
    count: int
    different: int
    example: Example | None


def search(
    old: ir.Policy,
    new: ir.Policy,
    *,
    seed: int,
    count: int,
    progress: Callable[[int], None] | None = None,
) -> Search:
    """Compare two policies on `count` machines; the same seed gives the same ones."""
    chance = random.Random(seed)
    near = constants(old, new)
    different = 0
    best: model.Test | None = None
    for number in range(count):
        test = scenario(near, chance)
        if differs(old, new, test):
            different += 1
            if different <= _SHRUNK:
                small = _smallest(old, new, test)
                if best is None or _size(small) < _size(best):
                    best = small
        if progress is not None:
            progress(number)
    example = None
    if best is not None:
        case = case_of(best)
        example = Example(test=best, case=case, old=decide(old, case.machine), new=decide(new, case.machine))
    return Search(seed=seed, count=count, different=different, example=example)


def case_of(test: model.Test) -> Case:
    """A test block as a case: just what `oomlang test` makes of it."""
    policy = model.Policy(
        source=Source("<generated>", ""), name="generated", inputs=(), lets=(), rules=(), tests=(test,)
    )
    (case,) = cases(policy)
    return case


def differs(old: ir.Policy, new: ir.Policy, test: model.Test) -> bool:
    """Whether the policies choose differently on a machine, of which everything is known."""
    machine = case_of(test).machine
    choices = choice(decide(old, machine)), choice(decide(new, machine))
    return relation(*choices) is Relation.DIFFERENT


def _smallest(old: ir.Policy, new: ir.Policy, test: model.Test) -> model.Test:
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(test):
            if differs(old, new, smaller):
                test, progress = smaller, True
                break
    return test


def _smaller(test: model.Test) -> Iterator[model.Test]:
    """The test with one thing less, the largest things first."""
    for i, task in enumerate(test.tasks):
        if task.id != test.invoker:
            yield replace(test, tasks=test.tasks[:i] + test.tasks[i + 1 :])
    if test.scope is not None:
        yield replace(test, scope=None)
    if test.invoker is not None:
        yield replace(test, invoker=None)
    if test.order:
        yield replace(test, order=0)
    if test.swap:
        yield replace(test, swap=0)
    for name in test.inputs:
        yield replace(test, inputs={k: v for k, v in test.inputs.items() if k != name})
    needed = {test.scope} | {task.path[:n] for task in test.tasks for n in range(len(task.path) + 1)}
    for i, memcg in enumerate(test.memcgs):
        if not any(path is not None and path[: len(memcg.path)] == memcg.path for path in needed):
            yield replace(test, memcgs=test.memcgs[:i] + test.memcgs[i + 1 :])
    for i, task in enumerate(test.tasks):
        if task.path:
            yield _with_task(test, i, replace(task, path=()))
        for name in task.facts:
            gone = {name, *_BOUND.get(name, ())}
            rest = {k: v for k, v in task.facts.items() if k not in gone}
            yield _with_task(test, i, replace(task, facts=rest))
    for i, memcg in enumerate(test.memcgs):
        for name in (*memcg.facts, *memcg.inputs):
            facts = {k: v for k, v in memcg.facts.items() if k != name}
            inputs = {k: v for k, v in memcg.inputs.items() if k != name}
            smaller = replace(memcg, facts=facts, inputs=inputs)
            yield replace(test, memcgs=(*test.memcgs[:i], smaller, *test.memcgs[i + 1 :]))


def _with_task(test: model.Test, place: int, task: model.TestTask) -> model.Test:
    return replace(test, tasks=(*test.tasks[:place], task, *test.tasks[place + 1 :]))


def _size(test: model.Test) -> tuple[int, ...]:
    facts = sum(len(t.facts) for t in test.tasks) + sum(len(m.facts) + len(m.inputs) for m in test.memcgs)
    return (len(test.tasks), len(test.memcgs), facts + len(test.inputs) + (test.scope is not None))
