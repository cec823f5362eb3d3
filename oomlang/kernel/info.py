"""What the kernel says about a program, map or link: BPF_OBJ_GET_INFO_BY_FD.

In: a descriptor. Out: frozen records. Fields that a kernel does not know are 0. Errors: `LibbpfError`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from oomlang.kernel.bindings import LibbpfError, bindings

ObjectKind = Literal["program", "map", "link"]
_ID_CALLS: dict[ObjectKind, str] = {"program": "prog", "map": "map", "link": "link"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramInfo:
    """A loaded program.

    instructions: after the verifier, in 8-byte slots. verified_instructions: how many it walked through (0 before
    Linux 5.16). run_time_ns, run_count: only while statistics are on (`runs.statistics`). tag: the kernel's hash of it,
    hexadecimal.
    """

    id: int
    type: str
    name: str
    tag: str
    instructions: int
    verified_instructions: int
    run_time_ns: int
    run_count: int
    map_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapInfo:
    """A map; sizes in bytes. `name` is cut to 15 bytes by the kernel."""

    id: int
    type: str
    name: str
    key_size: int
    value_size: int
    max_entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkInfo:
    """An attachment: of which program, to what (`attach_type` for tracing links, `target` for iterators)."""

    id: int
    type: str
    program_id: int
    attach_type: str
    target: str
    target_btf_id: int


def program_info(fd: int) -> ProgramInfo:
    """Errors: `LibbpfError`, also for a descriptor of another kind of object."""
    library = bindings()
    raw = _info(fd, "program")
    map_ids = library.ffi.new("__u32[]", max(raw.nr_map_ids, 1))
    if raw.nr_map_ids:
        count = raw.nr_map_ids
        raw = _info(fd, "program", map_ids=int(library.ffi.cast("uintptr_t", map_ids)), nr_map_ids=count)
    return ProgramInfo(
        id=raw.id,
        type=library.text(library.lib.libbpf_bpf_prog_type_str(raw.type)),
        name=library.text(raw.name),
        tag=bytes(raw.tag).hex(),
        instructions=raw.xlated_prog_len // 8,
        verified_instructions=raw.verified_insns,
        run_time_ns=raw.run_time_ns,
        run_count=raw.run_cnt,
        map_ids=tuple(map_ids[i] for i in range(raw.nr_map_ids)),
    )


def map_info(fd: int) -> MapInfo:
    """Errors: `LibbpfError`, also for a descriptor of another kind of object."""
    library = bindings()
    raw = _info(fd, "map")
    return MapInfo(
        id=raw.id,
        type=library.text(library.lib.libbpf_bpf_map_type_str(raw.type)),
        name=library.text(raw.name),
        key_size=raw.key_size,
        value_size=raw.value_size,
        max_entries=raw.max_entries,
    )


def link_info(fd: int) -> LinkInfo:
    """Errors: `LibbpfError`, also for a descriptor of another kind of object."""
    library = bindings()
    raw = _info(fd, "link")
    kind = library.text(library.lib.libbpf_bpf_link_type_str(raw.type))
    attach_type, target, target_btf_id = "", "", 0
    if kind == "tracing":
        attach_type = library.text(library.lib.libbpf_bpf_attach_type_str(raw.tracing.attach_type))
        target_btf_id = raw.tracing.target_btf_id
    elif kind in ("iter", "raw_tracepoint"):
        room = library.ffi.new("char[]", 256)
        raw = _info(fd, "link", target=int(library.ffi.cast("uintptr_t", room)), target_len=len(room))
        target = library.text(room)
    return LinkInfo(
        id=raw.id,
        type=kind,
        program_id=raw.prog_id,
        attach_type=attach_type,
        target=target,
        target_btf_id=target_btf_id,
    )


def object_ids(kind: ObjectKind) -> Iterator[int]:
    """The ids of all programs, maps or links on this machine (root). Errors: `LibbpfError`,
    `EnvironmentLacks`.
    """
    library = bindings()
    following = library.ffi.new("__u32 *")
    call = getattr(library.lib, f"bpf_{_ID_CALLS[kind]}_get_next_id")
    current = 0
    while (code := call(current, following)) == 0:
        current = following[0]
        yield current
    if code != -errno.ENOENT:
        library.check(code, f"list the {kind}s on this machine")


@contextmanager
def descriptor_of_id(kind: ObjectKind, number: int) -> Iterator[int]:
    """A descriptor for an id; closed afterwards. Errors: `LibbpfError` (ENOENT once it is gone)."""
    library = bindings()
    fd = library.check(
        getattr(library.lib, f"bpf_{_ID_CALLS[kind]}_get_fd_by_id")(number), f"open {kind} {number}"
    )
    try:
        yield fd
    finally:
        os.close(fd)


def _info(fd: int, kind: ObjectKind, **fields: int) -> Any:
    """The kernel's record. What it is a record of is not in it, so the descriptor is looked at first."""
    library = bindings()
    if _kind_of(fd) != kind:
        raise LibbpfError(f"read descriptor {fd} as a {kind}", errno=errno.EINVAL)
    structure = f"struct bpf_{_ID_CALLS[kind]}_info"
    raw = library.ffi.new(f"{structure} *")
    target = fields.pop("target", 0)
    if target:
        raw.target.name, raw.target.name_len = target, fields.pop("target_len")
    for name, value in fields.items():
        setattr(raw, name, value)
    size = library.ffi.new("__u32 *", library.ffi.sizeof(structure))
    library.check(library.lib.bpf_obj_get_info_by_fd(fd, raw, size), f"ask the kernel about a {kind}")
    return raw


def _kind_of(fd: int) -> ObjectKind | None:
    """What a descriptor is open on; None for files, sockets and closed descriptors."""
    try:
        if not stat.S_IFMT(os.fstat(fd).st_mode):  # BPF objects are anonymous inodes, of no file type
            name = os.readlink(f"/proc/self/fd/{fd}")
        else:
            return None
    except OSError:
        return None
    kinds: dict[str, ObjectKind] = {"anon_inode:bpf-prog": "program", "anon_inode:bpf-map": "map"}
    return kinds.get(name, "link" if name.startswith("anon_inode:bpf") else None)
