"""Builds the test kernel, or finds it, by the recipe of `recipe.py`, in a cache directory.

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
import os
import shutil
import subprocess
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
    candidate,
    end_like_an_interrupt,
    install_packages,
    locked,
    say,
)
from vm.recipe import FRAGMENTS, SOURCE_PACKAGE, Build, build_into, inputs

# What the build needs beyond Debian's Essential and Priority: required packages.
PACKAGES = (
    SOURCE_PACKAGE, "gcc", "libc6-dev", "make", "flex", "bison", "bc", "libelf-dev", "libssl-dev", "dwarves",
    "cpio", "xz-utils", "kmod", "perl", "patch", "binutils", "python3",
)  # fmt: skip


def source_version() -> str:
    """The version of the source package that is installed, or else of the one that would be."""
    installed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", SOURCE_PACKAGE],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    if installed.returncode == 0 and installed.stdout.startswith("installed "):
        return installed.stdout.split()[1]
    return candidate(SOURCE_PACKAGE)


def kernel_dir(flavour: str = "default") -> Path:
    """Where the kernel of this flavour is, or would be."""
    digest = hashlib.sha256(f"{flavour}\0{source_version()}\0".encode())
    for path in inputs(flavour):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return cache_root() / "kernel" / digest.hexdigest()[:16]


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
        version = source_version()
        say(f"building Linux {version} ({flavour}) for {directory}")
        prefix = f".build-{directory.name}-"
        for leftover in directory.parent.glob(f"{prefix}*"):  # of a build that was killed: we hold the lock
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
        build = Build(work, flavour, jobs or os.cpu_count() or 1)
        try:
            build_into(build, work / "out", version)
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
    end_like_an_interrupt()
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
