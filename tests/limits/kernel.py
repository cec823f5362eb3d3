"""What clang and the running kernel's verifier make of a policy, for both targets."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from oomlang.compiler import Compilation, check, compile
from oomlang.kernel.libbpf import open_object
from oomlang.objects.btf import Btf
from oomlang.objects.elf import read_object
from oomlang.objects.functions import Code
from tests.differential.synthetic import loaded

_PROCESSED = re.compile(r"processed (\d+) insns")


@dataclass(frozen=True)
class Figures:
    """seconds: of check and of compile. processed: instructions that the verifier walked, in the largest program.
    functions: of the object's programs, the most. stack, frames: of the deepest chain of calls.
    """

    check: float
    compile: float
    load: float
    processed: int
    functions: int
    stack: int
    frames: int


def accepted(data: bytes) -> bytes | None:
    """The policy without the statements that `check` has something against, or None where it takes no part of it."""
    for _ in range(6):
        errors = [d for d in Compilation(data, "limit.oom").diagnostics if d.severity == "error"]
        if not errors:
            return data
        bad = {data.count(b"\n", 0, len(data.decode()[: d.span.start].encode())) for d in errors}
        data = b"\n".join(line for n, line in enumerate(data.split(b"\n")) if n not in bad)
    return None


def carry(data: bytes, btf: Btf | None = None) -> Figures:
    """Compile a policy and load it. Raises whatever refuses it. btf: the running kernel's, to load the hook's code too."""
    begun = time.monotonic()
    check(data)
    checked = time.monotonic()
    processed, shapes = 0, []
    artifacts = [compile(data, name="limit.oom", target=target) for target in ("evaluate-task", "dry-run")]
    compiled = time.monotonic()
    for artifact in artifacts:
        code = Code(read_object(artifact.object))
        for n, function in enumerate(code.functions):
            if function.is_program:
                shapes.append((len(code.reachable(n)), *(code.deepest(n) or (0, 99))))
    with open_object(artifacts[-1].object, name="limit") as object:
        object.load(log_level=4)
        logs = object.logs().values()
        processed = max((sum(map(int, _PROCESSED.findall(log))) for log in logs), default=0)
    if btf is not None:
        with loaded(Compilation(data, "limit.oom"), btf):
            pass
    return Figures(
        check=checked - begun,
        compile=compiled - checked,
        load=time.monotonic() - compiled,
        processed=processed,
        functions=max(s[0] for s in shapes),
        stack=max(s[1] for s in shapes),
        frames=max(s[2] for s in shapes),
    )
