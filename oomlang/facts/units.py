"""Literal units, and how a value is spelled in the language again."""

from __future__ import annotations

from oomlang.facts.types import RATIO_ONE, Type
from oomlang.records import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """A suffix of a number: `scale` base units of `type`."""

    suffix: str
    type: Type
    scale: int


UNITS: dict[str, Unit] = {
    unit.suffix: unit
    for unit in (
        Unit("B", Type.BYTES, 1),
        Unit("KiB", Type.BYTES, 2**10),
        Unit("MiB", Type.BYTES, 2**20),
        Unit("GiB", Type.BYTES, 2**30),
        Unit("TiB", Type.BYTES, 2**40),
        Unit("%", Type.RATIO, RATIO_ONE // 100),
        Unit("ms", Type.DURATION, 1),
        Unit("s", Type.DURATION, 1000),
        Unit("m", Type.DURATION, 60 * 1000),
        Unit("h", Type.DURATION, 3600 * 1000),
        Unit("d", Type.DURATION, 24 * 3600 * 1000),
    )
}

DECIMAL_BYTES = {
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
}
"""Suffixes that people write and that the language refuses, with the bytes that they would mean."""

UNIT_WORDS = {
    **dict.fromkeys(("b", "byte", "bytes"), "B"),
    **dict.fromkeys(("msec", "msecs"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
}
"""Longer names of units, with the units that they mean."""


def spell(value: int, type: Type) -> str:
    """A value as a literal of the language, in the largest unit that divides it: `spell(2**20, BYTES)` is `1MiB`.

    A ratio that no whole per cent can write is given as a decimal followed by %, for people to read.
    """
    if type is Type.BOOL:
        return "true" if value else "false"
    if type is Type.RATIO:
        whole, rest = divmod(abs(value), RATIO_ONE // 100)
        sign = "-" if value < 0 else ""
        return f"{sign}{whole}%" if rest == 0 else f"{sign}{whole}.{rest:02d}%"
    if type in (Type.BYTES, Type.DURATION):
        units = sorted((u for u in UNITS.values() if u.type is type), key=lambda u: -u.scale)
        best = next(u for u in units if value % u.scale == 0 and (value != 0 or u.scale == 1))
        return f"{value // best.scale}{best.suffix}"
    return str(value)
