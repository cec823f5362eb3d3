"""Real memory hogs, real OOM kills, hand-written BPF programs: does the test kernel do what docs/kernel-patch.md says?

Each scenario is a function that takes the machine; what it asserts is what its name says. All of them share one boot.
"""

# ruff: noqa: D103 (a scenario's name says what it asserts)

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vm.harness import StepFailed, Vm, VmLost
from vm.machine import (
    EXIT_ENVIRONMENT,
    EXIT_OURS,
    BuildFailed,
    EnvironmentLacks,
    end_like_an_interrupt,
    install_packages,
)

HERE = Path(__file__).resolve().parent
PACKAGES = ("clang-19", "libbpf-dev", "linux-libc-dev", "gcc", "libc6-dev")
NO_BPF_POLICY, ABORT, NEXT, SELECT = range(4)
PRIORITY, ALWAYS, ONE_OR_KERNEL = range(3)
LIMIT = {"memory.max": 10 << 20, "memory.swap.max": 0}
KERNEL_IN_TROUBLE = re.compile(
    r"WARNING:|BUG:|INFO: (task|possible|rcu|suspicious)|possible recursive|soft lockup|refcount_t|KASAN|Oops|"
    r"general protection|sleeping function"
)
WORTH_SHOWING = re.compile(r"^(\[ |oom-kill:)|invoked oom-killer|[Oo]ut of memory|enough memory|oomlang:")


class Driver:
    """The hooks, attached in the guest."""

    def __init__(self, vm: Vm) -> None:
        self.vm = vm

    def say(self, line: str) -> None:
        """One setting."""
        answer = self.vm.ask("driver", line)
        assert answer == "ok", answer

    def configure(self, mode: int, verdict: int = 0) -> None:
        """What `evaluate` answers."""
        self.say(f"mode {mode}")
        self.say(f"verdict {verdict}")

    def name(self, name: bytes) -> None:
        """What `name_policy` sets, with this size."""
        self.say(f"name {name.hex()}")

    def counts(self) -> dict[str, int]:
        """What the programs counted."""
        return {key: int(value) for key, value in json.loads(self.vm.ask("driver", "counts")).items()}


@contextmanager
def hooks(vm: Vm) -> Iterator[Driver]:
    """All four programs attached, and detached at the end."""
    report = vm.spawn("driver", ["/payload/driver", "/payload/hooks.o"], ready="ready", adj=-1000)
    assert report["running"], f"the hooks do not load:\n{report['stderr']}"
    yield Driver(vm)
    vm.call("send", name="driver", data="", close=True)
    ended = vm.wait("driver")["driver"]
    assert ended["exit"] == 0, ended


def report_of(vm: Vm, mark: int) -> tuple[str, list[str]]:
    """The policy name in the first OOM report since the mark, and the names of all that were killed."""
    text = [record.text for record in vm.log(mark)]
    names = [found[1] for line in text if (found := re.search(r"policy_name=(.*?), oom_score_adj=", line))]
    killed = [
        found[1] for line in text if (found := re.search(r"Killed process \d+ \((.*?)\) total-vm", line))
    ]
    assert names, f"no OOM report in the log: {text}"
    return names[0], killed


def two_hogs(vm: Vm, sizes: tuple[str, str] = ("4M", "8M"), mode: str = "plain") -> tuple[str, str]:
    """Two cgroups under one limit, a hog in each, the second one's too much; the report's name and the first killed.

    Only the first: the kernel checks whether there is room again before it looks at the tasks, and a victim that is
    gone by then, memory and all, is neither room nor a task. The next one then dies although there is room. This is
    so without any program; emulated CPUs, which stop at any moment, see it now and then.
    """
    mark = vm.log_mark()
    vm.hog("first", size=sizes[0], cgroup="/parent/one", mode=mode)
    vm.hog("second", size=sizes[1], cgroup="/parent/two")
    name, killed = report_of(vm, mark)
    return name, killed[0] if killed else ""


def families(vm: Vm) -> tuple[int, int]:
    """The two cgroups of `two_hogs`; their ids."""
    vm.cgroup("/parent", LIMIT)
    return vm.cgroup("/parent/one"), vm.cgroup("/parent/two")


def stock_kernel_kills_the_larger_and_calls_it_default(vm: Vm) -> None:
    families(vm)
    assert two_hogs(vm) == ("default", "second")


