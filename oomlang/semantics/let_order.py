"""The order in which lets are typed: each after those that it uses, however they stand in the file.

In: the lets of a policy by name. Out: their names in that order, and the cycles among them. Nothing here is recursive: a
chain of lets may be as long as the limit on their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oomlang.records import dataclass
from oomlang.syntax import tree

_SHOWN = 6
"""Names that are kept of a cycle's beginning: all of a longer one would be the square of its length for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetOrder:
    """names: every let once. cycles: the lets on a way from one back to itself, which stands first and last, with `…` for
    the middle of a long one; one for each let at which a way closes.
    """

    names: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]


def let_order(lets: Mapping[str, tree.Let]) -> LetOrder:
    """Order lets by use: depth first, in the order of the file."""
    done: dict[str, None] = {}
    cycles: dict[str, tuple[str, ...]] = {}
    for first in lets:
        # The way to where the search is, and of each let on it what it uses and is not looked at yet.
        way: list[str] = []
        place: dict[str, int] = {}
        rest: list[Iterator[str]] = []
        following: str | None = first
        while following is not None or way:
            if following is None:
                done[way[-1]] = None
                del place[way.pop()]
                rest.pop()
            elif following in place:
                cycles.setdefault(following, _cycle(way, place[following]))
            elif following not in done:
                place[following] = len(way)
                way.append(following)
                rest.append(_used(lets, following))
            following = next(rest[-1], None) if rest else None
    return LetOrder(names=tuple(done), cycles=tuple(cycles.values()))


def _cycle(way: list[str], start: int) -> tuple[str, ...]:
    """The names from a place on the way to its end, and the first again."""
    names = way[start : start + _SHOWN]
    last = max(start + _SHOWN, len(way) - 1)
    if last > start + _SHOWN:
        names.append("…")
    return (*names, *way[last:], way[start])


def _used(lets: Mapping[str, tree.Let], name: str) -> Iterator[str]:
    """The lets that a let uses, in the order of its text."""
    names = (part.name for part in tree.walk(lets[name].value) if isinstance(part, tree.Name))
    return iter(dict.fromkeys(used for used in names if used in lets))
