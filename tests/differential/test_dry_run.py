"""The emitted C against /proc: every example's `dry-run` object, loaded through the real verifier and run.

Two comparisons. *Facts*: what BPF read about processes against what /proc and cgroupfs said before and after. *Meaning*:
the numbers, the `never kill` rules and the order that BPF made of its facts against what the interpreter makes of the very
same facts; this one is exact.

Tolerances. The kernel keeps rss and swap in per-CPU counters and BPF reads their shared part, which lags behind by less
than a batch of max(32, 2·CPUs) pages on each CPU, for each counter (mm/percpu_counter.c: percpu_counter_add_batch);
since 6.16 /proc adds the CPUs' parts. A cgroup's usage is charged in batches of 64 pages on each CPU
(mm/memcontrol.c: MEMCG_CHARGE_BATCH), which are given back any time. A start is exact to a clock tick in /proc.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from oomlang import compile as compile_policy
from oomlang.compiler import Compilation
from oomlang.facts import FACTS
from oomlang.facts.patterns import path_pattern
from oomlang.facts.table import Kept, Scope
from oomlang.facts.types import Type
from oomlang.host import UNLIMITED, MachineFacts, MemcgPath, TaskFacts, read_machine
from oomlang.ir import nodes as ir
from oomlang.kernel.dry_run import DryRun, DryRunner, Guard, ProcessRecord, Request, Verdict
from oomlang.targets import interp
from tests.differential.probes import Grove, grove

pytestmark = pytest.mark.needs("root", "clang", "bpf", "machine pids")

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.oom"))
PAGE = os.sysconf("SC_PAGE_SIZE")
CPUS = os.sysconf("SC_NPROCESSORS_ONLN")
COUNTER = max(32, 2 * CPUS) * CPUS * PAGE
CHARGE = 64 * CPUS * PAGE
TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")

COUNTERS = {"rss": 3, "rss.anon": 1, "rss.file": 1, "rss.shmem": 1, "swap": 1, "badness": 4}
"""Facts of a task that per-CPU counters add up to, and how many."""


@pytest.fixture(scope="module")
def probes() -> Iterator[Grove]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(grove())
        except OSError as error:
            pytest.skip(f"no memory cgroup can be made here ({error})")
        yield found


@dataclass(frozen=True)
class Pass:
    """One pass of BPF between two of /proc, all for the same event."""

    policy: ir.Policy
    request: Request
    run: DryRun
    before: MachineFacts
    after: MachineFacts
    knobs: dict[str, int]
    memcg_inputs: dict[str, dict[MemcgPath, int]]

    @property
    def records(self) -> dict[int, ProcessRecord]:
        return {record.pid: record for record in self.run.records}


def _pass(text: bytes, name: str, found: Grove, *, scoped: bool) -> Pass:
    artifact = compile_policy(text, name=name, target="dry-run")
    policy = Compilation(text, name).ir
    first = read_machine()
    a, b = (*found.root, b"a"), (*found.root, b"b")
    memcg_inputs: dict[str, dict[MemcgPath, int]] = {}
    knobs = {}
    for place, declared in enumerate(policy.inputs, start=1):
        # Values that differ from the default and from each other, as far as the range has them.
        some = [min(declared.interval.low + n, declared.interval.high) for n in (place, place + 2)]
        if declared.per_memcg:
            memcg_inputs[declared.name] = {
                found.root: some[0],
                a: some[0],
                b: some[1],
                (*b, b"user 1"): some[0],
            }
        else:
            knobs[declared.name] = declared.default
    memcg_ids = {path: memcg.id for path, memcg in first.memcgs.items() if memcg.id is not None}
    request = Request(
        total_pages=(first.ram + first.swap) // PAGE,
        order=2,
        scope_id=memcg_ids[found.root] if scoped else 0,
        scope_path=found.root if scoped else (),
        invoker=found.probes["nice"].pid,
    )
    by_id = {
        name: {memcg_ids[path]: value for path, value in values.items()}
        for name, values in memcg_inputs.items()
    }
    with DryRunner(artifact.object, artifact.metadata, knobs=knobs, memcg_inputs=by_id) as runner:
        before = read_machine()
        run = runner.run(request)
        after = read_machine()
    return Pass(policy, request, run, before, after, knobs, memcg_inputs)


# --- Facts ------------------------------------------------------------------------------------------------------------


def _expected(done: Pass, facts: MachineFacts, task: TaskFacts, name: str, depth: int | None) -> int | bytes:
    """What /proc says a fact is, in the event that BPF was asked about."""
    fact, total = FACTS[name], done.request.total_pages * PAGE
    if fact.scope is Scope.MEMCG:
        assert task.memcg is not None
        path = task.memcg[: len(task.memcg) if depth is None else depth]
        memcg = facts.memcgs[path]
        if name == "memcg.id":
            return memcg.id or 0
        if name == "memcg.depth":
            return len(path)
        value = memcg.facts[name] if path else 0
        return total if FACTS[name].unlimited and (not path or value == UNLIMITED) else value
    if name == "comm":
        return task.comm or b""
    if name == "pid":
        return task.pid
    if name == "invoker":
        return int(task.pid == done.request.invoker)
    if name == "badness":
        pages = sum(task.facts[part] // PAGE for part in ("rss", "swap", "pgtables"))
        return (pages + task.facts["oom_score_adj"] * (done.request.total_pages // 1000)) * PAGE
    return task.facts[name]


def _tolerance(name: str) -> int:
    if name in COUNTERS:
        return COUNTERS[name] * COUNTER
    if FACTS[name].test.summed:  # charged in batches
        return CHARGE
    return (
        3 * TICK_MS if name == "age" else 0
    )  # the tick of the start, that of the uptime, and one to read in


def _differences(done: Pass, record: ProcessRecord) -> list[str]:
    """The facts of a process that BPF read otherwise than /proc before and after."""
    before = {task.pid: task for task in done.before.tasks}[record.pid]
    after = {task.pid: task for task in done.after.tasks}[record.pid]
    found = []
    for (name, depth), value in record.facts.items():
        ends = [
            _expected(done, done.before, before, name, depth),
            _expected(done, done.after, after, name, depth),
        ]
        if isinstance(value, bytes):
            agrees = value in ends
        else:
            low, high = sorted(int(end) for end in ends)
            agrees = low - _tolerance(name) <= value <= high + _tolerance(name)
        if not agrees:
            found.append(f"{before.comm!r}: {name} at depth {depth}: BPF {value!r}, /proc {ends!r}")
    return found


def _check_facts(done: Pass, found: Grove) -> None:
    records = done.records
    probes = [records[probe.pid] for probe in found.probes.values()]
    wrong = [difference for record in probes for difference in _differences(done, record)]
    assert wrong == []
    # Other processes: those that did not change from one reading to the next, and lie outside of busy cgroups.
    before = {
        t.pid: replace(t, facts={k: v for k, v in t.facts.items() if k != "age"}) for t in done.before.tasks
    }
    after = {
        t.pid: replace(t, facts={k: v for k, v in t.facts.items() if k != "age"}) for t in done.after.tasks
    }
    quiet = [pid for pid, task in before.items() if after.get(pid) == task and task.has_mm and pid in records]
    assert len(quiet) >= len(probes)
    for pid in quiet:
        record = records[pid]
        own = {k: v for k, v in record.facts.items() if FACTS[k[0]].scope is Scope.TASK}
        assert _differences(done, replace(record, facts=own)) == []


def _check_guards(done: Pass, found: Grove) -> None:
    """Every process that lived through all three readings is in BPF's, under the guard that /proc shows."""
    records = done.records
    after = {task.pid: task for task in done.after.tasks}
    inside = {probe.pid for probe in found.probes.values()}
    for task in done.before.tasks:
        later = after.get(task.pid)
        if later is None or later.start != task.start or later.has_mm != task.has_mm:
            continue
        guard = records[task.pid].guard
        if done.request.scope_id and task.pid not in inside:
            assert guard is Guard.OUTSIDE, task
        elif not task.has_mm:
            # The last two: a victim of the OOM killer that is not yet gone, as another test's grove may have one.
            gone = (Guard.NO_MM, Guard.OOM_SCORE_ADJ_MIN, Guard.OOM_REAPED, Guard.VICTIM)
            assert guard in gone, task
        elif task.facts["oom_score_adj"] == -1000:
            assert guard is Guard.OOM_SCORE_ADJ_MIN, task
        elif task.pid in inside:
            assert guard is Guard.NONE, task
    if 2 in records:  # kthreadd, where this is the initial pid namespace
        assert records[2].guard is Guard.KERNEL_THREAD


