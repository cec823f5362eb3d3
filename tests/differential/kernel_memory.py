"""A machine of the interpreter as the kernel would hold it in memory.

In: a `Machine` and the kernel's BTF. Out: bytes to put at a given address: task_structs with their signals, memory maps and
credentials, cgroups with their names and counters, an oom_control; every field at this kernel's offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from oomlang.facts import FACTS, Type
from oomlang.facts.cells import PageCounter
from oomlang.objects.btf import Btf
from oomlang.targets.interp import UNLIMITED, Candidate, Guard, Machine, Memcg

PAGE = 4096
BYTES = 1 << 19
_PAGE_COUNTER_MAX = (2**63 - 1) // PAGE
_MMF_OOM_SKIP = 1 << 21
_MEMBERS = (
    "rss.file",
    "rss.anon",
    "swap",
    "rss.shmem",
)  # MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES
_COUNTERS = {f.name: f.bpf.member for f in FACTS.values() if isinstance(f.bpf, PageCounter)}
BOOT_MS = 2**41
"""The time of all events, in ms after boot: no candidate is older."""


def whole_pages(machine: Machine) -> Machine:
    """The machine with all sizes as the kernel can hold them: whole pages, none negative, parts that add up."""

    def pages(value: int) -> int:
        return min(max(value, 0), 2**57) // PAGE * PAGE

    memcgs: dict[Memcg, Memcg] = {}

    def memcg(old: Memcg) -> Memcg:
        if old not in memcgs:
            facts = {
                n: pages(v) if FACTS[n].type is Type.BYTES and v != UNLIMITED else v
                for n, v in old.facts.items()
            }
            facts["memcg.oom_group"] = int(facts.get("memcg.oom_group", 0) > 0)
            memcgs[old] = Memcg(
                path=old.path,
                parent=memcg(old.parent) if old.parent is not None else None,
                id=old.id,
                facts=facts if old.path else {},
                inputs=old.inputs,
            )
        return memcgs[old]

    def candidate(old: Candidate) -> Candidate:
        facts = dict(old.facts)
        for name in (*_MEMBERS, "vm"):
            facts[name] = pages(min(facts[name], 2**48) if name != "vm" else facts[name])
        facts["rss"] = facts["rss.file"] + facts["rss.anon"] + facts["rss.shmem"]
        facts["pgtables"] = min(max(facts["pgtables"], 0), 2**48)
        facts["uid"] = min(max(facts["uid"], 0), 2**32 - 1)
        facts["age"] = min(max(facts["age"], 0), BOOT_MS)
        facts["threads"] = min(max(facts["threads"], 0), 2**31 - 1)
        # The kernel itself lets these two be nothing else, and the program takes its word.
        facts["nice"] = min(max(facts["nice"], -20), 19)
        facts["oom_score_adj"] = min(max(facts["oom_score_adj"], -1000), 1000)
        comm = old.comm if old.comm is not None else b""
        # One clock for age and start, as in the kernel: `start` follows from the age.
        start = BOOT_MS - facts["age"]
        return replace(
            old, comm=comm[:15], memcg=memcg(old.memcg) if old.memcg else None, facts=facts, start=start
        )

    event = machine.event
    return replace(
        machine,
        candidates=[candidate(c) for c in machine.candidates],
        event=replace(
            event,
            total=min(max(pages(event.total or 0), PAGE), 2**51),
            scope=memcg(event.scope) if event.scope is not None else None,
        ),
    )


@dataclass(slots=True)
class Memory:
    """Bytes that will lie at `base`, filled from the start."""

    btf: Btf
    base: int
    data: bytearray
    used: int = 64

    def allocate(self, size: int) -> int:
        """The address of so many bytes of zeros."""
        address = self.base + self.used
        self.used += (size + 63) // 64 * 64
        if self.used > len(self.data):
            raise MemoryError(f"the machine does not fit into {len(self.data)} bytes")
        return address

    def new(self, struct: str, extra: int = 0) -> int:
        """The address of a new structure of the kernel."""
        type_id = self.btf.struct(struct)
        assert type_id is not None, struct
        size = self.btf.size(type_id)
        assert size is not None, struct
        return self.allocate(size + extra)

    def put(self, address: int, value: int, size: int = 8) -> None:
        at = address - self.base
        self.data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def offset(self, struct: str, path: str) -> int:
        field = self.btf.field(struct, path)
        assert field is not None, f"{struct}.{path}"
        return field.offset

    def set(self, address: int, struct: str, path: str, value: int) -> None:
        """Set a field of a structure, in its own size."""
        field = self.btf.field(struct, path)
        assert field is not None, f"{struct}.{path}"
        self.put(address + field.offset, value, field.size or 8)

    def text(self, text: bytes) -> int:
        address = self.allocate(len(text) + 1)
        self.data[address - self.base : address - self.base + len(text)] = text
        return address


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie: the oom_control, and each candidate's task_struct in the order of the candidates."""

    oom_control: int
    tasks: tuple[int, ...]


