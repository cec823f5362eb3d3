"""A C skeleton for an object, made by `bpftool gen skeleton`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile

from oomlang.diagnostics import EnvironmentLacks

_SECONDS = 60
_NAME_BYTES = 40  # bpftool allows 63 in all, and libbpf's names of maps are made from it

# Debian keeps it where an ordinary user's PATH does not look.
_MORE_PATH = ("/usr/sbin", "/sbin")


def skeleton(image: bytes, stem: str) -> bytes:
    """The header for an object. stem: its file's name without suffix, from which C's names are made.

    Errors: `EnvironmentLacks` without a bpftool that does it, with its own words.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_PATH])
    bpftool = shutil.which("bpftool", path=path)
    if bpftool is None:
        raise EnvironmentLacks(
            "a skeleton needs bpftool, and there is none in PATH",
            mend="install it (Debian and Fedora: package bpftool; Ubuntu: linux-tools-generic)",
        )
    with tempfile.TemporaryDirectory(prefix="oomlang-") as folder:
        file = os.path.join(folder, "policy.bpf.o")
        with open(file, "wb") as out:
            out.write(image)
        command = [bpftool, "gen", "skeleton", file, "name", c_name(stem)]
        try:
            run = subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise EnvironmentLacks(
                f"bpftool was still making the skeleton after {_SECONDS} s",
                mend=f"try it yourself: {bpftool} version",
            ) from error
        except OSError as error:
            raise EnvironmentLacks(
                f"cannot run {bpftool}: {error.strerror}", mend="install bpftool again"
            ) from error
    words = run.stderr.decode("utf-8", "backslashreplace").replace(folder + os.sep, "").strip()
    if run.returncode != 0 or not run.stdout:
        end = (
            f"was killed by signal {-run.returncode}" if run.returncode < 0 else "could not make the skeleton"
        )
        raise EnvironmentLacks(
            f"bpftool {end}" + (f":\n{words}" if words else ""),
            mend="a newer bpftool may help; 7.0 is known to work",
        )
    return run.stdout


def c_name(stem: str) -> str:
    """An identifier of C for a file's name."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)[:_NAME_BYTES]
    return name if re.match(r"[A-Za-z_]", name) else f"policy_{name}"
