"""The inputs of the policy in force: read and written while it runs.

In: names, cgroup ids and values in base units. Out: values. Errors: `LibbpfError`; `ValueError` outside an input's range.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oomlang.kernel.bindings import LibbpfError
from oomlang.kernel.maps import open_pinned_map
from oomlang.kernel.pins import Pins
from oomlang.kernel.policy import Policy
from oomlang.objects.metadata import Input

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentInput:
    """An input with what it is set to: a knob's value, or values by cgroup id."""

    input: Input
    value: int | None
    memcgs: Mapping[int, int]


def current_inputs(pins: Pins, policy: Policy) -> list[CurrentInput]:
    """All inputs with their values."""
    knobs: dict[str, bytes] = {}
    found = []
    for declared in policy.inputs:
        if declared.per_memcg:
            with open_pinned_map(pins.map(policy.generation, declared.map)) as cells:
                values = {int.from_bytes(k, "little"): declared.decode(v) for k, v in cells.items()}
            found.append(CurrentInput(input=declared, value=None, memcgs=values))
        else:
            if declared.map not in knobs:
                knobs[declared.map] = _knobs(pins, policy, declared.map)
            offset = policy.offset(declared)
            value = declared.decode(knobs[declared.map][offset : offset + declared.size])
            found.append(CurrentInput(input=declared, value=value, memcgs={}))
    return found


def write_knobs(pins: Pins, policy: Policy, values: Mapping[str, int]) -> None:
    """Set knobs. Events that have begun keep the values that they began with. The caller holds the lock."""
    maps: dict[str, bytearray] = {}
    for name, value in values.items():
        declared = policy.metadata.input(name, per_memcg=False)
        if declared.map not in maps:
            maps[declared.map] = bytearray(_knobs(pins, policy, declared.map))
        offset = policy.offset(declared)
        maps[declared.map][offset : offset + declared.size] = declared.encode(value)
    for map_name, data in maps.items():
        with open_pinned_map(pins.map(policy.generation, map_name)) as knobs:
            knobs.update(bytes(4), bytes(data))


def write_memcg_value(pins: Pins, policy: Policy, name: str, memcg_id: int, value: int | None) -> bool:
    """Set a cgroup's value, or with None let it have the default again. Whether anything was there before None."""
    declared = policy.metadata.input(name, per_memcg=True)
    key = memcg_id.to_bytes(8, "little")
    with open_pinned_map(pins.map(policy.generation, declared.map)) as cells:
        if value is None:
            return cells.delete(key)
        try:
            cells.update(key, declared.encode(value))
        except LibbpfError as exc:
            if exc.errno == errno.E2BIG:
                raise ValueError(
                    f"input {name} has values for {cells.max_entries} cgroups: that is all there is room for"
                ) from exc
            raise
    return True


def memcg_id_of(path: str, root: Path = CGROUPS) -> int:
    """The id of a cgroup by its path below the root of the tree. Errors: `FileNotFoundError` and other `OSError`."""
    place = Path(os.path.normpath(f"{root}/{path}"))
    if place != root and root not in place.parents:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if not (place / "cgroup.procs").exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return place.stat().st_ino


def memcg_paths(root: Path = CGROUPS) -> dict[int, str]:
    """The path of every cgroup by its id."""
    found = {}
    for here, _, _ in os.walk(root):
        relative = os.path.relpath(here, root)
        try:
            found[os.stat(here).st_ino] = "/" if relative == "." else f"/{relative}"
        except FileNotFoundError:
            continue
    return found


def _knobs(pins: Pins, policy: Policy, map_name: str) -> bytes:
    with open_pinned_map(pins.map(policy.generation, map_name)) as knobs:
        data = knobs.lookup(bytes(4))
    if data is None:
        raise LibbpfError("read the policy's knobs", errno=errno.ENOENT)
    return data
