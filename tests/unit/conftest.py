"""The running kernel's types."""

from __future__ import annotations

import pytest

from oomlang.kernel.probe import kernel_btf_path
from oomlang.objects.btf import Btf, read_btf


@pytest.fixture(scope="session")
def running_kernel() -> Btf:
    return read_btf(kernel_btf_path())
