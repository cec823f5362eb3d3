"""Rank the live machine in the kernel: a program that writes a record of each process, loaded, run and read back.

In: an object, its metadata and the event to rank for. Out: what the program wrote about every process, and whom it would
have killed, as the kernel read it. Nothing is killed.

Errors: `EnvironmentLacks` without the rights, the kernel's BTF or libbpf; `VerifierRefusal` and `LibbpfError` where the
kernel refuses the object; `ValueError` for an object of another sort and for inputs that the policy does not declare.
"""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self

from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel.bindings import LibbpfError
from oomlang.kernel.libbpf import BpfObject, open_object
from oomlang.kernel.probe import kernel_btf_path, page_size, why_not_permitted
from oomlang.kernel.runs import read_iterator
from oomlang.objects.metadata import Metadata, Record
from oomlang.objects.variables import GlobalVariable, global_variables

_REQUEST = struct.Struct("<QqQQQ")
_NAMES, _NAME_BYTES = 16, 256
"""Names of the scope's path that a request has room for: no pattern looks deeper."""

_HEAD = ("end", "tgid", "guard", "never", "verdict", "event_rule")


class Guard(Enum):
    """Why a task is no candidate: `enum guard` of templates/bpf/runtime/verdicts.h, in its order."""

    NONE = 0
    OOM_SCORE_ADJ_MIN = 1
    NO_MM = 2
    OOM_REAPED = 3
    IN_VFORK = 4
    VICTIM = 5
    GLOBAL_INIT = 6
    KERNEL_THREAD = 7
    OUTSIDE = 8


