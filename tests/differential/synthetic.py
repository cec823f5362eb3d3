"""Runs a policy's compiled decision over synthetic machines, in the running kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oomlang.compiler import Compilation
from oomlang.facts import Type
from oomlang.ir import nodes as ir
from oomlang.ir.passes import PASSES, Pass, run
from oomlang.kernel.libbpf import BpfObject, open_object
from oomlang.kernel.maps import MapHandle
from oomlang.kernel.runs import run_program
from oomlang.objects.btf import Btf
from oomlang.objects.variables import GlobalVariable, global_variables
from oomlang.targets.bpf.attachments import find_target
from oomlang.targets.bpf.clang import compile_c
from oomlang.targets.bpf.emit import SourceInfo, emit
from oomlang.targets.interp import Machine
from tests.differential.kernel_memory import BOOT_MS, BYTES, Kernel

LEAVE_TO_KERNEL, END_SCAN, SKIP, SELECT, RANK = range(5)
_ZERO = (0).to_bytes(4, "little")
_ADDED = (Path(__file__).parent / "synthetic.bpf.c").read_text()
_KERNEL_ONLY = ("begin_event", "evaluate_task", "end_event")
_SIZES = {Type.INT: "<i", Type.BOOL: "<B"}


def synthetic_c(c_source: str) -> str:
    """The C of a policy for evaluate-task, with programs of type `syscall` in place of the clock and the hook."""
    changed = c_source.replace("bpf_ktime_get_boot_ns()", "synthetic_now").replace(
        "bpf_get_current_pid_tgid() >> 32", "synthetic_invoker"
    )
    changed = changed.replace(
        "struct event {", "extern u64 synthetic_now, synthetic_invoker;\nstruct event {"
    )
    # The kfunc is only in a kernel with the hooks; the programs that call it are not loaded here.
    changed = changed.replace("unsigned long src__sz) __ksym;", "unsigned long src__sz) __ksym __weak;")
    return changed + _ADDED.replace("MEMORY_BYTES", str(BYTES))


class Synthetic:
    """A loaded policy."""

    def __init__(
        self, policy: ir.Policy, image: bytes, object: BpfObject, btf: Btf, *, remembers: bool
    ) -> None:
        self._policy = policy
        self._remembers = remembers
        self._variables = global_variables(image)
        self._object = object
        self._btf = btf
        self._memory = object.map("memory").handle()
        self._base = self._run("synthetic_address", 0, 0)

    def _run(self, program: str, oc: int, task: int) -> int:
        context = struct.pack("<3Q", oc, task, 0)
        answer = run_program(self._object.program(program).fd, context=context).context
        return int(struct.unpack("<3Q", answer)[2])

    def said(self, machine: Machine, chosen: Sequence[int | None]) -> list[int]:
        """What becomes of each task in one scan, where somebody else chooses.

        chosen: for each task which one is the victim at hand when it is asked about, None for none.
        """
        kernel = Kernel(self._btf, self._base)
        layout = kernel.lay_out(machine)
        self._set_inputs(machine)
        self._memory.update(_ZERO, bytes(kernel.memory.data))
        assert self._run("synthetic_start", layout.oom_control, 0) == RANK
        found = []
        for task, other in zip(layout.tasks, chosen, strict=True):
            address = 0 if other is None else layout.tasks[other]
            kernel.memory.set(layout.oom_control, "oom_control", "chosen", address)
            self._memory.update(_ZERO, bytes(kernel.memory.data))
            found.append(self._run("synthetic_evaluate", layout.oom_control, task))
        return found

    def verdicts(self, machine: Machine) -> tuple[int, list[int]]:
        """What becomes of the event, and the pids in the order in which they would die.

        The scan is repeated, each time without the tasks that have died: that is the whole order.
        """
        kernel = Kernel(self._btf, self._base)
        layout = kernel.lay_out(machine)
        self._set_inputs(machine)
        scope = machine.event.scope
        # The kernel asks about tasks in the scope only.
        left = [
            (c, t)
            for c, t in zip(machine.candidates, layout.tasks, strict=True)
            if scope is None or (c.memcg is not None and scope in c.memcg.chain)
        ]
        died: list[int] = []
        while True:
            verdict, chosen = self._scan(kernel, layout.oom_control, [t for _, t in left])
            if verdict != RANK or chosen is None:
                return verdict, died
            index = next(i for i, (_, t) in enumerate(left) if t == chosen)
            died.append(left.pop(index)[0].pid)

    def _scan(self, kernel: Kernel, oc: int, tasks: list[int]) -> tuple[int, int | None]:
        """One selection: what became of the event (RANK: candidates were compared), and who was chosen."""
        memory = kernel.memory
        memory.set(oc, "oom_control", "chosen", 0)
        self._memory.update(_ZERO, bytes(memory.data))
        verdict = self._run("synthetic_start", oc, 0)
        chosen: int | None = None
        for task in tasks:
            said = self._run("synthetic_evaluate", oc, task)
            if said == SELECT:
                chosen = task
                memory.set(oc, "oom_control", "chosen", task)
                self._memory.update(_ZERO, bytes(memory.data))
            elif said != SKIP:
                return said, None
        return verdict, chosen

    def finds_nothing(self) -> None:
        """Tell the policy that the last scan found nothing, as the tracepoint would."""
        self._run("synthetic_end", self._base + 64, 0)

    def start(self) -> int:
        """Begin the event that was laid out last once more."""
        return self._run("synthetic_start", self._base + 64, 0)

    def _set(self, variable: GlobalVariable, data: bytes) -> None:
        handle = self._object.map(variable.section).handle()
        whole = bytearray(handle.lookup(_ZERO) or b"")
        whole[variable.offset : variable.offset + len(data)] = data
        handle.update(_ZERO, bytes(whole))

    def _set_inputs(self, machine: Machine) -> None:
        self._set(self._variables["synthetic_now"], struct.pack("<Q", BOOT_MS * 1_000_000))
        self._set(self._variables["synthetic_invoker"], struct.pack("<Q", machine.event.invoker or 0))
        # Another machine's cgroups have the ids of the last one's, which no kernel does.
        if self._remembers:
            _clear(self._object.map("answered").handle())
        memcgs = {m for c in machine.candidates if c.memcg is not None for m in c.memcg.chain}
        for declared in self._policy.inputs:
            name = f"in_{declared.name}"
            if not declared.per_memcg:
                if name in self._variables:
                    value = machine.knobs.get(declared.name, declared.default)
                    self._set(self._variables[name], _packed(declared, value))
                continue
            handle = self._object.map(name).handle()
            _clear(handle)
            for memcg in memcgs:
                if declared.name in memcg.inputs:
                    id = memcg.id if memcg.path and memcg.id is not None else 1
                    handle.update(struct.pack("<Q", id), _packed(declared, memcg.inputs[declared.name]))


def _packed(declared: ir.InputDeclaration, value: int) -> bytes:
    if declared.type is Type.INT:
        value = min(max(value, -(2**31)), 2**31 - 1)
    if declared.type is Type.BOOL:
        value = min(max(value, 0), 1)
    return struct.pack(_SIZES.get(declared.type, "<q"), value)


def _clear(handle: MapHandle) -> None:
    for key in list(handle.keys()):
        handle.delete(key)


@contextmanager
def loaded(compilation: Compilation, btf: Btf, passes: Iterable[Pass] = PASSES) -> Iterator[Synthetic]:
    """A policy, compiled, changed as little as is needed, and loaded into the running kernel."""
    source = SourceInfo(name=compilation.name, sha256="0" * 64, compiler="tests")
    program = emit(run(compilation.ir, passes), find_target("evaluate-task"), source)
    image = compile_c(synthetic_c(program.c_source))
    with open_object(image, name="synthetic") as object:
        for name in _KERNEL_ONLY:
            object.program(name).set_autoload(False)
        object.load()
        remembers = any(m.name == "answered" for m in program.metadata.maps)
        yield Synthetic(compilation.ir, image, object, btf, remembers=remembers)
