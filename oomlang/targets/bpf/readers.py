"""The C that reads facts, line by line. Every number is clamped to its range in the table of facts."""

from __future__ import annotations

from collections.abc import Iterable

from oomlang.facts import FACTS, Fact
from oomlang.facts.cells import Expression, OfMemcg, PageCounter, Pages
from oomlang.ir import nodes as ir
from oomlang.records import dataclass
from oomlang.targets.bpf.attachments import EventSource
from oomlang.targets.bpf.views import Needs, View

C_TYPES = {"int": "__s32", "bool": "__u8", "bytes": "__s64", "ratio": "__s64", "duration": "__s64"}
"""How an input lies in its map. An int can hold nothing outside its range; the others are clamped when they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Struct:
    """A struct of the program: its members, the locals of the function that fills it, the lines that do."""

    members: list[str]
    locals: list[str]
    lines: list[str]


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


def event(needs: Needs, policy: ir.Policy, source: EventSource) -> Struct:
    """`struct event` beyond what it always has. source: how the target knows it."""
    members: list[str] = []
    lines: list[str] = []

    def add(member: str, line: str) -> None:
        members.append(member)
        lines.append(line)

    if uses_total(needs):
        total = f"page_bytes({source.total_pages}, {limit('oom.total')})"
        add("s64 total", f"event.total = maximum({total}, 4096);")
    if "oom.global" in needs.event:
        add("bool global", "event.global = !event.scope_id;")
    if "oom.order" in needs.event:
        highest = limit("oom.order").removesuffix("ULL")
        add("s64 order", f"event.order = minimum(maximum({source.order}, -1), {highest});")
    if "age" in needs.task:
        add("u64 now", "event.now = bpf_ktime_get_boot_ns();")
    if "invoker" in needs.task:
        add("u64 invoker", f"event.invoker = {source.invoker};")
    for declared in policy.inputs:
        if not declared.per_memcg and declared.name in needs.knobs:
            value = input_value(declared, f"in_{declared.name}")
            add(f"s64 in_{declared.name}", f"event.in_{declared.name} = {value};")
    if needs.scope_asks:
        add("struct answers answers", "ask(NUMBER(event.scope), event.scope_level);")
        lines.append("event.answers = answers;")
    return Struct(members=members, locals=[], lines=lines)


def uses_total(needs: Needs) -> bool:
    """Whether the event's size in bytes is read."""
    return "oom.total" in needs.event or any(
        FACTS[f].unlimited for v in needs.views.values() for f in v.facts
    )


def candidate(needs: Needs, *, comm_length: bool, comm_end: bool) -> Struct:
    """`struct candidate`: the task's own facts."""
    members: list[str] = []
    lines = [
        "/* oom_badness() of the kernel */",
        "c->points = memory->file + memory->anon + memory->shmem + memory->swap +",
        "\t    (s64)(memory->pgtables >> page_shift) + adj * event.thousandth;",
    ]
    for name in sorted(needs.task):
        if name != "comm":
            members.append(f"s64 {FACTS[name].c_name}")
            lines.append(f"c->{FACTS[name].c_name} = {_value(FACTS[name])};")
    if "comm" in needs.task:
        members.append("struct comm comm")
        lines.append("c->comm = read_comm(task);")
        if comm_length or comm_end:
            members.append("u64 comm_length")
            lines.append("c->comm_length = comm_length(c->comm);")
        if comm_end:
            members.append("struct comm comm_end")
            lines.append("c->comm_end = comm_end(c->comm, c->comm_length);")
    members.append("s64 points; /* the kernel's score, in pages */")
    return Struct(members=members, locals=["s64 adj = task->signal->oom_score_adj;"], lines=lines)


def _value(fact: Fact) -> str:
    """The C that reads a fact, as its cell says, and keeps it in its range."""
    match fact.bpf:
        case PageCounter(member):
            read = "limit_bytes" if fact.unlimited else "page_bytes"
            return f"{read}(BPF_CORE_READ(mem, memory.{member}), {limit(fact.name)})"
        case Pages(c):
            return f"page_bytes({c}, {limit(fact.name)})"
        case OfMemcg(c) | Expression(c):
            range = fact.range
            assert range is not None  # of all facts that are numbers
            return c.replace("{least}", f"{range.low}LL").replace("{limit}", f"{range.high}ULL")
        case None:
            raise AssertionError(f"no reader for {fact.name}")


def view_members(views: Iterable[View], policy: ir.Policy) -> list[str]:
    """The members of `struct memcg`: everything that is asked of any view."""
    views = list(views)
    facts = {f for v in views for f in v.facts}
    members = ["s64 id"] if any(v.reads_id for v in views) else []
    members += [f"s64 {FACTS[f].c_name}" for f in sorted(facts - {"memcg.id"})]
    members += [f"s64 in_{i.name}" for i in policy.inputs if any(i.name in v.inputs for v in views)]
    members += [f"s64 let_{let.name}" for let in policy.lets if any(let.name in v.lets for v in views)]
    if any(v.asks for v in views):
        members.append("struct answers answers")
    # The kernel takes no variable without a size, which a constant value at each depth would come to.
    return (members or ["u64 unasked"]) if views else []


def view(view: View, policy: ir.Policy, lets: Iterable[str]) -> Struct:
    """The function that reads one view. lets: the calls of those that are kept for the cgroup, in their order."""
    inputs = {i.name: i for i in policy.inputs}
    facts = [FACTS[f] for f in sorted(view.facts - {"memcg.id"})]
    counted = [f for f in facts if isinstance(f.bpf, PageCounter | OfMemcg)]
    local: list[str] = []
    lines: list[str] = []
    if view.reads_id:
        # That of the task's own is at hand: it says whether this cgroup was looked at last.
        local.append(f"s64 id = {'looked_at.id' if view.key is None else 'cgroup_id(cgroup)'};")
    if facts:
        local.append("int level;")
    if counted:
        local.append("struct mem_cgroup *mem;")
    for name in sorted(view.inputs):
        local.append(f"{C_TYPES[inputs[name].type.value]} *{name}_cell;")
    if view.changes and not view.each_depth:
        lines += [
            "/* Tasks of one cgroup must see the same numbers, or noise would decide between them. */",
            f"if (kept.task && kept.{view.name}.id == id) {{",
            f"\t*m = kept.{view.name};",
            "\treturn 0;",
            "}",
        ]
    if view.reads_id:
        lines.append("m->id = id;")
    if facts:
        lines.append("level = BPF_CORE_READ(cgroup, level);")
    lines += [f"m->{f.c_name} = {_value(f)};" for f in facts if f not in counted]
    if counted:
        lines.append("if (!level) { /* the root has no counters and no limits */")
        lines += [f"\tm->{f.c_name} = {'event.total' if f.unlimited else '0'};" for f in counted]
        lines.append("} else {")
        lines.append("\tmem = mem_cgroup(cgroup);")
        lines += [f"\tm->{f.c_name} = {_value(f)};" for f in counted]
        lines.append("}")
    for name in sorted(view.inputs):
        cell = f"{name}_cell"
        lines.append(f"{cell} = bpf_map_lookup_elem(&in_{name}, &id);")
        value = input_value(inputs[name], f"*{cell}")
        lines.append(f"m->in_{name} = {cell} ? {value} : {c_default(inputs[name])};")
    if view.asks:
        lines.append("read_answers(&m->answers, cgroup, id);")
    lines += lets
    return Struct(members=[], locals=local, lines=lines)