def attached_programs_that_leave_it_to_the_kernel_change_nothing(vm: Vm) -> None:
    families(vm)
    with hooks(vm) as driver:
        driver.configure(ALWAYS, NO_BPF_POLICY)
        assert two_hogs(vm) == ("default", "second")
        counts = driver.counts()
    assert counts["named"] == 1, counts
    assert counts["evaluated"] == 2, counts


def unknown_verdict_leaves_it_to_the_kernel(vm: Vm) -> None:
    families(vm)
    with hooks(vm) as driver:
        driver.configure(ALWAYS, 4711)
        assert two_hogs(vm)[1] == "second"


def lower_priority_dies_and_the_first_attempt_fires_the_tracepoint_once(vm: Vm) -> None:
    one, two = families(vm)
    with hooks(vm) as driver:
        driver.say("skip-first 1")
        driver.say(f"priority {one} 10")
        driver.say(f"priority {two} 50")
        driver.name(b"priority")
        assert two_hogs(vm) == ("priority", "first")
        counts = driver.counts()
        assert counts["nothing"] == 1, counts
        # One event with nothing, one with the kill; more if the dying victim, which has no guard here, is chosen again.
        assert counts["named"] >= 2, counts


def other_way_round_the_other_one_dies(vm: Vm) -> None:
    one, two = families(vm)
    with hooks(vm) as driver:
        driver.say(f"priority {one} 50")
        driver.say(f"priority {two} 10")
        assert two_hogs(vm)[1] == "second"
        assert driver.counts()["nothing"] == 0


def names_of_any_length_and_content_end_where_they_must(vm: Vm) -> None:
    with hooks(vm) as driver:
        driver.configure(ALWAYS, NO_BPF_POLICY)
        for name, shown in (
            (b"", "default"),
            (b"\0ignored", "default"),
            (b"a", "a"),
            (b"short\0rest", "short"),
            (b"fifteen_bytes_x", "fifteen_bytes_x"),
            (b"sixteen_bytes_xy", "sixteen_bytes_x"),
            (b"n" * 64, "n" * 15),
            (b"a\nb\x1bc\x7fd", "a?b?c?d"),
            ("größe".encode(), "größe"),
        ):
            families(vm)
            driver.name(name)
            got, _ = two_hogs(vm)
            assert got == shown, (name, got)
            vm.call("kill", name="first")
            vm.call("cgroup_remove", path="/parent")


def name_set_after_the_selection_is_ignored(vm: Vm) -> None:
    families(vm)
    with hooks(vm) as driver:
        driver.configure(ALWAYS, NO_BPF_POLICY)
        driver.name(b"in_time")
        driver.say("late-name 1")
        assert two_hogs(vm)[0] == "in_time"


def verifier_refuses_a_name_buffer_shorter_than_its_size(vm: Vm) -> None:
    report = vm.run(["/payload/driver", "/payload/beyond.o"])
    assert report["exit"] == 1, report
    assert "invalid" in report["stderr"], report["stderr"]


def passing_over_everyone_fires_the_tracepoint_and_kills_nobody(vm: Vm) -> None:
    families(vm)
    with hooks(vm) as driver:
        driver.configure(ALWAYS, NEXT)
        mark = vm.log_mark()
        vm.hog("first", size="4M", cgroup="/parent/one")
        vm.hog("second", size="8M", cgroup="/parent/two", wait=True)
        vm.go("second")
        wait_for(vm, driver, "nothing")
        name, killed = report_of(vm, mark)
        assert (name, killed) == ("default", [])
        assert any("no killable processes" in record.text for record in vm.log(mark))
        # The way out that policies take: leave it to the kernel the next time.
        driver.configure(ALWAYS, NO_BPF_POLICY)
        assert vm.wait("second")["second"]["exit"] == -9


def abort_kills_nobody_and_fires_no_tracepoint(vm: Vm) -> None:
    families(vm)
    with hooks(vm) as driver:
        driver.configure(ALWAYS, ABORT)
        vm.hog("first", size="4M", cgroup="/parent/one")
        vm.hog("second", size="8M", cgroup="/parent/two", wait=True)
        vm.go("second")
        wait_for(vm, driver, "named")
        assert driver.counts()["nothing"] == 0
        assert all(vm.call("report", name=name)["running"] for name in ("first", "second"))
        driver.configure(ALWAYS, NO_BPF_POLICY)
        assert vm.wait("second")["second"]["exit"] == -9


def selected_task_stands_against_later_ones_left_to_the_kernel(vm: Vm) -> None:
    for sizes, chosen in ((("4M", "8M"), "first"), (("8M", "4M"), "second")):
        families(vm)
        with hooks(vm) as driver:
            driver.configure(ONE_OR_KERNEL)
            driver.say(f"comm {chosen}")
            assert two_hogs(vm, sizes)[1] == chosen
        vm.reset()


