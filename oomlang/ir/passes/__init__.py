"""What is done to the IR between lowering and a target: each pass is a function from a policy to one that means the same.

simplify first, since what is decided or doubled need not be asked, shared or read. paths before share: what is asked about a
cgroup is cheap once it is a question, and not worth a let then. share before levels, which looks at the lets that are left.

The interpreter decides by the IR as it was lowered. It is what the passes are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from oomlang.ir import nodes as ir
from oomlang.ir.passes.levels import levels
from oomlang.ir.passes.paths import paths
from oomlang.ir.passes.share import share
from oomlang.ir.passes.simplify import simplify

Pass: TypeAlias = Callable[[ir.Policy], ir.Policy]

PASSES: tuple[Pass, ...] = (
    simplify,  # constants, what intervals decide, the same thing said twice
    paths,  # `under` and memcg.name become numbered questions about a cgroup
    share,  # what would be computed more than once becomes a let, no other is one
    levels,  # what each let depends on
)


def run(policy: ir.Policy, passes: Iterable[Pass] = PASSES) -> ir.Policy:
    """A policy after some passes, one behind the other."""
    for step in passes:
        policy = step(policy)
    return policy
