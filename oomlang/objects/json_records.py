"""Frozen records as JSON, and back.

In: a dataclass whose fields are texts, numbers, flags, records of the same sort, lists of these (`tuple[X, ...]`), rows of
them (`tuple[X, Y]`), or one of these and None. Out: plain JSON values; or from JSON of any origin the record, or a
`BadFormat` that says which value is not what it should be. A field that is None is left out. Keys that no field has are
let through: a newer version may say more.
"""

from __future__ import annotations

import dataclasses
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from oomlang.objects import BadFormat

_T = TypeVar("_T")
_INT_LIMIT = 1 << 63
_known_fields: dict[Any, dict[str, Any]] = {}


def to_json(value: Any) -> Any:
    """A record as an object, a tuple as a list."""
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    pairs = ((name, getattr(value, name)) for name in _fields(type(value)))
    return {name: to_json(item) for name, item in pairs if item is not None}


def from_json(record: type[_T], value: Any, path: str = "") -> _T:
    """The record that a JSON object holds. path: what stands before the names of its fields in messages."""
    if not isinstance(value, dict):
        raise BadFormat(f"`{path}` is no object" if path else "it is no JSON object")
    read: dict[str, Any] = {}
    for name, kind in _fields(record).items():
        below = f"{path}.{name}" if path else name
        if isinstance(kind, UnionType):  # X | None
            kind = get_args(kind)[0]
            if value.get(name) is None:
                read[name] = None
                continue
        if name not in value:
            raise BadFormat(f"`{below}` is missing")
        read[name] = _value(kind, value[name], below)
    return record(**read)


def _fields(record: Any) -> dict[str, Any]:
    """The fields of a class of records, each with its type."""
    if record not in _known_fields:
        hints = get_type_hints(record)
        _known_fields[record] = {field.name: hints[field.name] for field in dataclasses.fields(record)}
    return _known_fields[record]


def _value(kind: Any, value: Any, path: str) -> Any:
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if kinds[-1] is not Ellipsis and (not isinstance(value, list) or len(value) != len(kinds)):
            raise BadFormat(f"`{path}` is no list of {len(kinds)}")
        if not isinstance(value, list):
            raise BadFormat(f"`{path}` is no list")
        each = kinds if kinds[-1] is not Ellipsis else kinds[:1] * len(value)
        return tuple(
            _value(item, v, f"{path}[{i}]") for i, (item, v) in enumerate(zip(each, value, strict=True))
        )
    if dataclasses.is_dataclass(kind):
        return from_json(kind, value, path)  # type: ignore[arg-type]  # a class, as the annotation says
    if kind is str:
        # A lone surrogate, which JSON can spell, is no text that could be written anywhere.
        if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
            raise BadFormat(f"`{path}` is no text")
    elif kind is bool:
        if type(value) is not bool:
            raise BadFormat(f"`{path}` is neither true nor false")
    elif (
        type(value) not in ((int,) if kind is int else (int, float)) or not -_INT_LIMIT <= value < _INT_LIMIT
    ):
        raise BadFormat(f"`{path}` is no number")
    return value
