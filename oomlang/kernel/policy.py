"""A loaded policy, as its loader noted it down.

In: an object's image and its metadata, or the bytes of a pinned record. Out: `Policy`: the metadata, where the programs
keep what others may read and write, and when it was loaded. The record is a map of its own (one value, JSON), so that it
lives exactly as long as the policy.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Self

from oomlang.kernel.bindings import LibbpfError, bindings
from oomlang.kernel.dry_run import Guard
from oomlang.kernel.maps import MapHandle, open_pinned_map, pin_descriptor
from oomlang.objects import BadFormat
from oomlang.objects.btf import btf_of
from oomlang.objects.elf import read_object
from oomlang.objects.json_records import from_json, to_json
from oomlang.objects.metadata import Input, Metadata
from oomlang.objects.variables import global_variables
from oomlang.records import dataclass

RECORD_FORMAT = 2
_BPF_MAP_TYPE_ARRAY = 2
_MAX_RECORD = 4 << 20
"""Bytes: the kernel's KMALLOC_MAX_SIZE, above which it makes no map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """Where a knob's value lies in the map of its input, in bytes from the beginning."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Unsigned 8-byte numbers in `.bss`: one, or one for each of `names`."""

    name: str
    offset: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One generation. loaded: seconds since the epoch; object_sha256: of the image that was loaded.

    knobs: where their values lie. event_offset: where in `.bss` the address of the event stands that the programs saw begin
    last.
    """

    generation: int
    loaded: float
    object_sha256: str
    metadata: Metadata
    knobs: tuple[Knob, ...]
    event_offset: int
    counters: tuple[Slot, ...]

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.metadata.inputs

    @property
    def programs(self) -> tuple[str, ...]:
        """Their names, in the order in which they are attached."""
        return tuple(program.name for program in self.metadata.programs)

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that get a pin, by their names in the object."""
        return tuple(
            dict.fromkeys((".bss", *(i.map for i in self.inputs), *(m.name for m in self.metadata.maps)))
        )

    def input(self, name: str) -> Input | None:
        """The input of that name."""
        return next((i for i in self.inputs if i.name == name), None)

    def offset(self, knob: Input) -> int:
        """Where its value lies in its map."""
        return next(k.offset for k in self.knobs if k.name == knob.name)

    # --- from an object ---------------------------------------------------------------------------

    @classmethod
    def of_object(cls, image: bytes, metadata: Metadata, *, generation: int, now: float) -> Self:
        """What there is to note about an image. Errors: `BadFormat` for an image that is not as we make them."""
        variables = global_variables(image)
        for name in ("page_shift", "generation", "event", "counters"):
            if name not in variables:
                raise BadFormat(f"the object has no variable `{name}`")
        btf = btf_of(read_object(image))
        if btf is None:
            raise BadFormat("the object has no section .BTF")
        oc, counters = btf.field("event", "oc"), btf.struct("counters")
        if oc is None or counters is None:
            raise BadFormat("the object's types do not say how it counts")
        slots = []
        for member in btf.table.members(counters):
            offset, size = variables["counters"].offset + member.bit_offset // 8, btf.size(member.type_id)
            names = tuple(guard.name.lower() for guard in Guard)[: size // 8] if size > 8 else ()
            slots.append(Slot(name=member.name, offset=offset, names=names))
        return cls(
            generation=generation,
            loaded=now,
            object_sha256=hashlib.sha256(image).hexdigest(),
            metadata=metadata,
            knobs=tuple(
                Knob(name=i.name, offset=variables[i.variable].offset)
                for i in metadata.inputs
                if not i.per_memcg
            ),
            event_offset=variables["event"].offset + oc.offset,
            counters=tuple(slots),
        )

    # --- the record -------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """JSON."""
        record = {**to_json(self), "metadata": self.metadata.to_json()}
        return json.dumps({"record": RECORD_FORMAT, **record}, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Back from there. Errors: `ValueError` for a record of another version."""
        try:
            parsed = json.loads(data.rstrip(b"\0"))
            if not isinstance(parsed, dict) or parsed.get("record") != RECORD_FORMAT:
                raise BadFormat("it is of another version")
            Metadata.from_json(parsed.get("metadata"))
            return from_json(cls, parsed)
        except (ValueError, BadFormat) as exc:
            raise ValueError(f"the record of a loaded policy cannot be read: {exc}") from exc

    def pin(self, path: Path) -> None:
        """Keep the record in the kernel. Errors: `LibbpfError`."""
        data = self.to_bytes()
        if len(data) > _MAX_RECORD:
            raise LibbpfError(
                "keep the policy's record",
                errno=errno.E2BIG,
                words=f"with the texts of its rules it has {len(data)} bytes, and a map has {_MAX_RECORD} at most",
            )
        library = bindings()
        fd = library.check(
            library.lib.bpf_map_create(
                _BPF_MAP_TYPE_ARRAY, b"oomlang_record", 4, len(data), 1, library.ffi.NULL
            ),
            "create a map for the policy's record",
        )
        try:
            handle = MapHandle.of_descriptor(fd)
            handle.update(bytes(4), data)
            handle.freeze()
            pin_descriptor(fd, path)
        finally:
            os.close(fd)

    @classmethod
    def pinned(cls, path: Path) -> Self | None:
        """The record that is pinned there, None for none. Errors: `LibbpfError`; `ValueError` as `from_bytes`."""
        try:
            with open_pinned_map(path) as handle:
                if handle.value_size > _MAX_RECORD:
                    raise ValueError("the record of a loaded policy is too large to be one")
                return cls.from_bytes(handle.lookup(bytes(4)) or b"")
        except LibbpfError as exc:
            if exc.errno == errno.ENOENT:
                return None
            raise
