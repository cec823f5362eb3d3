"""The guards on a real kernel. The hook stands before the kernel's own; each policy here wants whom a guard protects."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.vm.scenarios.stage import LIMIT, Hog, Scene, Stage, staged

pytestmark = pytest.mark.needs("qemu", "clang")

ONE, TWO = "/parent/one", "/parent/two"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from staged(request)


def _guarded(stage: Stage, reason: str) -> int:
    return int(stage.counters()["guarded"][reason])


def test_a_task_at_minus_1000_is_spared_and_one_at_minus_999_is_not(stage: Stage) -> None:
    stage.policy('policy "guards"\nkill first when comm == "spared"\n')
    for adj, victim in ((-1000, "other"), (-999, "spared")):
        scene = Scene(
            cgroups={"/parent": LIMIT},
            hogs={"spared": Hog(cgroup=ONE, options={"adj": adj}), "other": Hog(cgroup=TWO, size="8M")},
        )
        assert stage.play(scene).decision == ("guards", victim)
        stage.clear()
    assert _guarded(stage, "oom_score_adj_min") >= 1


def test_a_child_in_vfork_is_spared_and_its_parent_is_not(stage: Stage) -> None:
    stage.policy('policy "guards"\nkill first when comm == "vforker"\nkill highest pid\n')
    scene = Scene(
        cgroups={"/parent": LIMIT},
        hogs={
            "vforker": Hog(cgroup=ONE, options={"mode": "vfork"}),
            "other": Hog(cgroup=TWO, size="8M"),
        },
    )
    # The child has the higher pid and the same memory: the pid in the log tells them apart.
    assert stage.play(scene).decision == ("guards", "vforker")
    assert _guarded(stage, "in_vfork") >= 1


def test_a_process_whose_leader_has_exited_is_seen_with_its_memory(stage: Stage) -> None:
    hogs = {
        "leaderless": Hog(cgroup=ONE, size="6M", options={"mode": "leader-exits"}),
        "other": Hog(cgroup=TWO, size="5M"),
    }
    scene = Scene(cgroups={"/parent": LIMIT}, hogs=hogs)
    for rule in ('kill first when comm == "leaderless"', "kill highest rss.anon step 1MiB"):
        stage.policy(f'policy "guards"\n{rule}\nkill first when comm == "other"\n')
        played = stage.play(scene)
        # The kernel names the first thread that has the memory: same name, another number.
        assert played.decision == ("guards", "leaderless"), rule
        stage.clear()


def test_a_dying_victim_holds_off_the_next_kill_and_a_reaped_one_is_not_chosen_again(stage: Stage) -> None:
    stage.policy('policy "guards"\nkill first when comm == "stuck"\n')
    scene = Scene(
        cgroups={"/parent": LIMIT},
        hogs={
            "stuck": Hog(cgroup=ONE, size="9M", options={"mode": "stuck"}),
            "second": Hog(cgroup=TWO, size="8M"),
        },
    )
    # The second waits for two seconds, until the reaper takes the memory of a victim that does not exit.
    played = stage.play(scene)
    kills = [found[1] for line in played.log if (found := re.search(r"Killed process \d+ \((.*?)\)", line))]
    assert kills == ["stuck"], played.log
    assert sum("oom_reaper:" in line for line in played.log) == 1
    assert stage.running("second")
    assert stage.running("stuck")  # its tracer, and the victim that it holds
    assert _guarded(stage, "victim") >= 1
    begun = stage.vm.log_mark()
    stage.start({"third": Hog(cgroup=TWO, size="5M")})
    assert stage.outcome(begun).decision == ("guards", "second")
    assert _guarded(stage, "oom_reaped") >= 1


def test_sysrq_does_not_wait_for_a_dying_victim_but_passes_over_a_reaped_one(stage: Stage) -> None:
    """As in the kernel: who asks while the victim is dying means it once more, and the next one afterwards."""
    stage.policy('policy "guards"\nkill first when comm == "stuck"\nkill first when comm == "next"\n')
    begun = stage.vm.log_mark()
    stage.cgroups({ONE: {}, TWO: {}})
    stage.start(
        {
            "stuck": Hog(cgroup=ONE, size="4M", options={"mode": "stuck"}),
            "next": Hog(cgroup=ONE),
            "large": Hog(cgroup=TWO, size="9M"),
        }
    )
    stage.vm.call("sysrq", key="f")
    stage.until_logged(begun, r"Killed process \d+ \(stuck\)")
    stage.vm.call("sysrq", key="f")
    stage.until_logged(begun, "oom_reaper: reaped process")
    assert stage.running("next")
    assert stage.running("large")
    assert _guarded(stage, "victim") == 0
    stage.sysrq("next", "large")
    assert not stage.running("next")
    assert stage.running("large")
    assert _guarded(stage, "oom_reaped") >= 1


def test_kernel_threads_init_and_zombies_are_never_chosen(stage: Stage) -> None:
    stage.policy(
        'policy "guards"\nkill first when pid <= 2\nkill first when comm like "k*d*"\n'
        'kill first when comm == "zombie"\nkill lowest pid\n'
    )
    # A zombie: its parent never asks how it ended.
    script = (
        "import ctypes, os, sys, time\n"
        "if os.fork() == 0:\n"
        "    open('/proc/self/oom_score_adj', 'w').write('0')\n"
        "    ctypes.CDLL(None).prctl(15, b'zombie', 0, 0, 0)\n"
        "    os._exit(0)\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n"
    )
    report = stage.vm.spawn("parent", ["python3", "-S", "-c", script], ready="ready", adj=-1000)
    assert report["running"], report
    stage.started.append("parent")
    zombies = stage.vm.run(["ps", "-o", "stat,comm"])["stdout"]
    assert re.search(r"^Z\s+zombie", zombies, re.MULTILINE), zombies
    played = stage.play(
        Scene(hogs={"first": Hog(cgroup=ONE), "second": Hog(cgroup=TWO, size="8M")}, sysrq=True)
    )
    assert played.decision == ("guards", "first"), played.log
    counters = stage.counters()
    assert counters["guarded"]["no_mm"] >= 1
    assert counters["guarded"]["oom_score_adj_min"] >= 2  # the parent, and who talks to the tests
    # The hook is not asked about the kernel's threads and process 1: only about what is left.
    assert counters["candidates"] < 20, counters


def test_a_group_kill_takes_the_whole_cgroup_of_the_chosen_one(stage: Stage) -> None:
    stage.policy('policy "guards"\nkill first when memcg.oom_group and comm == "member"\n')
    scene = Scene(
        cgroups={"/parent": LIMIT, ONE: {"memory.oom.group": 1}},
        hogs={
            "member": Hog(cgroup=ONE, size="1M"),
            "fellow": Hog(cgroup=ONE, size="1M"),
            "other": Hog(cgroup=TWO, size="9M"),
        },
    )
    assert stage.play(scene).decision == ("guards", "member")
    assert set(stage.vm.wait("member", "fellow", timeout=20)) == {"member", "fellow"}
    assert not stage.running("member")
    assert not stage.running("fellow")