def program_decides_system_wide_events_too(vm: Vm) -> None:
    small, large = vm.cgroup("/small"), vm.cgroup("/large")
    vm.hog("small", size="8M", cgroup="/small")
    vm.hog("large", size="64M", cgroup="/large")
    with hooks(vm) as driver:
        driver.say(f"priority {small} 1")
        driver.say(f"priority {large} 2")
        driver.name(b"global")
        mark = vm.log_mark()
        vm.call("sysrq", key="f")
        assert vm.wait("small")["small"]["exit"] == -9
        assert report_of(vm, mark) == ("global", ["small"])
        assert vm.call("report", name="large")["running"]
        vm.hog("small", size="8M", cgroup="/small")
        mark = vm.log_mark()
        vm.hog("glutton", size="2G", cgroup="/small", wait=True, adj=-500)
        driver.say(f"priority {small} 3")
        vm.go("glutton")
        assert vm.wait("large", timeout=120)["large"]["exit"] == -9
        vm.call("kill", name="glutton")
        assert report_of(vm, mark)[1][0] == "large"


def detached_programs_leave_the_stock_kernel(vm: Vm) -> None:
    one, two = families(vm)
    with hooks(vm) as driver:
        driver.say(f"priority {one} 10")
        driver.say(f"priority {two} 50")
        driver.name(b"gone")
    assert two_hogs(vm) == ("default", "second")


def killed_loader_leaves_the_stock_kernel(vm: Vm) -> None:
    families(vm)
    vm.spawn("driver", ["/payload/driver", "/payload/hooks.o"], ready="ready")
    Driver(vm).configure(ALWAYS, ABORT)
    vm.call("kill", name="driver")
    assert two_hogs(vm) == ("default", "second")


def many_consecutive_events_leave_the_kernel_well(vm: Vm) -> None:
    one, _ = families(vm)
    with hooks(vm) as driver:
        driver.say(f"priority {one} 1")
        events = 100 if vm.flavour == "default" else 15
        for number in range(events):
            report = vm.hog(f"hog{number}", size="16M", cgroup="/parent/one")
            assert report["exit"] == -9, report
        assert driver.counts()["selected"] >= events


def thread_group_without_its_leader_is_a_candidate(vm: Vm) -> None:
    one, two = families(vm)
    with hooks(vm) as driver:
        driver.say(f"priority {one} 10")
        driver.say(f"priority {two} 50")
        # The kernel names the first thread that still has the memory.
        assert two_hogs(vm, mode="leader-exits")[1] == "first"


def dying_victim_holds_off_the_next_kill_until_it_is_reaped(vm: Vm) -> None:
    families(vm)
    with hooks(vm) as driver:
        driver.configure(ALWAYS, NO_BPF_POLICY)
        mark = vm.log_mark()
        vm.hog("first", size="9M", cgroup="/parent/one", mode="stuck")
        vm.hog("second", size="8M", cgroup="/parent/two")
        kills = [(record.seconds, record.text) for record in vm.log(mark) if "oom_reaper:" in record.text]
        killed = report_of(vm, mark)[1]
        assert killed == ["first"], killed
        assert "stuck" in vm.call("report", name="first")["stdout"]
        # Only the reaper made room: the victim is still there, stopped on its way out.
        assert len(kills) == 1, kills
        status = vm.read(f"/proc/{vm.call('report', name='first')['stdout'].split()[2]}/status")
        assert "State:\tt (tracing stop)" in status, status
        # The reaped one cannot be chosen again.
        vm.hog("third", size="9M", cgroup="/parent/two")
        assert report_of(vm, mark)[1][1:] in (["second"], ["third"]), report_of(vm, mark)


SCENARIOS: tuple[Callable[[Vm], None], ...] = (
    stock_kernel_kills_the_larger_and_calls_it_default,
    attached_programs_that_leave_it_to_the_kernel_change_nothing,
    unknown_verdict_leaves_it_to_the_kernel,
    lower_priority_dies_and_the_first_attempt_fires_the_tracepoint_once,
    other_way_round_the_other_one_dies,
    names_of_any_length_and_content_end_where_they_must,
    name_set_after_the_selection_is_ignored,
    verifier_refuses_a_name_buffer_shorter_than_its_size,
    passing_over_everyone_fires_the_tracepoint_and_kills_nobody,
    abort_kills_nobody_and_fires_no_tracepoint,
    selected_task_stands_against_later_ones_left_to_the_kernel,
    program_decides_system_wide_events_too,
    thread_group_without_its_leader_is_a_candidate,
    dying_victim_holds_off_the_next_kill_until_it_is_reaped,
    detached_programs_leave_the_stock_kernel,
    killed_loader_leaves_the_stock_kernel,
    many_consecutive_events_leave_the_kernel_well,
)


