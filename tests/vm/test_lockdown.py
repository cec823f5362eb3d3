"""A kernel that keeps BPF from its memory."""

from __future__ import annotations

import pytest

from tests.vm.conftest import Machine, boot

pytestmark = pytest.mark.needs("qemu", "clang")


def test_under_lockdown_nothing_is_loaded_and_the_mend_is_said() -> None:
    with boot(["stock"], cmdline="lockdown=confidentiality") as vm:
        machine = Machine(vm)
        machine.start_driver()
        refused = machine.oomlang("load", "/payload/stock.o")
        assert refused.exit == 3, refused
        assert "kernel lockdown (confidentiality) keeps BPF from kernel memory" in refused.err
        assert "boot with lockdown=integrity" in refused.err
        assert machine.pinned() == []
