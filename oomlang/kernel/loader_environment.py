"""Whether this machine can run a policy, asked before anything is changed.

In: what an object asks of a kernel. Out: nothing, or `EnvironmentLacks` with the cause and the mend. Also: which programs
answer at a hook.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel.bindings import LibbpfError, bindings
from oomlang.kernel.info import LinkInfo, descriptor_of_id, link_info, object_ids, program_info
from oomlang.kernel.probe import kernel_btf_path, why_not_permitted
from oomlang.objects.hooks import Hook, hook_of
from oomlang.objects.metadata import Metadata

# enum bpf_attach_type, include/uapi/linux/bpf.h: libbpf looks for another prefix with each.
_ATTACH_TYPES = {"tp_btf": 23, "fentry": 24, "fexit": 25, "fmod_ret": 26, "iter": 28}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What the programs of a target ask of a kernel: hooks, the most important first, and kfuncs."""

    hooks: tuple[Hook, ...]
    kfuncs: tuple[str, ...]

    @classmethod
    def of(cls, sections: Iterable[str], kfuncs: Iterable[str]) -> Interface:
        """sections: of the programs, in the order in which they are attached."""
        hooks = [hook for section in sections if (hook := hook_of(section)) is not None]
        return cls(hooks=tuple(reversed(hooks)), kfuncs=tuple(kfuncs))

    @classmethod
    def of_metadata(cls, metadata: Metadata) -> Interface:
        """That of an object."""
        return cls.of((program.section for program in metadata.programs), metadata.kfuncs)

    def missing(self) -> tuple[str, ...]:
        """What the running kernel lacks, in words. Errors: `EnvironmentLacks` without its BTF."""
        kernel_btf_path()
        return (
            *(str(hook) for hook in self.hooks if _btf_id(hook.name, hook.type) is None),
            *(f"kfunc {name}" for name in self.kfuncs if _btf_id(name, "fentry") is None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A program that answers at a hook."""

    link_id: int
    program_id: int
    program: str


def require_environment(action: str, interface: Interface) -> None:
    """Raise `EnvironmentLacks` where no policy could be loaded: libbpf, rights, lockdown, BTF, hooks."""
    bindings()
    lacks = why_not_permitted(action)
    if lacks is not None:
        raise lacks
    missing = interface.missing()
    if missing:
        raise EnvironmentLacks(
            f"cannot {action}: this kernel has no OOM hooks for BPF; it lacks {', '.join(missing)}",
            mend="boot a kernel that has them (docs/kernel-patch.md), or compile for a target that needs none of them "
            "(docs/targets.md)",
        )


def attached_to(interfaces: Iterable[Interface]) -> Iterator[Attached]:
    """Every program that gives an answer at one of their hooks, whoever attached it (root)."""
    hooks = {
        _btf_id(hook.name, hook.type) for interface in interfaces for hook in interface.hooks if hook.decides
    }
    for number in object_ids("link"):
        info = _link(number)
        if info is None or info.type != "tracing" or info.attach_type != "modify_return":
            continue
        # Kernels before 5.13 do not say what it is attached to.
        if info.target_btf_id in hooks:
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


def _btf_id(name: str, type_: str) -> int | None:
    library = bindings()
    with library.listening():
        number = library.lib.libbpf_find_vmlinux_btf_id(name.encode(), _ATTACH_TYPES[type_])
    return int(number) if number > 0 else None