class Verdict(Enum):
    """What becomes of the event: `enum verdict` of templates/bpf/runtime/verdicts.h, as far as it is about events."""

    LEAVE_TO_KERNEL = 0
    END_SCAN = 1
    RANK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The event to rank for. scope_id: the cgroup's id, 0 for the machine; scope_path: the names on the way to it from the
    root. invoker: a pid, 0 for none. order: -1 for sysrq.
    """

    total_pages: int
    order: int = 0
    scope_id: int = 0
    scope_path: tuple[bytes, ...] = ()
    invoker: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """What the program wrote about one process. pid: in the initial pid namespace.

    never: the number of the `never kill` rule that covers it, 0 for none. The rest is only there where `guard` is
    `NONE`: points (pages) and start (ns since boot) of the keys that always stand last; facts by name and the depth they
    were read at (None: the task's own cgroup, and facts of the task), in base units, a text as its bytes; inputs per
    memcg likewise; numbers: of the rules, by rule number, the higher first (`at each depth` has none).
    """

    pid: int
    guard: Guard
    never: int = 0
    points: int = 0
    start: int = 0
    facts: Mapping[tuple[str, int | None], int | bytes] = field(default_factory=dict)
    inputs: Mapping[tuple[str, int | None], int] = field(default_factory=dict)
    numbers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """One pass over all processes.

    verdict, event_rule: of the event rules (0: none held). victim: its pid, None where nothing would be killed. It is
    the first of those that no guard and no rule covers, though a record says VICTIM: a kernel that finds a victim
    which is still dying ends its scan (`dying`).
    """

    verdict: Verdict
    event_rule: int
    records: tuple[ProcessRecord, ...]
    victim: int | None

    @property
    def dying(self) -> bool:
        """Whether a victim that has not freed its memory yet would have ended the kernel's scan."""
        return any(record.guard is Guard.VICTIM for record in self.records)


class DryRunner:
    """A loaded object; each `run` is one pass. A context manager: closing it unloads the program.

    knobs: values of the policy's knobs by name. memcg_inputs: values of its inputs per memcg, by name and cgroup id.
    All in base units.
    """

    def __init__(
        self,
        image: bytes,
        metadata: Metadata,
        *,
        knobs: Mapping[str, int] | None = None,
        memcg_inputs: Mapping[str, Mapping[int, int]] | None = None,
    ) -> None:
        if metadata.record is None:
            raise ValueError(f"an object for {metadata.target} cannot be run dry")
        self._program = metadata.programs[-1]
        lacks = why_not_permitted("rank the live machine in the kernel")
        if lacks is not None:
            raise lacks
        kernel_btf_path()
        self._record = _Layout(metadata, metadata.record)
        variables = global_variables(image)
        self._object: BpfObject = open_object(image, name="oomlang")
        try:
            self._set(variables["page_shift"], struct.pack("<I", page_size().bit_length() - 1))
            for name, value in (knobs or {}).items():
                declared = metadata.input(name, per_memcg=False)
                self._set(variables[declared.variable], declared.encode(value))
            self._load()
            for name, values in (memcg_inputs or {}).items():
                declared = metadata.input(name, per_memcg=True)
                cells = self._object.map(declared.map).handle()
                for memcg_id, value in values.items():
                    cells.update(struct.pack("<Q", memcg_id), declared.encode(value))
            self._request = self._object.map(variables["request"].section).handle()
            self._link = self._object.program(self._program.name).attach()
        except BaseException:
            self._object.close()
            raise

    def run(self, request: Request) -> DryRun:
        """Rank all processes for an event."""
        data = _REQUEST.pack(
            request.total_pages, request.order, request.scope_id, len(request.scope_path), request.invoker
        )
        data += b"".join(name.ljust(_NAME_BYTES, b"\0") for name in request.scope_path[:_NAMES])
        self._request.update(bytes(4), data.ljust(self._request.value_size, b"\0"))
        return self._record.decode(read_iterator(self._link.fd))

    def close(self) -> None:
        """Detach and unload it."""
        self._link.close()
        self._object.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set(self, variable: GlobalVariable, data: bytes) -> None:
        self._object.map(variable.section).set_variable(variable, data)

    def _load(self) -> None:
        try:
            self._object.load()
        except LibbpfError as error:
            if error.errno == errno.EINVAL and any(
                self._program.section in message for message in error.messages
            ):
                raise EnvironmentLacks(
                    f"this kernel has no BPF task iterators: {error}", mend="boot Linux 5.8 or newer"
                ) from error
            raise


_MEMCG = re.compile(r"memcg_(?:at_(\d+)_)?(.+)")


class _Layout:
    """Decodes records by the layout that the metadata gives."""

    def __init__(self, metadata: Metadata, record: Record) -> None:
        if tuple(part.name for part in record.fields[: len(_HEAD)]) != _HEAD:
            raise ValueError("the record does not begin with " + ", ".join(_HEAD))
        spelled = ""
        end = 0
        for part in record.fields:
            if part.offset != end:
                raise ValueError("the fields of the record do not follow one another")
            spelled += "q" if part.size == 8 else f"{part.size}s"
            end = part.offset + part.size
        self._head = struct.Struct(f"<{len(_HEAD)}q")
        self._struct = struct.Struct("<" + spelled)
        if self._struct.size != record.size:
            raise ValueError(f"the record has {record.size} bytes, its fields {self._struct.size}")
        self._facts: list[tuple[int, tuple[str, int | None]]] = []
        self._inputs: list[tuple[int, tuple[str, int | None]]] = []
        self._numbers: list[tuple[int, int]] = []
        self._place = {part.name: i for i, part in enumerate(record.fields)}
        spellings = {fact.replace(".", "_"): fact for fact in metadata.facts} | {"memcg_id": "memcg.id"}
        for name, i in self._place.items():
            if name in _HEAD or name in ("points", "start"):
                continue
            if name.startswith("rule_"):
                self._numbers.append((i, int(name.removeprefix("rule_"))))
            elif (match := _MEMCG.fullmatch(name)) is None:
                self._facts.append((i, (spellings[name], None)))
            else:
                depth = int(match[1]) if match[1] else None
                if match[2].startswith("in_"):
                    self._inputs.append((i, (match[2].removeprefix("in_"), depth)))
                else:
                    self._facts.append((i, (spellings[f"memcg_{match[2]}"], depth)))

    def decode(self, data: bytes) -> DryRun:
        """All records of a pass: of a process that a guard covers, and of the end, there is only the head."""
        place = self._place
        records: list[ProcessRecord] = []
        at = 0
        while at + self._head.size <= len(data):
            end, pid, covered, never, verdict, event_rule = self._head.unpack_from(data, at)
            if end:
                return DryRun(
                    verdict=Verdict(verdict),
                    event_rule=event_rule,
                    records=tuple(records),
                    victim=pid or None,
                )
            guard = Guard(covered)
            if guard is not Guard.NONE:
                records.append(ProcessRecord(pid=pid, guard=guard))
                at += self._head.size
                continue
            if at + self._struct.size > len(data):
                break
            row = self._struct.unpack_from(data, at)
            at += self._struct.size
            records.append(
                ProcessRecord(
                    pid=pid,
                    guard=guard,
                    never=never,
                    points=row[place["points"]],
                    start=row[place["start"]],
                    facts={key: _value(row[i]) for i, key in self._facts},
                    inputs={key: row[i] for i, key in self._inputs},
                    numbers={number: row[i] for i, number in self._numbers},
                )
            )
        raise LibbpfError("read all that the dry run writes", errno=errno.EIO)


def _value(field: Any) -> int | bytes:
    """A number, or a text up to its NUL."""
    return field.split(b"\0", 1)[0] if isinstance(field, bytes) else int(field)
