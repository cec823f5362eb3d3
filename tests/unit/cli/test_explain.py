"""`oomlang explain`: where facts come from, what is asked, and what reaches the terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oomlang.cli import explain_sources
from oomlang.compiler import Compilation
from oomlang.explanation.event import Explanation
from oomlang.host import MachineFacts, write_snapshot
from oomlang.host.reports import read_reports
from oomlang.ir import nodes as ir
from oomlang.replay import replay
from oomlang.targets.interp import STOCK, Decision
from tests.unit.cli.conftest import WRONG, Outcome
from tests.unit.explanation.hosts import HOSTILE, POLICY, USUAL, WEB, host, task

Call = Callable[..., Outcome]

SCHEMAS = Path(__file__).parents[3] / "docs/schemas"
INPUTS = """input floor: bytes = 1MiB
input priority per memcg: int = 0
input quiet: bool = false
kill nothing when quiet
kill lowest priority
kill highest rss when rss > floor
"""


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[[MachineFacts], Path]:
    def write(facts: MachineFacts) -> Path:
        path = tmp_path / "host.json"
        path.write_text(write_snapshot(facts), encoding="utf-8")
        return path

    return write


@pytest.fixture
def usual(snapshot: Callable[[MachineFacts], Path]) -> Path:
    return snapshot(USUAL)


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_sources, "read_machine", lambda: USUAL)


def explain(call: Call, *arguments: object, policy: str = POLICY) -> Outcome:
    return call("explain", "-", *arguments, stdin=policy.encode())


def test_the_answer_comes_first_then_the_table(call: Call, usual: Path) -> None:
    outcome = explain(call, "--snapshot", usual)
    lines = outcome.out.decode().splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert lines[:3] == [
        "if the whole machine runs out of memory (RAM and swap 8GiB):",
        "",
        "python3 (pid 12) dies",
    ]
    assert "  without a policy nginx (pid 11) dies: the policy changes that" in lines
    (row,) = [line for line in lines if line.startswith("2  ")]
    assert row.endswith('  400MiB    0B  kill first when memcg under "/batch.slice"')
    assert "never killed: 2" in lines
    assert any(line.startswith("policy usual; snapshot ") for line in lines)


def test_the_live_machine_is_the_default(call: Call, live: None) -> None:
    assert b"python3 (pid 12) dies" in explain(call).out
    assert b"python3 (pid 12) dies" in explain(call, "--live").out


def test_this_very_machine_can_be_explained(call: Call) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with other:
        outcome = explain(call, "--task", other.pid, policy="")
        assert other.stdin is not None
        other.stdin.close()
    assert outcome.code == 0, outcome.err
    assert f"(pid {other.pid})" in outcome.out.decode()


def test_its_own_process_is_no_candidate(call: Call) -> None:
    found = _json(explain(call, "--format", "json", policy=""))
    assert os.getpid() not in [task["pid"] for task in found["ranking"] + found["skipped"]]


def test_a_scope(call: Call, usual: Path) -> None:
    outcome = explain(call, "--snapshot", usual, "--scope", "/system.slice/", policy="")
    text = outcome.out.decode()
    assert "if the memory cgroup /system.slice runs out of memory" in text
    assert "nginx (pid 11) dies" in text
    assert "python3" not in text


@pytest.mark.parametrize(
    "arguments, message, mend",
    [
        (
            ["--scope", "/batch.slise"],
            "there is no memory cgroup /batch.slise",
            "did you mean `/batch.slice`?",
        ),
        (["--scope", "batch"], "`batch` is no path of a cgroup", "it begins with /"),
        (["--task", "ngnix"], "there is no process ngnix among the 5 candidates", "did you mean `nginx`?"),
        (["--task", "99"], "there is no process 99", "kernel threads"),
        (["--task", "nginx", "--scope", "/batch.slice"], "nginx is outside of the cgroup", ""),
        (["--set", "floor"], "`--set floor` is no assignment", "--set INPUT=VALUE"),
        (["--set", "flour=1MiB"], "the policy has no input `flour`", "did you mean `floor`?"),
        (["--set", "floor=1"], "`1` is no value for floor", "it takes bytes from 0B to 1024TiB, with a unit"),
        (["--set", "floor=-1MiB"], "floor cannot be -1MiB", "it takes bytes"),
        (["--set", "quiet=1"], "`1` is no value for quiet", "it takes true or false"),
        (["--set", "floor[/a]=1MiB"], "floor is one value for all cgroups", "--set floor=1MiB"),
        (["--set", "priority=1"], "priority is an input per memcg", "--set 'priority[/CGROUP]=1'"),
        (["--live"], "--live, --snapshot and --report exclude each other", ""),
        (["--report", "log"], "--live, --snapshot and --report exclude each other", ""),
        (["--event", "1"], "--event is for --report", ""),
        (["--watch"], "--watch is for the text of the live machine", ""),
    ],
)
def test_wrong_usage_is_said_with_a_mend(
    call: Call, usual: Path, arguments: list[str], message: str, mend: str
) -> None:
    outcome = explain(call, "--snapshot", usual, *arguments, policy=INPUTS)
    assert outcome.code == 2
    assert message in outcome.err
    assert mend in outcome.err


@pytest.mark.parametrize(
    "form", ["priority[/system.slice/wéb.service]=-5", "priority/system.slice/wéb.service=-5"]
)
def test_inputs_are_set(call: Call, usual: Path, form: str) -> None:
    plain = explain(call, "--snapshot", usual, policy=INPUTS)
    assert "nginx (pid 11) dies" in plain.out.decode()
    other = "priority[/batch.slice/job 1]=-9"
    chosen = explain(call, "--snapshot", usual, "--set", other, "--set", form, policy=INPUTS)
    assert "python3 (pid 12) dies" in chosen.out.decode()
    quiet = explain(call, "--snapshot", usual, "--set", "quiet=true", policy=INPUTS)
    assert "nothing is killed: kill nothing when quiet" in quiet.out.decode()


def test_an_input_of_a_cgroup_that_is_not_there_is_said(call: Call, usual: Path) -> None:
    outcome = explain(call, "--snapshot", usual, "--set", "priority[/gone]=3", policy=INPUTS)
    assert outcome.code == 0
    assert "warning: priority has no effect at /gone: no task is in such a cgroup" in outcome.err


def test_why_not_that_one(call: Call, usual: Path) -> None:
    text = explain(call, "--snapshot", usual, "--task", "nginx", "--task", "10").out.decode()
    assert "why not nginx (pid 11)\n  nginx (pid 11) is number 3 of 3 to die\n" in text
    assert 'why not sshd (pid 10)\n  never kill when comm == "sshd" (<stdin>:2) covers sshd (pid 10)' in text
    assert "what its rules say" in text


def test_the_first_of_many_with_one_name(call: Call, snapshot: Callable[[MachineFacts], Path]) -> None:
    path = snapshot(host(*(task(pid, b"sh", WEB, pid) for pid in range(1, 9))))
    outcome = explain(call, "--snapshot", path, "--task", "sh", policy="")
    assert outcome.out.decode().count("why not sh") == 3
    assert "8 processes are called sh; these are the 3 that would die first" in outcome.err


def test_limit(call: Call, usual: Path) -> None:
    assert "… and 2 more (--limit)" in explain(call, "--snapshot", usual, "--limit", 1).out.decode()


def test_a_wrong_policy_gets_its_diagnostics(call: Call) -> None:
    outcome = call("explain", "-", stdin=WRONG)
    assert outcome.code == 1
    assert "error[E" in outcome.err


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b'{"oomlang_snapshot": 99}'])
def test_what_is_no_snapshot_is_refused(call: Call, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    outcome = explain(call, "--snapshot", tmp_path / "x.json")
    assert outcome.code == 2
    assert "x.json is no snapshot: " in outcome.err


def test_a_snapshot_from_standard_input(call: Call, tmp_path: Path) -> None:
    (tmp_path / "p.oom").write_text(POLICY, encoding="utf-8")
    outcome = call("explain", tmp_path / "p.oom", "--snapshot", "-", stdin=write_snapshot(USUAL).encode())
    assert "python3 (pid 12) dies" in outcome.out.decode()


# From the kernel's reports

REPORTS = Path(__file__).parents[2] / "data/reports"
LOGS = sorted(p.name for p in REPORTS.glob("*.*") if p.suffix != ".py")
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.oom"))


def test_a_report_is_explained(call: Call) -> None:
    outcome = explain(call, "--report", REPORTS / "vm-global.dmesg", policy="")
    text = outcome.out.decode()
    assert outcome.code == 0, outcome.err
    killed = text.rpartition("in which the kernel killed ")[2].splitlines()[0]
    assert f"{killed} dies" in text.splitlines()[2]


def test_the_last_report_of_a_log_unless_another_is_asked_for(call: Call, tmp_path: Path) -> None:
    log = REPORTS / "vm-memcg-several.dmesg"
    last = explain(call, "--report", log, policy="").out
    first = explain(call, "--report", log, "--event", 1, policy="").out
    assert first != last
    (tmp_path / "p.oom").write_bytes(b"")
    again = call("explain", tmp_path / "p.oom", "--report", "-", stdin=log.read_bytes()).out
    assert b"at <stdin>:" in again
    beyond = explain(call, "--report", log, "--event", 999, policy="")
    assert beyond.code == 2
    assert "has no such OOM report: it has " in beyond.err


def test_what_a_report_does_not_show_makes_the_answer_uncertain(call: Call) -> None:
    policy = 'kill first when memcg under "/batch.slice"\n'
    text = explain(call, "--report", REPORTS / "hand-5.15-global.dmesg", policy=policy).out.decode()
    assert "dies (uncertain)\n" in text
    assert "as memcg could not be seen" in " ".join(text.split())
    arguments = ("--report", REPORTS / "hand-5.15-global.dmesg", "--format", "json")
    assert _json(explain(call, *arguments, policy=policy))["source"]["kind"] == "report"


@pytest.fixture(scope="module")
def examples() -> list[ir.Policy]:
    return [Compilation(path.read_bytes(), path.name).ir for path in EXAMPLES]


@pytest.mark.parametrize("log", LOGS)
def test_explain_and_replay_agree_on_every_report(
    log: str, examples: list[ir.Policy], tmp_path: Path
) -> None:
    # The second of them lacks a line of its table.
    lossy = tmp_path / log
    lossy.write_bytes(_with_lost_lines((REPORTS / log).read_bytes()))
    for path in (REPORTS / log, lossy):
        with path.open("rb") as file:
            reports = list(read_reports(file))
        assert reports
        assert any(r.missing for r in reports) is (path is lossy)
        for policy in examples:
            for number, report in enumerate(reports, start=1):
                for swap in (None, 0, 2 << 30):
                    situation = explain_sources.report_situation(
                        os.fspath(path), number, knobs={}, memcg_inputs={}, swap=swap
                    )
                    explanation = Explanation(policy, "p.oom", situation)
                    assert _said(explanation.decision) == _said(replay(policy, report, swap=swap).decision)
                    assert _said(explanation.stock) == _said(replay(STOCK, report, swap=swap).decision)


def _with_lost_lines(log: bytes) -> bytes:
    lines = log.splitlines(keepends=True)
    place, header = next((i, line) for i, line in enumerate(lines) if b"oom_score_adj name" in line)
    lost = header[: header.rindex(b"[ ")] + b"** 2 printk messages dropped **\n"
    return b"".join((*lines[: place + 1], lost, *lines[place + 1 :]))


def _said(decision: Decision) -> object:
    """All that is said of a decision; two machines' candidates are never the same objects."""
    return (
        decision.verdict,
        decision.certain,
        decision.possible,
        decision.others,
        [c.pid for c in decision.ranking],
        [c.pid for c in decision.contenders],
        [(u.rule, [c.pid for c in u.candidates], u.missing) for u in decision.unevaluated],
    )


