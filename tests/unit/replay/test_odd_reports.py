"""Reports of the kind that real logs hold: cut, quoted, padded, of old kernels; what each of them does tell is used."""

import io
from pathlib import Path

import pytest

from oomlang.cli.explain_sources import report_situation
from oomlang.cli.replay_text import event_text
from oomlang.compiler import Compilation
from oomlang.explanation.event import Explanation
from oomlang.explanation.structure import structure
from oomlang.host.reports import Report, read_reports
from oomlang.replay import Outcome, Replayed, replay
from oomlang.targets.interp import STOCK, Verdict

DATA = Path(__file__).parents[2] / "data" / "reports-odd"


def reports(name: str) -> list[Report]:
    return list(read_reports(io.BytesIO((DATA / f"{name}.log").read_bytes())))


def replayed(name: str, policy: str = "") -> Replayed:
    (report,) = reports(name)
    return replay(Compilation(policy.encode()).ir, report)


def said(found: Replayed) -> str:
    return event_text("a.log", "p.oom", found)


@pytest.mark.parametrize(
    "name, lines",
    [
        ("memcg-kill-called-global", [("a memory cgroup ran out", "java (pid 1000), 800KiB")]),
        ("quoted-kill-only", [("something ran out", "java (pid 1000), 800KiB")]),
        (
            "kill-process-line-only",
            [("the machine ran out", "java (pid 1000)"), ("a memory cgroup ran out", "ruby (pid 1200)")],
        ),
        (
            "kill-process-line-leaks-back",
            [
                ("a memory cgroup ran out", "java (pid 1000)"),
                ("a memory cgroup ran out", "mysqld (pid 2000)"),
            ],
        ),
        ("kill-without-shmem-size", [("a memory cgroup ran out", "java (pid 1000), 7.46GiB")]),
        (
            "victim-name-from-oom-kill-line",
            [("/kubepods/pod1 ran out", "java (pid 1000), in /kubepods/pod1/c1")],
        ),
        ("old-kill-line-says-memcg", [("a memory cgroup ran out", "app (pid 1000), 57.6MiB")]),
        (
            "facts-before-the-table-lost",
            [("/docker/c1 ran out of memory (limit 4GiB)", "java (pid 1000), 4GiB")],
        ),
        ("explain-says-whole-machine", [("a memory cgroup ran out", "java (pid 1000), 800KiB")]),
        ("killed-without-total-vm", [("the machine ran out of memory (502MiB)", "worker.py (pid 5790)")]),
        ("table-oom_adj-only", [("the machine ran out of memory (977MiB)", "mysqld (pid 1000), 781MiB")]),
        ("cpuset-size-from-zones", [("a cpuset ran out", "java (pid 1000), 1.91GiB")]),
        ("bom-first-line", [("/kubepods/pod1 ran out of memory (limit 1MiB)", "java (pid 1000), 800KiB")]),
        ("utf16-powershell", [("/kubepods/pod1 ran out of memory (limit 1MiB)", "java (pid 1000), 800KiB")]),
    ],
)
def test_whatever_a_report_tells_of_the_event_is_said(name: str, lines: list[tuple[str, str]]) -> None:
    found = [said(replay(STOCK, report)) for report in reports(name)]
    assert len(found) == len(lines)
    for text, (what, killed) in zip(found, lines, strict=True):
        assert f"  {what}" in text.splitlines()[0]
        assert f"killed {killed}" in text


@pytest.mark.parametrize(
    "name",
    ["old-kill-line-says-memcg", "facts-before-the-table-lost", "thread-named-old-memcg", "pagesize-8k",
     "pagesize-64k-kill-line-lost", "pagesize-64k-vm-moved", "rhel7-size-shown-and-not-seen", "cpuset-size-from-zones",
     "bom-first-line", "utf16-powershell", "nobody-killable-contradiction", "crash-task-memcg-outside-scope"],
)  # fmt: skip
def test_the_empty_policy_chooses_whom_the_kernel_chose(name: str) -> None:
    assert replayed(name).outcome is Outcome.SAME


@pytest.mark.parametrize(
    "name", ["victim-not-in-table-is-different", "journald-missed-messages", "panic-on-oom"]
)
def test_a_table_that_lacks_rows_settles_nothing(name: str) -> None:
    found = replayed(name)
    assert found.outcome is Outcome.UNCERTAIN


def test_lines_that_the_journal_missed_and_a_panic_are_said() -> None:
    assert "the journal missed some of the kernel's lines" in replayed("journald-missed-messages").notes
    found = replayed("panic-on-oom")
    assert found.notes == ("the kernel chose nobody: it panicked, as vm.panic_on_oom is set",)
    assert "panicked and killed nobody" in said(found)


