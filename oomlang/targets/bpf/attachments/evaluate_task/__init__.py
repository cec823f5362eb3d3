"""`evaluate-task`: the hooks of "mm: Select victim using bpf_oom_evaluate_task", version 2 (docs/kernel-patch.md)."""

from __future__ import annotations

from oomlang.facts.table import ID_FIELDS
from oomlang.objects.metadata import Map
from oomlang.targets.bpf.attachments.target import UPDATING, AttachedProgram, EventSource, Target

EVALUATE_TASK = Target(
    name="evaluate-task",
    summary="choose the victim in the OOM killer",
    decides=True,
    # A program that is attached decides nothing before its turn, so any order would do; this one needs no such argument.
    programs=(
        AttachedProgram(
            name="begin_event",
            section="fentry/bpf_set_policy_name",
            helpers=UPDATING,
            kfuncs=frozenset({"set_oom_policy_name"}),
        ),
        AttachedProgram(name="end_event", section="tp_btf/select_bad_process_end", helpers=UPDATING),
        AttachedProgram(name="evaluate_task", section="fmod_ret/bpf_oom_evaluate_task", helpers=UPDATING),
    ),
    maps=(Map(name="nothing_found", type="lru_hash", key=8, value=16),),
    turn=".data.turn",
    template="bpf/evaluate_task.c.j2",
    event=EventSource(
        total_pages="oc->totalpages",
        order="oc->order",
        invoker="bpf_get_current_pid_tgid() >> 32",
    ),
    pieces=("turn", "fail_safe"),
    reads=(
        "oc.memcg",
        "memcg.css",
        "css.cgroup",
        "cgroup.level",
        *ID_FIELDS,
        "oc.totalpages",
        "oc.order",
        "oc.chosen",
    ),
)
