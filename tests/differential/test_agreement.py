"""One policy, two readers of it: the interpreter and the compiled program make the same decision.

Generated policies over generated machines. The program runs in this machine's own kernel, with its real fact readers and
guards, over tasks and cgroups that lie in a map (see `synthetic.bpf.c`); what is compared is what becomes of the event and
the whole order in which the candidates die. A disagreement is shrunk by hypothesis, which prints how to repeat it.

A nightly-size run: HYPOTHESIS_PROFILE=long .venv/bin/python -m pytest tests/differential/test_agreement.py
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from oomlang.compiler import Compilation
from oomlang.ir.passes import PASSES, Pass
from oomlang.ir.passes.levels import levels
from oomlang.ir.passes.share import share
from oomlang.ir.passes.simplify import simplify
from oomlang.kernel.probe import kernel_btf_path
from oomlang.objects.btf import Btf, read_btf
from oomlang.targets.interp import Candidate, Event, Machine, Memcg, Verdict, decide
from tests.differential.kernel_memory import BOOT_MS, whole_pages
from tests.differential.shapes import SHAPES, crowds
from tests.differential.synthetic import END_SCAN, LEAVE_TO_KERNEL, RANK, SELECT, SKIP, Synthetic, loaded
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


@dataclass(frozen=True)
class Variant:
    """Some of the passes: what they do must not matter. The emitter needs `paths`."""

    name: str
    passes: tuple[Pass, ...]


def _without(*off: Pass) -> Variant:
    return Variant(
        "without " + " and ".join(p.__name__ for p in off), tuple(p for p in PASSES if p not in off)
    )


ALL = Variant("all passes", PASSES)
# `levels` says where the lets of `share` are computed, so without it there can be none.
VARIANTS = [ALL, _without(simplify), _without(share), _without(share, levels)]
LONG = settings().max_examples > 1000
"""Everyday runs take each shape through all passes; the generated policies meet the variants there, too."""


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


def agree_about_others_choices(
    compilation: Compilation, synthetic: Synthetic, machine: Machine, data: st.DataObject
) -> None:
    """Each task is compared with the victim at hand, whoever chose it, and with nothing where there is none."""
    decision = decide(compilation.ir, machine)
    if decision.verdict is not Verdict.VICTIM:
        return
    place = {c.pid: n for n, c in enumerate(decision.ranking)}
    inside = replace(
        machine, candidates=[c for c in machine.candidates if c.pid in {d.pid for d in decision.candidates}]
    )
    pids = [c.pid for c in inside.candidates]
    ranked = [n for n, pid in enumerate(pids) if pid in place]
    chosen = data.draw(
        st.lists(st.none() | st.sampled_from(ranked), min_size=len(pids), max_size=len(pids)), label="chosen"
    )
    expected = [
        SELECT if pid in place and (other is None or place[pid] < place[pids[other]]) else SKIP
        for pid, other in zip(pids, chosen, strict=True)
    ]
    assert synthetic.said(inside, chosen) == expected


@given(text=policies(), variant=st.sampled_from(VARIANTS), data=st.data())
@settings(max_examples=settings().max_examples // 2, suppress_health_check=SLOW)
def test_generated_policies_decide_alike(text: str, variant: Variant, data: st.DataObject) -> None:
    compilation = Compilation(text.encode(), "generated.oom")
    assume(not any(d.severity == "error" for d in compilation.diagnostics))
    with loaded(compilation, running_kernel(), variant.passes) as synthetic:
        for number in range(MACHINES):
            machine = whole_pages(data.draw(machines(compilation.ir)))
            agree(compilation, synthetic, machine)
            if number % 4 == 0:
                agree_about_others_choices(compilation, synthetic, machine, data)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples_decide_alike(example: Path) -> None:
    compilation = Compilation(example.read_bytes(), example.name)
    with loaded(compilation, running_kernel()) as synthetic:

        @given(machine=machines(compilation.ir), data=st.data())
        @settings(max_examples=settings().max_examples // 4, suppress_health_check=SLOW)
        def on_generated_machines(machine: Machine, data: st.DataObject) -> None:
            agree(compilation, synthetic, whole_pages(machine))
            agree_about_others_choices(compilation, synthetic, whole_pages(machine), data)

        on_generated_machines()


@pytest.mark.parametrize("passes", VARIANTS if LONG else [ALL], ids=lambda v: v.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_emitter_does_decides_alike(shape: str, passes: Variant) -> None:
    compilation = Compilation(SHAPES[shape], "shape.oom")
    with loaded(compilation, running_kernel(), passes.passes) as synthetic:

        @given(machine=crowds(compilation.ir), data=st.data())
        @settings(max_examples=settings().max_examples // 8, suppress_health_check=SLOW)
        def on_crowded_machines(machine: Machine, data: st.DataObject) -> None:
            agree(compilation, synthetic, whole_pages(machine))
            agree_about_others_choices(compilation, synthetic, whole_pages(machine), data)

        on_crowded_machines()


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


def test_a_task_is_compared_with_the_victim_at_hand() -> None:
    compilation = Compilation(b"kill highest rss", "others.oom")
    with loaded(compilation, running_kernel()) as synthetic:
        root = Memcg(path=(), parent=None)
        tasks = [
            Candidate(
                pid=2 + 2 * n,
                comm=b"a",
                memcg=root,
                facts={**dict.fromkeys(TASK_FACTS, 0), "rss.anon": size << 20},
                start=BOOT_MS,
            )
            for n, size in enumerate((40, 30, 20, 10))
        ]
        machine = whole_pages(Machine(event=Event(total=1 << 30), candidates=tasks))
        assert synthetic.said(machine, [None, 0, 0, 0]) == [SELECT, SKIP, SKIP, SKIP]
        assert synthetic.said(machine, [None, None, None, 1]) == [SELECT, SELECT, SELECT, SKIP]
        assert synthetic.said(machine, [None, 3, 3, 2]) == [SELECT, SELECT, SELECT, SKIP]
        assert synthetic.said(machine, [None, 0, 0, 2]) == [SELECT, SKIP, SKIP, SKIP]
        assert synthetic.said(machine, [1, 0, None, None]) == [SELECT, SKIP, SELECT, SELECT]
