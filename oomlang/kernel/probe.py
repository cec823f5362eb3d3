"""What this machine offers for OOM policies. Reads /proc and /sys; changes nothing.

Every function takes the files' root (`/` by default), so that a test can lay out any machine. Errors: only
`kernel_btf_path` raises (`EnvironmentLacks`); what cannot be read is None or absent, never guessed.
"""

from __future__ import annotations

import os
from pathlib import Path

from oomlang.diagnostics import EnvironmentLacks

_ROOT = Path("/")
_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39  # include/uapi/linux/capability.h


def kernel_btf_path(root: Path = _ROOT) -> Path:
    """The running kernel's BTF. Errors: `EnvironmentLacks` where it has none."""
    path = root / "sys/kernel/btf/vmlinux"
    if not path.exists():
        raise EnvironmentLacks(
            f"this kernel does not describe its types: {path} does not exist",
            mend="boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, or name another kernel's BTF file",
        )
    return path


def may_load_tracing_programs(root: Path = _ROOT) -> bool:
    """Whether this process has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, which stands for both."""
    mask = _effective_capabilities(root)
    both = 1 << _CAP_BPF | 1 << _CAP_PERFMON
    return mask & both == both or bool(mask & 1 << _CAP_SYS_ADMIN)


def lockdown(root: Path = _ROOT) -> str | None:
    """`none`, `integrity` or `confidentiality`; None for a kernel without lockdown.

    `confidentiality` forbids BPF programs to read kernel memory, so no policy loads.
    """
    text = _text(root / "sys/kernel/security/lockdown")
    # "none [integrity] confidentiality"
    return text.partition("[")[2].partition("]")[0] or None if text else None


def bpf_file_systems(root: Path = _ROOT) -> tuple[Path, ...]:
    """Where BPF file systems are mounted, in the order of mounting; /sys/fs/bpf on most systems, none in
    containers.
    """
    found = []
    for line in (_text(root / "proc/self/mounts") or "").splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] == "bpf":
            found.append(Path(_unescape(fields[1])))
    return tuple(found)


def page_size() -> int:
    """Bytes of a page."""
    return os.sysconf("SC_PAGE_SIZE")


def why_not_permitted(action: str, root: Path = _ROOT) -> EnvironmentLacks | None:
    """What stands in the way of `action` when the kernel said EPERM; None where nothing known does."""
    if not may_load_tracing_programs(root):
        return EnvironmentLacks(
            f"cannot {action}: this process has neither CAP_BPF and CAP_PERFMON nor CAP_SYS_ADMIN",
            mend="run it as root (in a container: give it these capabilities)",
        )
    if lockdown(root) == "confidentiality":
        return EnvironmentLacks(
            f"cannot {action}: kernel lockdown (confidentiality) keeps BPF from kernel memory",
            mend="boot with lockdown=integrity or without lockdown=",
        )
    return None


def _effective_capabilities(root: Path) -> int:
    for line in (_text(root / "proc/self/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return None


def _unescape(field: str) -> str:
    r"""A field of /proc/mounts without its octal escapes: `\040` is a space."""
    raw = field.encode("utf-8", "surrogateescape")
    for escape, byte in ((rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\134", b"\\")):
        raw = raw.replace(escape, byte)
    return os.fsdecode(raw)
