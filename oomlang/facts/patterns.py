"""Text globs and cgroup path patterns: parsing, and the one meaning of a match.

A glob matches bytes: `*` any run, `?` any one byte, everything else itself. A path pattern is a glob for each component;
`under` holds where the leading components of a cgroup's path match, whatever follows.
"""

from __future__ import annotations

import functools

from oomlang.facts.types import CGROUP_NAME_BYTES, PATH_COMPONENTS
from oomlang.records import dataclass

STAR, ANY = ord("*"), ord("?")


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern as the parts between its stars, in order.

    `parts` has one element more than the pattern has (runs of) stars: the first must stand at the start, the last at the
    end, the others in between, each as early as it can. Inside a part, `?` (63) matches any one byte.
    """

    parts: tuple[bytes, ...]

    @property
    def text(self) -> bytes:
        """The pattern, written again."""
        return b"*".join(self.parts)

    @property
    def literal(self) -> bytes | None:
        """The one text that matches, or None where there can be several."""
        return self.parts[0] if len(self.parts) == 1 and ANY not in self.parts[0] else None

    @property
    def shortest(self) -> int:
        """Bytes of the shortest text that matches."""
        return sum(map(len, self.parts))

    @property
    def matches_all(self) -> bool:
        return len(self.parts) > 1 and not any(self.parts)

    def matches(self, text: bytes) -> bool:
        first, *rest = self.parts
        if not _part_at(text, 0, first):
            return False
        if not rest:
            return len(text) == len(first)
        at, end = len(first), len(text) - len(rest[-1])
        for part in rest[:-1]:
            while not _part_at(text, at, part):
                at += 1
                if at + len(part) > len(text):
                    return False
            at += len(part)
        return at <= end and _part_at(text, end, rest[-1])


def _part_at(text: bytes, at: int, part: bytes) -> bool:
    window = text[at : at + len(part)]
    return len(window) == len(part) and all(p in (ANY, t) for p, t in zip(part, window, strict=True))


@functools.cache
def glob(pattern: bytes) -> Glob:
    """Parse a glob; every byte string is one."""
    parts = pattern.split(b"*")
    # Two stars in a row are one.
    return Glob((parts[0], *(p for p in parts[1:-1] if p), parts[-1]) if len(parts) > 1 else (pattern,))


def exactly(text: bytes) -> Glob:
    """The pattern that only this text matches, for `==`. A `?` in it would match any byte, so there must be none."""
    return Glob((text,))


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A cgroup path pattern: one glob a component; no components for the root itself."""

    components: tuple[Glob, ...]

    @property
    def text(self) -> bytes:
        return b"/" + b"/".join(c.text for c in self.components)

    def covers(self, path: tuple[bytes, ...]) -> bool:
        """Whether `path` (its components) is one that the pattern names, or lies below one."""
        return len(path) >= len(self.components) and all(
            g.matches(name) for g, name in zip(self.components, path, strict=False)
        )


class BadPath(ValueError):
    """A path pattern that cannot match any cgroup; the message says why, `help` how to mend it."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


def path_pattern(text: bytes, *, wildcards: bool = True) -> PathPattern:
    """Parse the pattern of `under`, or (without wildcards) the path of a test's cgroup. Raises `BadPath`."""
    shown = text.decode("utf-8", "backslashreplace")
    if not text.startswith(b"/"):
        raise BadPath("a cgroup path begins with `/`", f'write "/{shown}"' if text else 'the root is "/"')
    if text.startswith(b"/sys/fs/cgroup"):
        rest = shown.removeprefix("/sys/fs/cgroup") or "/"
        raise BadPath(
            "a cgroup path begins at the root of the hierarchy, not of the file system", f'write "{rest}"'
        )
    if text == b"/":
        return PathPattern(())
    components = text[1:].split(b"/")
    if components[-1] == b"":
        raise BadPath("a cgroup path does not end with `/`", "`under` covers what lies below anyway")
    if len(components) > PATH_COMPONENTS:
        raise BadPath(f"this path has {len(components)} components; the limit is {PATH_COMPONENTS}")
    for component in components:
        if component == b"":
            raise BadPath("a component of this path is empty", "write one `/` between two names")
        if component in (b".", b".."):
            raise BadPath(
                f"`{component.decode()}` is not the name of a cgroup", "write the path from the root"
            )
        if b"**" in component:
            raise BadPath(
                "`**` does not span components", "`*` matches inside one component; `under` covers all below"
            )
        if b"\n" in component:
            raise BadPath("a cgroup's name cannot hold a line end")
        if not wildcards and (STAR in component or ANY in component):
            raise BadPath("a test's cgroup has a plain path, not a pattern")
        if glob(component).shortest > CGROUP_NAME_BYTES:
            raise BadPath(
                f"a component is longer than the {CGROUP_NAME_BYTES} bytes that a cgroup's name can have"
            )
    return PathPattern(tuple(glob(c) for c in components))