# --- Meaning ----------------------------------------------------------------------------------------------------------


class _Conflict(Exception):
    """One cgroup was read twice, with different values."""


def _interp_machine(done: Pass, records: list[ProcessRecord]) -> interp.Machine:
    """The interpreter's machine with the facts that BPF read, and nothing else but paths."""
    paths = {task.pid: task.memcg for task in done.before.tasks}
    facts: dict[MemcgPath, dict[str, int]] = {}
    ids: dict[MemcgPath, int | None] = {path: memcg.id for path, memcg in done.before.memcgs.items()}
    for record in records:
        own = paths[record.pid]
        assert own is not None
        for (name, depth), value in record.facts.items():
            if FACTS[name].scope is Scope.MEMCG and FACTS[name].kept is Kept.BY_NAME:
                path = own[: len(own) if depth is None else depth]
                if facts.setdefault(path, {}).setdefault(name, int(value)) != value:
                    raise _Conflict
    memcgs: dict[MemcgPath, interp.Memcg] = {}
    for path in sorted(done.before.memcgs, key=len):
        memcgs[path] = interp.Memcg(
            path=path,
            parent=memcgs[path[:-1]] if path else None,
            id=ids[path],
            # What no record has BPF did not read, or only on its way down the tree.
            facts={**done.before.memcgs[path].facts, **facts.get(path, {})},
            inputs={n: values[path] for n, values in done.memcg_inputs.items() if path in values},
        )
    scope = next((m for m in memcgs.values() if m.id == done.request.scope_id), None)
    return interp.Machine(
        event=interp.Event(
            total=done.request.total_pages * PAGE,
            order=done.request.order,
            scope=scope,
            invoker=done.request.invoker,
            page_size=PAGE,
        ),
        candidates=[_candidate(done, record, memcgs[paths[record.pid] or ()]) for record in records],
        knobs=done.knobs,
    )


