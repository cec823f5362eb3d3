"""Builds the test kernel, or finds it: Debian's source + `patches/` + tinyconfig + fragments → a cache directory.

The cache directory's name is a hash of all that goes in, so a directory that exists is complete and right. It holds

- `bzImage`      the kernel
- `vmlinux`      the same as ELF, without DWARF but with `.BTF`
- `btf`          that `.BTF` section alone, for CO-RE
- `config`, `System.map`, `build.log`, `info.json`

Source: `linux-source-6.12` from Debian. Its version is part of the hash, so a security update of the package means
a new build.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vm.machine import (
    EXIT_ENVIRONMENT,
    EXIT_OURS,
    BuildFailed,
    EnvironmentLacks,
    cache_root,
    install_packages,
    locked,
    say,
)

HERE = Path(__file__).resolve().parent
SOURCE_PACKAGE = "linux-source-6.12"
TARBALL = Path("/usr/src/linux-source-6.12.tar.xz")
# What the build needs beyond Debian's Essential and Priority: required packages.
PACKAGES = (
    SOURCE_PACKAGE, "gcc", "libc6-dev", "make", "flex", "bison", "bc", "libelf-dev", "libssl-dev", "dwarves",
    "cpio", "xz-utils", "kmod", "perl", "patch", "binutils", "python3",
)  # fmt: skip
FRAGMENTS = {
    "default": ("config.fragment",),
    "debug": ("config.fragment", "config.debug.fragment"),
}
# Objects that a build compiles, for the progress line; a rough figure is enough.
OBJECTS = {"default": 1497, "debug": 1720}


def source_version() -> str:
    """The version of the source package that is installed, or else of the one that would be."""
    installed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", SOURCE_PACKAGE],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    if installed.returncode == 0 and installed.stdout.startswith("installed "):
        return installed.stdout.split()[1]
    policy = subprocess.run(
        ["apt-cache", "policy", SOURCE_PACKAGE], capture_output=True, text=True, check=False, timeout=60
    )
    candidate = re.search(r"^\s*Candidate: (\d\S*)", policy.stdout, re.MULTILINE)
    if not candidate:
        raise EnvironmentLacks(f"neither installed nor known to apt: {SOURCE_PACKAGE} (try: apt-get update)")
    return candidate[1]


def inputs(flavour: str) -> list[Path]:
    """The files of ours that the kernel is made from."""
    patches = sorted((HERE / "patches").glob("*.patch"))
    return [*patches, *(HERE / name for name in FRAGMENTS[flavour]), Path(__file__).resolve()]


def kernel_dir(flavour: str = "default") -> Path:
    """Where the kernel of this flavour is, or would be."""
    digest = hashlib.sha256(f"{flavour}\0{source_version()}\0".encode())
    for path in inputs(flavour):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return cache_root() / "kernel" / digest.hexdigest()[:16]


class Build:
    """One build in a directory of its own; `run` appends all output to build.log."""

    def __init__(self, work: Path, flavour: str, jobs: int) -> None:
        self.work, self.flavour, self.jobs = work, flavour, jobs
        self.log = work / "build.log"
        self.started = time.monotonic()

    def run(self, what: str, argv: Sequence[str], *, cwd: Path | None = None, limit: float = 600) -> None:
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


def build_into(build: Build, out: Path) -> None:
    """The whole build; `out` is filled and complete at the end."""
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
        "source": f"{SOURCE_PACKAGE} {source_version()}",
        "flavour": build.flavour,
        "patches": [patch.name for patch in sorted((HERE / "patches").glob("*.patch"))],
        "seconds": round(time.monotonic() - build.started),
    }
    (out / "info.json").write_text(json.dumps(info, indent=1) + "\n")
    shutil.copy(build.log, out / "build.log")


def ensure(flavour: str = "default", jobs: int | None = None) -> Path:
    """The cache directory of this flavour, built if it is not there."""
    if (directory := kernel_dir(flavour)).is_dir():
        return directory
    install_packages(PACKAGES)
    directory = kernel_dir(flavour)  # the package installed may be newer than the one apt knew of
    with locked(directory.with_suffix(".lock")):
        if directory.is_dir():
            return directory
        free = shutil.disk_usage(directory.parent).free >> 30
        if free < 5:
            raise EnvironmentLacks(f"{directory.parent} has {free} GiB free; a build needs 5 GiB for a while")
        say(f"building Linux {source_version()} ({flavour}) for {directory}")
        prefix = f".build-{directory.name}-"
        for leftover in directory.parent.glob(f"{prefix}*"):  # of a build that was killed: we hold the lock
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
        build = Build(work, flavour, jobs or os.cpu_count() or 1)
        try:
            build_into(build, work / "out")
            (work / "out").rename(directory)
        except BuildFailed:
            kept = directory.with_suffix(".failed.log")
            shutil.copy(build.log, kept)
            say(f"the whole log: {kept}")
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        say(f"built in {time.monotonic() - build.started:.0f} s")
    return directory


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of vm/build-kernel; the last line on standard output is the directory."""
    parser = argparse.ArgumentParser(
        prog="vm/build-kernel",
        description="Build the test kernel or find it in the cache. The last line on standard output is its directory.",
        epilog="example: bpftool btf dump file $(vm/build-kernel)/btf",
    )
    parser.add_argument("--flavour", choices=sorted(FRAGMENTS), default="default")
    parser.add_argument("--jobs", type=int, help="parallel compilers (default: one for each CPU)")
    parser.add_argument(
        "--print-dir", action="store_true", help="only say where it is or would be; exit 3 if it is not there"
    )
    options = parser.parse_args(argv)
    # As for an interrupt: clean up on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if options.print_dir:
            directory = kernel_dir(options.flavour)
            print(directory)
            return 0 if directory.is_dir() else EXIT_ENVIRONMENT
        print(ensure(options.flavour, options.jobs))
    except EnvironmentLacks as exc:
        say(str(exc))
        return EXIT_ENVIRONMENT
    except BuildFailed as exc:
        say(str(exc))
        return EXIT_OURS
    return 0
