"""THE table of facts: everything that a policy can ask about a candidate, its memory cgroup and the OOM event.

For each fact: its type, the range its values are clamped to, what it means, and a cell for each source (`cells`): how BPF
reads it (which kernel fields), where /proc and cgroupfs show it, which column of a kernel OOM report carries it, what it is
in a test block that does not give it. `None` for a source means that the source cannot see the fact: it is *unobservable*
there, and nothing turns that into 0. The readers of all sources go through these rows.
"""

from __future__ import annotations

from enum import Enum

from oomlang.facts.cells import (
    NO_LIMIT,
    Always,
    Bpf,
    Cgroup,
    CgroupFile,
    Cgroupfs,
    Column,
    Expression,
    InTest,
    MadeUp,
    OfMemcg,
    PageCounter,
    Pages,
    ProcFile,
    Procfs,
    ReportCell,
    Special,
    Stat,
    Status,
    Unit,
)
from oomlang.facts.interval import Interval
from oomlang.facts.types import CGROUP_NAME_BYTES, COMM_BYTES, UNLIMITED, Type
from oomlang.records import dataclass


class Scope(Enum):
    """Whose property a fact is."""

    TASK = "task"
    MEMCG = "memcg"
    EVENT = "event"


class Kept(Enum):
    """How machines, snapshots and the interpreter's candidates hold a fact."""

    BY_NAME = "by name"  # among the numbers of its task or cgroup, under its name
    FIELD = "field"  # what a task or cgroup is known by: it has a field of its own
    COMPUTED = "computed"  # from other facts and the event


@dataclass(frozen=True, slots=True)
class KernelField:
    """A field (or, with `kind` "enum", an enumerator) of the kernel's own types that a reader needs.

    `declaration` is how the emitted C declares it. Where a field moved or changed its type between kernels, the
    alternatives share a `group`: a kernel needs to have one of them. An alternative that the C has to tell apart from
    another lives in a flavour of its type (`mm_struct___per_mm`); CO-RE ignores what follows the three underscores.
    """

    type: str
    field: str
    declaration: str
    group: str = ""
    kind: str = "struct"

    @property
    def kernel_type(self) -> str:
        """The type's name in the kernel."""
        return self.type.split("___")[0]

    @property
    def path(self) -> str:
        """`mm_struct.rss_stat`: the name that messages use."""
        return f"{self.kernel_type}.{self.field}"


def _field(type: str, declaration: str, *, group: str = "") -> KernelField:
    name = declaration.rstrip(";").split("[")[0].split()[-1].lstrip("*")
    return KernelField(type=type, field=name, declaration=declaration, group=group)


