import io
from pathlib import Path

import pytest

from oomlang.compiler import Compilation
from oomlang.diff import Relation, choice, relation
from oomlang.facts import Interval
from oomlang.host.reports import Report, read_reports
from oomlang.ir import nodes as ir
from oomlang.replay import Outcome, Replayed, Summary, replay, total_bounds
from oomlang.targets.interp import STOCK, Verdict

DATA = Path(__file__).parents[2] / "data" / "reports"
FILES = sorted(path for path in DATA.iterdir() if path.suffix != ".py" and path.is_file())


def reports(name: str) -> list[Report]:
    return list(read_reports(io.BytesIO((DATA / name).read_bytes())))


def policy(text: str) -> ir.Policy:
    return Compilation(text.encode(), "p.oom").ir


def replayed(name: str, text: str = "", **options: int) -> Replayed:
    (report,) = reports(name)
    return replay(policy(text), report, swap=options.get("swap"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_empty_policy_chooses_whom_the_kernel_chose(path: Path) -> None:
    for report in reports(path.name):
        found = replay(STOCK, report)
        if "swap" in path.name and found.outcome is Outcome.UNCERTAIN:
            assert found.decision.unevaluated  # not all facts are there
            found = replay(STOCK, report, swap=16380 << 10)
        assert found.outcome is Outcome.SAME
        assert found.decision.certain
        assert found.decision.victim is found.actual is not None


def test_a_different_choice_is_said_with_what_it_would_have_freed() -> None:
    found = replayed("vm-memcg.dmesg", "kill highest rss\n")
    assert found.outcome is Outcome.DIFFERENT
    assert found.decision.victim is not None
    assert found.decision.victim.comm == b"large"
    assert found.freed is not None
    assert found.freed_now == 2577 * 4096 > found.freed


def test_a_whole_cgroup_that_died_counts_once_each() -> None:
    found = replayed("vm-memcg-group.dmesg")
    assert found.freed == sum(task.facts["rss"] for task in found.report.tasks if task.comm != b"outsider")


def test_protected_tasks_that_died_are_named() -> None:
    found = replayed("vm-memcg-group.dmesg", 'never kill when comm in ("helper", "worker", "outsider")\n')
    assert [candidate.comm for candidate in found.protected] == [b"helper", b"worker"]
    assert found.outcome is Outcome.SAME


def test_whether_a_task_is_protected_may_be_unknown() -> None:
    found = replayed("vm-memcg.dmesg", "never kill when memcg.oom_group\n")
    assert found.protected == ()
    assert [candidate.comm for candidate in found.perhaps_protected] == [b"small"]


def test_facts_that_a_report_lacks_make_it_uncertain_between_whom() -> None:
    found = replayed("vm-memcg.dmesg", "kill highest memcg.usage\n")
    assert found.outcome is Outcome.UNCERTAIN
    assert [candidate.comm for candidate in found.decision.contenders] == [b"small", b"large", b"last"]


def test_whom_the_policy_cannot_choose_is_a_difference_though_its_choice_is_unknown() -> None:
    found = replayed("vm-memcg.dmesg", 'kill last when comm == "small"\nkill highest memcg.usage\n')
    assert found.outcome is Outcome.DIFFERENT
    assert not found.decision.certain
    assert [candidate.comm for candidate in found.decision.contenders] == [b"large", b"last"]


@pytest.mark.parametrize("path", ["/batch.slice", "/batch.*", "/*"])
def test_all_candidates_are_known_to_be_below_what_covers_the_scope(path: str) -> None:
    found = replayed("vm-memcg.dmesg", f'never kill when memcg under "{path}"\n')
    assert found.decision.certain
    assert found.decision.verdict is Verdict.NONE_LEFT
    assert found.outcome is Outcome.DIFFERENT


@pytest.mark.parametrize("path", ["/system.slice", "/system.slice/x", "/batch.slic"])
def test_no_candidate_is_below_what_lies_outside_the_scope(path: str) -> None:
    found = replayed("vm-memcg.dmesg", f'kill last when memcg under "{path}"\n')
    assert found.outcome is Outcome.SAME
    assert found.decision.unevaluated == () or found.decision.certain


def test_who_is_below_a_part_of_the_scope_is_known_for_the_victim_only() -> None:
    found = replayed("vm-memcg.dmesg", 'kill last when memcg under "/batch.slice/one.service"\n')
    assert not found.decision.certain
    assert {candidate.comm for u in found.decision.unevaluated for candidate in u.candidates} >= {b"large"}
    (rule, *_) = found.decision.unevaluated
    assert b"small" not in {candidate.comm for candidate in rule.candidates}


def test_what_is_read_at_a_depth_is_known_down_to_the_scope() -> None:
    text = 'let batch = 1 if memcg under "/batch.slice" else 0\nkill lowest batch at depth {}\nkill highest rss\n'
    for depth in (1, 2):
        found = replayed("vm-memcg.dmesg", text.format(depth))
        assert [candidate.comm for candidate in found.decision.contenders] == [b"large"]
    text = 'let one = 1 if memcg under "/batch.slice/one.service" else 0\nkill lowest one at depth {}\n'
    assert replayed("vm-memcg.dmesg", text.format(1)).decision.certain
    assert not replayed("vm-memcg.dmesg", text.format(2)).decision.certain


def test_swap_that_a_report_does_not_tell_leaves_the_size_between_two_ends() -> None:
    (report,) = reports("vm-memcg-swap.dmesg")
    bounds = total_bounds(report)
    assert bounds is not None
    assert bounds.low == 16 << 20 < bounds.high
    assert total_bounds(report, 0) == Interval(16 << 20, 16 << 20)
    assert total_bounds(report, 1 << 20) == Interval(17 << 20, 17 << 20)


def test_an_unknown_size_does_not_matter_where_all_have_one_oom_score_adj() -> None:
    (report,) = reports("hand-5.4-memcg.journal")
    bounds = total_bounds(report)
    assert bounds is not None
    assert not bounds.is_point
    assert replay(STOCK, report).decision.certain
    assert not replay(policy("kill first when badness > 2GiB\n"), report).decision.certain


def test_a_cpuset_leaves_the_size_unknown() -> None:
    (report,) = reports("hand-rhel8-cpuset.dmesg")
    assert total_bounds(report) is None


def test_the_kernel_decides_is_the_kernels_choice() -> None:
    found = replayed("vm-sysrq.dmesg", "kernel decides when oom.sysrq\nkill highest rss\n")
    assert found.outcome is Outcome.SAME
    assert found.freed_now == found.freed


def test_killing_nothing_is_different_and_frees_nothing() -> None:
    found = replayed("vm-sysrq.dmesg", "kill nothing when oom.sysrq\n")
    assert found.outcome is Outcome.DIFFERENT
    assert found.freed_now == 0


def test_a_kill_without_a_table_has_no_facts() -> None:
    data = (DATA / "vm-memcg.dmesg").read_bytes()
    (report,) = read_reports(io.BytesIO(data[data.index(b"[    3.826585]") :]))
    assert replay(STOCK, report).outcome is Outcome.NO_FACTS


def test_a_table_with_lines_lost_is_never_certain() -> None:
    data = (DATA / "vm-memcg.dmesg").read_bytes()
    at = data.index(b"[    3.818153]")
    (report,) = read_reports(
        io.BytesIO(data[:at] + b"[    3.8] ** 2 printk messages dropped **\n" + data[at:])
    )
    found = replay(STOCK, report)
    assert found.outcome is Outcome.UNCERTAIN
    assert found.decision.others
    # It is no difference between two policies, unless one of them kills nobody for sure.
    assert relation(choice(found.decision), choice(found.decision)) is Relation.UNCERTAIN
    nobody = replay(policy("kill nothing when not oom.global\n"), report).decision
    assert nobody.certain
    assert relation(choice(found.decision), choice(nobody)) is Relation.DIFFERENT


def test_the_invoker_is_known_where_its_thread_is_in_the_table() -> None:
    found = replayed("vm-memcg.dmesg", "kill first when invoker\n")
    assert found.decision.certain
    assert found.decision.victim is not None
    assert found.decision.victim.comm == b"last"
    # In the report of 4.19 it is a thread whose process has another id.
    found = replayed("hand-4.19-memcg.syslog", "kill first when invoker\n")
    assert found.decision.victim is not None
    assert found.decision.victim.pid == 4020


def test_all_are_in_the_scope_where_the_report_lists_no_cgroup_below_it() -> None:
    data = (DATA / "hand-4.19-memcg.syslog").read_bytes()
    lines = [line for line in data.splitlines(keepends=True) if b"stats for /docker/ab12/app" not in line]
    changed = b"".join(lines).replace(b"Task in /docker/ab12/app", b"Task in /docker/ab12")
    (report,) = read_reports(io.BytesIO(changed))
    found = replay(
        policy('kill last when memcg.usage == 512MiB and memcg.name == "ab12"\nkill highest rss\n'), report
    )
    assert found.decision.certain


_CONTRADICTION = b"""\
[1.0] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
[1.0] memory: usage 1024kB, limit 1024kB, failcnt 1
[1.0] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[1.0] [    900]     0   900      500      100    40960        0             0 sh
[1.0] [   1000]     0  1000      900      200    40960        0             0 java
[1.0] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),SCOPE,task_memcg=VICTIM,task=java,pid=1000,uid=0
[1.0] Memory cgroup out of memory: Killed process 1000 (java) total-vm:3600kB, anon-rss:800kB, file-rss:0kB, shmem-rss:0kB
"""
_OLD_CONTRADICTION = b"""\
[1.0] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
[1.0] Task in VICTIM killed as a result of limit of SCOPE
[1.0] memory: usage 1024kB, limit 1024kB, failcnt 1
[1.0] [ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name
[1.0] [  900]     0   900      500      100       2        0             0 sh
[1.0] [ 1000]     0  1000      900      200       2        0             0 java
[1.0] Memory cgroup out of memory: Kill process 1000 (java) score 5 or sacrifice child
[1.0] Killed process 1000 (java) total-vm:3600kB, anon-rss:800kB, file-rss:0kB, shmem-rss:0kB
"""


@pytest.mark.parametrize(
    "scope, victim",
    [(b"/a/one", b"/a/two/c"), (b"/a/one", b"/a"), (b"/a", b"/"), (b"/a/one", b"/a/one2"), (b"/a", b"/b/a")],
)
@pytest.mark.parametrize("old", [False, True])
def test_a_victim_outside_of_the_scope_is_a_contradiction_and_a_candidate(
    scope: bytes, victim: bytes, old: bool
) -> None:
    log = _OLD_CONTRADICTION if old else _CONTRADICTION.replace(b"SCOPE", b"oom_memcg=SCOPE")
    (report,) = read_reports(io.BytesIO(log.replace(b"SCOPE", scope).replace(b"VICTIM", victim)))
    assert report.victim_memcg != report.scope is not None
    for text in ("", 'kill first when memcg under "/a/two"', 'never kill when memcg under "/b"'):
        found = replay(policy(text + "\n"), report)
        assert found.actual is not None
        assert len(found.decision.candidates) == 2
        assert found.outcome is not Outcome.DIFFERENT
        assert any("does not lie in the one that ran out" in note for note in found.notes)
    assert replay(STOCK, report).outcome is Outcome.SAME


def test_a_victim_below_the_scope_is_no_contradiction() -> None:
    log = _CONTRADICTION.replace(b"SCOPE", b"oom_memcg=/a").replace(b"VICTIM", b"/a/b")
    (report,) = read_reports(io.BytesIO(log))
    assert not replay(STOCK, report).notes


def test_the_summary_counts() -> None:
    summary = Summary()
    for report in reports("vm-memcg-several.dmesg"):
        summary.add(replay(policy('never kill when comm == "hog2"\n'), report))
    assert summary.events == 4
    assert (summary.outcomes[Outcome.SAME], summary.outcomes[Outcome.DIFFERENT]) == (3, 1)
    assert [candidate.comm for _, candidate in summary.protected] == [b"hog2"]
    assert summary.freed > summary.freed_now > 0
