"""The elements of BPF maps: a loaded object's, or those of a policy that another process loaded and pinned.

In: a map's descriptor or the path it is pinned at. Out: `MapHandle`: look up, update, delete, iterate; keys
and values are bytes as the map has them. Errors: `LibbpfError`; `ValueError` for bytes of the wrong length,
which the kernel could not notice.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oomlang.kernel.bindings import LibbpfError, bindings
from oomlang.kernel.info import map_info

ANY, NO_EXIST, EXIST = 0, 1, 2  # BPF_ANY, BPF_NOEXIST, BPF_EXIST


@dataclass(frozen=True, slots=True, kw_only=True)
class MapHandle:
    """A map's elements. Sizes in bytes."""

    fd: int
    name: str
    type: str
    key_size: int
    value_size: int
    max_entries: int

    @classmethod
    def of_descriptor(cls, fd: int) -> MapHandle:
        """The map behind a descriptor, which stays the caller's. Errors: `ValueError` for a map with values for each CPU."""
        info = map_info(fd)
        if "percpu" in info.type:  # a value then has more bytes than the map says
            raise ValueError(f"map {info.name} has a value for each CPU: these cannot be read here")
        return cls(
            fd=fd,
            name=info.name,
            type=info.type,
            key_size=info.key_size,
            value_size=info.value_size,
            max_entries=info.max_entries,
        )

    def lookup(self, key: bytes) -> bytes | None:
        """The value under a key; None where there is none."""
        self._measure(key, self.key_size, "key")
        library = bindings()
        value = library.ffi.new("char[]", self.value_size)
        code = library.lib.bpf_map_lookup_elem(self.fd, key, value)
        if code == -errno.ENOENT:
            return None
        library.check(code, f"look up an element of map {self.name}")
        return bytes(library.ffi.buffer(value))

    def update(self, key: bytes, value: bytes, *, flags: int = ANY) -> None:
        """Store a value; `flags` NO_EXIST or EXIST for only new or only present keys (EEXIST, ENOENT)."""
        self._measure(key, self.key_size, "key")
        self._measure(value, self.value_size, "value")
        library = bindings()
        code = library.lib.bpf_map_update_elem(self.fd, key, value, flags)
        library.check(code, f"store an element in map {self.name}")

    def delete(self, key: bytes) -> bool:
        """Remove a key; whether it was there."""
        self._measure(key, self.key_size, "key")
        library = bindings()
        code = library.lib.bpf_map_delete_elem(self.fd, key)
        if code == -errno.ENOENT:
            return False
        library.check(code, f"delete an element of map {self.name}")
        return True

    def keys(self) -> Iterator[bytes]:
        """All keys. A hash map that changes meanwhile may show keys twice or not at all.

        Never more than twice its size in all: the kernel starts anew when the key it stands at is deleted.
        """
        library = bindings()
        following = library.ffi.new("char[]", self.key_size)
        key = library.ffi.NULL
        for _ in range(2 * self.max_entries + 1):
            code = library.lib.bpf_map_get_next_key(self.fd, key, following)
            if code == -errno.ENOENT:
                return
            library.check(code, f"list the keys of map {self.name}")
            key = bytes(library.ffi.buffer(following))
            yield key

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with their values; a key that was deleted meanwhile is left out."""
        for key in self.keys():
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def freeze(self) -> None:
        """Forbid user space to change it from now on; programs still may."""
        library = bindings()
        library.check(library.lib.bpf_map_freeze(self.fd), f"freeze map {self.name}")

    def _measure(self, data: bytes, size: int, what: str) -> None:
        if len(data) != size:
            raise ValueError(f"a {what} of map {self.name} has {size} bytes, not {len(data)}")


@contextmanager
def pinned_descriptor(path: Path) -> Iterator[int]:
    """The descriptor of the map, program or link pinned at `path`; closed afterwards. Errors:
    `LibbpfError`.
    """
    library = bindings()
    with library.listening():
        fd = library.check(library.lib.bpf_obj_get(bytes(path)), f"open what is pinned at {path}")
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def open_pinned_map(path: Path) -> Iterator[MapHandle]:
    """The map pinned at `path`. Errors: `LibbpfError`, also (EINVAL) for something else that is pinned
    there.
    """
    with pinned_descriptor(path) as fd:
        yield MapHandle.of_descriptor(fd)


def pin_descriptor(fd: int, path: Path) -> None:
    """Pin a map, program or link by its descriptor. Errors: `LibbpfError` (EEXIST where something is)."""
    library = bindings()
    library.check(library.lib.bpf_obj_pin(fd, bytes(path)), f"pin at {path}")


__all__ = [
    "ANY",
    "EXIST",
    "NO_EXIST",
    "LibbpfError",
    "MapHandle",
    "open_pinned_map",
    "pin_descriptor",
    "pinned_descriptor",
]
