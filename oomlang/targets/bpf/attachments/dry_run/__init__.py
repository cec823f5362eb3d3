"""`dry-run`: ranks the tasks of a running machine by an iterator over them, on a kernel with nothing patched."""

from __future__ import annotations

from oomlang.facts.table import ANCESTOR_FIELDS, ID_FIELDS, MEMCG_FIELDS
from oomlang.targets.bpf.attachments.target import UPDATING, AttachedProgram, EventSource, Target

DRY_RUN = Target(
    name="dry-run",
    summary="rank the tasks of a live machine",
    decides=False,
    programs=(AttachedProgram(name="dry_run", section="iter/task", helpers=UPDATING | {"seq_write"}),),
    maps=(),
    turn=None,
    template="bpf/dry_run.c.j2",
    event=EventSource(
        total_pages="request.total_pages",
        order="request.order",
        invoker="request.invoker",
    ),
    reads=(
        "task.pid",
        "task.tgid",
        "task.flags",
        "iter.meta",
        "iter.task",
        "iter_meta.seq",
        "iter_meta.seq_num",
        *MEMCG_FIELDS,
        *ANCESTOR_FIELDS,
        *ID_FIELDS,
    ),
    told=frozenset({"oc.memcg", "oc.order", "oc.totalpages"}),
    record=True,
    scoped=True,
    pieces=("request",),
)
