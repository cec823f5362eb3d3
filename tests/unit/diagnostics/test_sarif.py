import json
from typing import Any

import jsonschema
import pytest

import oomlang
from oomlang.diagnostics import Code, Diagnostic, Label, Source, Span
from oomlang.diagnostics.sarif import artifact_uri, to_sarif

TEXT = 'kill last when comm == "😀" and rrs > 1\nkill highest a\n'
ITEM = Diagnostic(
    code=Code.UNKNOWN_NAME,
    span=Span(31, 34),
    message="unknown name `rrs`",
    label="here",
    labels=(Label(span=Span(15, 19), text="there"),),
    help="did you mean `rss`?",
)
WARNING = Diagnostic(code=Code.UNUSED, span=Span(0, 43), message="unused")

_MESSAGE = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
_NATURAL = {"type": "integer", "minimum": 1}
_LOCATION = {
    "type": "object",
    "required": ["physicalLocation"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 0},
        "message": _MESSAGE,
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "additionalProperties": False,
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "required": ["uri", "index"],
                    "properties": {
                        "uri": {"type": "string", "pattern": "^[!-~]+$"},
                        "index": {"type": "integer"},
                    },
                },
                "region": {
                    "type": "object",
                    "required": ["startLine", "startColumn", "endLine", "endColumn"],
                    "additionalProperties": False,
                    "properties": dict.fromkeys(
                        ("startLine", "startColumn", "endLine", "endColumn"), _NATURAL
                    ),
                },
            },
        },
    },
}
# The parts of the SARIF 2.1.0 schema that we write, with its requirements; no member that it does not know.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "artifacts": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "location": {"type": "object"},
                                "sourceLanguage": {"type": "string"},
                            },
                        },
                    },
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "semanticVersion": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string", "pattern": "^[A-Za-z0-9]+$"},
                                                "shortDescription": _MESSAGE,
                                                "fullDescription": _MESSAGE,
                                                "help": _MESSAGE,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {"level": {"enum": ["warning", "error"]}},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "level", "locations"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": _MESSAGE,
                                "locations": {"type": "array", "items": _LOCATION},
                                "relatedLocations": {
                                    "type": "array",
                                    "items": _LOCATION,
                                    "uniqueItems": True,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def log(*checked: tuple[Source, list[Diagnostic]]) -> dict[str, Any]:
    found = to_sarif(checked)
    jsonschema.validate(found, SCHEMA)
    json.dumps(found, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    run: dict[str, Any] = found["runs"][0]
    return run


def test_a_clean_run_has_results_all_the_same() -> None:
    run = log((Source("a.oom", TEXT), []))
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []
    assert run["artifacts"][0]["location"] == {"uri": "a.oom"}
    assert run["tool"]["driver"]["semanticVersion"] == oomlang.__version__


def test_a_result_points_at_its_characters() -> None:
    run = log((Source("a.oom", TEXT), [ITEM]))
    (result,) = run["results"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a.oom", "index": 0},
        "region": {"startLine": 1, "startColumn": 32, "endLine": 1, "endColumn": 35},
    }
    assert result["relatedLocations"][0]["message"] == {"text": "there"}
    assert result["message"]["text"] == "unknown name `rrs`\nhelp: did you mean `rss`?"
    assert (result["ruleId"], result["level"]) == ("E0201", "error")


def test_a_span_over_lines_ends_on_its_last_one() -> None:
    run = log((Source("a.oom", TEXT), [WARNING]))
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 5}


def test_rules_come_from_the_catalogue_once_each() -> None:
    run = log((Source("a.oom", TEXT), [ITEM, WARNING]), (Source("b.oom", TEXT), [ITEM]))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["E0201", "W0602"]
    assert [rule["name"] for rule in rules] == ["UnknownName", "Unused"]
    assert [rule["defaultConfiguration"]["level"] for rule in rules] == ["error", "warning"]
    assert rules[0]["shortDescription"]["text"] == "unknown name"
    assert [(r["ruleIndex"], r["ruleId"]) for r in run["results"]] == [
        (0, "E0201"),
        (1, "W0602"),
        (0, "E0201"),
    ]
    indices = [r["locations"][0]["physicalLocation"]["artifactLocation"]["index"] for r in run["results"]]
    assert indices == [0, 0, 1]


@pytest.mark.parametrize("code", list(Code))
def test_every_code_makes_a_valid_rule(code: Code) -> None:
    log((Source("a.oom", TEXT), [Diagnostic(code=code, span=Span(0, 1), message="no")]))


@pytest.mark.parametrize(
    "name, uri",
    [
        ("policy.oom", "policy.oom"),
        ("./a/../b/policy.oom", "b/policy.oom"),
        ("a b#c?d%.oom", "a%20b%23c%3Fd%25.oom"),
        ("c:x.oom", "c%3Ax.oom"),  # or `c` would be read as a scheme
        ("é\udcff.oom", "%C3%A9%FF.oom"),
        ("/etc/oom/p.oom", "file:///etc/oom/p.oom"),
        ("//etc/p.oom", "file:///etc/p.oom"),
        ("<stdin>", "%3Cstdin%3E"),
    ],
)
def test_names_become_uri_references(name: str, uri: str) -> None:
    assert artifact_uri(name) == uri
