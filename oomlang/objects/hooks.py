"""What the name of a program's section attaches it to: `fentry/out_of_memory` to the function of that name."""

from __future__ import annotations

from typing import Final, Literal

from oomlang.records import dataclass

_KINDS: Final[dict[str, Literal["function", "tracepoint", "iterator"]]] = {
    "fmod_ret": "function",
    "fentry": "function",
    "fexit": "function",
    "tp_btf": "tracepoint",
    "iter": "iterator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A place in the kernel where a program can be attached. type: the part of the section before the name."""

    type: str
    kind: Literal["function", "tracepoint", "iterator"]
    name: str

    @property
    def decides(self) -> bool:
        """Whether a program there can give an answer in the kernel's place."""
        return self.type == "fmod_ret"

    def __str__(self) -> str:
        """As it reads after "the kernel has no"."""
        return f"BPF iterator over {self.name}" if self.kind == "iterator" else f"{self.kind} {self.name}"


def hook_of(section: str) -> Hook | None:
    """The hook that a section names; None for a section of another sort."""
    type_, slash, name = section.partition("/")
    type_ = type_.removesuffix(".s")  # may sleep
    kind = _KINDS.get(type_)
    return Hook(type=type_, kind=kind, name=name) if slash and kind is not None else None
