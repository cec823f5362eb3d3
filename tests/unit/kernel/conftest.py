"""BPF objects compiled from the C files beside the tests."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """The ELF image of `NAME.bpf.c`."""

    @functools.cache
    def compile_(name: str) -> bytes:
        output = tmp_path_factory.mktemp("objects") / f"{name}.o"
        command = ["clang-19", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-c", f"{name}.bpf.c"]
        subprocess.run([*command, "-o", str(output)], cwd=_HERE, check=True, timeout=60, capture_output=True)
        return output.read_bytes()

    return compile_
