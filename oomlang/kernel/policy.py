"""A loaded policy, as its loader noted it down.

In: an object's image with the JSON of its section `.oomlang`, or the bytes of a pinned record. Out: `Policy`: the
metadata, where the programs keep what others may read and write, and when it was loaded. The record is a map of its own
(one value, JSON), so that it lives exactly as long as the policy.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from oomlang.kernel.bindings import LibbpfError, bindings
from oomlang.kernel.dry_run import Guard
from oomlang.kernel.maps import MapHandle, open_pinned_map, pin_descriptor
from oomlang.objects.btf import btf_of
from oomlang.objects.elf import read_elf
from oomlang.objects.type_table import BtfError
from oomlang.objects.variables import GlobalVariable, global_variables

RECORD_FORMAT = 1
METADATA_SECTION = ".oomlang"
_BPF_MAP_TYPE_ARRAY = 2
_MAX_RECORD = 4 << 20
"""Bytes: the kernel's KMALLOC_MAX_SIZE, above which it makes no map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value that user space gives the policy; lowest and highest in base units, size: bytes in its map.

    offset: of a knob in the map `.data.inputs`; None for an input per memcg, which has a map of its own.
    """

    name: str
    type: str
    per_memcg: bool
    default: int
    lowest: int
    highest: int
    map: str
    size: int
    offset: int | None

    def encode(self, value: int) -> bytes:
        """As it lies in its map. Errors: `ValueError` outside its range."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"input {self.name} takes {self.lowest} to {self.highest}, not {value}")
        return value.to_bytes(self.size, "little", signed=self.size > 1)

    def decode(self, data: bytes) -> int:
        """Back from there."""
        return int.from_bytes(data, "little", signed=self.size > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Unsigned 8-byte numbers in `.bss`: one, or one for each of `names`."""

    name: str
    offset: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One generation. loaded: seconds since the epoch; object_sha256: of the image that was loaded.

    event_offset: where in `.bss` the address of the event stands that the programs saw begin last.
    """

    generation: int
    loaded: float
    object_sha256: str
    metadata: Mapping[str, Any]
    inputs: tuple[Input, ...]
    event_offset: int
    counters: tuple[Slot, ...]

    @property
    def name(self) -> str:
        return str(self.metadata["policy"])

    @property
    def programs(self) -> tuple[str, ...]:
        return tuple(program["name"] for program in self.metadata["programs"])

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that get a pin, by their names in the object."""
        names = [m["name"] for m in self.metadata["maps"]]
        knobs = [".data.inputs"] if any(not i.per_memcg for i in self.inputs) else []
        return (".bss", *knobs, *names)

    def input(self, name: str) -> Input | None:
        """The input of that name."""
        return next((i for i in self.inputs if i.name == name), None)

    # --- from an object ---------------------------------------------------------------------------

    @classmethod
    def of_object(cls, image: bytes, metadata: Mapping[str, Any], *, generation: int, now: float) -> Self:
        """What there is to note about an image. Errors: `BadFormat` for an image that is not as we make them."""
        variables = global_variables(image)
        for name in ("page_shift", "generation", "turn", "event", "counters"):
            if name not in variables:
                raise BtfError(f"the object has no variable `{name}`")
        btf = btf_of(read_elf(io.BytesIO(image)))
        if btf is None:
            raise BtfError("the object has no section .BTF")
        oc, counters = btf.field("event", "oc"), btf.struct("counters")
        if oc is None or counters is None:
            raise BtfError("the object's types do not say how it counts")
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
            inputs=tuple(_input(i, variables) for i in metadata["inputs"]),
            event_offset=variables["event"].offset + oc.offset,
            counters=tuple(slots),
        )

    # --- the record -------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """JSON."""
        return json.dumps({"record": RECORD_FORMAT, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Back from there. Errors: `ValueError` for a record of another version."""
        try:
            fields = json.loads(data.rstrip(b"\0"))
            if fields.pop("record") != RECORD_FORMAT:
                raise ValueError("it is of another version")
            fields["inputs"] = tuple(Input(**i) for i in fields["inputs"])
            fields["counters"] = tuple(Slot(**{**s, "names": tuple(s["names"])}) for s in fields["counters"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
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


def metadata_of(image: bytes) -> Any:
    """The JSON of an object's section `.oomlang`, unchecked. Errors: `BadFormat` where there is none."""
    try:
        return json.loads(_section(image, METADATA_SECTION))
    except ValueError as exc:
        raise BtfError(f"section {METADATA_SECTION} is not JSON") from exc


def _section(image: bytes, name: str) -> bytes:
    contents = read_elf(io.BytesIO(image)).named(name)
    if contents is None:
        raise BtfError(f"the object has no section {name}")
    return contents


def _input(declared: Mapping[str, Any], variables: Mapping[str, GlobalVariable]) -> Input:
    low, high = declared["range"]
    return Input(
        name=declared["name"],
        type=declared["type"],
        per_memcg=declared["per_memcg"],
        default=declared["default"],
        lowest=low,
        highest=high,
        map=declared["map"],
        size=declared["bytes"],
        offset=None if declared["per_memcg"] else variables[declared["variable"]].offset,
    )
