import pytest

from oomlang.cli import run


def test_a_negative_value_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    # Nothing is in force under this directory; the words got as far as that.
    assert run(["input", "set", "--pin", "/nowhere", "priority/batch.slice", "-10"]) == 3
    assert "No such option" not in capsys.readouterr().err
