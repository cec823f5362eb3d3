"""Policies that make the emitter do all that it can, and machines on which that shows.

The generator of policies writes few rules on few facts. Here are those that are many: rules in groups, more questions than
a word has bits, long lists, long patterns; and lets that are computed for the event, for a cgroup or for a task, at several
depths. The machines have many tasks in few cgroups, in any order.
"""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from oomlang.ir import nodes as ir
from oomlang.targets.interp import Candidate, Event, Guard, Machine, Memcg
from tests.unit.targets.interp.machines import MEMCG_FACTS, TASK_FACTS

LONG = "abcdefgh" * 31 + "abcdefg"
"""A name of 255 bytes."""

NAMES = (
    b"a",
    b"b",
    b"ab.slice",
    b"ba.slice",
    b"job-1",
    b"\xff\xfe",
    LONG.encode(),
    LONG[:64].encode(),
    b"aabaab",
)
COMMS = (b"sh", b"sshd", b"exactly-15-byte", b"aabaabaabaabaab", b"a" * 15, b"", b"\xc3\xa9")


def _lines(*rules: str) -> bytes:
    return "\n".join(rules).encode()


def _paths(count: int) -> list[str]:
    components = ("a", "b", "*.slice", "?", "job-*", "*a*b*", "a*")
    found = ["/" + "/".join(path) for depth in (1, 2, 3) for path in product(components, repeat=depth)]
    return found[:: len(found) // count][:count]


SHAPES = {
    "walks behind other rules": _lines(
        'kill first when comm like "s*"',
        "kill highest memcg.usage at each depth",
        "kill first when uid > 0",
        "kill lowest memcg.swap at each depth when nice >= 0",
        "kill highest rss step 8KiB",
    ),
    "lets at depths": _lines(
        "let used = memcg.usage + memcg.swap",
        "let over = max(used - memcg.low, 0B)",
        "kill highest over at depth 1 step 8KiB",
        "kill highest over at depth 2 when used at depth 1 > 8KiB",
        "kill highest over + used at each depth",
        "kill lowest over * 2 + used when over > 4KiB",
        "kill highest rss + over",
    ),
    "lets of tasks at depths": _lines(
        "let weight = rss + memcg.usage * 2",
        "let heavy = weight > 12KiB and nice < 5",
        "kill first when heavy at depth 1",
        "kill last when heavy at depth 2 and not heavy",
        "kill highest weight at depth 1",
        "kill lowest weight + weight at depth 2",
    ),
    "lets of events": _lines(
        "let half = oom.total / 2",
        "let quarter = half / 2",
        "kernel decides when half - quarter > 2GiB and oom.order == 3",
        "kill nothing when quarter * 3 > 12GiB and oom.global",
        "kill first when rss > quarter",
        "kill first when memcg.usage > quarter or rss.anon > half",
        "kill highest min(rss, half) + quarter",
    ),
    "shared terms": _lines(
        "kill first when (rss + swap) * 3 / 7 > memcg.usage * 2 / 3",
        "kill first when (rss + swap) * 3 / 7 > (memcg.usage * 2 / 3) at depth 1",
        "kill highest memcg.usage * 2 / 3 step 4KiB",
        "kill lowest (rss + swap) * 3 / 7 when memcg.usage * 2 / 3 > 4KiB",
    ),
    "many rules": _lines(
        *(f'kernel decides when oom.order == {n} and oom.memcg under "/a{n}"' for n in range(40)),
        *(f"never kill when pid == {n} and nice > {n % 4 - 2}" for n in range(1, 71)),
        *(f"kill first when uid == {n % 3} and pid == {n}" for n in range(1, 36)),
        *(f"kill highest memcg.usage + {n} * rss step {4 * n}KiB" for n in range(40, 1, -1)),
        "kill highest memcg.usage at each depth",
    ),
    "many lets": _lines(
        *(f"let task{n} = rss + {n} * swap" for n in range(70)),
        *(f"let cgroup{n} = memcg.usage + {n} * memcg.swap" for n in range(70)),
        *(f"kill first when task{n} / 2 > cgroup{n} and cgroup{n} > {n}KiB" for n in range(70)),
        *(f"kill highest task{n} + cgroup{n} at depth 1 step {4 * (70 - n)}KiB" for n in range(69)),
    ),
    "many questions": _lines(
        *(f'kill first when memcg under "{p}" and pid != {n}' for n, p in enumerate(_paths(75), start=1)),
        *(f'kill last when memcg at depth 1 under "{p}" and uid == 0' for p in _paths(9)),
        'kill first when memcg.name like "*b*a*" or memcg.name == "a"',
        'kernel decides when oom.memcg under "/a/*.slice" and oom.order > 0',
    ),
    "long lists": _lines(
        f"kill first when pid in ({', '.join(map(str, range(1, 60, 2)))})",
        f"kill first when memcg.id in ({', '.join(map(str, range(2, 40, 3)))})",
        f"never kill when uid in ({', '.join(str(3 * n) for n in range(1, 20))})",
        f"kill first when rss in ({', '.join(f'{4 * n}KiB' for n in range(0, 40, 2))})",
        "kill highest rss",
    ),
    "long patterns": _lines(
        f'kill first when memcg.name == "{LONG}"',
        f'kill first when memcg.name like "*{LONG[:63]}"',
        f'kill first when memcg.name like "?*{LONG[5:64]}*"',
        f'kill first when memcg.name like "*{LONG[:100]}*{LONG[100:200]}*"',
        f'kill first when memcg under "/*/{LONG[:64]}"',
        'kill first when comm like "exactly-15-byte" or comm like "aab*aab*aab"',
        f'kill first when comm like "{"?" * 15}"',
        'kill first when comm like "*a*a*a*a*a*a*a*"',
        "kill highest rss",
    ),
}


@st.composite
def crowds(draw: DrawFn, policy: ir.Policy) -> Machine:
    """Many tasks in few cgroups, in any order; numbers of which there are few."""
    sizes = st.sampled_from((0, 4096, 8192, 12288))
    memcgs = [Memcg(path=(), parent=None)]
    for id in draw(st.permutations(range(2, 7))):
        parent = draw(st.sampled_from(memcgs))
        path = (*parent.path, draw(st.sampled_from(NAMES)))
        if path not in {m.path for m in memcgs}:
            facts = {n: draw(sizes) for n in MEMCG_FACTS}
            memcgs.append(Memcg(path=path, parent=parent, id=id, facts=facts))
    scope = draw(st.sampled_from([None, memcgs[1], memcgs[-1]]))
    homes = [m for m in memcgs if scope is None or scope in m.chain]
    candidates = []
    for pid in draw(st.lists(st.integers(1, 70), min_size=3, max_size=10, unique=True)):
        facts = {n: draw(sizes) for n in TASK_FACTS}
        facts |= {"oom_score_adj": draw(st.sampled_from((0, 0, 1, -1))), "nice": draw(st.integers(-2, 5))}
        facts |= {"uid": draw(st.integers(0, 6)), "age": draw(st.integers(0, 2)), "threads": 1}
        candidates.append(
            Candidate(
                pid=pid,
                comm=draw(st.sampled_from(COMMS)),
                memcg=draw(st.sampled_from(homes)),
                start=0,
                guard=Guard.NONE,
                facts=facts,
            )
        )
    event = Event(
        total=draw(st.sampled_from((4096, 32768, 2**34, 2**35))),
        order=draw(st.sampled_from((0, 3))),
        scope=scope,
        invoker=0,
    )
    return Machine(event=event, candidates=candidates, knobs={})
