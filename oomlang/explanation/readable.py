"""Names and numbers as people read them.

In: bytes from the kernel and numbers in base units. Out: text in which nothing can steer a terminal; numbers rounded to
what matters, and exact again where two that differ would otherwise look the same.
"""

from __future__ import annotations

from oomlang.diagnostics.visible import visible
from oomlang.facts import UNITS, Type, spell

UNSEEN = "?"
"""Stands for a value that is unobservable."""

_SIZES = tuple((u.suffix, u.scale) for u in reversed(UNITS.values()) if u.type is Type.BYTES)
_TIMES = tuple((u.suffix, u.scale) for u in reversed(UNITS.values()) if u.type is Type.DURATION)


def name_text(name: bytes | None) -> str:
    """A comm or the name of a cgroup."""
    return UNSEEN if name is None else visible(name.decode("utf-8", "surrogateescape"))


def path_text(path: tuple[bytes, ...] | None) -> str:
    """The path of a cgroup, `/` for the root."""
    return UNSEEN if path is None else "/" + "/".join(map(name_text, path))


def size(value: int | None) -> str:
    """Bytes with three digits: `1.25GiB`, `812MiB`, `0B`."""
    return _scaled(value, _SIZES)


def quantity(value: int | None, type: Type, *, exact: bool = False) -> str:
    """A value of the language, rounded where its type has units; as the language itself writes it where `exact`."""
    if value is None:
        return UNSEEN
    if exact or type not in (Type.BYTES, Type.DURATION):
        return spell(value, type)
    return _scaled(value, _SIZES if type is Type.BYTES else _TIMES)


def quantities(first: int | None, second: int | None, type: Type) -> tuple[str, str]:
    """Two values side by side: rounded, unless that hides their difference."""
    rounded = quantity(first, type), quantity(second, type)
    if rounded[0] == rounded[1] and first != second:
        return quantity(first, type, exact=True), quantity(second, type, exact=True)
    return rounded


def _scaled(value: int | None, units: tuple[tuple[str, int], ...]) -> str:
    if value is None:
        return UNSEEN
    sign, rest = ("-", -value) if value < 0 else ("", value)
    for suffix, scale in units:
        if rest >= scale:
            number = rest / scale
            if number >= 100 or scale == 1:
                return f"{sign}{number:.0f}{suffix}"
            digits = f"{number:.{1 if number >= 10 else 2}f}".rstrip("0").rstrip(".")
            return f"{sign}{digits}{suffix}"
    return f"{sign}{rest}{units[-1][0]}"
