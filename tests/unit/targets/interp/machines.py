"""Hypothesis strategies for machines, for a given policy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from oomlang.facts import FACTS, Interval
from oomlang.facts.table import Scope, kept_by_name
from oomlang.ir import nodes as ir
from oomlang.targets.interp import STOCK, UNLIMITED, Candidate, Event, Guard, Machine, Memcg

NAMES = (b"a", b"b", b"batch.slice", b"user.slice", b"ssh.service", b"job-1", b"\xff\xfe", b"c d")
COMMS = (b"a", b"sh", b"sshd", b"systemd", b"exactly-15-byte", b"pn", b"x" * 20, b"\x1b[31m", b"")
TASK_FACTS = [f.name for f in kept_by_name(Scope.TASK)]
MEMCG_FACTS = [f.name for f in kept_by_name(Scope.MEMCG)]


def numbers(interval: Interval) -> st.SearchStrategy[int]:
    """Few different values, so that ties are common; some beyond the interval."""
    ends = [interval.low - 1, interval.low, interval.low + 1, interval.high, interval.high + 1]
    common = [v for v in (0, 1, 4095, 4096, 2**20, 2**30, 100, -1000) if v in interval]
    return st.sampled_from(common + ends) | st.integers(interval.low, interval.high)


def fact(name: str) -> st.SearchStrategy[int]:
    if name == "oom_score_adj":  # most of the range would leave no candidate
        return st.sampled_from((0, 0, 0, 1, -1, 500, -500, 999, 1000, 2000, -999, -1000)) | st.integers(
            -999, 999
        )
    row = FACTS[name].range
    assert row is not None
    return numbers(row) | st.just(UNLIMITED) if FACTS[name].unlimited else numbers(row)


@st.composite
def machines(draw: DrawFn, policy: ir.Policy = STOCK, *, most: int = 7, dying: bool = True) -> Machine:
    """Everything is known in it."""
    per_memcg = [i for i in policy.inputs if i.per_memcg]

    def inputs() -> Mapping[str, int]:
        return {i.name: draw(numbers(i.interval)) for i in per_memcg if draw(st.booleans())}

    memcgs = [Memcg(path=(), parent=None, inputs=inputs())]
    ids = draw(st.lists(st.integers(2, 40), min_size=6, max_size=6, unique=True))
    for id in ids[: draw(st.integers(0, 6))]:
        parent = draw(st.sampled_from(memcgs))
        taken = {m.path for m in memcgs}
        name = draw(st.sampled_from(NAMES))
        if (*parent.path, name) in taken:
            continue
        facts = {n: draw(fact(n)) for n in MEMCG_FACTS}
        memcgs.append(Memcg(path=(*parent.path, name), parent=parent, id=id, facts=facts, inputs=inputs()))
    guards = [Guard.NONE] * 20 + [Guard.NO_MM, Guard.REAPED, Guard.VFORK] + [Guard.DYING] * dying
    pids = draw(
        st.lists(st.integers(1, 99), min_size=draw(st.sampled_from((0, 2, 4))), max_size=most, unique=True)
    )
    scope = draw(st.sampled_from([None, None, *memcgs[1:]]))
    homes = [m for m in memcgs if scope is None or scope in m.chain or draw(st.booleans())]
    candidates = [
        Candidate(
            pid=pid,
            comm=draw(st.sampled_from(COMMS)),
            memcg=draw(st.sampled_from(homes)),
            start=draw(st.integers(0, 3)),
            guard=draw(st.sampled_from(guards)),
            facts={n: draw(fact(n)) for n in TASK_FACTS},
        )
        for pid in pids
    ]
    event = Event(
        total=draw(fact("oom.total")),
        order=draw(st.sampled_from((0, 0, 3, -1))),
        scope=scope,
        invoker=draw(st.sampled_from([0, *pids])),
    )
    knobs = {
        i.name: draw(numbers(i.interval)) for i in policy.inputs if not i.per_memcg and draw(st.booleans())
    }
    return Machine(event=event, candidates=candidates, knobs=knobs)


@st.composite
def blinded(draw: DrawFn, machine: Machine) -> tuple[Machine, dict[int, Candidate]]:
    """The same machine, some facts unobservable; and its candidates by pid."""
    share = draw(st.sampled_from((0, 1, 3, 8)))

    def hidden() -> bool:
        return draw(st.integers(0, 9)) < share

    def seen(facts: Mapping[str, int]) -> dict[str, int]:
        return {n: v for n, v in facts.items() if not hidden()}

    memcgs: dict[Memcg, Memcg] = {}

    def blind(memcg: Memcg) -> Memcg:
        if memcg not in memcgs:
            memcgs[memcg] = Memcg(
                path=memcg.path,
                parent=blind(memcg.parent) if memcg.parent is not None else None,
                id=None if hidden() else memcg.id,
                facts=seen(memcg.facts),
                inputs=memcg.inputs,
            )
        return memcgs[memcg]

    def either(value: Any) -> Any:
        return None if hidden() else value

    scope = blind(machine.event.scope) if machine.event.scope is not None else None
    candidates = []
    for c in machine.candidates:
        assert c.memcg is not None
        # Who does not know a candidate's cgroup vouches that it is in the scope.
        memcg = blind(c.memcg)
        if hidden() and (scope is None or scope in memcg.chain):
            candidates.append(
                replace(c, comm=either(c.comm), memcg=None, start=either(c.start), facts=seen(c.facts))
            )
        else:
            candidates.append(
                replace(c, comm=either(c.comm), memcg=memcg, start=either(c.start), facts=seen(c.facts))
            )
    total = machine.event.total
    assert total is not None
    between = Interval(max(total - draw(st.integers(0, 2**31)), 0), total + draw(st.integers(0, 2**31)))
    event = replace(
        machine.event,
        total=either(total),
        total_between=draw(st.sampled_from((None, between))),
        order=either(machine.event.order),
        invoker=either(machine.event.invoker),
        scope=scope,
    )
    seen_machine = replace(machine, event=event, candidates=candidates)
    # A victim that is still dying ends the scan: who leaves out candidates does not leave out that one.
    spare = [c for c in candidates if c.guard is not Guard.DYING]
    if hidden() and spare:
        gone = draw(st.sampled_from(spare))
        candidates.remove(gone)
        seen_machine = replace(seen_machine, complete=False)
    return seen_machine, {c.pid: c for c in candidates}
