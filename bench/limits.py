"""Policies near the limits, as many as asked for: `bench/limits.py FIRST COUNT [SHARE]`.

Prints a line for each that `check` takes and clang or the kernel refuses, and at the end the largest of each figure. Exits
with 1 where there was one.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oomlang.kernel.probe import kernel_btf_path
from oomlang.objects.btf import read_btf
from tests.limits.kernel import Figures, accepted, carry
from tests.limits.policies import policy


def main(first: int, count: int, most: float) -> int:
    """Try them."""
    btf = read_btf(kernel_btf_path())
    refused = taken = 0
    largest: dict[str, tuple[float, int]] = {}
    for seed in range(first, first + count):
        text = accepted(policy(seed, most))
        if text is None:
            print(f"{seed}: check refuses all of it", flush=True)
            continue
        taken += 1
        try:
            figures = carry(text, btf)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what we look for
            refused += 1
            print(f"{seed}: REFUSED: {type(error).__name__}: {str(error)[:1500]}", flush=True)
            continue
        for name in Figures.__dataclass_fields__:
            largest[name] = max(largest.get(name, (0, 0)), (getattr(figures, name), seed))
        print(f"{seed}: {figures}", flush=True)
    print(f"{count} tries, {taken} taken by check, {refused} of them refused later")
    print(f"largest, with the seed: {largest}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 1.0))
