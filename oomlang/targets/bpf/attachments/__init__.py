"""The targets, one directory each.

Out: `TARGETS`, the first of which is the default. Nothing but this tuple names them.
"""

from __future__ import annotations

from oomlang.targets.bpf.attachments.dry_run import DRY_RUN
from oomlang.targets.bpf.attachments.evaluate_task import EVALUATE_TASK
from oomlang.targets.bpf.attachments.target import AttachedProgram, EventSource, Target

TARGETS: tuple[Target, ...] = (EVALUATE_TASK, DRY_RUN)

__all__ = ["TARGETS", "AttachedProgram", "EventSource", "Target", "find_target"]


def find_target(name: str) -> Target:
    """The target of that name. Errors: `ValueError`."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise ValueError(f"unknown target {name!r}: the targets are {', '.join(t.name for t in TARGETS)}")
