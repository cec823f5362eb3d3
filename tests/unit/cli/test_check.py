"""`oomlang check`."""

import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oomlang.diagnostics import Code
from tests.unit.cli.conftest import RIGHT, WRONG, Outcome

Call = Callable[..., Outcome]
DOUBTFUL = b"let unused = 1\nkill highest rss\n"


def test_what_is_right_is_said_in_one_line(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a.oom"
    path.write_bytes(RIGHT)
    assert call("check", path) == Outcome(code=0, out=f"no errors in {path}\n".encode(), err="")
    assert call("check", "-", path, stdin=RIGHT).out == b"no errors in 2 files\n"


def test_every_file_is_checked_and_the_outcome_counted_once(call: Call, tmp_path: Path) -> None:
    for name in ("a.oom", "b.oom"):
        (tmp_path / name).write_bytes(WRONG)
    outcome = call("check", tmp_path / "a.oom", tmp_path / "b.oom")
    assert outcome.code == 1
    assert outcome.err.count("error[E0201]") == 2
    assert outcome.err.endswith("\n\n2 errors in 2 files\n")


def test_a_file_that_cannot_be_read_hides_no_other(call: Call, tmp_path: Path) -> None:
    (tmp_path / "b.oom").write_bytes(WRONG)
    outcome = call("check", tmp_path / "a.oom", tmp_path / "b.oom")
    assert outcome.code == 2
    assert "no such file" in outcome.err
    assert "error[E0201]" in outcome.err


def test_warnings_fail_only_where_they_are_denied(call: Call) -> None:
    outcome = call("check", "-", stdin=DOUBTFUL)
    assert outcome.code == 0
    assert "warning[W0602]" in outcome.err
    assert call("check", "--deny-warnings", "-", stdin=DOUBTFUL).code == 1


def test_json_goes_to_standard_output_and_nothing_to_standard_error(call: Call) -> None:
    outcome = call("check", "--format", "json", "-", stdin=WRONG)
    assert (outcome.code, outcome.err) == (1, "")
    report = json.loads(outcome.out)
    assert report["errors"] == 1
    assert report["files"][0]["file"] == "<stdin>"


def test_sarif_goes_to_standard_output(call: Call) -> None:
    outcome = call("check", "--format", "sarif", "-", stdin=WRONG)
    assert (outcome.code, outcome.err) == (1, "")
    assert json.loads(outcome.out)["runs"][0]["results"][0]["ruleId"] == Code.UNKNOWN_NAME.value


@given(
    data=st.binary(max_size=200)
    | st.text(alphabet='kilhestrw 0{}()"\n\x1b\x9bé#', max_size=80).map(str.encode)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_diagnostics(call: Call, data: bytes) -> None:
    outcome = call("check", "-", stdin=data)
    assert outcome.code in (0, 1)
    assert "\x1b" not in outcome.err
    if outcome.code:
        assert "error[E" in outcome.err
    json.loads(call("check", "--format", "json", "-", stdin=data).out)
    assert call("fmt", "--check", "-", stdin=data).code in (0, 1)
