"""Diagnostics → JSON, as docs/schemas/diagnostics.schema.json describes it.

In: sources and their diagnostics. Out: plain dicts, ready for `json.dumps`. Lines and columns count from 1, columns and
offsets in characters (Unicode code points); a span's end is the first character behind it. A byte order mark is not
counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oomlang.diagnostics.model import Diagnostic, Source, Span

SCHEMA_VERSION = 1
"""Grows when a reader of the old form would misread the new one; new members alone do not change it."""


def report_to_json(checked: Iterable[tuple[Source, Iterable[Diagnostic]]]) -> dict[str, Any]:
    """The outcome of a run over any number of files: the schema's root."""
    files = [to_json(source, diagnostics) for source, diagnostics in checked]
    return {
        "version": SCHEMA_VERSION,
        "errors": sum(file["errors"] for file in files),
        "warnings": sum(file["warnings"] for file in files),
        "files": files,
    }


def to_json(source: Source, diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """One file's diagnostics: an element of the report's `files`."""
    items = list(diagnostics)
    return {
        "file": printable_name(source.name),
        "errors": sum(d.severity == "error" for d in items),
        "warnings": sum(d.severity == "warning" for d in items),
        "diagnostics": [_diagnostic(source, item) for item in items],
    }


def printable_name(name: str) -> str:
    """A file's name as valid Unicode: bytes that are none become `\\xff`, for lone surrogates are no JSON."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _diagnostic(source: Source, item: Diagnostic) -> dict[str, Any]:
    return {
        "code": item.code.value,
        "severity": item.severity,
        "message": item.message,
        "span": _span(source, item.span),
        "label": item.label,
        "labels": [{"span": _span(source, label.span), "text": label.text} for label in item.labels],
        "help": item.help,
        "explain": f"oomlang explain-code {item.code.value}",
    }


def _span(source: Source, span: Span) -> dict[str, Any]:
    return {"start": _position(source, span.start), "end": _position(source, max(span.start, span.end))}


def _position(source: Source, offset: int) -> dict[str, int]:
    line, column = source.position(offset)
    return {"offset": offset, "line": line, "column": column}
