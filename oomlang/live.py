"""A machine's facts made into an OOM event that the interpreter can decide.

In: `MachineFacts` (of the live machine or a snapshot) and which event to suppose: the whole machine out of memory, or one
memory cgroup. Out: the interpreter's `Machine`. What the source could not see stays unobservable, whole processes (of other
pid namespaces, of other users) among it.
"""

from __future__ import annotations

from collections.abc import Mapping

from oomlang.facts.types import UNLIMITED
from oomlang.host.model import MachineFacts, MemcgPath, TaskFacts
from oomlang.targets.interp import machine as interp

Inputs = Mapping[str, Mapping[MemcgPath, int]]
"""Values of inputs per memcg: by the input's name and the cgroup's path."""


class NoSuchMemcg(LookupError):
    """The event's scope is none of the machine's memory cgroups."""

    def __init__(self, path: MemcgPath) -> None:
        self.path = path
        super().__init__("/" + b"/".join(path).decode("utf-8", "backslashreplace"))


def machine(
    facts: MachineFacts,
    *,
    scope: MemcgPath = (),
    order: int | None = 0,
    invoker: int | None = None,
    knobs: Mapping[str, int] | None = None,
    memcg_inputs: Inputs | None = None,
) -> interp.Machine:
    """The event of this machine running out of memory, or of the memory cgroup `scope`.

    order: -1 for sysrq. invoker: the pid whose allocation failed, 0 for none of the candidates, None where nobody knows
    (nothing happened yet). knobs, memcg_inputs: values of inputs in base units; a value for a cgroup that the machine
    does not have has no effect. Raises `NoSuchMemcg` where no task's cgroup is `scope` or below it.
    """
    memcgs = _memcgs(facts, memcg_inputs or {})
    if scope and scope not in memcgs:
        raise NoSuchMemcg(scope)
    event = interp.Event(
        total=total(facts, scope),
        order=order,
        scope=memcgs[scope] if scope else None,
        invoker=invoker,
        page_size=facts.page_size,
    )
    candidates = [_candidate(task, memcgs) for task in facts.tasks]
    return interp.Machine(
        event=event,
        candidates=candidates,
        knobs=dict(knobs or {}),
        complete=not any("task" in unseen.what and not unseen.pids for unseen in facts.unseen),
    )


def total(facts: MachineFacts, scope: MemcgPath = ()) -> int | None:
    """The event's size in bytes, as the kernel computes it; None where it cannot be known.

    `mem_cgroup_get_max()`: the limit of the scope, or of its nearest ancestor with one, and the swap that it may use; RAM
    and swap of the machine where none has a limit.
    """
    for length in range(len(scope), 0, -1):
        memcg = facts.memcgs.get(scope[:length])
        limit = memcg.facts.get("memcg.limit") if memcg is not None else None
        if memcg is None or limit is None:
            return None
        if limit < UNLIMITED:
            return limit + memcg.swap_room if memcg.swap_room is not None else None
    return facts.ram + facts.swap


def _memcgs(facts: MachineFacts, inputs: Inputs) -> dict[MemcgPath, interp.Memcg]:
    found: dict[MemcgPath, interp.Memcg] = {}
    for path, memcg in sorted(facts.memcgs.items(), key=lambda item: len(item[0])):
        found[path] = interp.Memcg(
            path=path,
            parent=found[path[:-1]] if path else None,
            id=memcg.id,
            facts=memcg.facts,
            inputs={name: values[path] for name, values in inputs.items() if path in values},
        )
    return found


def _candidate(task: TaskFacts, memcgs: Mapping[MemcgPath, interp.Memcg]) -> interp.Candidate:
    return interp.Candidate(
        pid=task.pid,
        comm=task.comm,
        memcg=memcgs[task.memcg] if task.memcg is not None else None,
        facts=task.facts,
        start=task.start,
        # Of the kernel's guards only these show; what does not is in the source's `unseen`.
        guard=interp.Guard.NO_MM if task.has_mm is False else interp.Guard.NONE,
    )
