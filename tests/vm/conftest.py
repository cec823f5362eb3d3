"""One virtual machine, with the policies of the tests compiled, and `oomlang` running in it.

The guest has no compiler: policies are compiled here. `make test-vm` builds the kernel first, in sight of whoever waits.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import oomlang
from oomlang.targets.bpf.clang import compile_c
from vm.harness import Vm

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE.parent.parent / "examples").glob("*.oom"))
LIMIT: Mapping[str, str | int] = {"memory.max": 10 << 20, "memory.swap.max": 0}
_IN_TROUBLE = re.compile(
    r"WARNING:|BUG:|INFO: (task|possible|rcu|suspicious)|possible recursive|soft lockup|refcount_t|KASAN|Oops|"
    r"general protection|sleeping function"
)

POLICIES = {
    "alpha_first": 'policy "alpha_first"\nkill first when comm == "alpha"\n',
    "beta_first": 'policy "beta_first"\nkill first when comm == "beta"\n',
    "fifteen_bytes_x": 'policy "fifteen_bytes_x"\nkill first when comm == "alpha"\n',
    "spares_all": 'policy "spares_all"\nnever kill when comm in ("alpha", "beta")\n',
    "knobs": """policy "knobs"
input floor: bytes = 1GiB
input alphas: bool = false
input priority per memcg: int = 0
kill first when alphas and comm == "alpha"
kill last when rss > floor
kill lowest priority
""",
    "knobs_again": """policy "knobs_again"
input floor: bytes = 2GiB
input alphas: bool = false
input priority per memcg: int = 0
kill highest priority
kill first when alphas and rss > floor
""",
    "left": 'policy "left"\nkernel decides when oom.memcg under "/parent"\nkill first when comm == "alpha"\n',
}
"""By name; the largest of two hogs dies where none of them says otherwise."""


@functools.cache
def compiled(name: str, target: Any = "evaluate-task") -> bytes:
    """The object of a policy of these tests, or of an example."""
    if name in POLICIES:
        return oomlang.compile(POLICIES[name], name=f"{name}.oom", target=target).object
    path = next(p for p in EXAMPLES if p.stem == name)
    return oomlang.compile(path.read_bytes(), name=path.name, target=target).object


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended. steps: what the loader had begun to do."""

    exit: int
    out: str
    err: str
    steps: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The kernel's report of an OOM event: who decided, and the first that was killed ("" for nobody)."""

    policy: str
    victim: str


class Machine:
    """The virtual machine, and the command line in it."""

    def __init__(self, vm: Vm) -> None:
        self.vm = vm

    def oomlang(self, *argv: str, **how: Any) -> Outcome:
        """Run a command."""
        return self.driver(argv=list(argv), **how)

    def driver(self, **request: Any) -> Outcome:
        """The loader itself, without the command line's checks (guest_driver.py)."""
        return Outcome(**json.loads(self.vm.ask("driver", json.dumps(request), timeout=300)))

    def done(self, *argv: str) -> str:
        """The same, where it has to succeed; its standard output."""
        outcome = self.oomlang(*argv)
        assert outcome.exit == 0, outcome
        return outcome.out

    def load(self, name: str, *options: str) -> None:
        """Load a policy."""
        self.done("load", f"/payload/{name}.o", *options)

    def status(self) -> dict[str, Any]:
        """What is in force."""
        status = json.loads(self.done("status", "--format", "json"))
        assert isinstance(status, dict)
        return status

    def in_force(self) -> str | None:
        """The name of the policy in force."""
        policy = self.status()["policy"]
        return policy["name"] if policy else None

    def pinned(self) -> list[str]:
        """All that is pinned."""
        return str(self.vm.run(["find", "/sys/fs/bpf", "-mindepth", "1"])["stdout"]).split()

    def start_driver(self) -> None:
        """The driver; it is one of what `Vm.reset` ends."""
        self.vm.spawn("driver", ["python3", "/payload/driver.py"], ready="ready", timeout=120, adj=-1000)

    def oom(self, alpha: str = "4M", beta: str = "8M") -> Report:
        """Two hogs under one limit, in cgroups of their own; the second one is too much."""
        mark = self.vm.log_mark()
        for parent, files in (("/parent", LIMIT), ("/parent/one", {}), ("/parent/two", {})):
            self.vm.cgroup(parent, files)
        self.vm.hog("alpha", size=alpha, cgroup="/parent/one")
        self.vm.hog("beta", size=beta, cgroup="/parent/two")
        report = self.report(mark)
        self.vm.call("cgroup_remove", path="/parent")
        return report

    def report(self, mark: int) -> Report:
        """The first report since a mark."""
        reports = self.reports(mark)
        assert reports, [record.text for record in self.vm.log(mark)]
        return reports[0]

    def reports(self, mark: int) -> list[Report]:
        """All reports since a mark."""
        found: list[Report] = []
        for record in self.vm.log(mark):
            if name := re.search(r"policy_name=(.*?), oom_score_adj=", record.text):
                found.append(Report(policy=name[1], victim=""))
            killed = re.search(r"Killed process \d+ \((.*?)\) total-vm", record.text)
            if killed and found and not found[-1].victim:
                found[-1] = Report(policy=found[-1].policy, victim=killed[1])
        return found


def boot(names: list[str], files: Mapping[str, Path | bytes] | None = None, **how: Any) -> Vm:
    """A machine with the objects of these policies in /payload. how: of `Vm`."""
    objects = {f"{name}.o": compiled(name) for name in names}
    return Vm(files={**objects, "driver.py": HERE / "guest_driver.py", **(files or {})}, **how)


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """The machine of all modules that need no other."""
    names = [*POLICIES, *(path.stem for path in EXAMPLES)]
    by_hand = (HERE.parent.parent / "bench/handwritten/cg_priority.bpf.c").read_text()
    others = {"dry.o": compiled("alpha_first", "dry-run"), "foreign.o": compile_c(by_hand)}
    with boot(names, others) as vm:
        machine = Machine(vm)
        machine.start_driver()
        yield machine


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The same with nothing loaded and nothing running, before and after; the kernel must not have complained."""
    mark = booted.vm.log_mark()
    yield booted
    booted.done("unload")
    assert booted.pinned() == []
    booted.vm.call("cgroup_remove", path="/parent")
    complaints = [record.text for record in booted.vm.log(mark) if _IN_TROUBLE.search(record.text)]
    assert complaints == []