# The kernel fields by name. Readers refer to them; the emitted C declares just those that the policy's readers need.
FIELDS: dict[str, KernelField] = {
    "task.comm": _field("task_struct", "char comm[16]"),
    "task.pid": _field("task_struct", "int pid"),
    "task.tgid": _field("task_struct", "int tgid"),
    "task.flags": _field("task_struct", "unsigned int flags"),
    "task.mm": _field("task_struct", "struct mm_struct *mm"),
    "task.signal": _field("task_struct", "struct signal_struct *signal"),
    "task.thread_node": _field("task_struct", "struct list_head thread_node"),
    "task.real_parent": _field("task_struct", "struct task_struct *real_parent"),
    "task.vfork_done": _field("task_struct", "struct completion *vfork_done"),
    "task.start_boottime": _field("task_struct", "__u64 start_boottime"),
    "task.real_cred": _field("task_struct", "const struct cred *real_cred"),
    "task.static_prio": _field("task_struct", "int static_prio"),
    "task.cgroups": _field("task_struct", "struct css_set *cgroups"),
    "signal.oom_score_adj": _field("signal_struct", "short oom_score_adj"),
    "signal.oom_mm": _field("signal_struct", "struct mm_struct *oom_mm"),
    "signal.thread_head": _field("signal_struct", "struct list_head thread_head"),
    "signal.nr_threads": _field("signal_struct", "int nr_threads"),
    "list.next": _field("list_head", "struct list_head *next"),
    "atomic_long.counter": _field("atomic_long_t", "__s64 counter"),
    "kuid.val": _field("kuid_t", "__u32 val"),
    "cred.uid": _field("cred", "kuid_t uid"),
    "mm.total_vm": _field("mm_struct", "unsigned long total_vm"),
    "mm.pgtables_bytes": _field("mm_struct", "atomic_long_t pgtables_bytes"),
    # Linux 6.2 (f1a7941243c1) made rss_stat an array of per-CPU counters.
    "mm.rss_stat": _field("mm_struct", "struct percpu_counter rss_stat[4]", group="rss_stat"),
    "mm.rss_stat.before_6_2": _field(
        "mm_struct___before_6_2", "struct mm_rss_stat rss_stat", group="rss_stat"
    ),
    "percpu_counter.count": _field("percpu_counter", "__s64 count", group="rss_stat"),
    "mm_rss_stat.count": _field("mm_rss_stat", "atomic_long_t count[4]", group="rss_stat"),
    # Linux 6.18 made the mm's flags a bitmap in a structure of its own.
    "mm.flags": _field("mm_struct", "unsigned long flags", group="mm_flags"),
    "mm.flags.bitmap": _field("mm_struct___bitmap", "mm_flags_t flags", group="mm_flags"),
    "css_set.subsys": _field("css_set", "struct cgroup_subsys_state *subsys[16]"),
    "css.cgroup": _field("cgroup_subsys_state", "struct cgroup *cgroup"),
    "cgroup.subsys": _field("cgroup", "struct cgroup_subsys_state *subsys[16]"),
    "cgroup.level": _field("cgroup", "int level"),
    "cgroup.kn": _field("cgroup", "struct kernfs_node *kn"),
    "cgroup.root": _field("cgroup", "struct cgroup_root *root"),
    # Linux 6.1 (7f203bc89eb6) replaced the ids of a cgroup's ancestors by pointers.
    "cgroup.ancestors": _field("cgroup", "struct cgroup *ancestors[]"),
    "cgroup_root.hierarchy_id": _field("cgroup_root", "int hierarchy_id"),
    "kn.id": _field("kernfs_node", "__u64 id"),
    "kn.name": _field("kernfs_node", "const char *name"),
    "memcg.css": _field("mem_cgroup", "struct cgroup_subsys_state css"),
    "memcg.memory": _field("mem_cgroup", "struct page_counter memory"),
    "memcg.swap": _field("mem_cgroup", "struct page_counter swap"),
    "memcg.memsw": _field("mem_cgroup", "struct page_counter memsw"),
    "memcg.oom_group": _field("mem_cgroup", "bool oom_group"),
    "memcg.memory_events": _field("mem_cgroup", "atomic_long_t memory_events[9]"),
    "counter.usage": _field("page_counter", "atomic_long_t usage"),
    "counter.watermark": _field("page_counter", "unsigned long watermark"),
    "counter.min": _field("page_counter", "unsigned long min"),
    "counter.low": _field("page_counter", "unsigned long low"),
    "counter.high": _field("page_counter", "unsigned long high"),
    "counter.max": _field("page_counter", "unsigned long max"),
    "oc.memcg": _field("oom_control", "struct mem_cgroup *memcg"),
    "oc.order": _field("oom_control", "const int order"),
    "oc.totalpages": _field("oom_control", "unsigned long totalpages"),
    "oc.chosen": _field("oom_control", "struct task_struct *chosen"),
    "mm_flags.words": _field("mm_flags_t", "unsigned long __mm_flags[1]", group="mm_flags"),
    "iter.meta": _field("bpf_iter__task", "struct bpf_iter_meta *meta"),
    "iter.task": _field("bpf_iter__task", "struct task_struct *task"),
    "iter_meta.seq": _field("bpf_iter_meta", "struct seq_file *seq"),
    "iter_meta.seq_num": _field("bpf_iter_meta", "__u64 seq_num"),
    # The id depends on the configuration (2 and 4 were both seen), hence always an enum relocation.
    "memory_cgrp_id": KernelField("cgroup_subsys_id", "memory_cgrp_id", "memory_cgrp_id", kind="enum"),
    "MEMCG_OOM_KILL": KernelField("memcg_memory_event", "MEMCG_OOM_KILL", "MEMCG_OOM_KILL", kind="enum"),
}

