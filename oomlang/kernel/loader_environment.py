"""Whether this machine can run a policy, asked before anything is changed.

Out: nothing, or `EnvironmentLacks` with the cause and the mend. Also: which programs are attached to the hook.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel.bindings import LibbpfError, bindings
from oomlang.kernel.info import LinkInfo, descriptor_of_id, link_info, object_ids, program_info
from oomlang.kernel.probe import (
    EVALUATE_HOOK,
    NAME_HOOK,
    NAME_KFUNC,
    NOTHING_FOUND_TRACEPOINT,
    Hooks,
    kernel_btf_path,
    why_not_permitted,
)

# enum bpf_attach_type, include/uapi/linux/bpf.h
_TRACE_RAW_TP, _TRACE_FENTRY, _MODIFY_RETURN = 23, 24, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A program on the hook `bpf_oom_evaluate_task`."""

    link_id: int
    program_id: int
    program: str


def require_environment(action: str) -> None:
    """Raise `EnvironmentLacks` where no policy could be loaded: libbpf, rights, lockdown, BTF, hooks."""
    bindings()
    lacks = why_not_permitted(action)
    if lacks is not None:
        raise lacks
    missing = hooks().missing
    if missing:
        raise EnvironmentLacks(
            f"cannot {action}: this kernel has no OOM hooks for BPF; it lacks {', '.join(missing)}",
            mend="boot a kernel that has them (docs/kernel-patch.md), or rank this machine's tasks with "
            "`oomlang compile --target dry-run`, which kills none",
        )


def hooks() -> Hooks:
    """The parts of the interface that the running kernel has. Errors: `EnvironmentLacks` without its BTF."""
    kernel_btf_path()
    return Hooks(
        evaluate_hook=_btf_id(EVALUATE_HOOK, _MODIFY_RETURN) is not None,
        name_hook=_btf_id(NAME_HOOK, _TRACE_FENTRY) is not None,
        name_kfunc=_btf_id(NAME_KFUNC, _TRACE_FENTRY) is not None,
        nothing_found_tracepoint=_btf_id(NOTHING_FOUND_TRACEPOINT, _TRACE_RAW_TP) is not None,
    )


def attached_to_hook() -> Iterator[Attached]:
    """Every program that is asked about candidates, whoever attached it (root)."""
    hook = _btf_id(EVALUATE_HOOK, _MODIFY_RETURN)
    for number in object_ids("link"):
        info = _link(number)
        if info is None or info.type != "tracing" or info.attach_type != "modify_return":
            continue
        # Kernels before 5.13 do not say what it is attached to.
        if info.target_btf_id == hook:
            yield Attached(link_id=info.id, program_id=info.program_id, program=_program(info.program_id))


def _link(number: int) -> LinkInfo | None:
    try:
        with descriptor_of_id("link", number) as fd:
            return link_info(fd)
    except LibbpfError as exc:
        if exc.errno in (errno.ENOENT, errno.EAGAIN):  # gone meanwhile, or not ready yet
            return None
        raise


def _program(number: int) -> str:
    try:
        with descriptor_of_id("program", number) as fd:
            return program_info(fd).name
    except LibbpfError:
        return "?"


def _btf_id(name: str, attach_type: int) -> int | None:
    library = bindings()
    with library.listening():
        number = library.lib.libbpf_find_vmlinux_btf_id(name.encode(), attach_type)
    return int(number) if number > 0 else None
