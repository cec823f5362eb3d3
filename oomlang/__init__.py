"""oomlang: a typed language for OOM-kill policies, and its compiler to BPF.

    import oomlang

    artifact = oomlang.compile(b'never kill when comm == "sshd"\\n')
    open("policy.bpf.o", "wb").write(artifact.object)

Wrong policies raise `OomlangError`, which carries `Diagnostic`s; a machine without clang raises `EnvironmentLacks`.
Everything is loaded when it is first used, so that importing oomlang costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oomlang.compiler import Artifact, check, compile
    from oomlang.diagnostics import Diagnostic, EnvironmentLacks, InternalError, OomlangError
    from oomlang.syntax.printer import format_text as format

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Diagnostic",
    "EnvironmentLacks",
    "InternalError",
    "OomlangError",
    "__version__",
    "check",
    "compile",
    "format",
]

# Where each name comes from. importlib and not an import statement: this package stands below all of its layers.
_SOURCES = {
    "Artifact": ("oomlang.compiler", "Artifact"),
    "check": ("oomlang.compiler", "check"),
    "compile": ("oomlang.compiler", "compile"),
    "format": ("oomlang.syntax.printer", "format_text"),
    "Diagnostic": ("oomlang.diagnostics", "Diagnostic"),
    "EnvironmentLacks": ("oomlang.diagnostics", "EnvironmentLacks"),
    "InternalError": ("oomlang.diagnostics", "InternalError"),
    "OomlangError": ("oomlang.diagnostics", "OomlangError"),
}


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _SOURCES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
