import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oomlang.diagnostics import Code, Diagnostic, Label, Source, Span
from oomlang.diagnostics.json_output import report_to_json, to_json

SCHEMA = Path(__file__).parents[3] / "docs" / "schemas" / "diagnostics.schema.json"
TEXT = 'let a = "😀" + rss\nkill highest a\n'
ITEM = Diagnostic(
    code=Code.BAD_ARITHMETIC,
    span=Span(12, 13),
    message="no",
    label="here",
    labels=(Label(span=Span(14, 17), text="bytes"),),
    help="mend it",
)
WARNING = Diagnostic(code=Code.UNUSED, span=Span(0, 19), message="unused")


def schema(part: str = "") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return {**loaded["$defs"][part], "$defs": loaded["$defs"]} if part else loaded


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_one_file() -> None:
    found = to_json(Source("policy.oom", TEXT), [ITEM, WARNING])
    jsonschema.validate(found, schema("file"))
    assert found == {
        "file": "policy.oom",
        "errors": 1,
        "warnings": 1,
        "diagnostics": [
            {
                "code": "E0205",
                "severity": "error",
                "message": "no",
                "span": {
                    "start": {"offset": 12, "line": 1, "column": 13},
                    "end": {"offset": 13, "line": 1, "column": 14},
                },
                "label": "here",
                "labels": [
                    {
                        "span": {
                            "start": {"offset": 14, "line": 1, "column": 15},
                            "end": {"offset": 17, "line": 1, "column": 18},
                        },
                        "text": "bytes",
                    }
                ],
                "help": "mend it",
                "explain": "oomlang explain-code E0205",
            },
            {
                "code": "W0602",
                "severity": "warning",
                "message": "unused",
                "span": {
                    "start": {"offset": 0, "line": 1, "column": 1},
                    "end": {"offset": 19, "line": 2, "column": 2},
                },
                "label": "",
                "labels": [],
                "help": "",
                "explain": "oomlang explain-code W0602",
            },
        ],
    }


def test_a_report_adds_up_its_files() -> None:
    found = report_to_json(
        [
            (Source("a.oom", TEXT), [ITEM]),
            (Source("b.oom", TEXT), []),
            (Source("c.oom", TEXT), [ITEM, WARNING]),
        ]
    )
    jsonschema.validate(found, schema())
    assert (found["version"], found["errors"], found["warnings"]) == (1, 2, 1)
    assert [file["file"] for file in found["files"]] == ["a.oom", "b.oom", "c.oom"]


@pytest.mark.parametrize(
    "name, shown", [("<stdin>", "<stdin>"), ("x\udcff\n.oom", "x\\xff\n.oom"), ("é", "é")]
)
def test_any_file_name_gives_valid_json(name: str, shown: str) -> None:
    found = report_to_json([(Source(name, TEXT), [])])
    assert json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8"))["files"][0]["file"] == shown
