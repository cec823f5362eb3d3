"""Instructions of the emitted program against a hand-written C program of the same meaning (bench/handwritten).

Goal: at most 1.15×.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from oomlang import compile as compile_policy  # noqa: E402  (after the path)
from oomlang.targets.bpf.clang import compile_c  # noqa: E402
from oomlang.targets.bpf.inspect import inspect_object  # noqa: E402


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
        print(f"{name}: emitted {ours}, hand-written {theirs}, ratio {ours / theirs:.2f}  (goal 1.15)")


if __name__ == "__main__":
    main()
