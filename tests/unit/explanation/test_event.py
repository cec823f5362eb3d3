"""The sentences about an event: who, why, what the kernel would do, what is uncertain."""

import dataclasses
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.compiler import Compilation
from oomlang.explanation import Words, name_text, quantities, size
from oomlang.explanation.event import Explanation, Situation
from oomlang.explanation.focus import find, focus
from oomlang.explanation.rows import ranked, skipped
from oomlang.explanation.structure import structure
from oomlang.facts import Type
from oomlang.host import Unseen
from oomlang.targets.interp import Machine
from tests.unit.explanation.hosts import BATCH, HOSTILE, MIB, POLICY, USUAL, WEB, explained, host, task
from tests.unit.targets.interp.machines import blinded, machines


def test_the_verdict_and_why() -> None:
    found = explained()
    assert found.words.verdict() == "python3 (pid 12) dies"
    assert found.why() == [
        "it comes before python3 (pid 13): kill highest rss step 64MiB (p.oom:4): 500MiB for python3 (pid 12), "
        "400MiB for python3 (pid 13) (in whole steps: 7 and 6)",
        'it comes before nginx (pid 11), whom the kernel would take: kill first when memcg under "/batch.slice" '
        "(p.oom:3): it holds for python3 (pid 12) and not for nginx (pid 11) (memcg: /batch.slice/job 1 and "
        "/system.slice/wéb.service)",
    ]


def test_what_the_kernel_would_do() -> None:
    found = explained()
    assert found.differs is True
    assert found.kernel_says() == "without a policy nginx (pid 11) dies: the policy changes that"
    assert explained("").differs is False
    assert explained("kernel decides when oom.global\n").differs is False
    assert explained("kill nothing when oom.global\n").differs is True


@pytest.mark.parametrize(
    "policy, verdict",
    [
        (
            "kernel decides when oom.global\n",
            "the kernel decides as it would without a policy: kernel decides when oom.global (p.oom:1) holds",
        ),
        ("kill nothing when oom.global\n", "nothing is killed: kill nothing when oom.global (p.oom:1) holds"),
        ("never kill when pid < 100\n", "no candidate is left: all 5 are skipped"),
    ],
)
def test_other_ends(policy: str, verdict: str) -> None:
    found = explained(policy)
    assert found.words.verdict() == verdict
    assert found.why() == []


def test_the_rows_say_what_separates_each_two() -> None:
    words = explained().words
    assert [(r.place, r.candidate.pid, r.note) for r in [*ranked(words), *skipped(words)]] == [
        (1, 12, "kill highest rss step 64MiB: 500MiB > 400MiB"),
        (2, 13, 'kill first when memcg under "/batch.slice"'),
        (3, 11, ""),
        (None, 10, 'never kill when comm == "sshd" (p.oom:2)'),
        (None, 14, "guard: oom_score_adj is -1000"),
    ]
    assert [r.place for r in ranked(words, 1)] == [1]


def test_each_depth_names_the_cgroups_that_decide() -> None:
    found = explained("kill highest memcg.usage at each depth\n")
    assert found.words.verdict() == "nginx (pid 11) dies"
    nginx, python = (next(c for c in found.decision.ranking if c.pid == pid) for pid in (11, 12))
    assert found.words.comparison(found.decision.compare(python, nginx)).endswith(
        "1 below the scope, /system.slice has 3.03GiB and /batch.slice has 964MiB"
    )


# Why not that one


def test_a_skipped_one_says_by_what() -> None:
    found = explained()
    (sshd,) = find(found, "sshd")
    assert focus(found, sshd).answer == (
        'never kill when comm == "sshd" (p.oom:2) covers sshd (pid 10) (comm: sshd)',
    )
    (agent,) = find(found, "14")
    assert focus(found, agent).answer == ("the kernel itself skips agent (pid 14): oom_score_adj is -1000",)


def test_one_that_is_behind_is_compared_with_the_victim_and_its_neighbour() -> None:
    found = explained()
    (nginx,) = find(found, "nginx")
    told = focus(found, nginx)
    assert told.answer[0] == "nginx (pid 11) is number 3 of 3 to die"
    assert [c.first.pid for c in told.comparisons] == [12, 13]
    assert [c.pid for c in told.beside] == [12, 13, 11]
    assert [(row.values, row.decides) for row in told.keys][:2] == [
        (("yes", "yes", "no"), "behind python3 (pid 12) and python3 (pid 13)"),
        (("500MiB", "400MiB", "2.93GiB"), ""),
    ]


def test_the_victim_itself() -> None:
    found = explained()
    assert [c.pid for c in find(found, "python3")] == [12, 13]
    assert focus(found, find(found, "python3")[0]).answer[0] == "python3 (pid 12) is the victim"


# What is unknown


