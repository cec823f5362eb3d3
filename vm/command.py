"""The command line of vm/run: one boot, one program, its output and its exit code. For looking into things by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vm.harness import PATIENCE, StepFailed, Vm, VmLost
from vm.machine import EXIT_ENVIRONMENT, EXIT_OURS, BuildFailed, EnvironmentLacks, end_like_an_interrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Exit with the program's code; 3 if this machine lacks something, 4 if the virtual machine was lost."""
    parser = argparse.ArgumentParser(
        prog="vm/run",
        description="Boot a kernel and run one program in it. The checkout's package is importable there.",
        epilog="example: vm/run --file policy.o -- bpftool prog load /payload/policy.o /sys/fs/bpf/policy",
    )
    parser.add_argument("--flavour", choices=sorted(PATIENCE))
    parser.add_argument("--memory", type=int, default=768, metavar="MIB")
    parser.add_argument("--cmdline", default="", help="more for the kernel's command line")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--file", type=Path, action="append", default=[], help="take it along, to /payload")
    parser.add_argument("--log", action="store_true", help="show the kernel's log too, at the end")
    parser.add_argument("program", nargs="+", help="the program and its arguments, after --")
    options = parser.parse_args(argv)
    end_like_an_interrupt()
    files: dict[str, Path | bytes] = {path.name: path for path in options.file}
    try:
        with Vm(
            flavour=options.flavour, memory_mib=options.memory, cmdline=options.cmdline, files=files
        ) as vm:
            done = vm.run(options.program, timeout=options.timeout)
            log = vm.log(0) if options.log else []
    except EnvironmentLacks as exc:
        print(f"vm/run: {exc}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    except (BuildFailed, VmLost) as exc:
        print(f"vm/run: {exc}", file=sys.stderr)
        return EXIT_OURS
    except StepFailed as exc:
        print(f"vm/run: {exc}", file=sys.stderr)
        return 127
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        stream.buffer.write(done[name].encode("utf-8", "surrogateescape"))
        stream.flush()
    for record in log:
        print(f"[{record.seconds:12.6f}] {record.text}")
    if done["timed_out"]:
        print(f"vm/run: still running after {done['seconds']:.0f} s", file=sys.stderr)
    return int(done["exit"]) if done["exit"] >= 0 else 128 - int(done["exit"])
