import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from oomlang.compiler import Compilation
from oomlang.diff import block, constants, scenario, search
from oomlang.diff.search import case_of, differs
from oomlang.facts import spell
from oomlang.ir import nodes as ir
from oomlang.targets.interp import STOCK, Candidate, Machine, decide
from oomlang.test_cases import cases, run_tests

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.oom"))


def policy(text: str) -> ir.Policy:
    return Compilation(text.encode(), "p.oom").ir


def example(path: Path) -> ir.Policy:
    return Compilation(path.read_bytes(), path.name).ir


@pytest.mark.parametrize(
    "old, new",
    [
        ("kill highest rss step 64MiB\n", "kill highest rss step 32MiB\n"),
        ("kill highest rss when rss > 300MiB\n", "kill highest rss when rss >= 300MiB\n"),
        ('never kill when comm == "sshd"\n', ""),
        ('never kill when comm like "systemd-?*"\n', 'never kill when comm like "systemd*"\n'),
        ('kill first when memcg under "/batch.slice"\n', 'kill first when memcg under "/batch.slice/*"\n'),
        ("kill nothing when oom.order > 3\n", "kill nothing when oom.order > 4\n"),
        ("kernel decides when oom.sysrq\nkill lowest rss\n", "kill lowest rss\n"),
        ('kernel decides when oom.memcg under "/user.slice"\nkill lowest rss\n', "kill lowest rss\n"),
        ("input a: bytes = 1GiB\nkill first when rss > a\n", "input a: bytes = 2GiB\nkill first when rss > a\n"),
        ("input p per memcg: int = 0\nkill lowest p\n", "input p per memcg: int = 0\nkill highest p\n"),
        ("kill highest memcg.usage\n", "kill highest memcg.usage at each depth\n"),
        ("kill last when uid == 0\n", "kill last when uid in (0, 33)\n"),
        ("kill first when age < 10s\n", "kill first when age < 11s\n"),
        ("kill first when invoker\n", ""),
        ("kill first when rss > oom.total * 50%\n", "kill first when rss > oom.total * 60%\n"),
        ("kill highest rss.anon\n", "kill highest rss\n"),
    ],
)  # fmt: skip
def test_small_changes_are_found(old: str, new: str) -> None:
    assert search(policy(old), policy(new), seed=1, count=1000).example is not None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_policy_does_not_differ_from_itself(path: Path) -> None:
    found = search(example(path), example(path), seed=1, count=200)
    assert (found.different, found.example) == (0, None)


@pytest.mark.parametrize("one, other", list(itertools.pairwise(EXAMPLES)), ids=lambda path: path.stem)
def test_the_example_is_a_test_that_tells_them_apart(one: Path, other: Path) -> None:
    old, new = example(one), example(other)
    found = search(old, new, seed=2, count=500).example
    assert found is not None
    inputs = {declared.name: declared for p in (old, new) for declared in p.inputs}
    declarations = [
        f"input {i.name}{' per memcg' if i.per_memcg else ''}: {i.type.value} = {spell(i.interval.low, i.type)}\n"
        for i in inputs.values()
    ]
    mine = Compilation(("".join(declarations) + block(found.test, inputs, "expect none")).encode())
    (case,) = cases(mine.policy)
    assert same(case.machine, found.case.machine)
    assert differs(old, new, found.test)


def same(one: Machine, other: Machine) -> bool:
    def flat(machine: Machine) -> list[object]:
        event = machine.event
        return [
            (event.total, event.order, event.invoker, event.scope.path if event.scope else None),
            dict(machine.knobs),
            [(c.pid, c.comm, c.start, dict(c.facts), memcgs(c)) for c in machine.candidates],
        ]

    def memcgs(candidate: Candidate) -> object:
        assert candidate.memcg is not None
        return [(m.path, m.id, dict(m.facts), dict(m.inputs)) for m in candidate.memcg.chain if m.path]

    return flat(one) == flat(other)


def test_nothing_can_go_from_the_example() -> None:
    found = search(policy("kill highest rss\n"), policy("kill lowest rss\n"), seed=3, count=50).example
    assert found is not None
    assert len(found.test.tasks) == 2
    assert found.test.memcgs == ()
    assert sum(len(task.facts) for task in found.test.tasks) == 1


def test_the_same_seed_gives_the_same_machines() -> None:
    near = constants(policy("kill highest rss when uid == 5\n"))
    one, other = (scenario(near, random.Random(7)) for _ in range(2))
    assert one == other


def test_an_example_passes_as_a_test_of_the_new_policy() -> None:
    text = 'never kill when comm == "a\\"b\\\\"\nkill highest rss\n'
    found = search(STOCK, policy(text), seed=1, count=500).example
    assert found is not None
    ids = {task: id for id, task in found.case.tasks.items()}
    victim = found.new.victim
    expectation = f'expect victim "{ids[victim]}"' if victim is not None else "expect none"
    compilation = Compilation((text + block(found.test, {}, expectation) + "\n").encode())
    outcomes, _ = run_tests(compilation.policy, compilation.ir)
    assert [outcome.passed for outcome in outcomes] == [True]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_follows_from_the_scope_alone_is_right(path: Path) -> None:
    """As in a report: nobody's cgroup is seen, and all are in the scope."""
    meaning = example(path)
    near = constants(meaning)
    chance = random.Random(5)
    scoped = 0
    while scoped < 100:
        test = scenario(near, chance)
        if test.scope is None:
            continue
        scoped += 1
        machine = case_of(test).machine
        whole = decide(meaning, machine)
        unseen = [replace(candidate, memcg=None) for candidate in whole.candidates]
        decision = decide(meaning, replace(machine, candidates=unseen))
        assert whole.verdict in decision.possible
        if whole.victim is not None:
            assert whole.victim.pid in [candidate.pid for candidate in decision.contenders]
