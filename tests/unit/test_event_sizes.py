"""`oom.total` of a memory cgroup's event is one thing: in test blocks, on a machine, in a report, in what is said of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from oomlang import live
from oomlang.compiler import Compilation
from oomlang.explanation.event import Explanation, Situation
from oomlang.host import read_machine
from oomlang.host.reports import read_reports
from oomlang.replay.machines import machine
from oomlang.targets.interp import STOCK
from oomlang.targets.interp import Machine as Event
from oomlang.targets.interp.expectations import run
from oomlang.test_cases import cases
from tests.unit.host.machines import MOUNTED_V2, V2_FILES, FakeMachine

_GIB = 1 << 30
_POLICY = """
kill first when rss > oom.total * 60%

test "the machine's swap counts" {{
  memory 8GiB
  {swap}
  scope "/a"
  memcg "/a" {{ usage 1GiB  limit 1GiB }}
  task "x" in "/a" {{ rss 700MiB }}
  task "y" in "/a" {{ rss 1MiB  swap 800MiB }}
  expect victim "{victim}"
}}
"""
_REPORT = """\
[1.0] x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
[1.0] memory: usage 1048576kB, limit 1048576kB, failcnt 5
[1.0] swap: usage 0kB, limit {swap_max}kB, failcnt 0
[1.0] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[1.0] [   1000]     0  1000   179200   179200              0        0             0 x
[1.0] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/a,task_memcg=/a,task=x,pid=1000,uid=0
"""


def _test_block(swap: str, victim: str) -> Event:
    compilation = Compilation(_POLICY.format(swap=swap, victim=victim).encode(), "scope_swap.oom")
    (case,) = cases(compilation.policy)
    assert run(compilation.ir, case).passed
    return case.machine


def _machine(root: Path, swap_max: str) -> Event:
    fake = FakeMachine(root, MOUNTED_V2, swap_kb=2 << 20)
    fake.cgroup("a", V2_FILES | {"memory.max": str(_GIB), "memory.swap.max": swap_max})
    fake.process(7, cgroup=b"0::/a\n")
    return live.machine(read_machine(str(root)), scope=(b"a",))


def _report(swap_max: int) -> Event:
    text = _REPORT.format(swap_max=swap_max >> 10).encode()
    (report,) = read_reports(io.BytesIO(text))
    return machine(report, swap=2 * _GIB)


def test_a_scope_has_its_limit_and_all_of_the_machines_swap(tmp_path: Path) -> None:
    # min(memory.swap.max, total swap) is what mem_cgroup_get_max() adds.
    for event in (_test_block("swap 2GiB", "y"), _machine(tmp_path, "max"), _report(2**63 - 4096)):
        assert event.event.total == 3 * _GIB


def test_a_scope_that_may_use_no_swap_has_its_limit(tmp_path: Path) -> None:
    for event in (_test_block("swap 0B", "x"), _test_block("", "x"), _machine(tmp_path, "0"), _report(0)):
        assert event.event.total == _GIB


@pytest.mark.parametrize(
    "swap_max, words", [("max", "its limit 1GiB, and 2GiB of swap"), ("0", "its limit 1GiB")]
)
def test_an_explanation_tells_the_limit_from_the_swap(tmp_path: Path, swap_max: str, words: str) -> None:
    situation = Situation(machine=_machine(tmp_path, swap_max), kind="live", title="this machine")
    said = Explanation(STOCK, "stock.oom", situation).event
    assert said == f"the memory cgroup /a runs out of memory ({words})"


def test_a_scope_without_a_limit_of_its_own_says_so(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, swap_kb=0)
    fake.cgroup("a/b", V2_FILES)
    fake.cgroup("a", V2_FILES | {"memory.max": str(_GIB)})
    fake.process(7, cgroup=b"0::/a/b\n")
    event = live.machine(read_machine(str(tmp_path)), scope=(b"a", b"b"))
    said = Explanation(STOCK, "stock.oom", Situation(machine=event, kind="live", title="this machine")).event
    assert said == "the memory cgroup /a/b runs out of memory (no limit of its own, 1GiB from above)"