class Kernel:
    """Lays a machine out in memory."""

    def __init__(self, btf: Btf, base: int) -> None:
        self.memory = Memory(btf, base, bytearray(BYTES))
        memcg_id = btf.enumerator("memory_cgrp_id", enum="cgroup_subsys_id")
        assert memcg_id is not None
        self._css_slot = 8 * memcg_id
        self._kill_slot = 8 * (btf.enumerator("MEMCG_OOM_KILL", enum="memcg_memory_event") or 0)
        self._memcgs: dict[Memcg, tuple[int, int]] = {}

    def lay_out(self, machine: Machine) -> Layout:
        """Fill the memory with a machine (of whole pages)."""
        memory = self.memory
        oc = memory.new("oom_control")
        event = machine.event
        scope = event.scope
        if scope is not None and scope.path:
            memory.set(oc, "oom_control", "memcg", self._memcg(scope)[1])
        memory.set(oc, "oom_control", "order", event.order or 0)
        memory.set(oc, "oom_control", "totalpages", (event.total or 0) // PAGE)
        return Layout(oc, tuple(self._task(c) for c in machine.candidates))

    def _memcg(self, memcg: Memcg) -> tuple[int, int]:
        """The addresses of a cgroup and of its mem_cgroup."""
        if memcg in self._memcgs:
            return self._memcgs[memcg]
        memory = self.memory
        level = len(memcg.path)
        cgroup = memory.new("cgroup", 8 * (level + 1))
        mem_cgroup = memory.new("mem_cgroup")
        self._memcgs[memcg] = cgroup, mem_cgroup
        node = memory.new("kernfs_node")
        memory.set(node, "kernfs_node", "id", memcg.id if memcg.path and memcg.id is not None else 1)
        memory.set(node, "kernfs_node", "name", memory.text(memcg.path[-1] if memcg.path else b""))
        memory.set(cgroup, "cgroup", "level", level)
        memory.set(cgroup, "cgroup", "kn", node)
        memory.set(cgroup, "cgroup", "root", self._root())
        ancestors = cgroup + memory.offset("cgroup", "ancestors")
        for depth, above in enumerate(memcg.chain):
            memory.put(ancestors + 8 * depth, self._memcg(above)[0])
        css = mem_cgroup + memory.offset("mem_cgroup", "css")
        memory.put(css + memory.offset("cgroup_subsys_state", "cgroup"), cgroup)
        memory.put(cgroup + memory.offset("cgroup", "subsys") + self._css_slot, css)
        self._counters(mem_cgroup, memcg)
        return cgroup, mem_cgroup

    def _root(self) -> int:
        return self.memory.new("cgroup_root")  # hierarchy_id 0: cgroup v2

    def _counters(self, mem_cgroup: int, memcg: Memcg) -> None:
        memory, facts = self.memory, memcg.facts
        if not memcg.path:
            # What the root's counters hold must not be read.
            for field in _COUNTERS.values():
                memory.set(mem_cgroup, "mem_cgroup", f"memory.{field}", 4711)
            return
        for name, field in _COUNTERS.items():
            value = facts.get(name, FACTS[name].test.default)
            pages = _PAGE_COUNTER_MAX if value == UNLIMITED else value // PAGE
            memory.set(mem_cgroup, "mem_cgroup", f"memory.{field}", pages)
        memory.set(mem_cgroup, "mem_cgroup", "swap.usage.counter", facts.get("memcg.swap", 0) // PAGE)
        memory.set(mem_cgroup, "mem_cgroup", "oom_group", facts.get("memcg.oom_group", 0))
        events = mem_cgroup + memory.offset("mem_cgroup", "memory_events")
        memory.put(events + self._kill_slot, facts.get("memcg.oom_kills", 0))

    def _task(self, candidate: Candidate) -> int:
        memory, facts = self.memory, candidate.facts
        task, signal = memory.new("task_struct"), memory.new("signal_struct")
        mm = self._mm(candidate)
        has_mm = candidate.guard is not Guard.NO_MM
        # A candidate with an odd pid has lost its leader: another thread holds the memory.
        holder = task
        threads = [task]
        if has_mm and candidate.pid % 2:
            holder = memory.new("task_struct")
            threads.append(holder)
        if has_mm:
            memory.set(holder, "task_struct", "mm", mm)
        self._thread_list(signal, threads)
        memory.set(task, "task_struct", "signal", signal)
        self._comm(task, candidate.comm or b"")
        for field in ("pid", "tgid"):
            memory.set(task, "task_struct", field, candidate.pid)
        memory.set(task, "task_struct", "start_boottime", (candidate.start or 0) * 1_000_000)
        memory.set(task, "task_struct", "static_prio", facts["nice"] + 120)
        cred = memory.new("cred")
        memory.set(cred, "cred", "uid", facts["uid"])
        memory.set(task, "task_struct", "real_cred", cred)
        css_set = memory.new("css_set")
        assert candidate.memcg is not None
        css = self._memcg(candidate.memcg)[1] + memory.offset("mem_cgroup", "css")
        memory.put(css_set + memory.offset("css_set", "subsys") + self._css_slot, css)
        memory.set(task, "task_struct", "cgroups", css_set)
        memory.set(signal, "signal_struct", "oom_score_adj", facts["oom_score_adj"])
        memory.set(signal, "signal_struct", "nr_threads", facts["threads"])
        if candidate.guard is Guard.DYING:
            memory.set(signal, "signal_struct", "oom_mm", mm)
        if candidate.guard is Guard.VFORK:
            parent = memory.new("task_struct")
            memory.set(parent, "task_struct", "mm", mm)
            memory.set(holder, "task_struct", "real_parent", parent)
            memory.set(holder, "task_struct", "vfork_done", memory.allocate(64))
        return task

    def _comm(self, task: int, comm: bytes) -> None:
        at = task + self.memory.offset("task_struct", "comm") - self.memory.base
        # What lies behind the NUL is left over from an older name, and must not matter.
        self.memory.data[at : at + 16] = (comm + b"\0" + b"leftover-of-exec")[:15] + b"\0"

    def _thread_list(self, signal: int, threads: Sequence[int]) -> None:
        memory = self.memory
        head = signal + memory.offset("signal_struct", "thread_head")
        nodes = [t + memory.offset("task_struct", "thread_node") for t in threads]
        for here, following in zip([head, *nodes], [*nodes, head], strict=True):
            memory.put(here, following)

    def _mm(self, candidate: Candidate) -> int:
        memory, facts = self.memory, candidate.facts
        mm = memory.new("mm_struct")
        type_id = memory.btf.struct("percpu_counter")
        assert type_id is not None, "this kernel is older than 6.2"
        stride = memory.btf.size(type_id)
        count = memory.offset("percpu_counter", "count")
        for member, name in enumerate(_MEMBERS):
            at = mm + memory.offset("mm_struct", "rss_stat") + member * (stride or 0) + count
            # A counter may dip below zero; it then reads as 0.
            memory.put(at, facts[name] // PAGE or -3)
        memory.set(mm, "mm_struct", "pgtables_bytes.counter", facts["pgtables"])
        memory.set(mm, "mm_struct", "total_vm", facts["vm"] // PAGE)
        if candidate.guard is Guard.REAPED:
            memory.put(mm + memory.offset("mm_struct", "flags"), _MMF_OOM_SKIP)
        return mm
