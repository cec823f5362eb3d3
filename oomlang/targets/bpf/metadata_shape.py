"""Whether JSON of any origin is metadata as `metadata` writes it.

In: parsed JSON. Out: what is wrong with it, or None. Keys that are not known here are let through: a newer compiler may
say more, and changes `FORMAT` when it says something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from oomlang.targets.bpf.metadata import FORMAT, LANGUAGE_VERSION, TARGETS

_INT_LIMIT = 1 << 63
_LAST_LINE = (1 << 22) - 1  # the kernel's struct bpf_line_info has 22 bits for a line

_TEXT: Final = "text"
_NUMBER: Final = "number"
_FLAG: Final = "flag"


@dataclass(frozen=True, slots=True)
class _List:
    item: Any


@dataclass(frozen=True, slots=True)
class _Row:
    items: tuple[Any, ...]


_LINES = _List(_Row((_NUMBER, _NUMBER)))
_RECORD = {"size": _NUMBER, "fields": _List(_Row((_TEXT, _NUMBER, _NUMBER)))}
_SHAPE: Final[dict[str, Any]] = {
    "language": _NUMBER,
    "compiler": _TEXT,
    "digest": _TEXT,
    "policy": _TEXT,
    "source": {"name": _TEXT, "sha256": _TEXT},
    "target": _TEXT,
    "programs": _List({"name": _TEXT, "section": _TEXT}),
    "maps": _List({"name": _TEXT, "type": _TEXT, "key": _NUMBER, "value": _NUMBER}),
    "inputs": _List(
        {
            "name": _TEXT,
            "type": _TEXT,
            "per_memcg": _FLAG,
            "default": _NUMBER,
            "range": _Row((_NUMBER, _NUMBER)),
            "map": _TEXT,
            "variable": _TEXT,
            "bytes": _NUMBER,
        }
    ),
    "rules": _List(
        {
            "number": _NUMBER,
            "kind": _TEXT,
            "line": _NUMBER,
            "column": _NUMBER,
            "text": _TEXT,
            "facts": _List(_TEXT),
            "inputs": _List(_TEXT),
            "c_lines": _LINES,
        }
    ),
    "lets": _List({"name": _TEXT, "line": _NUMBER, "column": _NUMBER, "text": _TEXT, "c_lines": _LINES}),
    "facts": _List(_TEXT),
    "loops": _List(_TEXT),
    "bounds": {"instructions": _NUMBER, "stack": _NUMBER},
}


def check_shape(parsed: Any) -> str | None:
    """What is wrong with the metadata, as a clause; None for nothing."""
    if not isinstance(parsed, dict):
        return "it is no JSON object"
    format_ = parsed.get("format")
    if type(format_) is not int or format_ != FORMAT:
        return f"it is of the format {str(format_)[:40]!r}, and only {FORMAT} is known here"
    wrong = _mismatch(parsed, _SHAPE, "")
    if wrong is None and parsed["language"] > LANGUAGE_VERSION:
        wrong = f"it is of language version {parsed['language']}, and only {LANGUAGE_VERSION} is known here"
    if wrong is None and parsed["target"] not in TARGETS:
        wrong = f"`target` is none of {', '.join(TARGETS)}"
    if wrong is None and (parsed["target"] == "dry-run" or "record" in parsed):
        wrong = _mismatch(parsed.get("record"), _RECORD, "record")
    return wrong or _wrong_lines(parsed)


def _wrong_lines(parsed: dict[str, Any]) -> str | None:
    """The first range of lines of C that is none, or that shares a line with another: a line has one owner at most."""
    ranges = []
    for key in ("rules", "lets"):
        for number, owner in enumerate(parsed[key]):
            if key == "rules" and not owner["c_lines"]:  # a named value that nothing uses has none
                return f"`rules[{number}].c_lines` is empty"
            for at, (first, last) in enumerate(owner["c_lines"]):
                path = f"`{key}[{number}].c_lines[{at}]`"
                if not 1 <= first <= last <= _LAST_LINE:
                    return f"{path} is no range of lines"
                ranges.append((first, last, path))
    for (_, last, path), (first, _, other) in pairwise(sorted(ranges)):
        if first <= last:
            return f"{path} and {other} have a line in common"
    return None


def _mismatch(value: Any, shape: Any, path: str) -> str | None:
    """The first difference; the depth of the recursion is that of the shape."""
    match shape:
        case dict():
            if not isinstance(value, dict):
                return f"`{path}` is no object"
            for key, inner in shape.items():
                below = f"{path}.{key}" if path else key
                if key not in value:
                    return f"`{below}` is missing"
                wrong = _mismatch(value[key], inner, below)
                if wrong is not None:
                    return wrong
            return None
        case _List(item):
            if not isinstance(value, list):
                return f"`{path}` is no list"
            return next((w for i, v in enumerate(value) if (w := _mismatch(v, item, f"{path}[{i}]"))), None)
        case _Row(items):
            if not isinstance(value, list) or len(value) != len(items):
                return f"`{path}` is no list of {len(items)}"
            pairs = enumerate(zip(value, items, strict=True))
            return next((w for i, (v, item) in pairs if (w := _mismatch(v, item, f"{path}[{i}]"))), None)
        case _:
            return None if _is(value, shape) else f"`{path}` is no {shape}"


def _is(value: Any, kind: str) -> bool:
    if kind == _NUMBER:
        return type(value) is int and -_INT_LIMIT <= value < _INT_LIMIT
    if kind == _FLAG:
        return type(value) is bool
    # A lone surrogate, which JSON can spell, is no text that could be written anywhere.
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
