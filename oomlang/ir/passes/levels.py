"""Each let is told its level: what its value depends on (see `oomlang.ir.levels`)."""

from __future__ import annotations

from dataclasses import replace

from oomlang.ir import levels as meaning
from oomlang.ir import nodes as ir


def levels(policy: ir.Policy) -> ir.Policy:
    """The policy, each let with its level."""
    found = meaning.levels(policy.lets)
    return replace(
        policy, lets=tuple([replace(let, level=found.fold(ir.Let(let.name))) for let in policy.lets])
    )