def test_what_follows_from_the_scope_is_certain(call: Call) -> None:
    policy = 'kill last when memcg under "/system.slice"\nkill first when memcg under "/batch.slice"\n'
    outcome = explain(call, "--report", REPORTS / "vm-memcg.dmesg", policy=policy)
    assert "(uncertain)" not in outcome.out.decode()


def test_the_machines_swap_can_be_said(call: Call, usual: Path) -> None:
    log = REPORTS / "vm-memcg-swap.dmesg"
    plain = explain(call, "--report", log, policy="").out.decode()
    assert "dies (uncertain)" in plain
    assert "oom.total: the report does not tell how much swap the machine had" in plain
    told = explain(call, "--report", log, "--swap", "16MiB", policy="").out.decode()
    assert "dies\n" in told
    assert "uncertain" not in told
    for arguments in (("--snapshot", usual, "--swap", "1GiB"), ("--report", log, "--swap", "1GB")):
        assert explain(call, *arguments, policy="").code == 2


def test_lines_that_a_report_lost_make_the_answer_uncertain(call: Call, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(_with_lost_lines((REPORTS / "vm-memcg.dmesg").read_bytes()))
    text = explain(call, "--report", tmp_path / "log", policy="").out.decode()
    assert "small (pid 59) dies (uncertain)" in text
    assert "it could also be one that could not be seen" in " ".join(text.split())
    assert "whether the policy changes that is uncertain" in " ".join(text.split())


@pytest.mark.parametrize("log", LOGS)
def test_no_report_steers_the_terminal(call: Call, log: str) -> None:
    outcome = explain(call, "--report", REPORTS / log, "--task", "1", policy="kill highest rss\n")
    assert outcome.code in (0, 2), outcome.err
    assert b"\x1b" not in outcome.out


def test_a_log_without_a_report(call: Call, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"nothing of the kind\n\xff\0\n")
    outcome = explain(call, "--report", tmp_path / "log")
    assert outcome.code == 2
    assert "has no such OOM report: it has none" in outcome.err


# For programs


def _json(outcome: Outcome) -> Any:
    found = json.loads(outcome.out)
    jsonschema.validate(found, json.loads((SCHEMAS / "explain.schema.json").read_text(encoding="utf-8")))
    return found


def test_json_follows_its_schema(call: Call, usual: Path) -> None:
    arguments = ("--snapshot", usual, "--format", "json", "--task", "nginx", "--task", "sshd")
    found = _json(explain(call, *arguments))
    assert (found["victim"], found["verdict"], found["differs"], found["certain"]) == (
        12,
        "victim",
        True,
        True,
    )
    assert [c["pid"] for c in found["ranking"]] == [12, 13, 11]
    assert found["ranking"][1]["next"]["by"]["rule"]["line"] == 3
    assert [c["pid"] for c in found["skipped"]] == [10, 14]
    assert [t["place"] for t in found["tasks"]] == [3, None]
    assert len(_json(explain(call, *arguments, "--limit", 1))["ranking"]) == 1


@pytest.mark.parametrize("policy", ["kill nothing when oom.global\n", "never kill when pid > 1\n", INPUTS])
def test_json_of_other_ends_follows_its_schema(call: Call, usual: Path, policy: str) -> None:
    _json(explain(call, "--snapshot", usual, "--format", "json", policy=policy))


# Hostile and large machines


def _hostile() -> MachineFacts:
    memcg = (b"a b", "ü\u202e".encode(), b"\xff\x1b[2J")
    return host(task(20, HOSTILE, memcg, 50), task(21, HOSTILE, memcg, 40), task(22, None, None, 10))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_name_reaches_the_terminal_raw(
    call: Call, snapshot: Callable[[MachineFacts], Path], encoding: str
) -> None:
    path = snapshot(_hostile())
    arguments = ("explain", "-", "--snapshot", path, "--task", 21)
    outcome = call(*arguments, stdin=b"kill highest rss\n", encoding=encoding)
    assert outcome.code == 0, outcome.err
    text = outcome.out.decode(encoding)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\xff" in text


def test_no_name_steers_the_table_of_a_terminal(
    on_terminal: Callable[..., str], snapshot: Callable[[MachineFacts], Path], tmp_path: Path
) -> None:
    (tmp_path / "p.oom").write_text("kill highest rss\n", encoding="utf-8")
    path = snapshot(_hostile())
    text = on_terminal(
        "explain", tmp_path / "p.oom", "--snapshot", path, "--task", 20, environment={"NO_COLOR": "1"}
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "␛[2J" in text


def test_a_machine_without_tasks(call: Call, snapshot: Callable[[MachineFacts], Path]) -> None:
    outcome = explain(call, "--snapshot", snapshot(host()))
    assert outcome.code == 0
    assert "there is no candidate" in outcome.out.decode()


def test_ten_thousand_tasks(call: Call, snapshot: Callable[[MachineFacts], Path], tmp_path: Path) -> None:
    tasks = [
        task(pid, b"t%d" % (pid % 50), (b"s%d" % (pid % 300), b"x"), pid % 97) for pid in range(1, 10_001)
    ]
    path = snapshot(host(*tasks))
    outcome = explain(call, "--snapshot", path, "--html", tmp_path / "x.html", "--task", 5000)
    assert outcome.code == 0, outcome.err
    assert "more (--limit)" in outcome.out.decode()
    assert len((tmp_path / "x.html").read_bytes()) < 2_000_000


def test_watch_looks_again(call: Call, live: None, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("oomlang.cli.explain.time.sleep", sleep)
    outcome = explain(call, "--watch", "--interval", 0.5)
    assert outcome.code == 130
    assert looks == [0.5] * 3
    assert outcome.out.decode().count("python3 (pid 12) dies") == 3
