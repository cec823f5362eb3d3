"""The C that reads facts, line by line. Every number is clamped to its range in the table of facts."""

from __future__ import annotations

from oomlang.facts import FACTS
from oomlang.ir import nodes as ir
from oomlang.targets.bpf.matching import Matchers
from oomlang.targets.bpf.views import Needs, View

# Pages of the counters that a fact adds up; the locals are read once for all of them and the kernel's score.
_PAGES = {
    "rss": "file + anon + shmem",
    "rss.anon": "anon",
    "rss.file": "file",
    "rss.shmem": "shmem",
    "swap": "swap",
}
_LEVEL_0 = {"limit": "event.total", "high": "event.total"}
C_TYPES = {"int": "__s32", "bool": "__u8", "bytes": "__s64", "ratio": "__s64", "duration": "__s64"}
"""How an input lies in its map. An int can hold nothing outside its range; the others are clamped when they are read."""


def limit(fact: str) -> str:
    """The top of a fact's range as C."""
    interval = FACTS[fact].range
    assert interval is not None  # only numbers are asked for
    return f"{interval.high}ULL"


def input_value(declared: ir.InputDeclaration, expression: str) -> str:
    """C that reads an input's cell and clamps it to the declared range."""
    if C_TYPES[declared.type.value] == "__s32":
        return expression
    if C_TYPES[declared.type.value] == "__u8":
        return f"!!{expression}"
    low, high = declared.interval.low, declared.interval.high
    return f"minimum(maximum({expression}, {low}), {high}LL)"


def c_default(declared: ir.InputDeclaration) -> str:
    """The default as a C constant."""
    return f"{declared.default}LL" if abs(declared.default) > 2**31 - 1 else str(declared.default)


def event_lines(needs: Needs, policy: ir.Policy, target: str) -> tuple[list[str], list[str]]:
    """The members of `struct event` beyond those it always has, and the lines that fill them."""
    live = target == "evaluate-task"
    members: list[str] = []
    lines: list[str] = []

    def add(member: str, line: str) -> None:
        members.append(member)
        lines.append(line)

    if uses_total(needs):
        pages = "oc->totalpages" if live else "request.total_pages"
        add("s64 total", f"event.total = maximum(page_bytes({pages}, {limit('oom.total')}), 4096);")
    if "oom.global" in needs.event:
        add("bool global", "event.global = !oc->memcg;" if live else "event.global = !request.scope_id;")
    if "oom.order" in needs.event:
        order = "oc->order" if live else "request.order"
        add("s64 order", f"event.order = minimum(maximum({order}, -1), {FACTS['oom.order'].range.high});")  # type: ignore[union-attr]  # it has a range
    if "age" in needs.task:
        add("u64 now", "event.now = bpf_ktime_get_boot_ns();")
    if "invoker" in needs.task:
        invoker = "bpf_get_current_pid_tgid() >> 32" if live else "request.invoker"
        add("u64 invoker", f"event.invoker = {invoker};")
    for declared in policy.inputs:
        if not declared.per_memcg and declared.name in needs.knobs:
            add(
                f"s64 in_{declared.name}",
                f"event.in_{declared.name} = {input_value(declared, 'in_' + declared.name)};",
            )
    return members, lines


def uses_total(needs: Needs) -> bool:
    """Whether the event's size in bytes is read."""
    return "oom.total" in needs.event or any(
        {"memcg.limit", "memcg.high"} & v.facts for v in needs.views.values()
    )


def task_lines(needs: Needs) -> tuple[list[str], list[str], list[str]]:
    """Members of `struct candidate` for the task's own facts; the locals and lines of `read_candidate`."""
    members: list[str] = []
    lines: list[str] = []
    local = [
        "s64 file = MM_PAGES(mm, MM_FILEPAGES);",
        "s64 anon = MM_PAGES(mm, MM_ANONPAGES);",
        "s64 shmem = MM_PAGES(mm, MM_SHMEMPAGES);",
        "s64 swap = MM_PAGES(mm, MM_SWAPENTS);",
        "u64 pgtables = BPF_CORE_READ(mm, pgtables_bytes.counter);",
        "s64 adj = task->signal->oom_score_adj;",
    ]
    for name in sorted(needs.task):
        fact = FACTS[name]
        if name == "comm":
            local.append("long size;")
            members += ["u64 comm[2]", "u64 comm_length"]
            lines += [
                "c->comm[0] = c->comm[1] = 0;",
                "size = bpf_probe_read_kernel_str(c->comm, sizeof(c->comm), task->comm);",
                "c->comm_length = size > 0 ? size - 1 : 0;",
            ]
            continue
        members.append(f"s64 {fact.c_name}")
        lines.append(f"c->{fact.c_name} = {_task_value(name)};")
    lines.append("/* oom_badness() of the kernel */")
    lines.append(
        "c->points = file + anon + shmem + swap + (s64)(pgtables >> page_shift) + adj * event.thousandth;"
    )
    if "badness" in needs.task:
        # After points, from which it is made.
        made = next(i for i, line in enumerate(lines) if line.startswith("c->badness"))
        lines.append(lines.pop(made))
    return members, local, lines