_LEADER = ("task.signal",)
MM_FIELDS = (*_LEADER, "task.mm", "task.thread_node", "signal.thread_head", "list.next")
"""What it takes to find the memory map of the first thread that has one (`find_lock_task_mm`)."""

GUARD_FIELDS = (
    *MM_FIELDS,
    "signal.oom_score_adj",
    "signal.oom_mm",
    "mm.flags",
    "mm.flags.bitmap",
    "mm_flags.words",
    "task.vfork_done",
    "task.real_parent",
)
"""What the kernel's own guards read; every policy needs them."""

TIE_FIELDS = ("task.start_boottime", "task.tgid")
"""What the last two keys read: younger first, then higher pid."""

MEMCG_FIELDS = ("task.cgroups", "css_set.subsys", "css.cgroup", "cgroup.level", "memory_cgrp_id")
"""What it takes to find a task's memory cgroup."""

ANCESTOR_FIELDS = ("cgroup.ancestors",)
"""What it takes to find an ancestor of a cgroup (Linux 6.1 and newer)."""

NAME_FIELDS = ("cgroup.kn", "kn.name")
ID_FIELDS = ("cgroup.kn", "kn.id")
HIERARCHY_FIELDS = ("cgroup.root", "cgroup_root.hierarchy_id")
"""What tells cgroup v1 from v2."""

