"""Attachments of BPF programs, this process's own or pinned ones of another.

In: what attaching a program gives (`libbpf`), or the path of a pin. Out: `BpfLink`, a context manager: closing it
detaches the program unless the link is pinned. Errors: `LibbpfError`, `EnvironmentLacks`.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oomlang.kernel.bindings import Bindings, bindings

if TYPE_CHECKING:
    from oomlang.kernel.libbpf import BpfProgram


class BpfLink:
    """One attachment. `fd` is valid until it is closed; `path` is where it is pinned, or None."""

    def __init__(self, library: Bindings, pointer: Any) -> None:
        self._library = library
        self._pointer = pointer

    @property
    def fd(self) -> int:
        """The link's file descriptor; it stays the link's own."""
        return self._library.check(self._library.lib.bpf_link__fd(self._alive()), "use the link")

    @property
    def path(self) -> Path | None:
        """Where it is pinned."""
        text = self._library.text(self._library.lib.bpf_link__pin_path(self._alive()))
        return Path(text) if text else None

    def pin(self, path: Path) -> None:
        """Pin it under a BPF file system, so that it outlives this process."""
        with self._library.listening():
            self._library.check(
                self._library.lib.bpf_link__pin(self._alive(), bytes(path)), f"pin the link at {path}"
            )

    def unpin(self) -> None:
        """Remove the pin; the program stays attached until the link is closed."""
        with self._library.listening():
            self._library.check(self._library.lib.bpf_link__unpin(self._alive()), f"unpin {self.path}")

    def update(self, program: BpfProgram) -> None:
        """Replace the program behind it in one step.

        Iterators and struct_ops can; links of fentry, fmod_ret and tp_btf programs have no such operation in the
        kernel (bpf_tracing_link_lops, bpf_raw_tp_link_lops) and answer EINVAL.
        """
        with self._library.listening():
            self._library.check(
                self._library.lib.bpf_link__update_program(self._alive(), program.pointer),
                f"replace the attached program by {program.name}",
            )

    def detach(self) -> None:
        """Detach the program though pins or other descriptors hold the link.

        Iterators and tracing programs cannot (EOPNOTSUPP): they stay attached until all of those are gone.
        """
        with self._library.listening():
            self._library.check(self._library.lib.bpf_link__detach(self._alive()), "detach the link")

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


def open_pinned_link(path: Path) -> BpfLink:
    """The link pinned at `path`; closing it leaves the pin. Errors: `LibbpfError` (ENOENT where there is
    none).
    """
    library = bindings()
    with library.listening():
        link = library.lib.bpf_link__open(bytes(path))
        return BpfLink(library, library.check_pointer(link, f"open the link pinned at {path}"))
