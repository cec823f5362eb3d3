"""BPF objects: opened from bytes, filled, loaded, attached.

In: the ELF image of a BPF object. Out: `BpfObject` with its programs and maps, and a `BpfLink` for each
attachment. Works with libbpf 1.0 and newer. Errors everywhere: `LibbpfError` with libbpf's own words
(`VerifierRefusal` with the verifier's log), `EnvironmentLacks` where the process may not use BPF or libbpf
is missing.

An object is a context manager: closing it unloads what no link and no pin holds.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from oomlang.kernel.bindings import Bindings, LibbpfError, VerifierRefusal, bindings
from oomlang.kernel.maps import MapHandle
from oomlang.objects.variables import GlobalVariable

__all__ = ["BpfMap", "BpfObject", "BpfProgram", "LibbpfError", "VerifierRefusal", "open_object"]

# Address space, not memory: pages of an anonymous mapping come into being when the verifier writes them. A
# log that does not fit is cut at its end, where the reason stands, by kernels before 6.4. 16 MiB are one
# byte too many for kernels before 5.2.
_LOG_BYTES = (16 << 20) - mmap.PAGESIZE


class BpfLink:
    """One attachment, a context manager: closing it detaches the program unless it is pinned."""

    def __init__(self, library: Bindings, pointer: Any) -> None:
        self._library = library
        self._pointer = pointer

    @property
    def fd(self) -> int:
        """The link's descriptor; it stays the link's own, and is valid until that is closed."""
        return self._library.check(self._library.lib.bpf_link__fd(self._alive()), "use the link")

    def pin(self, path: Path) -> None:
        """Pin it under a BPF file system, so that it outlives this process."""
        with self._library.listening():
            self._library.check(
                self._library.lib.bpf_link__pin(self._alive(), bytes(path)), f"pin the link at {path}"
            )

    def close(self) -> None:
        """Give it up; a second time does nothing."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self._library.lib.bpf_link__destroy(pointer)

    def _alive(self) -> Any:
        if self._pointer is None:
            raise ValueError("the link is closed")
        return self._pointer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A program or a map of an object."""

    name: str
    owner: BpfObject
    raw: Any  # libbpf's pointer; through `pointer`, which knows whether it is still good

    @property
    def library(self) -> Bindings:
        """The library that opened it."""
        return self.owner.library

    @property
    def pointer(self) -> Any:
        """The handle that libbpf gave out. Errors: `ValueError` once the object is closed."""
        return self.raw if self.owner.pointer is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BpfProgram(_Part):
    """A program. `type` as libbpf names it (`tracing`, `syscall`); `instructions` before loading."""

    section: str
    type: str
    instructions: int

    @property
    def fd(self) -> int:
        """The loaded program's descriptor; it stays the object's own."""
        return self.library.check(
            self.library.lib.bpf_program__fd(self.pointer), f"use {self.name} before it is loaded"
        )

    def set_autoload(self, autoload: bool) -> None:
        """Whether loading the object loads this program too; before loading."""
        self.library.check(
            self.library.lib.bpf_program__set_autoload(self.pointer, autoload), f"leave out {self.name}"
        )

    def attach(self) -> BpfLink:
        """Attach it to what its section names. An iterator is read with `runs.read_iterator(link.fd)`."""
        with self.library.listening():
            link = self.library.lib.bpf_program__attach(self.pointer)
            return BpfLink(
                self.library, self.library.check_pointer(link, f"attach {self.name} ({self.section})")
            )

    def pin(self, path: Path) -> None:
        """Pin the loaded program under a BPF file system."""
        with self.library.listening():
            self.library.check(
                self.library.lib.bpf_program__pin(self.pointer, bytes(path)), f"pin {self.name} at {path}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BpfMap(_Part):
    """A map. Sizes in bytes; `internal` for those that hold global variables (`.rodata`, `.data`)."""

    type: str
    key_size: int
    value_size: int
    max_entries: int
    internal: bool

    @property
    def fd(self) -> int:
        """The map's descriptor after loading; it stays the object's own."""
        return self.library.check(
            self.library.lib.bpf_map__fd(self.pointer), f"use map {self.name} before it is loaded"
        )

    def handle(self) -> MapHandle:
        """Its elements; valid until the object is closed."""
        return MapHandle.of_descriptor(self.fd)

    def initial_value(self) -> bytes:
        """What the global variables begin with. Errors: `LibbpfError` for a map of another kind."""
        size = self.library.ffi.new("size_t *")
        data = self.library.lib.bpf_map__initial_value(self.pointer, size)
        self.library.check_pointer(data, f"read the initial value of map {self.name}")
        return bytes(self.library.ffi.buffer(data, size[0]))

    def set_initial_value(self, data: bytes) -> None:
        """Replace it, before loading. Errors: `LibbpfError` for another length or kind, or after loading."""
        code = self.library.lib.bpf_map__set_initial_value(self.pointer, data, len(data))
        self.library.check(code, f"set the initial value of map {self.name} to {len(data)} bytes")

    def set_variable(self, variable: GlobalVariable, data: bytes) -> None:
        """Replace one global variable's initial value, before loading; for the map of the variable's section."""
        if len(data) != variable.size:
            raise ValueError(f"variable {variable.name} has {variable.size} bytes, not {len(data)}")
        values = bytearray(self.initial_value())
        values[variable.offset : variable.offset + variable.size] = data
        self.set_initial_value(bytes(values))

    def reuse(self, fd: int) -> None:
        """Use the map behind `fd` (a running policy's pinned one) instead of creating one; before loading."""
        with self.library.listening():
            self.library.check(
                self.library.lib.bpf_map__reuse_fd(self.pointer, fd), f"reuse a map as {self.name}"
            )

    def pin(self, path: Path) -> None:
        """Pin it under a BPF file system."""
        with self.library.listening():
            self.library.check(
                self.library.lib.bpf_map__pin(self.pointer, bytes(path)), f"pin map {self.name} at {path}"
            )


class BpfObject:
    """An opened object; `load()` brings it into the kernel. Programs and maps are valid until it closes."""

    def __init__(self, library: Bindings, pointer: Any) -> None:
        self.library = library
        self._pointer = pointer
        self._logs: dict[str, mmap.mmap] = {}
        self.programs = tuple(self._programs())
        self.maps = tuple(self._maps())

    def program(self, name: str) -> BpfProgram:
        """The program of that name. Errors: `KeyError`."""
        return {program.name: program for program in self.programs}[name]

    def map(self, name: str) -> BpfMap:
        """The map of that name; `.rodata`, `.data` and `.bss` find this object's. Errors: `KeyError`."""
        found = self.library.lib.bpf_object__find_map_by_name(self.pointer, name.encode())
        for candidate in self.maps:
            if candidate.raw == found:
                return candidate
        raise KeyError(name)

    def load(self, *, log_level: int = 0) -> None:
        """Create the maps and load the programs. A refused program's log is caught at any level.

        `log_level` (1 every instruction, 4 statistics) asks for logs of accepted programs too: `logs()`.
        Errors: `VerifierRefusal` with the first refused program's log, `LibbpfError`, `EnvironmentLacks`.
        """
        lib, ffi = self.library.lib, self.library.ffi
        for program in self.programs:
            room = self._logs.setdefault(program.name, mmap.mmap(-1, _LOG_BYTES))
            lib.bpf_program__set_log_buf(program.pointer, ffi.from_buffer("char[]", room), _LOG_BYTES)
            lib.bpf_program__set_log_level(program.pointer, log_level)
        with self.library.listening() as messages:
            code = lib.bpf_object__load(self.pointer)
            if code == 0:
                return
            refused = _refused(messages, self.logs() if log_level == 0 else {}, self.programs)
            if refused and (log := self.logs().get(refused)):
                # libbpf repeats the log in a message of its own; it is here already.
                brief = tuple(message for message in messages if "BEGIN PROG LOAD LOG" not in message)
                raise VerifierRefusal(
                    f"load program {refused}", errno=-code, messages=brief, program=refused, log=log
                )
            raise self.library.failure("load the object", -code)

    def logs(self) -> dict[str, str]:
        """The verifier's log of each program that has one, by program name."""
        found = {}
        for name, room in self._logs.items():
            end = room.find(b"\0")
            if text := room[: end if end >= 0 else len(room)].decode("utf-8", "backslashreplace"):
                found[name] = text
        return found

    def close(self) -> None:
        """Give it up; a second time does nothing."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self.library.lib.bpf_object__close(pointer)
            self._logs.clear()

    def _programs(self) -> Iterator[BpfProgram]:
        library, lib, pointer = self.library, self.library.lib, self.library.ffi.NULL
        while (pointer := lib.bpf_object__next_program(self._pointer, pointer)) != library.ffi.NULL:
            yield BpfProgram(
                name=library.text(lib.bpf_program__name(pointer)),
                section=library.text(lib.bpf_program__section_name(pointer)),
                type=library.text(lib.libbpf_bpf_prog_type_str(lib.bpf_program__type(pointer))),
                instructions=int(lib.bpf_program__insn_cnt(pointer)),
                owner=self,
                raw=pointer,
            )

    def _maps(self) -> Iterator[BpfMap]:
        library, lib, pointer = self.library, self.library.lib, self.library.ffi.NULL
        while (pointer := lib.bpf_object__next_map(self._pointer, pointer)) != library.ffi.NULL:
            yield BpfMap(
                name=library.text(lib.bpf_map__name(pointer)),
                type=library.text(lib.libbpf_bpf_map_type_str(lib.bpf_map__type(pointer))),
                key_size=int(lib.bpf_map__key_size(pointer)),
                value_size=int(lib.bpf_map__value_size(pointer)),
                max_entries=int(lib.bpf_map__max_entries(pointer)),
                internal=bool(lib.bpf_map__is_internal(pointer)),
                owner=self,
                raw=pointer,
            )

    @property
    def pointer(self) -> Any:
        """The handle that libbpf gave out. Errors: `ValueError` once the object is closed."""
        if self._pointer is None:
            raise ValueError("the object is closed")
        return self._pointer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refused(messages: list[str], logs: dict[str, str], programs: tuple[BpfProgram, ...]) -> str | None:
    """The program that the kernel refused: libbpf names it, and at log level 0 no other one has a log."""
    for program in programs:
        if program.name in logs or any(
            message.startswith(f"libbpf: prog '{program.name}': BPF program load failed")
            for message in messages
        ):
            return program.name
    return None


def open_object(image: bytes, *, name: str, kernel_btf: Path | None = None) -> BpfObject:
    """Parse an object's image.

    `name` prefixes its internal maps' names; `kernel_btf` replaces the running kernel's BTF for CO-RE
    relocations only (nothing loads then that does not fit the running kernel too).
    """
    library = bindings()
    ffi = library.ffi
    c_name = ffi.new("char[]", name.encode())
    c_path = ffi.new("char[]", bytes(kernel_btf)) if kernel_btf else ffi.NULL
    opts = ffi.new("struct bpf_object_open_opts *")
    opts.sz = ffi.sizeof("struct bpf_object_open_opts")
    opts.object_name, opts.btf_custom_path = c_name, c_path
    with library.listening():
        # libbpf copies what it keeps of the image and the options.
        pointer = library.lib.bpf_object__open_mem(image, len(image), opts)
        return BpfObject(library, library.check_pointer(pointer, f"open the BPF object {name}"))
