"""Where the grammar and the templates lie: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

from oomlang.diagnostics import InternalError

_PACKAGE = Path(__file__).resolve().parent


def data_path(*parts: str) -> Path:
    """The path of a file or folder that ships with oomlang, for example `data_path("grammar", "oomlang.lark")`."""
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise InternalError(f"this installation lacks {'/'.join(parts)}: install oomlang again")


def cache_path(name: str) -> Path | None:
    """A file in the user's cache folder (`$XDG_CACHE_HOME/oomlang`, made where missing), or None without one."""
    import os

    base = os.environ.get("XDG_CACHE_HOME") or (
        os.environ.get("HOME") and os.path.join(os.environ["HOME"], ".cache")
    )
    if not base or not os.path.isabs(base):
        return None
    folder = Path(base, "oomlang")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / name