_RSS = (
    "mm.rss_stat",
    "percpu_counter.count",
    "mm.rss_stat.before_6_2",
    "mm_rss_stat.count",
    "atomic_long.counter",
)
_PGTABLES = ("mm.pgtables_bytes", "atomic_long.counter")
_COUNTERS = ("cgroup.subsys", "memcg.css", "memcg.memory")
_SCOPE = ("oc.memcg", "memcg.css", "css.cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One row of the table.

    name: as a policy writes it. range: base units of `type`; every reader clamps to it. longest: bytes of a text. sum_of:
    the facts that it is the sum of. unlimited: a limit, which a cgroup may not have and the root never has; it then reads
    as oom.total. kernel: keys of `FIELDS`. Then a cell for each source, None where it cannot see the fact. also: names that
    people know it by, beside those that the sources have for it.
    """

    name: str
    type: Type
    scope: Scope
    doc: str
    range: Interval | None = None
    longest: int | None = None
    sum_of: tuple[str, ...] = ()
    unlimited: bool = False
    kept: Kept = Kept.BY_NAME
    kernel: tuple[str, ...] = ()
    bpf: Bpf | None = None
    procfs: Procfs | None = None
    cgroupfs: Cgroupfs | None = None
    report: ReportCell | None = None
    test: InTest = InTest()
    made_up: MadeUp = MadeUp()
    also: tuple[str, ...] = ()

    @property
    def c_name(self) -> str:
        """The fact's name as an identifier of C and JSON: `rss_anon` of `rss.anon`, `usage` of `memcg.usage`."""
        prefix = {Scope.TASK: "", Scope.MEMCG: "memcg.", Scope.EVENT: "oom."}[self.scope]
        return self.name.removeprefix(prefix).replace(".", "_")

    @property
    def entry(self) -> str:
        """The name that a test gives it by, in the braces of a task or a memcg: `usage` of `memcg.usage`."""
        return self.name.removeprefix("memcg.")

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Names of the same thing elsewhere, so that whoever writes one can be told ours."""
        names = [*self.also]
        if isinstance(self.procfs, Status):
            names.append(self.procfs.line)
        if isinstance(self.cgroupfs, Cgroup):
            files = [
                c.file
                for c in (self.cgroupfs.v2, self.cgroupfs.v1)
                if isinstance(c, CgroupFile) and not c.key
            ]
            names += [name for file in files for name in (file, file.replace("memory.", "memcg.", 1))]
        if isinstance(self.report, Column):
            names.append(self.report.name)
        return tuple(name for name in names if name != self.name)


_PIB = 2**50
_SIZE = Interval(0, _PIB)
_TOTAL = Interval(0, 2 * _PIB)

_ROWS: tuple[Fact, ...] = (
    Fact(
        name="rss",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Resident memory: anonymous, file-backed and shared pages together.",
        range=_SIZE,
        sum_of=("rss.anon", "rss.file", "rss.shmem"),
        kernel=(*MM_FIELDS, *_RSS),
        bpf=Pages("memory->file + memory->anon + memory->shmem"),
        procfs=Status("VmRSS", Unit.KIB),
        report=Column("rss", Unit.PAGES),
        made_up=MadeUp(unasked=0.8),
        also=("memory",),
    ),
    Fact(
        name="rss.anon",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Resident anonymous memory (heap, stacks): what killing the task surely frees.",
        range=_SIZE,
        kernel=(*MM_FIELDS, *_RSS),
        bpf=Pages("memory->anon"),
        procfs=Status("RssAnon", Unit.KIB),
        report=Column("rss_anon", Unit.PAGES, killed="anon-rss"),
        also=("anon",),
    ),
    Fact(
        name="rss.file",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Resident file-backed memory (programs, libraries, mapped files).",
        range=_SIZE,
        kernel=(*MM_FIELDS, *_RSS),
        bpf=Pages("memory->file"),
        procfs=Status("RssFile", Unit.KIB),
        report=Column("rss_file", Unit.PAGES, killed="file-rss"),
        also=("file",),
    ),
    Fact(
        name="rss.shmem",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Resident shared memory (tmpfs, System V and anonymous shared mappings).",
        range=_SIZE,
        kernel=(*MM_FIELDS, *_RSS),
        bpf=Pages("memory->shmem"),
        procfs=Status("RssShmem", Unit.KIB),
        report=Column("rss_shmem", Unit.PAGES, killed="shmem-rss"),
        also=("shmem",),
    ),
    Fact(
        name="swap",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Swapped-out anonymous memory.",
        range=_SIZE,
        kernel=(*MM_FIELDS, *_RSS),
        bpf=Pages("memory->swap"),
        procfs=Status("VmSwap", Unit.KIB),
        report=Column("swapents", Unit.PAGES),
    ),
    Fact(
        name="pgtables",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Memory in the task's page tables.",
        range=_SIZE,
        kernel=(*MM_FIELDS, *_PGTABLES),
        bpf=Expression("minimum(memory->pgtables, {limit})"),
        procfs=Status("VmPTE", Unit.KIB),
        # Before Linux 4.15 there was a column for each level.
        report=Column("pgtables_bytes", older=("nr_ptes", "nr_pmds", "nr_puds"), killed="pgtables"),
    ),
    Fact(
        name="vm",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="Size of the address space, resident or not.",
        range=Interval(0, 2**57),
        kernel=(*MM_FIELDS, "mm.total_vm"),
        bpf=Pages("memory->total_vm"),
        procfs=Status("VmSize", Unit.KIB),
        report=Column("total_vm", Unit.PAGES, killed="total-vm"),
        also=("vsize",),
    ),
    Fact(
        name="oom_score_adj",
        type=Type.INT,
        scope=Scope.TASK,
        doc="The task's oom_score_adj. Tasks at -1000 are never candidates.",
        range=Interval(-1000, 1000),
        kernel=(*_LEADER, "signal.oom_score_adj"),
        bpf=Expression("adj"),
        procfs=ProcFile("oom_score_adj"),
        report=Column("oom_score_adj", killed="oom_score_adj"),
        made_up=MadeUp(unasked=0.8, usual=(0, 0, 100, -1000, 500)),
        also=("adj",),
    ),
    Fact(
        name="badness",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="The kernel's own score for this event: rss + swap + pgtables + oom_score_adj · total/1000.",
        range=Interval(-4 * _PIB, 8 * _PIB),
        kept=Kept.COMPUTED,
        kernel=(*MM_FIELDS, *_RSS, *_PGTABLES, "signal.oom_score_adj", "oc.totalpages"),
        bpf=Expression("badness_bytes(c->points, {least}, {limit})"),
        procfs=Special("computed from /proc/PID/status and /proc/PID/oom_score_adj"),
        report=Special("computed from the task's columns and the event's total"),
        test=InTest(instead="badness is computed from the other facts"),
        also=("oom_score",),
    ),
    Fact(
        name="comm",
        type=Type.TEXT,
        scope=Scope.TASK,
        doc="The task's name, at most 15 bytes, as `ps -o comm` shows it. Any process can set its own.",
        longest=COMM_BYTES,
        kept=Kept.FIELD,
        kernel=("task.comm",),
        procfs=Special("/proc/PID/comm"),
        report=Special("name"),
        test=InTest(instead="a task's comm is the name behind `task`"),
        also=("name",),
    ),
    Fact(
        name="pid",
        type=Type.INT,
        scope=Scope.TASK,
        doc="The process id (thread-group id) in the initial pid namespace.",
        range=Interval(0, 2**22),
        kept=Kept.FIELD,
        kernel=("task.tgid",),
        bpf=Expression("task->tgid"),
        procfs=Special("/proc/PID"),
        report=Special("tgid"),
        also=("tgid",),
    ),
    Fact(
        name="uid",
        type=Type.INT,
        scope=Scope.TASK,
        doc="The real user id, in the initial user namespace.",
        range=Interval(0, 2**32 - 1),
        kernel=("task.real_cred", "cred.uid", "kuid.val"),
        bpf=Expression("task->real_cred->uid.val"),
        procfs=Status("Uid", namespace="user"),
        report=Column("uid", killed="UID"),
        also=("user",),
    ),
    Fact(
        name="nice",
        type=Type.INT,
        scope=Scope.TASK,
        doc="The nice value of the process's first thread, -20 (most favoured) to 19.",
        range=Interval(-20, 19),
        kernel=("task.static_prio",),
        bpf=Expression("task->static_prio - 120"),
        procfs=Stat(19),
    ),
    Fact(
        name="threads",
        type=Type.INT,
        scope=Scope.TASK,
        doc="The number of threads in the process.",
        range=Interval(0, 2**22),
        kernel=(*_LEADER, "signal.nr_threads"),
        bpf=Expression("minimum(task->signal->nr_threads, {limit})"),
        procfs=Status("Threads"),
    ),
    Fact(
        name="age",
        type=Type.DURATION,
        scope=Scope.TASK,
        doc="Time since the process started, suspend included, when the event began.",
        range=Interval(0, 2**40),
        kernel=("task.start_boottime",),
        bpf=Expression("age(task->start_boottime, {limit})"),
        procfs=Stat(22, Unit.START),
        also=("uptime",),
    ),
    Fact(
        name="invoker",
        type=Type.BOOL,
        scope=Scope.TASK,
        doc="Whether an allocation of this process invoked the OOM killer.",
        range=Interval(0, 1),
        kept=Kept.COMPUTED,
        kernel=("task.tgid",),
        bpf=Expression("(u64)task->tgid == event.invoker"),
        report=Special("the `invoked oom-killer` line"),
        test=InTest(instead='write a line `invoker "task"`'),
    ),
    Fact(
        name="memcg",
        type=Type.PATH,
        scope=Scope.MEMCG,
        doc="The task's memory cgroup; only on the left of `under`.",
        kept=Kept.FIELD,
        kernel=(*MEMCG_FIELDS, *ANCESTOR_FIELDS, *NAME_FIELDS),
        procfs=Special("/proc/PID/cgroup"),
        test=InTest(instead="a cgroup's path is what stands behind `memcg`"),
        also=("cgroup",),
    ),
    Fact(
        name="memcg.usage",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="Memory charged to the cgroup and everything below it; 0 for the root.",
        range=_SIZE,
        kernel=(*MEMCG_FIELDS, *_COUNTERS, "counter.usage", "atomic_long.counter"),
        bpf=PageCounter("usage.counter"),
        cgroupfs=Cgroup(v2=CgroupFile("memory.current"), v1=CgroupFile("memory.usage_in_bytes")),
        test=InTest(summed=True),
        also=("memcg.rss", "memcg.memory"),
    ),
    Fact(
        name="memcg.peak",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="The most memory that was charged to the cgroup and everything below it since it was made; 0 for the root.",
        range=_SIZE,
        kernel=(*MEMCG_FIELDS, *_COUNTERS, "counter.watermark"),
        bpf=PageCounter("watermark"),
        # memory.peak is there since Linux 5.19; on version 1 a person may reset the counter.
        cgroupfs=Cgroup(v2=CgroupFile("memory.peak"), v1=CgroupFile("memory.max_usage_in_bytes")),
    ),
    Fact(
        name="memcg.limit",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="memory.max; unlimited reads as oom.total.",
        range=_TOTAL,
        unlimited=True,
        kernel=(*MEMCG_FIELDS, *_COUNTERS, "counter.max", "oc.totalpages"),
        bpf=PageCounter("max"),
        cgroupfs=Cgroup(
            v2=CgroupFile("memory.max", unlimited=True),
            v1=CgroupFile("memory.limit_in_bytes", unlimited=True),
        ),
        test=NO_LIMIT,
        made_up=MadeUp(unasked=0.3),
    ),
    # Version 1 has no files for min, low, high and oom.group: its kernel side has no way to set them.
    Fact(
        name="memcg.min",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="memory.min: hard protection; 0 for the root.",
        range=_SIZE,
        kernel=(*MEMCG_FIELDS, *_COUNTERS, "counter.min"),
        bpf=PageCounter("min"),
        cgroupfs=Cgroup(v2=CgroupFile("memory.min", unlimited=True), v1=Always(0)),
    ),
    Fact(
        name="memcg.low",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="memory.low: best-effort protection; 0 for the root.",
        range=_SIZE,
        kernel=(*MEMCG_FIELDS, *_COUNTERS, "counter.low"),
        bpf=PageCounter("low"),
        cgroupfs=Cgroup(v2=CgroupFile("memory.low", unlimited=True), v1=Always(0)),
    ),
    Fact(
        name="memcg.high",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="memory.high: the throttling limit; unlimited reads as oom.total.",
        range=_TOTAL,
        unlimited=True,
        kernel=(*MEMCG_FIELDS, *_COUNTERS, "counter.high", "oc.totalpages"),
        bpf=PageCounter("high"),
        cgroupfs=Cgroup(v2=CgroupFile("memory.high", unlimited=True), v1=Always(UNLIMITED)),
        test=NO_LIMIT,
    ),
    Fact(
        name="memcg.swap",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="Swap charged to the cgroup and everything below it; 0 for the root.",
        range=_SIZE,
        kernel=(
            *MEMCG_FIELDS,
            *_COUNTERS,
            "memcg.swap",
            "memcg.memsw",
            "counter.usage",
            "atomic_long.counter",
            "cgroup.root",
            "cgroup_root.hierarchy_id",
        ),
        bpf=OfMemcg("swap_bytes(cgroup, mem, {limit})"),
        cgroupfs=Cgroup(
            v2=CgroupFile("memory.swap.current"),
            v1=CgroupFile("memory.memsw.usage_in_bytes", less="memcg.usage"),
            of_swap=True,
        ),
        test=InTest(summed=True),
    ),
    Fact(
        name="memcg.depth",
        type=Type.INT,
        scope=Scope.MEMCG,
        doc="How far below the root the cgroup lies: 0 for the root, 1 for /a, 2 for /a/b.",
        range=Interval(0, 2**16),
        kept=Kept.COMPUTED,
        kernel=MEMCG_FIELDS,
        bpf=Expression("minimum(level, {limit})"),
        procfs=Special("/proc/PID/cgroup"),
        test=InTest(instead="a cgroup's depth follows from its path"),
    ),
    Fact(
        name="memcg.id",
        type=Type.INT,
        scope=Scope.MEMCG,
        doc="The cgroup's id: the inode number of its directory; 1 is the root.",
        range=Interval(0, 2**62),
        kept=Kept.FIELD,
        kernel=(*MEMCG_FIELDS, *ID_FIELDS),
        cgroupfs=Special("inode number of the directory"),
        also=("cgroup.id",),
    ),
    Fact(
        name="memcg.name",
        type=Type.TEXT,
        scope=Scope.MEMCG,
        doc="The last component of the cgroup's path; empty for the root.",
        longest=CGROUP_NAME_BYTES,
        kept=Kept.COMPUTED,
        kernel=(*MEMCG_FIELDS, *NAME_FIELDS),
        procfs=Special("/proc/PID/cgroup"),
        test=InTest(instead="a cgroup's name follows from its path"),
    ),
    Fact(
        name="memcg.oom_group",
        type=Type.BOOL,
        scope=Scope.MEMCG,
        doc="memory.oom.group: whether the kernel kills the whole cgroup with the victim.",
        range=Interval(0, 1),
        kernel=(*MEMCG_FIELDS, "cgroup.subsys", "memcg.css", "memcg.oom_group"),
        bpf=OfMemcg("BPF_CORE_READ(mem, oom_group)"),
        cgroupfs=Cgroup(v2=CgroupFile("memory.oom.group"), v1=Always(0)),
    ),
    Fact(
        name="memcg.oom_kills",
        type=Type.INT,
        scope=Scope.MEMCG,
        doc="OOM kills in the cgroup and below it since it was made; on cgroup v1 in the cgroup alone.",
        range=Interval(0, 2**40),
        kernel=(
            *MEMCG_FIELDS,
            "cgroup.subsys",
            "memcg.css",
            "memcg.memory_events",
            "atomic_long.counter",
            "MEMCG_OOM_KILL",
        ),
        bpf=OfMemcg("oom_kills(mem, {limit})"),
        # The kernel's own counter, too, counts the cgroup alone on version 1.
        cgroupfs=Cgroup(
            v2=CgroupFile("memory.events", "oom_kill"), v1=CgroupFile("memory.oom_control", "oom_kill")
        ),
    ),
    Fact(
        name="oom.global",
        type=Type.BOOL,
        scope=Scope.EVENT,
        doc="Whether the whole machine ran out of memory (and not one memory cgroup).",
        range=Interval(0, 1),
        kernel=("oc.memcg",),
        report=Special("oom-kill:constraint="),
    ),
    Fact(
        name="oom.memcg",
        type=Type.PATH,
        scope=Scope.EVENT,
        doc="The memory cgroup that ran out, the root in a global event; only on the left of `under`.",
        kernel=(*_SCOPE, *ANCESTOR_FIELDS, *NAME_FIELDS),
        report=Special("oom_memcg="),
    ),
    Fact(
        name="oom.total",
        type=Type.BYTES,
        scope=Scope.EVENT,
        doc="The event's size: the scope's limit and the swap that it may use, or RAM and swap together in a global "
        "event; one page at least.",
        # constrained_alloc() never leaves it at 0, so that dividing by it needs no care.
        range=Interval(4096, 2 * _PIB),
        kernel=("oc.totalpages",),
        procfs=Special("/proc/meminfo MemTotal + SwapTotal"),
        cgroupfs=Special("memory.max"),
        report=Special("the `limit` of the memory: line, or `pages RAM` and `Total swap`"),
        also=("total",),
    ),
    Fact(
        name="oom.order",
        type=Type.INT,
        scope=Scope.EVENT,
        doc="The allocation that failed was of 2^order pages; -1 when a person asked for the kill (sysrq).",
        range=Interval(-1, 63),
        kernel=("oc.order",),
        report=Special("order="),
    ),
    Fact(
        name="oom.sysrq",
        type=Type.BOOL,
        scope=Scope.EVENT,
        doc="Whether a person asked for the kill (sysrq-f).",
        range=Interval(0, 1),
        kernel=("oc.order",),
        report=Special("order=-1"),
    ),
)

FACTS: dict[str, Fact] = {fact.name: fact for fact in _ROWS}

TEXT_BYTES: dict[str, int] = {fact.name: fact.longest for fact in FACTS.values() if fact.longest}
"""The longest value of each text fact, in bytes."""


def kept_by_name(scope: Scope) -> list[Fact]:
    """The numbers that a machine holds of each task, or of each memory cgroup, under their names."""
    return [fact for fact in FACTS.values() if fact.scope is scope and fact.kept is Kept.BY_NAME]
