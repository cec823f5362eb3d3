import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

DATA = Path(__file__).parents[2] / "data" / "reports"
SCHEMAS = Path(__file__).parents[3] / "docs/schemas"
SCHEMA = json.loads((SCHEMAS / "diff.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.oom", tmp_path / "new.oom"
    old.write_text("kill highest rss\n")
    new.write_text('never kill when comm == "large"\nkill highest rss\n')
    return old, new


def test_no_difference_is_0(call: Callable[..., Any], pair: tuple[Path, Path]) -> None:
    done = call("diff", pair[0], pair[0], "--seed", 7, "--count", 100)
    assert (done.code, done.out.decode()) == (0, "generated: different on 0 of 100 machines (--seed 7)\n")


def test_a_difference_is_1_and_shown_as_a_test(call: Callable[..., Any], pair: tuple[Path, Path]) -> None:
    done = call("diff", *pair, "--seed", 7)
    text = done.out.decode()
    assert done.code == 1
    assert 'test "the policies differ" {' in text
    assert 'task "large"' in text
    block = text[text.index("test ") : text.index("}\n") + 2]
    # The new policy passes it, the old one does not.
    assert call("test", "-", stdin=pair[1].read_bytes() + block.encode()).code == 0
    assert call("test", "-", stdin=pair[0].read_bytes() + block.encode()).code == 1


def test_reports_are_compared(call: Callable[..., Any], pair: tuple[Path, Path]) -> None:
    done = call(
        "diff", *pair, "--count", 0, "--report", DATA / "vm-memcg.dmesg", "--report", DATA / "vm-sysrq.dmesg"
    )
    text = done.out.decode()
    assert done.code == 1
    assert f"- {pair[0]}: large (pid 60) dies" in text
    assert f"+ {pair[1]}: small (pid 59) dies" in text
    assert text.endswith("given: different in 1 of 2 events\n")


def test_what_cannot_be_told_is_no_difference(
    call: Callable[..., Any], tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    other = tmp_path / "other.oom"
    other.write_text("kill highest memcg.usage\n")
    done = call("diff", pair[0], other, "--count", 0, "--report", DATA / "vm-memcg.dmesg")
    assert (done.code, "too little is known" in done.out.decode()) == (0, True)


def test_snapshots_and_this_machine_are_compared(
    call: Callable[..., Any], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    snapshot = tmp_path / "host.json"
    assert call("snapshot", "-o", snapshot).code == 0
    done = call("diff", pair[0], pair[0], "--count", 0, "--live", "--snapshot", snapshot, "--format", "json")
    assert done.code == 0
    assert {item["event"].partition(",")[0] for item in json.loads(done.out)["given"]} == {
        "this machine",
        str(snapshot),
    }


def test_json_holds_the_seed_and_the_example(call: Callable[..., Any], pair: tuple[Path, Path]) -> None:
    data = json.loads(call("diff", *pair, "--format", "json").out)
    assert data["generated"]["count"] == 2000
    again = json.loads(call("diff", *pair, "--format", "json", "--seed", data["generated"]["seed"]).out)
    assert again == data


@pytest.mark.parametrize(
    "rules",
    ["kill lowest memcg.usage\n", "kill nothing when oom.sysrq\n", "kernel decides when oom.global\n"],
)
def test_json_follows_its_schema(
    call: Callable[..., Any], pair: tuple[Path, Path], tmp_path: Path, rules: str
) -> None:
    snapshot = DATA.parent / "snapshots/host.json"
    logs = [a for p in sorted(DATA.iterdir()) if p.is_file() and p.suffix != ".py" for a in ("--report", p)]
    pair[1].write_text(rules)
    arguments = ("--snapshot", snapshot, *logs, "--count", 50, "--seed", 1, "--format", "json")
    data = json.loads(call("diff", *pair, *arguments).out)
    jsonschema.validate(data, SCHEMA)
    assert {item["relation"] for item in data["given"]} > {"different"}


def test_a_wrong_policy_is_2_for_1_means_different(
    call: Callable[..., Any], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.oom"
    wrong.write_text("kill highest rrs\n")
    done = call("diff", pair[0], wrong)
    assert (done.code, "E02" in done.err) == (2, True)
    assert call("diff", pair[0], tmp_path / "absent.oom").code == 2
    assert call("diff", *pair, "--set", "x=1").code == 2
