"""`oomlang compile examples/cg_priority.oom` against bare clang on the same C: time, CPU and peak memory.

Prints ratios; hyperfine runs both commands in turn. Goals: time at most 3×, memory at most 1.3×, `oomlang check` at most
0.15 s of CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POLICY = ROOT / "examples" / "cg_priority.oom"
OOMLANG = Path(sys.executable).with_name("oomlang")


def peak_kib(command: list[str]) -> tuple[int, float]:
    """The largest process that a command made (KiB, resident), and the CPU that all of them used (s)."""
    pid = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed with {status}")
    # ru_maxrss of a child that was waited for covers the largest of its own children too.
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(ROOT))
    from oomlang.targets.bpf.clang import _FLAGS, find_clang

    with tempfile.TemporaryDirectory() as folder:
        c_file, out = Path(folder, "policy.c"), Path(folder, "out.o")
        compile_ = [str(OOMLANG), "compile", str(POLICY), "-o", str(out)]
        subprocess.run([*compile_[:-1], str(c_file), "--emit", "c"], check=True, stderr=subprocess.DEVNULL)
        clang = [find_clang(), *_FLAGS, "-o", str(out), str(c_file)]
        check = [str(OOMLANG), "check", str(POLICY)]
        result = Path(folder, "times.json")
        commands = {"clang": clang, "oomlang compile": compile_, "oomlang check": check}
        subprocess.run(
            ["hyperfine", "--warmup", "3", "--runs", "20", "--style", "none", "--export-json", str(result), "-N",
             *(" ".join(c) for c in commands.values())],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        times = dict(zip(commands, json.loads(result.read_text())["results"], strict=True))
        memory = {name: peak_kib(command)[0] for name, command in commands.items()}
    for name, time in times.items():
        cpu = time["user"] + time["system"]
        print(
            f"{name:16} {time['median'] * 1000:6.0f} ms (median of {len(time['times'])}), CPU {cpu * 1000:4.0f} ms, "
            f"peak {memory[name] / 1024:4.0f} MiB"
        )
    print(
        f"time   compile / clang  {times['oomlang compile']['median'] / times['clang']['median']:.2f}  (goal 3)"
    )
    print(f"memory compile / clang  {memory['oomlang compile'] / memory['clang']:.2f}  (goal 1.3)")
    check_cpu = times["oomlang check"]["user"] + times["oomlang check"]["system"]
    print(f"check                   {check_cpu:.3f} s of CPU  (goal 0.15)")


if __name__ == "__main__":
    main()
