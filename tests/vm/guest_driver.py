"""Runs oomlang's command line in the guest: a request a line in, an answer a line out, both JSON.

`{"argv": ["load", …], "kill_before": 3}` runs a command in a child of its own. With `kill_before` the child gets SIGKILL
before its third step that changes the machine, through the loader's own seam (`before_step`); with `fail_before` that
step fails instead. The answer's `steps` are the names of all steps that were begun.

`{"load": path, "replace": true}` and `{"unload": true}` call the loader itself, `{"turn": [5, 4]}` says by hand whose
turn it is, and `{"turns": [path, …], "count": 50}` lets policies replace each other: none of the command line's checks,
which take seconds under emulation, as do imports, which are done once. `"still"` shortens the time that the loader waits
for a policy to stand still. `{"attach": path, "program": name, "pin": path}` attaches one program of any object, as
a tool that knows nothing of us would.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from oomlang.cli import run
from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel import loader
from oomlang.kernel.bindings import LibbpfError, bindings
from oomlang.kernel.libbpf import open_object
from oomlang.kernel.pins import Pins, Turn
from oomlang.objects.metadata import read_metadata

_MODULES = (
    *(f"oomlang.cli.{name}" for name in ("app", "failures", "load", "unload", "status", "input", "streams")),
    "oomlang.diagnostics.visible",
    "oomlang.kernel.status",
    "oomlang.syntax.suggest",
    "oomlang.targets.bpf.elf_checks",
    "oomlang.targets.bpf.inspect",
)
"""What commands import when they are called."""

_OUTPUTS = ("/tmp/driver.out", "/tmp/driver.err", "/tmp/driver.steps")


def main() -> None:
    """Serve until standard input ends."""
    for name in _MODULES:
        importlib.import_module(name)
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
    kill_before, fail_before = request.get("kill_before"), request.get("fail_before")
    begun = 0
    loader._STILL = request.get("still", loader._STILL)

    def before_step(name: str) -> None:
        nonlocal begun
        begun += 1
        os.write(3, f"{name}\n".encode())
        if begun == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        if begun == fail_before:
            raise LibbpfError(name, errno=errno.ENOMEM)

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
        code = run(request["argv"]) if "argv" in request else _call(request)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  # whatever it is, the test has to see it
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _call(request: dict[str, Any]) -> int:
    """The loader itself; 3 where it says no."""
    pins = Pins()
    try:
        if "turn" in request:
            pins.hand_over(Turn(in_force=request["turn"][0], outgoing=request["turn"][1]))
        if "attach" in request:
            with open(request["attach"], "rb") as file, open_object(file.read(), name="foreign") as opened:
                opened.load()
                with opened.program(request["program"]).attach() as link:
                    link.pin(Path(request["pin"]))
        if "unload" in request:
            loader.unload(pins)
        for number in range(request.get("count", 1)):
            paths = request.get("turns") or [request.get("load")]
            if path := paths[number % len(paths)]:
                with open(path, "rb") as file:
                    image = file.read()
                done = loader.load(image, read_metadata(image), pins, replace=request.get("replace", True))
                assert not done.left, done
    except (LibbpfError, loader.Occupied, EnvironmentLacks) as error:
        os.write(2, f"{error}\n".encode())
        return 3
    return 0


if __name__ == "__main__":
    main()