def _candidate(done: Pass, record: ProcessRecord, memcg: interp.Memcg) -> interp.Candidate:
    seen = next(task for task in done.before.tasks if task.pid == record.pid)
    read = {name: value for (name, _), value in record.facts.items() if FACTS[name].scope is Scope.TASK}
    facts = {name: int(value) for name, value in read.items() if FACTS[name].kept is Kept.BY_NAME}
    facts.setdefault("oom_score_adj", seen.facts["oom_score_adj"])
    # BPF's own score has to come out of sizes of which only those that the policy asks for are recorded.
    missing = [name for name in ("pgtables", "swap", "rss") if name not in facts]
    rest = record.points - facts["oom_score_adj"] * (done.request.total_pages // 1000)
    rest -= sum(facts[name] // PAGE for name in ("pgtables", "swap", "rss") if name in facts)
    for name in missing:
        facts[name], rest = max(rest, 0) * PAGE, 0
    if not missing:
        assert rest == 0, f"{seen.comm!r}: the points are not the sum of their parts"
    comm = read.get("comm", seen.comm)
    assert isinstance(comm, bytes)
    return interp.Candidate(pid=record.pid, comm=comm, memcg=memcg, facts=facts, start=record.start)


def _numbers(decision: interp.Decision, candidate: interp.Candidate) -> dict[int, int | None]:
    return {
        key.decider.number: key.number if key.holds is not False or key.value is None else ir.LEAST
        for key in decision.assess(candidate).keys
        if isinstance(key.decider, ir.Origin) and not key.levels
    }


def _check_meaning(done: Pass, found: Grove) -> None:
    each_depth = {key.origin.number for key in done.policy.keys if isinstance(key, ir.EachDepthKey)}
    known = {task.pid: task.memcg for task in done.before.tasks}
    candidates = [r for r in done.run.records if r.guard is Guard.NONE and known.get(r.pid) is not None]
    assert len(candidates) >= len(found.probes) - 1
    for record in candidates:
        try:
            decision = interp.decide(done.policy, _interp_machine(done, [record]))
        except _Conflict:
            continue
        (candidate,) = decision.candidates
        exclusion = decision.exclusion(candidate)
        never = exclusion.cause.number if exclusion and isinstance(exclusion.cause, ir.Origin) else 0
        assert record.never == never, f"{candidate} {record}"
        numbers = {n: v for n, v in _numbers(decision, candidate).items() if n not in each_depth}
        assert dict(record.numbers) == numbers, f"{candidate} {record}"
    inside = {probe.pid for probe in found.probes.values()}
    decision = interp.decide(done.policy, _interp_machine(done, [r for r in candidates if r.pid in inside]))
    if decision.event_rule is not None:
        assert done.run.event_rule == decision.event_rule.origin.number
        assert done.run.victim is None
        return
    assert (done.run.event_rule, done.run.verdict) == (0, Verdict.RANK)
    order = [candidate.pid for candidate in decision.ranking]
    if not each_depth:
        own = sorted((r for r in candidates if r.pid in order), key=_rank, reverse=True)
        assert [record.pid for record in own] == order
        everybody = [r for r in done.run.records if r.guard is Guard.NONE and not r.never]
        assert done.run.victim == max(everybody, key=_rank).pid
    elif done.request.scope_id:
        assert done.run.victim == order[0]


def _rank(record: ProcessRecord) -> tuple[int, ...]:
    return (*(record.numbers[n] for n in sorted(record.numbers)), record.points, record.start, record.pid)


# --- The tests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scoped", [False, True], ids=["machine", "memcg"])
@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_ranks_the_live_machine_as_proc_shows_it(path: Path, scoped: bool, probes: Grove) -> None:
    done = _pass(path.read_bytes(), path.name, probes, scoped=scoped)
    _check_guards(done, probes)
    _check_facts(done, probes)
    _check_meaning(done, probes)


def _every_fact(found: Grove, *depths: int | None) -> bytes:
    """A policy that reads every fact of the table, memcg facts at the depths given (None: the task's own cgroup)."""
    name = found.root[-1].decode()
    rules: list[str] = [
        'kernel decides when oom.order == 63 and oom.sysrq and oom.global and oom.memcg under "/no"'
    ]
    for fact in FACTS.values():
        if fact.type in (Type.TEXT, Type.PATH) or fact.scope is Scope.EVENT:
            continue
        verb = "kill first when" if fact.type is Type.BOOL else "kill highest"
        for depth in depths if fact.scope is Scope.MEMCG else (None,):
            rules.append(f"{verb} {fact.name}" + (f" at depth {depth}" if depth is not None else ""))
    rules += [
        "kill last when rss > oom.total / 2",
        'kill first when comm == "sshd"',
        'kill first when comm like "a)*"',
        'kill first when memcg.name == "user 1"',
        'kill first when memcg.name like "us*1"',
        f'kill first when memcg under "/{name}/a"',
        'kill first when memcg under "/oomlang-test-*/b"',
    ]
    rules.append(rules.pop(rules.index("kill highest pid")))  # after it, nothing is left to decide
    return "\n".join(rules).encode()


# The depths relative to the root of the probes' cgroups: it, below it, and deeper than any cgroup is.
@pytest.mark.parametrize(
    "offsets",
    [
        (None,),
        (0,),
        (1,),
        (12,),
        (None, 2),
        (None, 1, 2),
    ],
    ids=str,
)
def test_every_fact_is_what_proc_and_cgroupfs_show(offsets: tuple[int | None, ...], probes: Grove) -> None:
    depths = [None if offset is None else len(probes.root) + offset for offset in offsets]
    done = _pass(_every_fact(probes, *depths), "every.oom", probes, scoped=False)
    asked = done.records[probes.probes["big"].pid].facts
    wanted = {
        (fact.name, depth)
        for fact in FACTS.values()
        if fact.scope is not Scope.EVENT and fact.type is not Type.PATH and fact.name != "memcg.name"
        for depth in (depths if fact.scope is Scope.MEMCG else [None])
    }  # the name of a cgroup and its path show in the rules' numbers
    assert set(asked) == wanted
    _check_guards(done, probes)
    _check_facts(done, probes)
    _check_meaning(done, probes)


def test_probes_are_what_they_were_told_to_be(probes: Grove) -> None:
    """So that the comparisons above compare something: facts as given, from BPF."""
    depth = len(probes.root) + 1
    passes = {
        at: _pass(_every_fact(probes, at), "every.oom", probes, scoped=True).records for at in (None, depth)
    }

    def fact(probe: str, name: str, at: int | None = None) -> Any:
        return passes[at][probes.probes[probe].pid].facts[name, at]

    assert fact("nice", "nice") == 7
    assert fact("user", "uid") == 65534
    assert fact("user", "oom_score_adj") == 17
    assert fact("threads", "threads") == 5
    assert fact("hostile", "comm") == b'a) R 1 "\n\\\xff\x1b'
    assert fact("nice", "invoker") == 1
    assert fact("big", "invoker") == 0
    assert fact("leaderless", "rss.anon") >= 46 << 20
    assert fact("shared", "rss.shmem") >= (22 << 20) - COUNTER
    assert fact("sparse", "vm") >= 512 << 20
    assert fact("big", "memcg.depth") == depth + 1
    assert fact("big", "memcg.depth", depth) == depth
    assert fact("big", "memcg.usage", depth) >= fact("big", "memcg.usage") + (22 << 20)


def test_oom_kills_of_a_cgroup_are_counted(probes: Grove) -> None:
    """A kill in a child is in the parent's number on cgroup v2; on v1 the kernel counts each cgroup alone."""
    read = read_machine()
    done = _pass(b"kill highest memcg.oom_kills at depth 1", "kills.oom", probes, scoped=True)
    expected = read.memcgs[probes.root].facts["memcg.oom_kills"]
    assert expected == (1 if probes.v2 else 0)
    record = done.records[probes.probes["big"].pid]
    if len(probes.root) == 1:
        assert record.facts["memcg.oom_kills", 1] == expected


@pytest.mark.parametrize(
    "text",
    [
        "kill highest memcg.oom_kills at each depth",
        "kill lowest memcg.oom_kills at each depth when comm != 'x'".replace("'", '"'),
        "kill highest memcg.usage at each depth step 1TiB",
        "kill lowest memcg.usage at each depth when uid == 0",
        "kill highest memcg.usage at each depth when threads < 5\nkill lowest rss step 64MiB",
    ],
)
def test_the_tree_is_walked_as_the_interpreter_walks_it(text: str, probes: Grove) -> None:
    """Equal cgroups go by their ids."""
    done = _pass(text.encode(), "tree.oom", probes, scoped=True)
    _check_guards(done, probes)
    _check_meaning(done, probes)


@pytest.mark.parametrize(
    "rule, verdict",
    [
        ("kernel decides when oom.memcg under {}", Verdict.LEAVE_TO_KERNEL),
        ("kill nothing when oom.memcg under {}", Verdict.END_SCAN),
    ],
    ids=["kernel", "nothing"],
)
def test_an_event_rule_is_about_the_scope_whichever_processes_there_are(
    rule: str, verdict: Verdict, probes: Grove
) -> None:
    """Scopes with processes and without; most processes, the last one too, lie outside of each."""
    under = [(b"kil?ed", b"below"), (b"a", b"deep"), (b"a",), (b"killed",), (b"b*",)]
    patterns = [path_pattern(b"/" + b"/".join((*probes.root, *names))) for names in under]
    quoted = ['"' + pattern.text.decode() + '"' for pattern in patterns]
    text = "\n".join([*(rule.format(q) for q in quoted), "kill highest rss"])
    outside = (Guard.OUTSIDE, Guard.GLOBAL_INIT, Guard.KERNEL_THREAD)
    scopes = [(), (b"a",), (b"a", b"deep"), (b"a", b"flat"), (b"b", b"user 1"), (b"killed",)]
    inside = {probe.pid: probe.cgroup for probe in probes.probes.values()}
    artifact = compile_policy(text, target="dry-run")
    with DryRunner(artifact.object, artifact.metadata) as runner:
        for scope in (*scopes, *reversed(scopes)):  # what one event was must not stay for the next
            path = (*probes.root, *scope)
            id = probes.directory.joinpath(*map(os.fsdecode, scope)).stat().st_ino
            run = runner.run(Request(total_pages=2**20, scope_id=id, scope_path=path))
            holds = [n for n, p in enumerate(patterns, start=1) if p.covers(path)]
            assert (run.verdict, run.event_rule) == ((verdict, holds[0]) if holds else (Verdict.RANK, 0)), (
                scope
            )
            below = {pid for pid, cgroup in inside.items() if cgroup and cgroup[: len(path)] == path}
            assert {r.pid for r in run.records if r.guard not in outside} == below, scope
            assert (run.victim in below) if below and not holds else run.victim is None, scope


def test_what_cannot_be_run_dry_is_refused() -> None:
    text = b"input k: int = 1\ninput p per memcg: bool = false\nkill highest rss when p and k > 3"
    artifact = compile_policy(text, target="dry-run")
    for knobs, memcg_inputs, words in (
        ({"p": 1}, {}, "no input 'p' that is a knob"),
        ({"k": 2**40}, {}, "input 'k' takes -"),
        ({}, {"k": {1: 1}}, "no input 'k' per memcg"),
        ({}, {"p": {1: 2}}, "input 'p' takes 0 to 1, not 2"),
    ):
        with pytest.raises(ValueError, match=words):
            DryRunner(artifact.object, artifact.metadata, knobs=knobs, memcg_inputs=memcg_inputs)
    with pytest.raises(ValueError, match="an object for evaluate-task"):
        DryRunner(b"", Compilation(text).program("evaluate-task").metadata)
