"""Diagnostics → SARIF 2.1.0, the form that code-scanning services and editors read.

In: sources and their diagnostics. Out: a plain dict, ready for `json.dumps`. Rules come from the catalogue; only those
that something was reported for are listed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import oomlang
from oomlang.diagnostics.catalogue import page, page_markdown, page_text
from oomlang.diagnostics.codes import Code
from oomlang.diagnostics.model import Diagnostic, Source, Span

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(checked: Iterable[tuple[Source, Iterable[Diagnostic]]]) -> dict[str, Any]:
    """The outcome of a run over any number of files, as one SARIF log with one run."""
    files = [(source, list(diagnostics)) for source, diagnostics in checked]
    codes = sorted({d.code for _, diagnostics in files for d in diagnostics})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "oomlang",
                        "semanticVersion": oomlang.__version__,
                        "rules": [_rule(code) for code in codes],
                    }
                },
                # SARIF's default counts UTF-16 units, in which a column behind an emoji would be one too far.
                "columnKind": "unicodeCodePoints",
                "artifacts": [
                    {"location": {"uri": artifact_uri(source.name)}, "sourceLanguage": "oomlang"}
                    for source, _ in files
                ],
                "results": [
                    _result(source, index, item, codes.index(item.code))
                    for index, (source, diagnostics) in enumerate(files)
                    for item in diagnostics
                ],
            }
        ],
    }


def artifact_uri(name: str) -> str:
    """A file's name as a URI reference: relative names stay relative, bytes with a meaning in URIs are encoded."""
    path = quote(posixpath.normpath(name.encode("utf-8", "surrogateescape")))
    return "file:///" + path.lstrip("/") if path.startswith("/") else path


def _rule(code: Code) -> dict[str, Any]:
    entry = page(code)
    return {
        "id": code.value,
        "name": code.name.title().replace("_", ""),
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": " ".join(entry.meaning.split())},
        "help": {"text": page_text(code), "markdown": page_markdown(code)},
        "defaultConfiguration": {"level": "warning" if code.value.startswith("W") else "error"},
    }


def _result(source: Source, file_index: int, item: Diagnostic, rule_index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": item.code.value,
        "ruleIndex": rule_index,
        "level": item.severity,
        # Viewers show the message and nothing else, so the mend goes along.
        "message": {"text": f"{item.message}\nhelp: {item.help}" if item.help else item.message},
        "locations": [_location(source, file_index, item.span, item.label)],
    }
    if item.labels:
        result["relatedLocations"] = [
            {"id": number, **_location(source, file_index, label.span, label.text)}
            for number, label in enumerate(item.labels, start=1)
        ]
    return result


def _location(source: Source, file_index: int, span: Span, text: str) -> dict[str, Any]:
    line, column = source.position(span.start)
    end_line, end_column = source.position(max(span.start, span.end))
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": artifact_uri(source.name), "index": file_index},
            "region": {
                "startLine": line,
                "startColumn": column,
                "endLine": end_line,
                "endColumn": end_column,
            },
        }
    }
    if text:
        location["message"] = {"text": text}
    return location