def wait_for(vm: Vm, driver: Driver, counter: str, seconds: float = 20) -> None:
    """Until a counter of the programs is not zero."""
    end = time.monotonic() + seconds * vm.patience
    while not driver.counts()[counter]:
        assert time.monotonic() < end, f"{counter} stays 0"
        vm.call("sleep", seconds=0.05)


def compiled(work: Path) -> dict[str, Path | bytes]:
    """The driver and the BPF objects, for the guest."""
    install_packages(PACKAGES)
    multiarch = "-I/usr/include/x86_64-linux-gnu"
    files: dict[str, Path | bytes] = {}
    for source in sorted(HERE.glob("*.bpf.c")):
        target = work / source.name.replace(".bpf.c", ".o")
        files[target.name] = target
        command = ["clang-19", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", multiarch]
        subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True, timeout=60)
    files["driver"] = work / "driver"
    driver = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(work / "driver"), str(HERE / "driver.c"), "-lbpf"]
    subprocess.run(driver, check=True, timeout=60)
    return files


def run_one(vm: Vm, scenario: Callable[[Vm], None]) -> str | None:
    """Runs one scenario; what was wrong, or None. The kernel must not have complained meanwhile."""
    mark = vm.log_mark()
    try:
        scenario(vm)
        vm.reset()
    except (AssertionError, StepFailed):
        wrong = traceback.format_exc()
        log = "\n".join(record.text for record in vm.log(mark) if WORTH_SHOWING.search(record.text))
        vm.reset()
        return f"{wrong}\n--- the kernel's log, the lines that matter ---\n{log[-6000:]}"
    complaints = [record.text for record in vm.log(mark) if KERNEL_IN_TROUBLE.search(record.text)]
    return f"the kernel complained: {complaints}" if complaints else None


def panic_is_reported_as_a_lost_machine(vm: Vm) -> str | None:
    """The last one: nothing works after it."""
    try:
        vm.call("sysrq", key="c", limit=60)
    except VmLost as lost:
        return (
            None if "sysrq triggered crash" in str(lost).lower() else f"the console's end is missing: {lost}"
        )
    return "the machine answered after a panic"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0: all hold, 1: some do not, 3: the machine lacks something, 4: a build failed or the VM was lost."""
    parser = argparse.ArgumentParser(prog="vm/selftest/run", description=__doc__.splitlines()[0])
    parser.add_argument("--flavour", default="default")
    parser.add_argument("--cmdline", default="", help="more for the kernel's command line")
    parser.add_argument("-k", default="", metavar="TEXT", help="only scenarios whose names contain it")
    options = parser.parse_args(argv)
    end_like_an_interrupt()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="oomlang-selftest-") as work:
        try:
            begin = time.monotonic()
            with Vm(flavour=options.flavour, cmdline=options.cmdline, files=compiled(Path(work))) as vm:
                print(f"booted {vm.call('ping')['release']} in {time.monotonic() - begin:.1f} s", flush=True)
                for scenario in SCENARIOS:
                    if options.k not in scenario.__name__:
                        continue
                    begin = time.monotonic()
                    wrong = run_one(vm, scenario)
                    failed += wrong is not None
                    verdict = "ok    " if wrong is None else "FAILED"
                    print(f"{verdict} {time.monotonic() - begin:5.1f} s  {scenario.__name__}", flush=True)
                    if wrong:
                        print(wrong, flush=True)
                if options.k in panic_is_reported_as_a_lost_machine.__name__:
                    wrong = panic_is_reported_as_a_lost_machine(vm)
                    failed += wrong is not None
                    print(
                        "ok    " if wrong is None else f"FAILED {wrong}\n",
                        "panic_is_reported_as_a_lost_machine",
                    )
        except EnvironmentLacks as exc:
            print(f"selftest: {exc}", file=sys.stderr)
            return EXIT_ENVIRONMENT
        except (BuildFailed, VmLost) as exc:
            print(f"selftest: {exc}", file=sys.stderr)
            return EXIT_OURS
    return 1 if failed else 0