def test_that_an_old_kernel_spared_root_a_little_is_said() -> None:
    words = "kernels before Linux 4.17 took 3% off root's badness, which is not done here"
    assert words in replayed("root-bonus-3.10").notes
    assert words not in replayed("rhel7-size-shown-and-not-seen", "kill highest oom_score_adj\n").notes


def test_blanks_that_a_terminal_adds_belong_to_no_name() -> None:
    found = replayed("trailing-blanks-name", 'never kill when comm == "sshd"\n')
    assert found.outcome is Outcome.DIFFERENT
    assert [candidate.comm for candidate in found.protected] == [b"sshd"]
    assert found.decision.victim is not None
    assert found.decision.victim.comm == b"java"


def test_blanks_at_the_end_of_a_name_are_kept_where_nothing_adds_any() -> None:
    data = (DATA / "trailing-blanks-name.log").read_bytes()
    kept = (
        b"\n".join(
            line if b"] " in line and b" sshd " in line else line.rstrip() for line in data.splitlines()
        )
        + b"\n"
    )
    (report,) = read_reports(io.BytesIO(kept))
    assert [task.comm for task in report.tasks] == [b"sshd ", b"java"]


@pytest.mark.parametrize(
    "name, size, resident",
    [
        ("pagesize-8k", 8192, 1_800_000 * 8192),
        ("pagesize-64k-kill-line-lost", 65536, 450_000 * 65536),
        ("pagesize-64k-vm-moved", 65536, 450_000 * 65536),
    ],
)
def test_the_size_of_a_page_shows_in_several_places(name: str, size: int, resident: int) -> None:
    (report,) = reports(name)
    assert report.page_size == size
    assert report.tasks[1].facts["rss"] == resident


def test_a_child_that_died_in_its_parents_place_has_its_own_name() -> None:
    log = (
        b"[1.0] Out of memory: Kill process 10 (parent) score 5 or sacrifice child\n"
        b"[1.0] Killed process 11 (child) total-vm:4kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB\n"
    )
    (report,) = read_reports(io.BytesIO(log))
    assert (report.chosen, report.chosen_comm) == (10, b"parent")
    assert [kill.comm for kill in report.kills] == [b"child"]
    assert "killed parent (pid 10)" in said(replay(STOCK, report))


@pytest.mark.parametrize(
    "name, words",
    [
        ("explain-says-whole-machine", "a memory cgroup that the report does not name runs out of memory"),
        ("quoted-kill-only", "something runs out of memory"),
        ("cpuset-size-from-zones", "a cpuset runs out of memory"),
        ("kill-process-line-leaks-back", "a memory cgroup that the report does not name runs out of memory"),
    ],
)
def test_explain_says_of_the_event_what_replay_says(name: str, words: str) -> None:
    situation = report_situation(str(DATA / f"{name}.log"), 1, knobs={}, memcg_inputs={}, swap=None)
    assert Explanation(STOCK, "p.oom", situation).event == words


def test_a_confined_event_is_no_larger_than_the_machine() -> None:
    (report,) = reports("cpuset-size-from-zones")
    event = replay(STOCK, report).decision.machine.event
    assert event.total is None
    assert event.total_between is not None
    assert event.total_between.high == 2097152 * 4096


@pytest.mark.parametrize(
    "name, rule, possible",
    [
        ("old-kill-line-says-memcg", "kernel decides when oom.global", {Verdict.VICTIM}),
        ("old-kill-line-says-memcg", "kernel decides when not oom.global", {Verdict.KERNEL_DECIDES}),
        (
            "old-kill-line-says-memcg",
            'kernel decides when oom.memcg under "/a"',
            {Verdict.KERNEL_DECIDES, Verdict.VICTIM},
        ),
        ("rows-only", "kernel decides when oom.global", {Verdict.KERNEL_DECIDES, Verdict.VICTIM}),
        ("rhel7-size-shown-and-not-seen", "kernel decides when oom.global", {Verdict.KERNEL_DECIDES}),
    ],
)
def test_an_event_that_the_report_does_not_name_is_no_global_one(
    name: str, rule: str, possible: set[Verdict]
) -> None:
    if name == "rows-only":
        log = b"".join(
            line
            for line in (DATA / "old-kill-line-says-memcg.log").read_bytes().splitlines(True)
            if b"[ " in line
        )
    else:
        log = (DATA / f"{name}.log").read_bytes()
    (report,) = read_reports(io.BytesIO(log))
    assert replay(Compilation(rule.encode() + b"\n").ir, report).decision.possible == possible


def test_the_json_of_an_explanation_leaves_open_what_the_report_leaves_open() -> None:
    situation = report_situation(
        str(DATA / "explain-says-whole-machine.log"), 1, knobs={}, memcg_inputs={}, swap=None
    )
    event = structure(Explanation(STOCK, "p.oom", situation))["event"]
    assert (event["global"], event["memcg"]) == (False, None)