def _task_value(name: str) -> str:
    if name in _PAGES:
        return f"page_bytes({_PAGES[name]}, {limit(name)})"
    match name:
        case "pgtables":
            return f"minimum(pgtables, {limit(name)})"
        case "vm":
            return f"page_bytes(BPF_CORE_READ(mm, total_vm), {limit(name)})"
        case "oom_score_adj":
            return "adj"
        case "badness":
            interval = FACTS[name].range
            assert interval is not None  # it is a number
            pages = f"minimum(maximum(c->points, {interval.low}LL >> page_shift), {interval.high}LL >> page_shift)"
            return f"{pages} * (1LL << page_shift)"
        case "pid":
            return "task->tgid"
        case "uid":
            return "task->real_cred->uid.val"
        case "nice":
            return "task->static_prio - 120"
        case "threads":
            return f"minimum(task->signal->nr_threads, {limit(name)})"
        case "age":
            age = "(event.now - task->start_boottime) / 1000000"
            return f"event.now > task->start_boottime ? minimum({age}, {limit(name)}) : 0"
        case "invoker":
            return "(u64)task->tgid == event.invoker"
        case _:
            raise AssertionError(f"no reader for {name}")


def view_members(views: list[View], inputs: dict[str, ir.InputDeclaration]) -> list[str]:
    """The members of `struct memcg`: everything that is asked of any view."""
    facts = {f for v in views for f in v.facts} - {"memcg", "memcg.name"}
    members = ["s64 id"] if any(needs_id(v) for v in views) or "memcg.id" in facts else []
    members += [f"s64 {FACTS[f].c_name}" for f in sorted(facts - {"memcg.id"})]
    if any("memcg.name" in v.facts for v in views):
        members += ["const char *name", "u64 name_length"]
    members += [f"s64 in_{n}" for n in inputs if any(n in v.inputs for v in views)]
    return members


def needs_id(view: View) -> bool:
    """Whether a view's cgroup id is read: asked for, a map's key, or to tell one cgroup from another."""
    return "memcg.id" in view.facts or view.changes or isinstance(view.key, tuple)


def view_lines(
    view: View, policy: ir.Policy, matchers: Matchers, name_globs: bool
) -> tuple[list[str], list[str]]:
    """The locals and lines of the function that reads one view."""
    inputs = {i.name: i for i in policy.inputs}
    counted = sorted(f for f in view.facts if f in _COUNTERS)
    local: list[str] = []
    lines: list[str] = []
    if needs_id(view):
        local.append("u64 id = cgroup_id(cgroup);")
    leveled = bool(counted) or "memcg.depth" in view.facts
    if leveled:
        local.append("int level;")
    if counted:
        local.append("struct mem_cgroup *memcg;")
    for name in sorted(view.inputs):
        local.append(f"{C_TYPES[inputs[name].type.value]} *{name}_cell;")
    if view.changes and not isinstance(view.key, tuple):
        lines += [
            "/* Tasks of one cgroup must see the same numbers, or noise would decide between them. */",
            f"if (kept.task && kept.{view.member}.id == id) {{",
            f"\t*m = kept.{view.member};",
            "\treturn;",
            "}",
        ]
    lines.append("m->cgroup = cgroup;")
    if needs_id(view):
        lines.append("m->id = id;")
    if leveled:
        lines.append("level = BPF_CORE_READ(cgroup, level);")
    if "memcg.depth" in view.facts:
        lines.append(f"m->depth = minimum(level, {limit('memcg.depth')});")
    if "memcg.name" in view.facts:
        lines.append("m->name = cgroup_name(cgroup);")
        if name_globs:
            lines.append(f"m->name_length = {matchers.length_call('m->name')};")
    if counted:
        lines.append("if (!level) { /* the root has no counters and no limits */")
        lines += [f"\tm->{FACTS[f].c_name} = {_LEVEL_0.get(FACTS[f].c_name, '0')};" for f in counted]
        lines.append("} else {")
        lines.append("\tmemcg = mem_cgroup(cgroup);")
        lines += [f"\tm->{FACTS[f].c_name} = {_COUNTERS[f]};" for f in counted]
        lines.append("}")
    for name in sorted(view.inputs):
        cell = f"{name}_cell"
        lines.append(f"{cell} = bpf_map_lookup_elem(&in_{name}, &id);")
        value = input_value(inputs[name], f"*{cell}")
        lines.append(f"m->in_{name} = {cell} ? {value} : {c_default(inputs[name])};")
    return local, lines


def _counter(member: str, fact: str) -> str:
    return f"page_bytes(BPF_CORE_READ(memcg, memory.{member}), {limit(fact)})"


_COUNTERS = {
    "memcg.usage": _counter("usage.counter", "memcg.usage"),
    "memcg.min": _counter("min", "memcg.min"),
    "memcg.low": _counter("low", "memcg.low"),
    "memcg.limit": "limit_bytes(BPF_CORE_READ(memcg, memory.max), event.total)",
    "memcg.high": "limit_bytes(BPF_CORE_READ(memcg, memory.high), event.total)",
    "memcg.swap": "swap_bytes(cgroup, memcg)",
    "memcg.oom_group": "BPF_CORE_READ(memcg, oom_group)",
    "memcg.oom_kills": "oom_kills(memcg)",
}
COUNTED = frozenset(_COUNTERS)
"""Memcg facts that lie in `struct mem_cgroup`."""
