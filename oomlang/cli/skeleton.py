"""A C skeleton for an object, made by `bpftool gen skeleton`."""

from __future__ import annotations

import os
import re
import shutil

from oomlang.diagnostics import EnvironmentLacks
from oomlang.tool import Endless, Tool, words, work_folder, write_file

_SECONDS = 60
_MOST = 256 << 20  # bytes; a byte of the object becomes up to four of C
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
    with work_folder() as folder:
        file = os.path.join(folder, "policy.bpf.o")
        write_file(file, image)
        with Tool(
            [bpftool, "gen", "skeleton", file, "name", c_name(stem)], mend="install bpftool again", most=_MOST
        ) as tool:
            try:
                ended = tool.finish(time_limit=_SECONDS)
            except Endless as error:
                raise EnvironmentLacks(
                    f"`{bpftool} gen skeleton` {error}", mend=f"try it yourself: {bpftool} version"
                ) from error
    if ended.code != 0 or not ended.out:
        end = f"was killed by signal {-ended.code}" if ended.code < 0 else "could not make the skeleton"
        said = words(ended.err.replace(os.fsencode(folder + os.sep), b""))
        raise EnvironmentLacks(
            f"bpftool {end}; it says:\n{said}", mend="a newer bpftool may help; 7.0 is known to work"
        )
    return ended.out


def c_name(stem: str) -> str:
    """An identifier of C for a file's name."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)[:_NAME_BYTES]
    return name if re.match(r"[A-Za-z_]", name) else f"policy_{name}"
