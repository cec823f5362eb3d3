import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oomlang.cli import replay_files

DATA = Path(__file__).parents[2] / "data" / "reports"
LOGS = sorted(p.name for p in DATA.iterdir() if p.is_file() and p.suffix != ".py")
SCHEMAS = Path(__file__).parents[3] / "docs/schemas"
SCHEMA = json.loads((SCHEMAS / "replay.schema.json").read_text(encoding="utf-8"))
HIGHEST = "kill highest rss\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.oom"
    path.write_text(HIGHEST)
    return path


def test_says_who_died_who_would_have_and_why(call: Callable[..., Any], policy: Path) -> None:
    done = call("replay", policy, DATA / "vm-memcg.dmesg")
    text = done.out.decode()
    assert (done.code, done.err) == (0, "")
    assert "/batch.slice ran out of memory (limit 24MiB)" in text
    assert "killed small (pid 59), 6.07MiB resident, in /batch.slice/one.service" in text
    assert "different: large (pid 60), 10.1MiB resident, dies" in text
    assert f"because kill highest rss ({policy}:1)" in text
    assert text.endswith(
        "1 event: 1 different\nresident memory of the victims: 6.07MiB then, 10.1MiB by the policy\n"
    )


def test_names_the_rules_that_a_report_has_no_facts_for(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "p.oom"
    path.write_text("kill highest memcg.usage\n")
    text = call("replay", path, DATA / "vm-memcg.dmesg").out.decode()
    assert "uncertain: one of small (pid 59), large (pid 60) and last (pid 61) dies" in text
    (line,) = [line for line in text.splitlines() if line.startswith("  unseen")]
    assert f"kill highest memcg.usage ({path}:1)" in line
    assert "keeper (pid 58), small (pid 59)" in line


def test_names_protected_tasks_that_died(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "p.oom"
    path.write_text('never kill when comm == "batch"\n')
    text = call("replay", path, DATA / "vm-sysrq.dmesg").out.decode()
    assert "batch (pid 61) died, though never kill when" in text
    assert "protected tasks that died: 1\n" in text


def test_writes_a_line_of_json_for_each_event(call: Callable[..., Any], policy: Path) -> None:
    done = call(
        "replay", policy, "--format", "jsonl", DATA / "vm-memcg-several.dmesg", DATA / "vm-sysrq.dmesg"
    )
    *events, last = map(json.loads, done.out.splitlines())
    assert [event["outcome"] for event in events] == ["same"] * 4 + ["different"]
    assert last["summary"] | {"freed": 0, "freed_by_policy": 0} == {
        "events": 5, "same": 4, "different": 1, "uncertain": 0, "no_facts": 0, "measured": 5, "freed": 0,
        "freed_by_policy": 0, "protected_died": 0,
    }  # fmt: skip
    assert events[-1]["kernel"]["comm"] == "batch"
    assert events[-1]["policy"]["victim"] == {"pid": 60, "comm": "db", "rss": 63639552}
    assert events[-1]["policy"]["why"]["by"] == {"rule": {"line": 1, "column": 1, "text": "kill highest rss"}}


@pytest.mark.parametrize("log", LOGS)
def test_json_follows_its_schema(call: Callable[..., Any], tmp_path: Path, log: str) -> None:
    path = tmp_path / "p.oom"
    for rules in (
        HIGHEST,
        "kernel decides when oom.global\nkill highest memcg.usage\n",
        "kill nothing when oom.total > 1GiB\nnever kill when badness > 1GiB or memcg.oom_group\n",
        "never kill when pid > 1\n",
    ):
        path.write_text(rules)
        lines = call("replay", path, DATA / log, "--format", "jsonl").out.splitlines()
        assert len(lines) > 1
        for line in lines:
            jsonschema.validate(json.loads(line), SCHEMA)


def test_json_of_half_a_report_follows_its_schema(
    call: Callable[..., Any], policy: Path, tmp_path: Path
) -> None:
    lines = (DATA / "vm-memcg.dmesg").read_bytes().splitlines(keepends=True)
    half = tmp_path / "half.log"
    table = next(i for i, line in enumerate(lines) if b"oom_score_adj name" in line)
    outcomes = set()
    for begin, end in ((0, table + 3), (table, len(lines)), (len(lines) - 3, len(lines))):
        half.write_bytes(b"".join(lines[begin:end]))
        *events, last = map(json.loads, call("replay", policy, half, "--format", "jsonl").out.splitlines())
        for line in (*events, last):
            jsonschema.validate(line, SCHEMA)
        outcomes |= {event["outcome"] for event in events}
    assert outcomes >= {"uncertain", "no_facts"}


def test_no_name_steers_the_terminal(on_terminal: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "p.oom"
    path.write_text('kill first when comm like "?[31mred"\nkill highest memcg.usage\n')
    text = on_terminal("replay", path, DATA / "vm-memcg-hostile.dmesg")
    assert "␛[31mred" in text
    assert "\x1b[31mred" not in text


def test_reads_standard_input_and_compressed_files(
    call: Callable[..., Any], policy: Path, tmp_path: Path
) -> None:
    data = (DATA / "vm-sysrq.dmesg").read_bytes()
    packed = tmp_path / "kern.log.gz"
    packed.write_bytes(gzip.compress(data))
    piped = call("replay", policy, "-", stdin=data).out.decode()
    assert piped.startswith("<stdin>:4 ")
    assert call("replay", policy, packed).out.decode() == piped.replace("<stdin>", os.fspath(packed))


def test_says_when_a_file_holds_no_report(call: Callable[..., Any], policy: Path, tmp_path: Path) -> None:
    log = tmp_path / "empty.log"
    log.write_text("nothing\n")
    done = call("replay", policy, log)
    assert (done.code, done.out, done.err) == (0, b"", f"{log}: no OOM report\n")


def test_a_wrong_policy_is_1_and_an_unreadable_report_2(
    call: Callable[..., Any], policy: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.oom"
    wrong.write_text("kill highest rrs\n")
    assert call("replay", wrong, DATA / "vm-sysrq.dmesg").code == 1
    done = call("replay", policy, tmp_path / "absent", DATA / "vm-sysrq.dmesg")
    assert done.code == 2
    assert "cannot read" in done.err
    assert b"1 event" in done.out  # one that cannot be read does not hide the others
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress((DATA / "vm-sysrq.dmesg").read_bytes())[:-200])
    done = call("replay", policy, damaged)
    assert (done.code, "ends too early" in done.err) == (2, True)


def test_inputs_can_be_set(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "p.oom"
    path.write_text(
        "input floor: bytes = 1GiB\ninput priority per memcg: int = 0\n"
        "kill lowest priority\nkill highest rss when rss > floor\nkill lowest rss\n"
    )
    report = DATA / "hand-rhel7.syslog"
    one = call("replay", path, report, "--set", "floor=1MiB", "--format", "jsonl")
    two = call("replay", path, report, "--set", "floor=2GiB", "--format", "jsonl")
    assert (one.code, two.code) == (0, 0)
    assert one.out != two.out
    done = call("replay", path, report, "--set", "flor=1MiB")
    assert (done.code, "floor" in done.err) == (2, True)


def test_the_machines_swap_can_be_said(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "p.oom"
    path.write_text("")
    report = DATA / "vm-memcg-swap.dmesg"
    assert "--swap says it" in call("replay", path, report).out.decode()
    assert "same choice" in call("replay", path, report, "--swap", "16MiB").out.decode()
    assert call("replay", path, report, "--swap", "16MB").code == 2


def test_a_large_log_has_a_bar_that_stays_out_of_the_results(
    on_terminal: Callable[..., str], policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = DATA / "vm-memcg-several.dmesg"
    plain = on_terminal("replay", policy, report)
    monkeypatch.setattr(replay_files, "SLOW", 1)
    text = on_terminal("replay", policy, report)
    assert "vm-memcg-several.dmesg" in text
    assert "\x1b[?25l" in text  # the cursor is away while there is a bar
    for line in plain.splitlines():
        assert line in text
