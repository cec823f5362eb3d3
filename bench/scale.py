"""How our part of a compilation grows with the number of rules: CPU of each pass for 125 to 2,000 generated rules.

A growth of n·log n multiplies the time by about 2.2 for twice the rules; the last column is what was measured.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oomlang.compiler import Compilation


def policy(rules: int) -> bytes:
    """A policy of so many rules, of five kinds in turn, no two the same."""
    kinds = (
        'never kill when comm == "proc{i}" and uid == {i}',
        'kill first when memcg under "/a{m}.slice" and rss > {j}MiB',
        "kill highest rss + {i}MiB when uid == {i}",
        "kill last when oom_score_adj == {k} and pid > {i}",
        'kill highest memcg.usage / {j} step {j}KiB when comm like "x{m}*"',
    )
    lines = [kinds[i % len(kinds)].format(i=i, j=i + 1, k=i % 900, m=i % 40) for i in range(rules)]
    return "\n".join(['policy "generated"', *lines]).encode()


def main() -> None:
    """Measure and print."""
    print("rules   parse  type  rules  emit   total (s of CPU)   growth / (n log n)")
    before = None
    Compilation(policy(10), "warm.oom").program("evaluate-task")
    for count in (125, 250, 500, 1000, 2000):
        compilation = Compilation(policy(count), "generated.oom")
        stamps = [time.process_time()]
        for step in (
            lambda c: c.tree,
            lambda c: c.policy,
            lambda c: c.diagnostics,
            lambda c: c.program("evaluate-task"),
        ):
            step(compilation)
            stamps.append(time.process_time())
        passes = [b - a for a, b in itertools.pairwise(stamps)]
        total = sum(passes)
        growth = ""
        if before is not None:
            expected = count * math.log(count) / (before[0] * math.log(before[0]))
            growth = f"{total / before[1] / expected:.2f}"
        print(
            f"{count:5}   " + "  ".join(f"{p:5.2f}" for p in passes) + f"  {total:6.2f}             {growth}"
        )
        before = (count, total)


if __name__ == "__main__":
    main()
