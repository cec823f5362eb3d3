"""Machines to explain, as facts that a source could have read."""

from __future__ import annotations

from oomlang.compiler import Compilation
from oomlang.explanation.event import Explanation, Situation
from oomlang.host import UNLIMITED, MachineFacts, MemcgFacts, MemcgPath, TaskFacts, Unseen
from oomlang.live import machine

MIB = 1 << 20
BATCH: MemcgPath = (b"batch.slice", b"job 1")
WEB: MemcgPath = (b"system.slice", b"w\xc3\xa9b.service")
HOSTILE = b"a) S\n\x1b[2J\xff\"'<b>"


def task(pid: int, comm: bytes | None, memcg: MemcgPath | None, rss: int, **facts: int) -> TaskFacts:
    """rss in MiB."""
    known = {"rss": rss * MIB, "swap": 0, "pgtables": 0, "oom_score_adj": 0, "uid": 0, "age": 1000}
    return TaskFacts(pid=pid, comm=comm, memcg=memcg, start=pid, has_mm=rss > 0, facts={**known, **facts})


def host(*tasks: TaskFacts, unseen: tuple[Unseen, ...] = (), limit: int = UNLIMITED) -> MachineFacts:
    """A machine with 8 GiB; a cgroup uses what its tasks use, and 64 MiB more."""
    paths = {t.memcg[:n] for t in tasks if t.memcg is not None for n in range(len(t.memcg) + 1)} | {()}
    own: dict[MemcgPath, int] = dict.fromkeys(paths, 0)
    for t in tasks:
        for n in range(len(t.memcg) + 1 if t.memcg is not None else 0):
            own[(t.memcg or ())[:n]] += t.facts["rss"]
    memcgs: dict[MemcgPath, MemcgFacts] = {(): MemcgFacts(path=(), id=1)}
    for id, path in enumerate(sorted(paths - {()}, key=lambda p: (len(p), p)), start=2):
        facts = {"memcg.usage": own[path] + 64 * MIB, "memcg.limit": limit, "memcg.min": 0, "memcg.low": 0}
        memcgs[path] = MemcgFacts(path=path, id=id, facts=facts, swap_room=0)
    return MachineFacts(
        taken_at=1_700_000_000.0,
        kernel="6.12.0",
        ram=8192 * MIB,
        swap=0,
        page_size=4096,
        ticks_per_second=100,
        hierarchy="v2",
        memcgs=memcgs,
        tasks=tuple(tasks),
        unseen=unseen,
    )


USUAL = host(
    task(10, b"sshd", (b"system.slice", b"ssh.service"), 12),
    task(11, b"nginx", WEB, 3000),
    task(12, b"python3", BATCH, 500),
    task(13, b"python3", BATCH, 400),
    task(14, b"agent", WEB, 30, oom_score_adj=-1000),
)
POLICY = """policy "usual"
never kill when comm == "sshd"
kill first when memcg under "/batch.slice"
kill highest rss step 64MiB
"""


def explained(policy: str = POLICY, facts: MachineFacts = USUAL, scope: MemcgPath = ()) -> Explanation:
    """The explanation of a policy, called p.oom."""
    situation = Situation(
        machine=machine(facts, scope=scope),
        kind="snapshot",
        title="snapshot host.json",
        taken_at=facts.taken_at,
        unseen=facts.unseen,
    )
    return Explanation(Compilation(policy.encode(), "p.oom").ir, "p.oom", situation)
