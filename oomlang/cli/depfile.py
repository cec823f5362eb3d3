"""Dependency files: what an output was made from, for make and ninja."""

from __future__ import annotations

import re
from collections.abc import Iterable

from oomlang.cli.failures import Failure


def depfile_text(output: str, inputs: Iterable[str]) -> bytes:
    r"""`output: input input`, as a makefile's rule.

    Blanks, `#`, `$` and `:` are escaped so that GNU make and ninja read the same name. Raises `Failure` for a name that
    neither can read.
    """
    names = [_escaped(output, target=True), *(_escaped(name) for name in inputs)]
    text = f"{names[0]}:{''.join(f' {name}' for name in names[1:])}\n"
    return text.encode("utf-8", "surrogateescape")


def _escaped(name: str, *, target: bool = False) -> str:
    if re.search(r"[\n\r\0]", name):
        raise Failure(f"{name} cannot stand in a dependency file: no make reads a line end in a name")
    if name.endswith("\\"):
        raise Failure(
            f"{name} cannot stand in a dependency file: a backslash at its end escapes what follows"
        )
    # Backslashes count only where one of these follows; then each is doubled, as gcc and make have it.
    name = re.sub(r"(\\*)([ \t#])", lambda m: f"{m[1] * 2}\\{m[2]}", name)
    return name.replace("$", "$$").replace(":", "\\:")
