"""Whole events on a real kernel: the selftest of the series, the name in the report, event rules and the fail-safe."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.vm.scenarios.stage import LIMIT, Hog, Scene, Stage, staged

pytestmark = pytest.mark.needs("qemu", "clang")

ONE, TWO = "/parent/one", "/parent/two"
TWO_HOGS = Scene(
    cgroups={"/parent": LIMIT}, hogs={"first": Hog(cgroup=ONE), "second": Hog(cgroup=TWO, size="8M")}
)
"""The kernel alone kills the second: it is the larger one."""
PRESSED = Scene(hogs={"first": Hog(cgroup=ONE, size="8M"), "second": Hog(cgroup=TWO, size="16M")}, sysrq=True)
"""The same on the whole machine, by sysrq."""


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from staged(request)


def _until(stage: Stage, holds: Callable[[dict[str, Any]], bool], seconds: float = 30) -> dict[str, Any]:
    """The counters, as soon as something holds for them."""
    end = time.monotonic() + seconds * stage.vm.patience
    while not holds(counters := stage.counters()):
        assert time.monotonic() < end, counters
    return counters


def _tracepoint(stage: Stage) -> list[str]:
    trace = stage.vm.read("/sys/kernel/tracing/trace")
    return [line for line in trace.splitlines() if "select_bad_process_end:" in line]


def test_the_selftest_of_the_series(stage: Stage) -> None:
    """Priorities 10 and 50 under 10 MiB; the first attempt finds nobody and fires the tracepoint once; then the lower
    number dies.
    """
    stage.policy(
        'policy "priority"\ninput ready: bool = false\ninput priority per memcg: int = 0\n'
        'never kill when not ready and comm in ("first", "second")\nkill lowest priority\n'
    )
    vm = stage.vm
    stage.cgroups({"/parent": LIMIT, ONE: {}, TWO: {}})
    stage.set(f"priority{ONE}", 10)
    stage.set(f"priority{TWO}", 50)
    vm.write("/sys/kernel/tracing/trace", "")
    vm.write("/sys/kernel/tracing/events/oom/select_bad_process_end/enable", "1")
    try:
        nobody = stage.play(TWO_HOGS)
        assert len(_tracepoint(stage)) == 1
    finally:
        vm.write("/sys/kernel/tracing/events/oom/select_bad_process_end/enable", "0")
    assert nobody.policies[:2] == ["priority", "default"]
    assert "no killable processes" in "\n".join(nobody.log)
    assert nobody.victim == "second"  # of the second event, which was left to the kernel
    counters = stage.counters()
    assert (counters["nothing_found"], counters["stood_aside"], counters["selected"]) == (1, 1, 0)
    stage.set("ready", "true")
    vm.call("kill", name="first")
    assert stage.play(TWO_HOGS).decision == ("priority", "first")
    vm.call("kill", name="second")
    stage.set(f"priority{ONE}", 50)
    stage.set(f"priority{TWO}", 10)
    assert stage.play(TWO_HOGS).decision == ("priority", "second")
    assert stage.counters()["nothing_found"] == 1


def test_names_stand_in_the_report_as_the_policy_gives_them(stage: Stage) -> None:
    for name in ("a", "fifteen_bytes_x", "a.b-c_d"):
        stage.policy(f'policy "{name}"\nkill first when comm == "first"\n')
        assert stage.play(TWO_HOGS).decision == (name, "first")
        stage.clear()
    stage.no_policy()
    assert stage.play(TWO_HOGS).decision == ("default", "second")


def test_unloading_restores_the_choice_of_the_kernel_in_both_kinds_of_events(stage: Stage) -> None:
    stage.policy('policy "first_dies"\nkill first when comm == "first"\n')
    for scene in (TWO_HOGS, PRESSED):
        assert stage.play(scene).decision == ("first_dies", "first")
        stage.clear()
    stage.no_policy()
    for scene in (TWO_HOGS, PRESSED):
        assert stage.play(scene).decision == ("default", "second")
        stage.clear()


def test_kernel_decides_leaves_just_those_events_to_the_kernel(stage: Stage) -> None:
    stage.policy(
        'policy "partly"\nkernel decides when oom.memcg under "/parent"\nkill first when comm == "first"\n'
    )
    assert stage.play(TWO_HOGS).decision == ("default", "second")
    stage.clear()
    assert stage.play(PRESSED).decision == ("partly", "first")
    assert stage.counters()["left_to_kernel"] >= 1


def test_kill_nothing_kills_nobody_until_somebody_makes_room(stage: Stage) -> None:
    stage.policy(
        'policy "nobody"\ninput spare: bool = true\nkill nothing when oom.memcg under "/parent" and spare\n'
    )
    vm = stage.vm
    mark = vm.log_mark()
    stage.cgroups({"/parent": LIMIT, ONE: {}, TWO: {}})
    stage.start({"first": TWO_HOGS.hogs["first"]})
    vm.hog("second", size="8M", cgroup=TWO, wait=True)
    stage.started.append("second")
    vm.go("second")
    _until(stage, lambda counters: counters["ended"] >= 1)
    assert stage.running("first")
    assert stage.running("second")
    assert stage.outcome(mark).decision == ("", "")
    assert stage.counters()["candidates"] == 0
    vm.call("kill", name="first")  # from outside: the charge that spins finds room
    end = time.monotonic() + 30 * vm.patience
    while "ready" not in vm.call("report", name="second")["stdout"]:
        assert time.monotonic() < end
    assert stage.outcome(mark).victim == ""
    # The same policy with its knob turned lets the event go on.
    stage.set("spare", "false")
    assert stage.play(Scene(hogs={"first": Hog(cgroup=ONE, size="5M")})).decision == ("nobody", "second")


def test_kill_nothing_in_an_event_of_the_whole_machine(stage: Stage) -> None:
    stage.policy('policy "nobody"\nkill nothing when oom.global\n')
    mark = stage.vm.log_mark()
    stage.start({"first": Hog(cgroup=None, size="8M")})
    stage.vm.call("sysrq", key="f")
    assert _until(stage, lambda counters: counters["events"] >= 1)["ended"] == 1
    assert stage.outcome(mark).victim == ""
    assert stage.running("first")


def test_fail_safe_is_for_each_scope_by_itself_and_for_one_event(stage: Stage) -> None:
    stage.policy('policy "spares_all"\nnever kill when uid == 0\nkill first when comm == "first"\n')
    other = Scene(
        cgroups={"/other": LIMIT},
        hogs={"third": Hog(cgroup="/other/a"), "fourth": Hog(cgroup="/other/b", size="8M")},
    )
    for number, (scene, victim) in enumerate([(TWO_HOGS, "second"), (other, "fourth")], start=1):
        played = stage.play(scene)
        assert played.policies[:2] == ["spares_all", "default"]
        assert played.victim == victim
        counters = stage.counters()
        assert (counters["nothing_found"], counters["stood_aside"]) == (number, number)
    # Again in the first scope: nothing first, for the kernel had one event only.
    played = stage.play(Scene(hogs={"fifth": Hog(cgroup=TWO, size="8M")}))
    assert played.policies[:2] == ["spares_all", "default"]
    assert played.victim == "fifth"


def test_fail_safe_on_the_whole_machine(stage: Stage) -> None:
    stage.policy('policy "spares_all"\nnever kill when uid == 0\n')
    mark = stage.vm.log_mark()
    stage.cgroups({ONE: {}, TWO: {}})
    stage.start(PRESSED.hogs)
    stage.vm.call("sysrq", key="f")
    assert _until(stage, lambda counters: counters["nothing_found"] == 1)["stood_aside"] == 0
    stage.sysrq("first", "second")
    played = stage.outcome(mark)
    assert played.policies == ["spares_all", "default"] or played.policies == ["default"], played.log
    assert played.victim == "second"
    assert stage.counters()["stood_aside"] == 1


def test_facts_of_the_event_are_those_of_the_event(stage: Stage) -> None:
    stage.policy(
        'policy "event"\n'
        'kernel decides when oom.sysrq and not oom.global or oom.global and oom.memcg under "/parent"\n'
        'kill first when oom.sysrq and oom.global and oom.total > 500MiB and oom.total < 768MiB and comm == "pressed"\n'
        'kill first when not oom.sysrq and not oom.global and oom.total == 10MiB and oom.order == 0 and comm == "memcg"\n'
        'kill first when oom.memcg under "/p*/under" and comm == "under"\n'
    )
    assert stage.play(
        Scene(hogs={"pressed": Hog(cgroup=ONE, size="2M"), "large": Hog(cgroup=TWO, size="9M")}, sysrq=True)
    ).decision == ("event", "pressed")
    stage.clear()
    assert stage.play(
        Scene(
            cgroups={"/parent": LIMIT}, hogs={"memcg": Hog(cgroup=ONE), "large": Hog(cgroup=TWO, size="8M")}
        )
    ).decision == ("event", "memcg")
    stage.clear()
    assert stage.play(
        Scene(
            cgroups={"/parent/under": {"memory.max": 12 << 20}},
            hogs={"under": Hog(cgroup="/parent/under/a"), "large": Hog(cgroup="/parent/under/b", size="11M")},
        )
    ).decision == ("event", "under")


def test_inputs_change_the_choice_between_two_events(stage: Stage) -> None:
    stage.policy(
        'policy "inputs"\ninput floor: bytes = 1GiB\ninput rank per memcg: int = 7\n'
        "kill last when rss > floor\nkill highest rank\n"
    )
    stage.cgroups({"/parent": LIMIT, ONE: {}, TWO: {}})
    for settings, victim in (
        ({}, "second"),
        ({f"rank{ONE}": 8}, "first"),
        ({f"rank{TWO}": 9}, "second"),
        ({"floor": "6MiB"}, "first"),
        ({"floor": "1TiB"}, "second"),
    ):
        for target, value in settings.items():
            stage.set(target, str(value))
        assert stage.play(TWO_HOGS).decision == ("inputs", victim), settings
        stage.vm.batch([{"op": "kill", "name": name} for name in TWO_HOGS.hogs])
    stage.done("input", "unset", f"rank{TWO}")
    assert stage.play(TWO_HOGS).decision == ("inputs", "first")


def _setup(seed: int) -> Scene:
    """Hogs of different sizes somewhere in a few cgroups, some with an oom_score_adj."""
    dice = random.Random(seed)
    places = ["/parent", "/parent/a", "/parent/a/b", "/parent/c", "/elsewhere"]
    leaves = ["/parent/a/b/x", "/parent/a/y", "/parent/c/z", "/elsewhere/w"]
    count = dice.randint(3, 7)
    sizes = dice.sample(
        range(1, 12), count
    )  # MiB; different ones: on equal points the kernel takes the last it sees
    # A thousandth of 40 MiB is 10 pages, of the machine 189: adj never makes up for the difference exactly.
    hogs = {
        f"hog{n}": Hog(
            cgroup=dice.choice(leaves),
            size=f"{size}M",
            options={
                "adj": dice.choice([0, 0, 0, -1000, -999, dice.randint(-300, 300), 1000]),
                "kind": dice.choice(["anon", "anon", "shmem"]),
                "mode": dice.choice(["plain", "plain", "plain", "vfork"]),
                "threads": dice.choice([0, 0, 3]),
            },
        )
        for n, size in enumerate(sizes)
    }
    if dice.random() < 0.5:
        return Scene(hogs=hogs, sysrq=True, cgroups={path: {} for path in places})
    hogs["last"] = Hog(cgroup="/parent/c/z", size="44M")
    cgroups = {**{path: {} for path in places}, "/parent": {"memory.max": 40 << 20, "memory.swap.max": 0}}
    return Scene(cgroups=cgroups, hogs=hogs)


def test_the_empty_policy_kills_whom_the_kernel_alone_kills(stage: Stage) -> None:
    seeds = range(10)
    found: dict[str, dict[int, str]] = {}
    for policy in ("default", "stock"):
        if policy == "stock":
            stage.example("stock")
        found[policy] = {}
        for seed in seeds:
            scene = _setup(seed)
            if scene.sysrq and all(hog.options["adj"] == -1000 for hog in scene.hogs.values()):
                continue
            played = stage.play(scene)
            assert played.policy == policy, (seed, played.log)
            found[policy][seed] = played.victim
            stage.clear()
    assert found["stock"] == found["default"]
    assert len(set(found["default"].values())) > 3, found


def test_counters_of_skips_name_their_reasons(stage: Stage) -> None:
    stage.policy('policy "counted"\nnever kill when comm == "never"\n')
    hogs = {
        "never": Hog(cgroup="/parent/a", size="1M"),
        "minus": Hog(cgroup="/parent/a", size="1M", options={"adj": -1000}),
        "some": Hog(cgroup="/parent/a", size="1M"),
        "most": Hog(cgroup="/parent/a", size="8M"),
    }
    assert stage.play(Scene(cgroups={"/parent": LIMIT}, hogs=hogs)).decision == ("counted", "most")
    counters = stage.counters()
    events = counters["events"]
    assert counters["never"] >= 1
    assert counters["guarded"]["oom_score_adj_min"] >= 1
    assert counters["candidates"] >= 4
    text = stage.done("status")
    assert re.search(rf"\b{events}\b", text), text
