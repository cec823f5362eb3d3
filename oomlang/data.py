"""Where the grammar and the templates lie: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

import os

from oomlang.diagnostics import InternalError

# os.path and not pathlib, which takes longer to import than all that is done here, at the start of every command.
_PACKAGE = os.path.dirname(os.path.realpath(__file__))


def data_path(*parts: str) -> str:
    """The path of a file or folder that ships with oomlang, for example `data_path("grammar", "oomlang.lark")`."""
    for root in (os.path.join(_PACKAGE, "_data"), os.path.dirname(_PACKAGE)):
        path = os.path.join(root, *parts)
        if os.path.exists(path):
            return path
    raise InternalError(f"this installation lacks {'/'.join(parts)}: install oomlang again")


def cache_path(name: str) -> str | None:
    """A file in the user's cache folder (`$XDG_CACHE_HOME/oomlang`, made where missing), or None without one."""
    base = os.environ.get("XDG_CACHE_HOME") or (
        os.environ.get("HOME") and os.path.join(os.environ["HOME"], ".cache")
    )
    if not base or not os.path.isabs(base):
        return None
    folder = os.path.join(base, "oomlang")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        return None
    return os.path.join(folder, name)
