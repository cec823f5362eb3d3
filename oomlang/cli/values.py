"""Values of inputs as people write them on the command line."""

from __future__ import annotations

import re

from oomlang.cli.failures import Failure
from oomlang.facts import UNITS, Interval, Type, spell

_NUMBER = re.compile(r"(-?[0-9]+)([A-Za-z%]*)")


def parse_value(name: str, type: Type, interval: Interval, text: str) -> int:
    """A literal of the language as a value of an input, in base units. Errors: `Failure` with what it takes."""
    value: int | None = None
    if type is Type.BOOL:
        value = {"true": 1, "false": 0}.get(text)
    elif match := _NUMBER.fullmatch(text):
        unit = UNITS.get(match[2])
        if type is Type.INT and not match[2]:
            value = int(match[1])
        elif unit is not None and unit.type is type:
            value = int(match[1]) * unit.scale
    if value is None:
        raise Failure(f"`{text}` is no value for {name}", mend=_takes(type, interval))
    if value not in interval:
        raise Failure(f"{name} cannot be {text}", mend=_takes(type, interval))
    return value


def _takes(type: Type, interval: Interval) -> str:
    if type is Type.BOOL:
        return "it takes true or false"
    low, high = (spell(end, type) for end in (interval.low, interval.high))
    units = " ".join(u.suffix for u in UNITS.values() if u.type is type)
    return f"it takes {type.value} from {low} to {high}" + (f", with a unit: {units}" if units else "")
