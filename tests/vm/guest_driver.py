"""Runs oomlang's command line in the guest: a request a line in, an answer a line out, both JSON.

`{"argv": ["load", …], "kill_before": 3}` runs a command in a child of its own. With `kill_before` the child gets SIGKILL
before its third step that changes the machine, through the loader's own seam (`before_step`); the answer's `steps` are
the names of all steps that were begun. Imports are done once: under emulation they take seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from oomlang.cli import run
from oomlang.kernel import loader
from oomlang.kernel.bindings import bindings

_OUTPUTS = ("/tmp/driver.out", "/tmp/driver.err", "/tmp/driver.steps")


def main() -> None:
    """Serve until standard input ends."""
    bindings()
    _say("ready")
    for line in sys.stdin:
        _say(json.dumps(_answer(json.loads(line))))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _run(request)
    _, status = os.waitpid(pid, 0)
    texts = []
    for path in _OUTPUTS:
        with open(path, errors="surrogateescape") as file:
            texts.append(file.read())
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "steps": texts[2].splitlines(),
    }


def _run(request: dict[str, Any]) -> NoReturn:
    for number, path in zip((1, 2, 3), _OUTPUTS, strict=True):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if fd != number:
            os.dup2(fd, number)
            os.close(fd)
    kill_before = request.get("kill_before")
    begun = 0

    def before_step(name: str) -> None:
        nonlocal begun
        begun += 1
        os.write(3, f"{name}\n".encode())
        if begun == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    for verb in ("load", "unload"):
        original = getattr(loader, verb)
        setattr(
            loader,
            verb,
            lambda *args, original=original, **options: original(*args, **options, before_step=before_step),
        )
    code = 4
    try:
        if "uid" in request:
            os.setgroups([])
            os.setresgid(request["uid"], request["uid"], request["uid"])
            os.setresuid(request["uid"], request["uid"], request["uid"])
        code = run(request["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
