"""Many hogs, many events, and real shortage of the whole machine; the kernel stays well and gets everything back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.vm.scenarios.stage import LIMIT, Hog, Scene, Stage, staged
from vm.harness import VmLost

pytestmark = pytest.mark.needs("qemu", "clang")

EVENTS = 200


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from staged(request)


def _victims(log: list[str]) -> list[str]:
    return [found[1] for line in log if (found := re.search(r"Killed process \d+ \((.*?)\) total-vm", line))]


def test_one_of_two_hundred_hogs(stage: Stage) -> None:
    stage.policy('policy "needle"\nkill first when comm == "w137"\nkill first when comm like "w*9"\n')
    scene = Scene(
        cgroups={"/crowd": {"memory.max": 120 << 20, "memory.swap.max": 0}},
        hogs={
            "crowd": Hog(
                cgroup="/crowd/many", size="128K", comm="w%", options={"mode": "fork-many", "count": 200}
            ),
            "large": Hog(cgroup="/crowd/one", size="118M"),
        },
    )
    played = stage.play(scene)
    victims = _victims(list(played.log))
    assert played.policy == "needle"
    assert victims[0] == "w137", victims
    nines = {f"w{n}" for n in range(200) if n % 10 == 9}
    assert set(victims[1:21]) <= nines, victims
    assert set(played.policies) == {"needle"}


def test_two_hundred_hogs_that_want_memory_at_the_same_time(stage: Stage) -> None:
    stage.policy('policy "storm"\nkill last when comm in ("keep", "w%")\nkill lowest pid\n')
    limit = {"memory.max": 40 << 20, "memory.swap.max": 0}
    scene = Scene(
        cgroups={"/crowd": limit},
        hogs={
            "keep": Hog(cgroup="/crowd/kept", size="4M"),
            "crowd": Hog(
                cgroup="/crowd/many", size="1M", comm="w%", options={"mode": "fork-many", "count": 200}
            ),
        },
    )
    played = stage.play(scene)
    victims = _victims(list(played.log))
    assert set(played.policies) == {"storm"}
    assert len(victims) >= 100
    assert "keep" not in victims
    assert stage.running("keep")
    counters = stage.counters()
    assert counters["selected"] >= len(victims)
    assert counters["nothing_found"] == counters["stood_aside"] == 0


def _slab(stage: Stage) -> int:
    """KiB of the kernel that cannot be reclaimed."""
    found = re.search(r"^SUnreclaim:\s+(\d+) kB", stage.vm.read("/proc/meminfo"), re.MULTILINE)
    assert found
    return int(found[1])


def _bpf(stage: Stage) -> tuple[int, int, int]:
    """How many programs, maps and links there are."""
    counts = []
    for kind in ("prog", "map", "link"):
        listed = stage.vm.run(["bpftool", "--json", kind, "list"])
        assert listed["exit"] == 0, listed
        counts.append(len(json.loads(listed["stdout"])))
    return counts[0], counts[1], counts[2]


def test_hundreds_of_events_in_a_row_leave_the_kernel_as_it_was(stage: Stage) -> None:
    before = _bpf(stage)
    stage.policy(
        'policy "row"\ninput rank per memcg: int = 0\nkill highest rank\nkill highest memcg.usage at each depth\n'
    )
    loaded = _bpf(stage)
    stage.cgroups({"/parent": LIMIT, "/parent/one": {}, "/parent/two": {}})
    stage.set("rank/parent/two", 1)
    stage.start({"bystander": Hog(cgroup="/parent/one", size="1M")})

    def storm(events: int) -> None:
        step = Hog(cgroup="/parent/two", size="12M").step("hog")
        for report in stage.vm.batch([step] * events):
            assert report["exit"] == -9, report

    storm(20)  # what the kernel keeps for the next time is there now
    slab = _slab(stage)
    begun = stage.counters()["events"]
    storm(EVENTS)
    counters = stage.counters()
    assert counters["events"] - begun >= EVENTS
    assert counters["nothing_found"] == counters["stood_aside"] == 0
    assert stage.running("bystander")
    assert _bpf(stage) == loaded
    assert _slab(stage) - slab < 4096, "the kernel holds on to more than before"
    dying = stage.vm.call("cgroup_read", path="/parent", names=["cgroup.stat"])["cgroup.stat"]
    assert "nr_dying_descendants 0" in dying
    stage.no_policy()
    # Programs go once no CPU can be in them any more.
    end = time.monotonic() + 30 * stage.vm.patience
    while (left := _bpf(stage)) != before:
        assert time.monotonic() < end, left
    assert stage.pinned() == []


def test_scopes_come_and_go_by_hundreds(stage: Stage) -> None:
    """Each finds nothing once: the table of such scopes has a bound, and forgets the oldest."""
    stage.policy('policy "scopes"\nnever kill when comm == "hog"\n')
    slab = _slab(stage)
    step = {"op": "cgroup", "path": "/many", "files": {}}
    steps = [step]
    for number in range(40):
        steps += [
            {
                "op": "cgroup",
                "path": f"/many/{number}",
                "files": {"memory.max": 2 << 20, "memory.swap.max": 0},
            },
            Hog(cgroup=f"/many/{number}", size="3M").step("hog"),
            {"op": "cgroup_remove", "path": f"/many/{number}"},
        ]
    reports = stage.vm.batch([*steps, {"op": "cgroup_remove", "path": "/many"}])
    assert {report["exit"] for report in reports if isinstance(report, dict)} == {-9}
    counters = stage.counters()
    assert counters["nothing_found"] >= 40
    assert counters["stood_aside"] >= 40
    assert _slab(stage) - slab < 16384


def test_shortage_of_the_whole_machine(stage: Stage) -> None:
    """Not by sysrq: hogs outside of every limit take what there is."""
    stage.policy('policy "shortage"\nkill last when comm == "glutton"\nkill highest rss\n')
    scene = Scene(
        hogs={
            "small": Hog(cgroup="/a", size="8M"),
            "middle": Hog(cgroup="/b", size="40M"),
            "spared": Hog(cgroup="/b", size="60M", options={"adj": -1000}),
            "glutton": Hog(cgroup="/a", size="2G"),
        }
    )
    played = stage.play(scene)
    assert "constraint=CONSTRAINT_NONE" in "\n".join(played.log)
    victims = _victims(list(played.log))
    assert played.decision == ("shortage", "middle")
    assert victims[-1] == "glutton"
    assert victims.index("small") < victims.index("glutton")
    assert stage.running("spared")


def test_invoker_pays_in_a_shortage_of_the_whole_machine(stage: Stage) -> None:
    scene = Scene(
        hogs={
            "mysqld": Hog(cgroup="/system.slice", size="360M"),
            "python3": Hog(cgroup="/system.slice", size="500M"),
        }
    )
    assert stage.play(scene).decision == ("default", "mysqld")
    stage.clear()
    stage.example("invoker")
    assert stage.play(scene).decision == ("invoker", "python3")


def test_a_lost_machine_is_told_apart_and_replaced(request: pytest.FixtureRequest) -> None:
    """Nobody may die in a shortage of the whole machine: the kernel panics, as it says it does."""
    first = staged(request)
    stage = next(first)
    stage.policy('policy "deadlock"\nnever kill when uid == 0\n')
    with pytest.raises(VmLost, match="System is deadlocked on memory"):
        stage.play(Scene(hogs={"glutton": Hog(cgroup="/a", size="2G")}))
    assert next(first, None) is None
    second = staged(request)
    stage = next(second)
    scene = Scene(
        hogs={"small": Hog(cgroup="/a", size="4M"), "large": Hog(cgroup="/a", size="8M")}, sysrq=True
    )
    assert stage.play(scene).decision == ("default", "large")
    assert next(second, None) is None
