"""Where scenes are played: one virtual machine for all scenario modules, a policy loaded in it, hogs, an OOM event.

In: a policy's text and a `Scene`. Out: an `Outcome`: who decided, and who was killed *first*. Only the first kill of an
event is the policy's choice alone: the kernel checks for room before it looks at the tasks, and a victim that is gone by
then, memory and all, is neither room nor a task; the next one then dies although there is room.

A machine that is lost (`VmLost`, an error of its own) is started anew for the next test.
"""

from __future__ import annotations

import base64
import functools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import oomlang
from tests.vm.conftest import HERE, Machine
from vm.harness import LogRecord, StepFailed, Vm
from vm.selftest.scenarios import KERNEL_IN_TROUBLE

EXAMPLES = Path(__file__).parents[3] / "examples"
LIMIT: Mapping[str, str | int] = {"memory.max": 10 << 20, "memory.swap.max": 0}
"""What makes a cgroup the scope of an event, once its hogs want more."""

_POLICY = re.compile(r"policy_name=(.*?), oom_score_adj=")
_KILLED = re.compile(r"Killed process (\d+) \((.*?)\) total-vm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hog:
    """A process that holds memory: guest/hog.c. options: its own, by name."""

    cgroup: str | None
    size: str = "4M"
    comm: str | None = None
    uid: int = 0
    nice: int = 0
    options: Mapping[str, str | int] = field(default_factory=dict)

    def step(self, name: str) -> dict[str, Any]:
        """The agent's operation that starts it, and waits until it has its memory or is dead."""
        argv = ["hog", "--comm", self.comm or name, "--size", self.size]
        for option, value in self.options.items():
            argv += [f"--{option.replace('_', '-')}", str(value)]
        return {"op": "spawn", "name": name, "argv": argv, "cgroup": self.cgroup, "uid": self.uid,
                "nice": self.nice, "ready": "ready", "timeout": 120}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Cgroups with their files, hogs in the order of their start, and what makes memory run out.

    sysrq: ask for a kill on the whole machine when all hogs are there; else the last hog takes more than its cgroup, or
    one above it, may have.
    """

    cgroups: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)
    hogs: Mapping[str, Hog]
    sysrq: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The first OOM event of a scene. policy: the name in the kernel's report; victim: the hog killed first, "" for
    nobody. log: all of the kernel's log since the scene began.
    """

    policy: str
    victim: str
    log: Sequence[str]

    @property
    def decision(self) -> tuple[str, str]:
        """Who decided, and who dies."""
        return self.policy, self.victim

    @property
    def policies(self) -> list[str]:
        """The names in all reports."""
        return [found[1] for line in self.log if (found := _POLICY.search(line))]


@functools.cache
def compiled(text: str) -> bytes:
    """The object of a policy."""
    return oomlang.compile(text, name="scenario.oom").object


class Stage(Machine):
    """The machine, and what is going on in it."""

    def __init__(self, vm: Vm) -> None:
        super().__init__(vm)
        self.names: dict[int, str] = {}
        self.started: list[str] = []
        self.loaded = False
        self._tops: set[str] = set()
        self._files: dict[bytes, str] = {}

    def policy(self, text: str, *settings: str) -> None:
        """Put a policy in force, in the place of the one that is. settings: `INPUT[/CGROUP]=VALUE`."""
        image = compiled(text)
        if image not in self._files:
            self._files[image] = f"/tmp/policy-{len(self._files)}.o"
            data = base64.b64encode(image).decode()
            self.vm.call("write", path=self._files[image], b64=data)
        path = self._files[image]
        if settings:
            sets = [word for setting in settings for word in ("--set", setting)]
            self.done("load", path, "--replace", *sets)
        else:
            done = self.driver(load=path, replace=True)
            assert done.exit == 0, done
        self.loaded = True

    def example(self, name: str, *settings: str) -> None:
        """Put one of examples/ in force."""
        self.policy((EXAMPLES / f"{name}.oom").read_text(), *settings)

    def no_policy(self) -> None:
        """Leave it to the kernel."""
        if self.loaded:
            assert self.driver(unload=True).exit == 0
        self.loaded = False

    def set(self, target: str, value: str | int) -> None:
        """Set an input."""
        self.done("input", "set", "--", target, str(value))

    def counters(self) -> dict[str, Any]:
        """Of the policy in force."""
        counters = self.status()["policy"]["counters"]
        assert isinstance(counters, dict)
        return counters

    def cgroups(self, cgroups: Mapping[str, Mapping[str, str | int]]) -> None:
        """Make cgroups with their parents."""
        self._tops |= {"/" + path.split("/")[1] for path in cgroups}
        self.vm.batch([{"op": "cgroup", "path": p, "files": dict(files)} for p, files in cgroups.items()])

    def start(self, hogs: Mapping[str, Hog]) -> None:
        """Start hogs one after the other; back when the last one has its memory or is dead."""
        for name, report in zip(hogs, self.vm.batch([h.step(n) for n, h in hogs.items()]), strict=True):
            self.started.append(name)
            self.names[report["pid"]] = name

    def play(self, scene: Scene) -> Outcome:
        """Let it happen."""
        begun = self.vm.log_mark()
        missing: dict[str, dict[str, str | int]] = {
            hog.cgroup: {} for hog in scene.hogs.values() if hog.cgroup is not None
        }
        self.cgroups({**scene.cgroups, **{p: f for p, f in missing.items() if p not in scene.cgroups}})
        self.start(scene.hogs)
        if scene.sysrq:
            self.sysrq(*scene.hogs)
        return self.outcome(begun)

    def sysrq(self, *names: str) -> None:
        """Ask for a kill on the whole machine; back when one of the hogs is dead."""
        self.vm.call("sysrq", key="f")
        self.vm.wait(*names, until="any", timeout=30)

    def outcome(self, since: int) -> Outcome:
        """The first event since a mark."""
        log = [record.text for record in self.vm.log(since)]
        policies = [found[1] for line in log if (found := _POLICY.search(line))]
        killed = [found for line in log if (found := _KILLED.search(line))]
        victim = self.names.get(int(killed[0][1]), killed[0][2]) if killed else ""
        return Outcome(policy=policies[0] if policies else "", victim=victim, log=log)

    def until_logged(self, since: int, pattern: str, seconds: float = 30) -> None:
        """Back when the kernel has said something."""
        end = time.monotonic() + seconds * self.vm.patience
        while not any(re.search(pattern, record.text) for record in self.vm.log(since)):
            assert time.monotonic() < end, f"the log has no {pattern}"

    def running(self, name: str) -> bool:
        """Whether a hog is there."""
        return bool(self.vm.call("report", name=name)["running"])

    def clear(self) -> None:
        """No hogs and no cgroups."""
        steps: list[dict[str, Any]] = [{"op": "kill", "name": name} for name in self.started]
        steps += [{"op": "cgroup_remove", "path": top} for top in sorted(self._tops)]
        self.vm.batch(steps)
        self.started.clear()
        self.names.clear()
        self._tops.clear()


def trouble(log: Sequence[LogRecord]) -> list[str]:
    """What a healthy kernel does not say."""
    return [record.text for record in log if KERNEL_IN_TROUBLE.search(record.text)]


_STAGES: list[Stage] = []
"""The one that is there, if any."""


def _close() -> None:
    while _STAGES:
        _STAGES.pop().vm.close()


def _ready(config: pytest.Config) -> Stage:
    if _STAGES and _STAGES[0].vm.lost is not None:
        _close()
    if not _STAGES:
        vm = Vm(files={"driver.py": HERE / "guest_driver.py"})
        vm.start()
        stage = Stage(vm)
        _STAGES.append(stage)
        config.add_cleanup(_close)
        stage.start_driver()
    return _STAGES[0]


def staged(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """For a fixture: the stage, empty and without a policy before and after; the kernel must not have complained."""
    stage = _ready(request.config)
    mark = stage.vm.log_mark()
    yield stage
    if stage.vm.lost is not None:
        return  # the test has said so
    try:
        stage.clear()
        stage.no_policy()
        assert trouble(stage.vm.log(mark)) == []
    except (StepFailed, AssertionError):
        _close()  # nothing of it is to reach the next test
        raise
