#!/usr/bin/env python3
"""Makes the reports `vm-*.dmesg` beside this file: real OOM kills on the test kernel, written as `dmesg` writes them.

    .venv/bin/python tests/data/reports/record.py [NAME…]

Each file is the kernel's log of one scenario, from just before it began, below a note of where it comes from. Run it
again when the reports should come from a newer kernel; the tests do not depend on the numbers in them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from vm.harness import LogRecord, Vm
from vm.machine import use_environment

HERE = Path(__file__).resolve().parent
SWAP = 16
"""MiB of the machines that have swap: with more, an emulated machine pages for minutes before it gives up."""


def memcg(vm: Vm) -> None:
    """Three hogs with different oom_score_adj in cgroups below the one that runs out; no swap for it."""
    vm.cgroup("/batch.slice", {"memory.max": 24 << 20, "memory.swap.max": 0})
    vm.cgroup("/batch.slice/one.service")
    vm.cgroup("/batch.slice/two.service")
    vm.hog("keeper", cgroup="/batch.slice/one.service", size="4M", adj=-1000)
    vm.hog("small", cgroup="/batch.slice/one.service", size="6M", adj=500, uid=1000)
    vm.hog("large", cgroup="/batch.slice/two.service", size="10M", uid=33)
    vm.hog("last", cgroup="/batch.slice/two.service", size="8M", wait=True)
    vm.go("last")
    vm.wait("keeper", "small", "large", "last", until="any")


def group(vm: Vm) -> None:
    """memory.oom.group: the whole cgroup of the victim dies with it."""
    vm.cgroup("/work", {"memory.max": 16 << 20, "memory.swap.max": 0})
    vm.cgroup("/work/job", {"memory.oom.group": 1})
    vm.hog("helper", cgroup="/work/job", size="2M")
    vm.hog("worker", cgroup="/work/job", size="6M")
    vm.cgroup("/work/other")
    vm.hog("outsider", cgroup="/work/other", size="1M")
    vm.hog("feeder", cgroup="/work/job", size="12M", wait=True)
    vm.go("feeder")
    vm.wait("feeder", "worker", "helper", until="all")


def hostile(vm: Vm) -> None:
    """Names made to mislead whoever reads the report, in a cgroup whose name does the same."""
    path = "/odd, task=x]"
    vm.cgroup(path, {"memory.max": 16 << 20, "memory.swap.max": 0})
    for name in ("a] b (c)", "x,pid=1,uid=0", "tab\there", "line\nbreak", "\x1b[31mred", "ünï", " lead"):
        vm.hog(name, cgroup=path, size="1M")
    vm.hog(") total-vm:0kB", cgroup=path, size="16M", wait=True)
    vm.go(") total-vm:0kB")
    vm.wait(") total-vm:0kB")


def several(vm: Vm) -> None:
    """Four events, one after the other."""
    vm.cgroup("/one", {"memory.max": 8 << 20, "memory.swap.max": 0})
    vm.hog("resident", cgroup="/one", size="2M", adj=-300)
    for number in range(4):
        vm.hog(f"hog{number}", cgroup="/one", size="12M")


def sysrq(vm: Vm) -> None:
    """A person asked for the kill."""
    for name, size, adj in (
        ("web", "30M", -500),
        ("db", "60M", -900),
        ("batch", "20M", 300),
        ("shell", "2M", 0),
    ):
        vm.cgroup(f"/{name}.slice")
        vm.hog(name, cgroup=f"/{name}.slice", size=size, adj=adj)
    vm.call("sysrq", key="f")
    vm.wait("web", "db", "batch", "shell", until="any")


def whole(vm: Vm) -> None:
    """The whole machine runs out, and its swap if it has any."""
    vm.cgroup("/a")
    vm.hog("steady", cgroup="/a", size="40M", adj=100, uid=1000)
    vm.hog("guarded", cgroup="/a", size="60M", adj=-1000)
    vm.hog("glutton", cgroup="/a", size="2G", wait=True)
    vm.go("glutton")
    vm.wait("glutton", "steady", until="any", timeout=200)


def swapping(vm: Vm) -> None:
    """A cgroup without a limit on swap, on a machine that has some: the report does not say how much."""
    vm.cgroup("/s", {"memory.max": 16 << 20})
    vm.hog("quiet", cgroup="/s", size="8M", adj=200)
    vm.hog("loud", cgroup="/s", size="200M", wait=True)
    vm.go("loud")
    vm.wait("loud", "quiet", until="any", timeout=200)


SCENARIOS: dict[str, tuple[Callable[[Vm], None], dict[str, int]]] = {
    "memcg": (memcg, {}),
    "memcg-group": (group, {}),
    "memcg-hostile": (hostile, {}),
    "memcg-several": (several, {}),
    "sysrq": (sysrq, {}),
    "global": (whole, {"memory_mib": 512}),
    "memcg-swap": (swapping, {"memory_mib": 512, "swap_mib": SWAP}),
    "global-swap": (whole, {"memory_mib": 512, "swap_mib": SWAP}),
}


def lines(records: list[LogRecord]) -> Iterator[bytes]:
    """The records as util-linux's dmesg prints them: what does not print as \\xNN."""
    for record in records:
        text = "".join(
            c
            if c.isprintable() or c == "\t"
            else "".join(f"\\x{b:02x}" for b in c.encode("utf-8", "surrogateescape"))
            for c in record.text
        )
        yield f"[{record.seconds:12.6f}] {text}\n".encode("utf-8", "surrogateescape")


def main() -> None:
    """Record all scenarios, or those named."""
    use_environment()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(SCENARIOS)} (all)")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(SCENARIOS)}")
    for name in names or list(SCENARIOS):
        scenario, machine = SCENARIOS[name]
        with Vm(**machine) as vm:  # type: ignore[arg-type]  # numbers only
            release = vm.call("ping")["release"]
            if machine.get("swap_mib"):
                vm.call("swapon")
            mark = vm.log_mark()
            scenario(vm)
            vm.call("sleep", seconds=0.5)
            log = vm.log(mark)
        note = f"# Recorded on Linux {release} by record.py: {(scenario.__doc__ or '').strip()}\n"
        (HERE / f"vm-{name}.dmesg").write_bytes(note.encode() + b"".join(lines(log)))
        sys.stderr.write(f"vm-{name}.dmesg\n")


if __name__ == "__main__":
    main()
