"""The C of a policy, run in user space: the helpers and CO-RE are replaced by the headers in `host/`.

In: what is asked of tasks and events. Out: what the rules say about tasks in cgroups, thousands of them in one process.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oomlang.diagnostics import Span
from oomlang.facts.patterns import PathPattern, exactly
from oomlang.ir import nodes as ir
from oomlang.targets.bpf.attachments import Target
from oomlang.targets.bpf.clang import find_clang
from oomlang.targets.bpf.emit import SourceInfo, emit

HOST = Path(__file__).with_name("host")
_FLAGS = (
    "-x", "c", "-std=gnu11", "-O1", "-Wall", "-Werror", "-Wno-unused-function", "-Wno-unknown-attributes",
    # Other than the emitted C, in which the kernel's types are somewhere else than they are here.
    "-Wno-ignored-attributes", "-Wno-unused-variable", "-Wno-gnu-variable-sized-type-not-at-end",
    "-fsanitize=bounds,shift,signed-integer-overflow", "-fsanitize-trap=all",
)  # fmt: skip
_OFFSET = re.compile(r"bpf_core_field_offset\((\w+)->(\w+)\)")
SOURCE = SourceInfo(name="asked.oom", sha256="0" * 64, compiler="tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A task in a cgroup: the 16 bytes of its comm, the path's components, the ids of the root and of each component."""

    comm: bytes = bytes(16)
    path: tuple[bytes, ...] = ()
    ids: tuple[int, ...]
    v1: bool = False

    def packed(self) -> bytes:
        names = (b"", *self.path)
        assert len(self.comm) == 16
        assert len(self.ids) == len(names)
        cgroups = (
            id.to_bytes(8, "little") + bytes([len(n)]) + n for id, n in zip(self.ids, names, strict=True)
        )
        return bytes([self.v1, len(self.path)]) + self.comm + b"".join(cgroups)


def policy(
    of_event: Iterable[ir.Expression] = (),
    of_task: Iterable[ir.Expression] = (),
    questions: Iterable[ir.Question] = (),
) -> ir.Policy:
    """A policy of event rules and `never kill` rules, one for each condition, and one more for what host/answers.c reads."""
    questions = (*questions, PathPattern(()))
    fixed = ir.Logical(
        "or", (ir.Match("comm", None, (exactly(b""),)), ir.Asked("memcg", None, (len(questions) - 1,)))
    )
    rules: list[ir.Rule] = []
    for condition in of_event:
        rules.append(ir.EventRule(origin=_origin(len(rules) + 1), kernel_decides=True, condition=condition))
    for condition in (*of_task, fixed):
        rules.append(ir.Never(origin=_origin(len(rules) + 1), condition=condition))
    return ir.Policy(name="asked", inputs=(), lets=(), rules=tuple(rules), questions=questions)


def _origin(number: int) -> ir.Origin:
    return ir.Origin(number=number, span=Span(0, 1), line=number, column=1, text=f"rule {number}")


def answers(
    policy: ir.Policy, target: Target, places: Sequence[Place], folder: Path
) -> list[tuple[str, str]]:
    """For each place, twice, what the event rules and then the `never kill` rules say, as digits in their order."""
    c_source = _OFFSET.sub(r"bpf_core_field_offset(typeof(*\1), \2)", emit(policy, target, SOURCE).c_source)
    binary = folder / "answers"
    defined = {
        "ASKED_OF_EVENT": [f"rule_{r.origin.number}" for r in policy.event_rules],
        "ASKED_OF_TASK": [f"rule_{r.origin.number}" for r in policy.never[:-1]],
    }
    command = [find_clang(), *_FLAGS, f"-I{HOST}", *(["-DDRY_RUN"] if target.record else [])]
    command += [f"-D{name}={','.join(rules)}" for name, rules in defined.items()]
    text = c_source + (HOST / "answers.c").read_text()
    made = subprocess.run(
        [*command, "-o", binary, "-"], input=text.encode(), capture_output=True, timeout=300, check=False
    )
    assert made.returncode == 0, made.stderr.decode()
    ran = subprocess.run(
        [binary], input=b"".join(p.packed() for p in places), capture_output=True, timeout=300, check=False
    )
    assert ran.returncode == 0, f"{ran.returncode}: it read or computed what it must not"
    lines = ran.stdout.decode().splitlines()
    return list(zip(lines[::2], lines[1::2], strict=True))
