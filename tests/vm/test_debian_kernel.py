"""Debian's own kernel: without the hooks nothing is put in force, and the dry-run objects of all examples load."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.vm.conftest import EXAMPLES, Machine, boot, compiled

pytestmark = pytest.mark.needs("qemu", "clang")

NAMES = [path.stem for path in EXAMPLES]


@pytest.fixture(scope="module")
def debian() -> Iterator[Machine]:
    """The machine."""
    objects = {f"dry/{name}.o": compiled(name, "dry-run") for name in NAMES}
    with boot(["stock"], objects, flavour="debian") as vm:
        machine = Machine(vm)
        machine.start_driver()
        yield machine


def test_it_is_debian_s_kernel(debian: Machine) -> None:
    assert "Debian 6.1." in debian.vm.run(["uname", "-v"])["stdout"]


def test_without_the_hooks_nothing_is_loaded_and_what_is_missing_is_said(debian: Machine) -> None:
    refused = debian.oomlang("load", "/payload/stock.o")
    assert refused.exit == 3, refused
    assert "this kernel has no OOM hooks for BPF" in refused.err
    assert "bpf_oom_evaluate_task" in refused.err
    assert refused.steps == []
    assert debian.pinned() == []


def test_status_says_that_the_hook_is_not_there(debian: Machine) -> None:
    status = debian.status()
    assert status["hook"]["present"] is False
    assert "function bpf_oom_evaluate_task" in status["hook"]["missing"]
    assert status["policy"] is None
    assert debian.oomlang("unload").exit == 0


def test_its_verifier_takes_every_example_as_a_dry_run(debian: Machine) -> None:
    paths = [f"/payload/dry/{name}.o" for name in NAMES]
    done = debian.vm.python(["/payload/verify.py", *paths], timeout=120)
    assert done["exit"] == 0, done["stderr"]
    assert json.loads(done["stdout"]) == dict.fromkeys(paths)
