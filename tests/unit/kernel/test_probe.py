from __future__ import annotations

import os
from pathlib import Path

import pytest

from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel import probe


def _write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_kernel_without_btf_is_told_what_to_build(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="CONFIG_DEBUG_INFO_BTF"):
        probe.kernel_btf_path(tmp_path)


@pytest.mark.parametrize(
    "mask, expected",
    [
        ("0000000000000000", False),
        ("0000008000000000", False),  # CAP_BPF
        ("000000c000000000", True),  # CAP_BPF and CAP_PERFMON
        ("0000000000200000", True),  # CAP_SYS_ADMIN
    ],
)
def test_privileges_are_read_from_the_effective_set(tmp_path: Path, mask: str, expected: bool) -> None:
    _write(tmp_path, "proc/self/status", f"Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t{mask}\n")
    assert probe.may_load_tracing_programs(tmp_path) is expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[none] integrity confidentiality\n", "none"),
        ("none integrity [confidentiality]\n", "confidentiality"),
        ("", None),
    ],
)
def test_lockdown_is_the_word_in_brackets(tmp_path: Path, text: str, expected: str | None) -> None:
    assert probe.lockdown(tmp_path) is None
    _write(tmp_path, "sys/kernel/security/lockdown", text)
    assert probe.lockdown(tmp_path) == expected


def test_lockdown_explains_a_refusal(tmp_path: Path) -> None:
    _write(tmp_path, "proc/self/status", "CapEff:\tffffffffffffffff\n")
    assert probe.why_not_permitted("load", tmp_path) is None
    _write(tmp_path, "sys/kernel/security/lockdown", "none integrity [confidentiality]\n")
    lacks = probe.why_not_permitted("load", tmp_path)
    assert lacks is not None
    assert "lockdown" in lacks.what


def test_bpf_file_systems_are_found_with_odd_names(tmp_path: Path) -> None:
    assert probe.bpf_file_systems(tmp_path) == ()
    _write(tmp_path, "proc/self/mounts", "sysfs /sys sysfs rw 0 0\nbpf /run/a\\040b bpf rw 0 0\nbroken\n")
    assert probe.bpf_file_systems(tmp_path) == (Path("/run/a b"),)


def test_this_machine_s_pages_have_a_size() -> None:
    assert probe.page_size() == os.sysconf("SC_PAGESIZE")
