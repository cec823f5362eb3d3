"""`oomlang compile examples/cg_priority.oom` against bare clang on the same C: time, CPU and peak memory.

Prints ratios of medians over several rounds of hyperfine, which runs one command after the other: a machine that grows
slower for a while then does so for all of them. Goals: time at most 3×, memory at most 1.3×, `oomlang check` at most 0.15 s
of CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parent.parent
POLICY = ROOT / "examples" / "cg_priority.oom"
OOMLANG = Path(sys.executable).with_name("oomlang")
ROUNDS, RUNS = 8, 4


def measured(commands: list[list[str]], result: Path) -> list[tuple[float, float]]:
    """The median time of each command, and its mean CPU (s)."""
    times: list[list[float]] = [[] for _ in commands]
    cpu: list[list[float]] = [[] for _ in commands]
    for _ in range(ROUNDS):
        subprocess.run(
            ["hyperfine", "--warmup", "1", "--runs", str(RUNS), "--style", "none", "--export-json", str(result), "-N",
             *map(" ".join, commands)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for number, row in enumerate(json.loads(result.read_text())["results"]):
            times[number] += row["times"]
            cpu[number].append(row["user"] + row["system"])
    return [(median(t), mean(c)) for t, c in zip(times, cpu, strict=True)]


def peak_kib(command: list[str]) -> tuple[int, float]:
    """The largest process that a command made (KiB, resident), and the CPU that all of them used (s)."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed with {status}")
    # ru_maxrss of a child that was waited for covers the largest of its own children too.
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(ROOT))
    from oomlang.targets.bpf.clang import _FLAGS, find_clang

    # What is measured has its byte code, as an installed oomlang has: a stale one would be made anew in every run.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "oomlang")], check=True)
    with tempfile.TemporaryDirectory() as folder:
        c_file, out = Path(folder, "policy.c"), Path(folder, "out.o")
        compile_ = [str(OOMLANG), "compile", str(POLICY), "-o", str(out)]
        subprocess.run([*compile_[:-1], str(c_file), "--emit", "c"], check=True, stderr=subprocess.DEVNULL)
        clang = [find_clang(), *_FLAGS, "-o", str(out), str(c_file)]
        check = [str(OOMLANG), "check", str(POLICY)]
        commands = {"clang": clang, "oomlang compile": compile_, "oomlang check": check}
        rows = dict(zip(commands, measured(list(commands.values()), Path(folder, "times.json")), strict=True))
        memory = {name: peak_kib(command)[0] for name, command in commands.items()}
    for name, (time, cpu) in rows.items():
        print(
            f"{name:16} {time * 1000:6.0f} ms (median of {ROUNDS * RUNS}), CPU {cpu * 1000:4.0f} ms, "
            f"peak {memory[name] / 1024:4.0f} MiB"
        )
    print(f"time   compile / clang  {rows['oomlang compile'][0] / rows['clang'][0]:.2f}  (goal 3)")
    print(f"memory compile / clang  {memory['oomlang compile'] / memory['clang']:.2f}  (goal 1.3)")
    print(f"check                   {rows['oomlang check'][1]:.3f} s of CPU  (goal 0.15)")


if __name__ == "__main__":
    main()
