"""The recipe of the test kernel: Debian's source + `patches/` + tinyconfig + fragments → bzImage, vmlinux, BTF.

In: an empty directory to work in. Out: a directory with all that `kernel.py` promises. The name of that directory is a hash
of this file too: whatever changes what is built belongs here, and nothing else does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from vm.machine import BuildFailed, say

HERE = Path(__file__).resolve().parent
SOURCE_PACKAGE = "linux-source-6.12"
TARBALL = Path("/usr/src/linux-source-6.12.tar.xz")
FRAGMENTS = {
    "default": ("config.fragment",),
    "debug": ("config.fragment", "config.debug.fragment"),
}
# Objects that a build compiles, for the progress line; a rough figure is enough.
OBJECTS = {"default": 1497, "debug": 1720}


def inputs(flavour: str) -> list[Path]:
    """The files of ours that the kernel is made from."""
    patches = sorted((HERE / "patches").glob("*.patch"))
    return [*patches, *(HERE / name for name in FRAGMENTS[flavour]), Path(__file__).resolve()]


class Build:
    """One build in a directory of its own; `run` appends all output to build.log."""

    def __init__(self, work: Path, flavour: str, jobs: int) -> None:
        self.work, self.flavour, self.jobs = work, flavour, jobs
        self.log = work / "build.log"
        self.started = time.monotonic()

    def run(self, what: str, argv: Sequence[str], *, cwd: Path | None = None, limit: float = 1800) -> None:
        """Runs one command; a failure carries the end of its output."""
        with self.log.open("ab") as log:
            log.write(f"\n## {what}: {' '.join(argv)}\n".encode())
            log.flush()
            begin = log.tell()
            try:
                done = subprocess.run(
                    argv,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    check=False,
                    timeout=limit,
                )
            except subprocess.TimeoutExpired as exc:
                raise BuildFailed(f"{what} took longer than {limit:.0f} s") from exc
        if done.returncode:
            tail = self.log.read_bytes()[begin:].decode(errors="replace").splitlines()[-30:]
            raise BuildFailed("\n".join([f"{what} failed ({' '.join(argv)})", *tail]))

    def compile(self, source: Path) -> None:
        """`make bzImage`, with a line of progress every half minute."""
        argv = ["nice", "-n", "15", "make", f"-j{self.jobs}", "bzImage"]
        env = {**os.environ, "KBUILD_BUILD_USER": "oomlang", "KBUILD_BUILD_HOST": "oomlang"}
        with self.log.open("ab") as log:
            log.write(f"\n## compile: {' '.join(argv)}\n".encode())
            log.flush()
            begin, spoken = log.tell(), time.monotonic()
            with subprocess.Popen(
                argv, cwd=source, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            ) as make:
                try:
                    while make.poll() is None:
                        time.sleep(0.5)
                        if time.monotonic() - spoken > 30:
                            spoken = time.monotonic()
                            say(self.progress(begin))
                        if time.monotonic() - self.started > 2 * 3600:
                            raise BuildFailed("the build took longer than two hours")
                finally:
                    if make.poll() is None:
                        os.killpg(make.pid, 15)
        if make.returncode:
            text = self.log.read_bytes()[begin:].decode(errors="replace").splitlines()
            errors = [line for line in text if "error" in line.lower() or "***" in line][:20]
            raise BuildFailed("\n".join(["make bzImage failed", *errors, "…", *text[-15:]]))

    def progress(self, begin: int) -> str:
        """How far the compiler is, judged by the objects it has named."""
        objects = self.log.read_bytes()[begin:].count(b"\n  CC ")
        share = min(99, 100 * objects // OBJECTS[self.flavour])
        return f"{time.monotonic() - self.started:4.0f} s, about {share} % compiled"


def configure(build: Build, source: Path) -> None:
    """tinyconfig plus the fragments; every line of them must have survived."""
    fragments = [HERE / name for name in FRAGMENTS[build.flavour]]
    build.run("configure", ["make", "tinyconfig"], cwd=source)
    merge = ["scripts/kconfig/merge_config.sh", "-m", "-O", ".", ".config", *map(str, fragments)]
    build.run("merge the fragments", merge, cwd=source)
    build.run("configure", ["make", "olddefconfig"], cwd=source)
    wanted: dict[str, str] = {}
    for line in (line for fragment in fragments for line in fragment.read_text().splitlines()):
        if found := re.fullmatch(r"(CONFIG_\w+)=.*|# (CONFIG_\w+) is not set", line):
            wanted[found[1] or found[2]] = line
    got = (source / ".config").read_text().splitlines()
    names = {line.partition("=")[0] for line in got if not line.startswith("#")}
    lost = [
        line for name, line in wanted.items()
        if (name in names if line.startswith("#") else line not in got)
    ]  # fmt: skip
    if lost:
        raise BuildFailed("the configuration lost these lines of the fragments:\n" + "\n".join(lost))


def build_into(build: Build, out: Path, version: str) -> None:
    """The whole build, from the source of this version; `out` is filled and complete at the end."""
    say("unpacking the source (15 s)")
    build.run("unpack", ["tar", "-xf", str(TARBALL), "-C", str(build.work)])
    source = build.work / SOURCE_PACKAGE
    for patch in sorted((HERE / "patches").glob("*.patch")):
        say(f"applying {patch.name}")
        build.run("patch", ["patch", "-p1", "--forward", "--fuzz=0", "-i", str(patch)], cwd=source)
    configure(build, source)
    say(f"compiling with {build.jobs} jobs (about {20 // build.jobs + 1} minutes on an idle machine)")
    build.compile(source)
    say("collecting")
    out.mkdir()
    shutil.copy(source / "arch/x86/boot/bzImage", out / "bzImage")
    shutil.copy(source / ".config", out / "config")
    shutil.copy(source / "System.map", out / "System.map")
    vmlinux = str(source / "vmlinux")
    build.run("extract BTF", ["objcopy", f"--dump-section=.BTF={out / 'btf'}", vmlinux, "/dev/null"])
    build.run("strip", ["objcopy", "--strip-debug", vmlinux, str(out / "vmlinux")])
    info = {
        "source": f"{SOURCE_PACKAGE} {version}",
        "flavour": build.flavour,
        "patches": [patch.name for patch in sorted((HERE / "patches").glob("*.patch"))],
        "seconds": round(time.monotonic() - build.started),
    }
    (out / "info.json").write_text(json.dumps(info, indent=1) + "\n")
    shutil.copy(build.log, out / "build.log")
