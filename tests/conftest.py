"""What every test runs under: hypothesis profiles, and skips that cannot hide.

A test that needs more of the machine than Python says so:

    @pytest.mark.needs("clang", "bpf")

Without it the test is skipped, and the skip says what is missing and where it comes from. Under CI=true it
fails instead, as does every other skip: a CI run that quietly tests less is worse than a red one. `tools/setup
tests` installs what can be installed; only a test marked `may_skip("why")`, for what a machine cannot have, may be
skipped there. A requirement that is not known here is an error everywhere.
"""

import ctypes
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest

CI = os.environ.get("CI") == "true"

BPF_PROG_TYPE_TRACEPOINT = 5

# --- hypothesis ---------------------------------------------------------------------------------------------

# No deadlines: the machine's load is not a property of the code. Blobs, so that a failure seen elsewhere can
# be replayed with @reproduce_failure.
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True, max_examples=100)
# A red CI run is about the change at hand: the same examples each time. Looking for new ones is for `long`.
hypothesis.settings.register_profile(
    "ci", deadline=None, print_blob=True, max_examples=100, derandomize=True, database=None
)
hypothesis.settings.register_profile("long", deadline=None, print_blob=True, max_examples=5_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "dev"))

# --- needs --------------------------------------------------------------------------------------------------


def _program(name: str, package: str) -> str | None:
    # Debian keeps bpftool where an ordinary user's PATH does not look.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return None if shutil.which(name, path=path) else f"no {name} (Debian's package {package})"


def _root() -> str | None:
    return None if os.geteuid() == 0 else "not root"


def _btf() -> str | None:
    btf = Path("/sys/kernel/btf/vmlinux")
    return None if btf.exists() else f"no {btf} (a kernel with CONFIG_DEBUG_INFO_BTF)"


def _bpf() -> str | None:
    """Whether tracing and iterator programs can be loaded here and now: rights, kernel and libbpf."""
    if (missing := _btf()) is not None:
        return missing
    try:
        libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        return f"{error} (Debian's package libbpf1)"
    # A tracepoint program stands for all of ours, for it takes the same rights and configuration. The probe
    # for BPF_PROG_TYPE_TRACING (libbpf 1.1) is told no by Linux 6.18, which loads them all the same.
    # 1: yes; 0: no; negative: the error that kept it from finding out.
    answer = libbpf.libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_TRACEPOINT, None)
    if answer == 1:
        return None
    why = "as root or with CAP_BPF and CAP_PERFMON" if os.geteuid() else "a kernel with CONFIG_BPF_EVENTS"
    return f"BPF tracing programs cannot be loaded ({why}; libbpf's probe said {answer})"


def _bpf_file_system() -> str | None:
    kinds = [line.split(" ")[2] for line in Path("/proc/mounts").read_text().splitlines()]
    return None if "bpf" in kinds else "none is mounted (mount -t bpf bpf /sys/fs/bpf)"


def _machine_pids() -> str | None:
    initial = os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"  # include/linux/proc_ns.h
    return (
        None
        if initial
        else "a pid namespace of its own: BPF shows the pids of the machine, /proc those in it"
    )


def _mount_namespace() -> str | None:
    """Whether a test can mount something where nobody else sees it."""
    try:
        done = subprocess.run(
            ["unshare", "--mount", "true"], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        return "no unshare (Debian's package util-linux)"
    return done.stderr.strip() or None


REQUIREMENTS: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "clang": lambda: _program("clang-19", "clang-19"),
    "bpftool": lambda: _program("bpftool", "bpftool"),
    "btf": _btf,
    "bpf": _bpf,
    "machine pids": _machine_pids,
    "mount namespace": _mount_namespace,
    "bpf file system": _bpf_file_system,
    "chromium": lambda: _program("chromium", "chromium"),
    "fish": lambda: _program("fish", "fish"),
    "gcc": lambda: _program("gcc", "gcc"),
    "make": lambda: _program("make", "make"),
    "ninja": lambda: _program("ninja", "ninja-build"),
    "patch": lambda: _program("patch", "patch"),
    "qemu": lambda: _program("qemu-system-x86_64", "qemu-system-x86"),
    "zsh": lambda: _program("zsh", "zsh"),
    "zstd": lambda: _program("zstd", "zstd"),
}
"""Name of a requirement → what is missing, or None. Each is asked at most once a run."""


@functools.cache
def _missing(name: str) -> str | None:
    if name not in REQUIREMENTS:
        raise pytest.UsageError(
            f"needs({name!r}): no such requirement (there are: {', '.join(REQUIREMENTS)})"
        )
    return REQUIREMENTS[name]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    names = [name for marker in item.iter_markers("needs") for name in marker.args]
    missing = [f"{name}: {what}" for name in names if (what := _missing(name)) is not None]
    if missing:
        pytest.skip(f"needs {'; '.join(missing)}")


# --- no skip hides under CI ---------------------------------------------------------------------------------


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped, too; it is none.
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("may_skip") is not None
    if CI and report.skipped and not expected:
        report.longrepr = f"{item.nodeid}: skipped under CI=true without a may_skip marker: {_reason(report)}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if CI and report.skipped:
        report.longrepr = f"{collector.nodeid}: a whole module skipped under CI=true: {_reason(report)}"
        report.outcome = "failed"
    return report
