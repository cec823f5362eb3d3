"""Instructions of the emitted program against a hand-written C program of the same meaning (bench/handwritten).

All programs of an object together, executed or not: a figure for size. The emitted object has parts that the other one
does without, such as the turn by which one policy replaces another. What a candidate costs is measured by bench/vm.py,
which has the goals.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oomlang import compile as compile_policy
from oomlang.targets.bpf.clang import compile_c
from oomlang.targets.bpf.inspect import inspect_object

ROOT = Path(__file__).resolve().parent.parent


def instructions(image: bytes) -> int:
    """All instructions in an object."""
    return inspect_object(image).instructions


def main() -> None:
    """Measure and print."""
    for source in sorted((ROOT / "bench" / "handwritten").glob("*.bpf.c")):
        name = source.name.removesuffix(".bpf.c")
        policy = ROOT / "examples" / f"{name}.oom"
        ours = instructions(compile_policy(policy.read_bytes(), name=policy.name).object)
        theirs = instructions(compile_c(source.read_text()))
        print(f"{name}: emitted {ours}, hand-written {theirs}, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
