"""The command line: one module a verb, loaded when the verb is called.

In: argv, files, the standard streams. Out: results on standard output, diagnostics on standard error, and an exit code:
0 done · 1 the policy is wrong · 2 usage · 3 the environment lacks something · 4 a bug of ours. Nothing outside this
package prints, reads argv or exits.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import NoReturn

_OBJECTS = 200_000
"""Allocated between two runs of the garbage collector, which has nothing to find while modules are loaded."""


def main() -> NoReturn:
    """The program `oomlang`: run the command line of this process, and end it with its exit code."""
    gc.set_threshold(_OBJECTS)
    try:
        code = run()
    except KeyboardInterrupt:
        code = 130
    # All is written and closed. Taking the interpreter down would cost a fifth of a short command's time.
    os._exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, that of this process by default, and return its exit code."""
    from oomlang.cli.app import run

    return run(arguments)