def test_what_is_uncertain_is_said() -> None:
    blind = dataclasses.replace(USUAL.tasks[1], memcg=None, comm=None)
    facts = dataclasses.replace(USUAL, tasks=(*USUAL.tasks[:1], blind, *USUAL.tasks[2:]))
    found = explained(facts=facts)
    assert found.doubts() == [
        "this is the likeliest answer, not a certain one; it could also be ? (pid 11)",
        'not evaluated: never kill when comm == "sshd" (p.oom:2) for ? (pid 11), as comm could not be seen',
        'not evaluated: kill first when memcg under "/batch.slice" (p.oom:3) for ? (pid 11), '
        "as memcg could not be seen",
    ]
    assert found.differs is None or found.differs is True
    (unknown,) = find(found, "11")
    assert "it is unknown whether this covers it: never kill" in " ".join(focus(found, unknown).answer)


def test_what_was_not_seen_is_said() -> None:
    unseen = (Unseen(what=("task",), why="permission denied", pids=(3, 4, 5, 6, 7)),)
    found = explained(facts=dataclasses.replace(USUAL, unseen=unseen))
    assert found.unseen() == ["processes of pid 3, pid 4, pid 5, pid 6 and 1 more: permission denied"]


# Names and numbers


def test_no_name_can_steer_a_terminal() -> None:
    memcg = (b"a\x1b]0;x\x07", b"\xff\n")
    found = explained("kill highest rss\n", host(task(20, HOSTILE, memcg, 50), task(21, b"b", WEB, 10)))
    (row, _) = ranked(found.words)
    texts = [*found.why(), found.words.verdict(), row.note, *focus(found, row.candidate).answer]
    assert all(text.isprintable() for text in texts)
    assert name_text(HOSTILE) == "a) S␊␛[2J\\xff\"'<b>"


@pytest.mark.parametrize(
    "value, shown",
    [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (812 * MIB, "812MiB"), (-MIB, "-1MiB"), (None, "?")],
)
def test_sizes_have_three_digits(value: int | None, shown: str) -> None:
    assert size(value) == shown


def test_rounding_hides_no_difference() -> None:
    assert quantities(1 << 30, (1 << 30) + 4096, Type.BYTES) == ("1GiB", "1048580KiB")
    assert quantities(1 << 30, 1 << 30, Type.BYTES) == ("1GiB", "1GiB")


def test_no_task_at_all() -> None:
    found = explained(facts=host())
    assert found.words.verdict() == "there is no candidate"
    assert ranked(found.words) == []
    assert structure(found)["candidates"] == 0


def test_a_scope_leaves_the_others_out() -> None:
    found = explained(scope=BATCH[:1], facts=USUAL)
    assert [c.pid for c in found.decision.candidates] == [12, 13]
    assert found.event.startswith("the memory cgroup /batch.slice runs out of memory")


ANY = """input knob: bytes = 1MiB
input priority per memcg: int = 0
kernel decides when oom.order > 5
never kill when comm in ("sshd", "system*") and uid == 0
kill first when memcg under "/batch.slice" or invoker
kill lowest priority
kill highest memcg.usage at each depth when threads > 1
kill highest rss + swap step 4KiB when rss > knob
kill last when memcg.name like "*.service"
"""
ANY_IR = Compilation(ANY.encode()).ir


@given(st.data())
def test_every_machine_can_be_explained(data: st.DataObject) -> None:
    machine: Machine = data.draw(machines(ANY_IR))
    seen, _ = data.draw(blinded(machine))
    situation = Situation(machine=seen, kind="snapshot", title="x")
    found = Explanation(ANY_IR, "p.oom", situation)
    texts = [found.event, found.words.verdict(), found.kernel_says(), *found.why(), *found.doubts()]
    texts += [row.note for row in [*ranked(found.words), *skipped(found.words)]]
    for candidate in found.decision.candidates:
        told = focus(found, candidate)
        assert told.answer
        texts += [*told.answer, *(v for row in told.keys for v in (row.rule, *row.values))]
    assert all(text == "" or text.isprintable() for text in texts)
    assert bool(found.doubts()) is not found.decision.certain
    if found.differs is not None and found.decision.certain and found.stock.certain:
        same = (found.decision.verdict, found.decision.victim) == (found.stock.verdict, found.stock.victim)
        assert found.differs is not (same or found.decision.verdict.name == "KERNEL_DECIDES")
    json.dumps({k: list(v) if isinstance(v, Iterator) else v for k, v in structure(found).items()})


def test_words_can_call_candidates_otherwise() -> None:
    words = Words(explained().decision, "p.oom", lambda c: f"<{c.pid}>")
    assert words.names(words.decision.candidates) == "<10>, <11>, <12> and 2 others"


def test_the_policy_of_the_tests_is_right() -> None:
    assert Compilation(POLICY.encode()).diagnostics == ()
