"""One policy, two readers of it: the interpreter and the compiled program make the same decision.

Generated policies over generated machines. The program runs in this machine's own kernel, with its real fact readers and
guards, over tasks and cgroups that lie in a map (see `synthetic.bpf.c`); what is compared is what becomes of the event and
the whole order in which the candidates die. A disagreement is shrunk by hypothesis, which prints how to repeat it.

A nightly-size run: HYPOTHESIS_PROFILE=long .venv/bin/python -m pytest tests/differential/test_agreement.py
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from oomlang.compiler import Compilation
from oomlang.kernel.probe import kernel_btf_path
from oomlang.objects.btf import Btf, read_btf
from oomlang.targets.interp import Candidate, Event, Machine, Memcg, Verdict, decide
from tests.differential.kernel_memory import BOOT_MS, whole_pages
from tests.differential.synthetic import END_SCAN, LEAVE_TO_KERNEL, RANK, Synthetic, loaded
from tests.strategies.policies import policies
from tests.unit.targets.interp.machines import TASK_FACTS, machines

pytestmark = pytest.mark.needs("root", "clang", "bpf", "btf")

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.oom"))
MACHINES = 8
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_ENDS = {
    Verdict.KERNEL_DECIDES: LEAVE_TO_KERNEL,
    Verdict.KILL_NOTHING: END_SCAN,
    Verdict.ABORTED: END_SCAN,
    Verdict.VICTIM: RANK,
    Verdict.NONE_LEFT: RANK,
}


@functools.cache
def running_kernel() -> Btf:
    return read_btf(kernel_btf_path())


def agree(compilation: Compilation, synthetic: Synthetic, machine: Machine) -> None:
    decision = decide(compilation.ir, machine)
    verdict, died = synthetic.verdicts(machine)
    if decision.candidates:  # with no candidate nobody is asked
        assert verdict == _ENDS[decision.verdict]
    if decision.verdict is Verdict.VICTIM:
        assert died == [c.pid for c in decision.ranking]
    else:
        assert died == []


@given(text=policies(), data=st.data())
@settings(max_examples=settings().max_examples // 2, suppress_health_check=SLOW)
def test_generated_policies_decide_alike(text: str, data: st.DataObject) -> None:
    compilation = Compilation(text.encode(), "generated.oom")
    assume(not any(d.severity == "error" for d in compilation.diagnostics))
    with loaded(compilation, running_kernel()) as synthetic:
        for _ in range(MACHINES):
            agree(compilation, synthetic, whole_pages(data.draw(machines(compilation.ir))))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples_decide_alike(example: Path) -> None:
    compilation = Compilation(example.read_bytes(), example.name)
    with loaded(compilation, running_kernel()) as synthetic:

        @given(machine=machines(compilation.ir))
        @settings(max_examples=settings().max_examples // 4, suppress_health_check=SLOW)
        def on_generated_machines(machine: Machine) -> None:
            agree(compilation, synthetic, whole_pages(machine))

        on_generated_machines()


def test_a_scan_that_finds_nothing_hands_the_next_event_to_the_kernel() -> None:
    compilation = Compilation(b'never kill when comm == "a"\n', "safe.oom")
    with loaded(compilation, running_kernel()) as synthetic:
        root = Memcg(path=(), parent=None)
        task = Candidate(pid=2, comm=b"a", memcg=root, facts=dict.fromkeys(TASK_FACTS, 0), start=BOOT_MS)
        machine = whole_pages(Machine(event=Event(total=4096), candidates=[task]))
        assert synthetic.verdicts(machine) == (RANK, [])
        synthetic.finds_nothing()
        assert synthetic.start() == LEAVE_TO_KERNEL
        assert synthetic.start() == RANK, "only the next one"
