"""The object under examination, and what several checks ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from oomlang.objects import BadFormat
from oomlang.objects.btf import Btf, btf_of
from oomlang.objects.elf import STT_OBJECT, ElfObject, Symbol
from oomlang.objects.functions import Code, Function, Survey
from oomlang.objects.maps import DeclaredMap, declared_maps
from oomlang.objects.metadata import Map, Metadata
from oomlang.targets.bpf.attachments import Target


class Subject:
    """In: the object as it was read, the metadata that it should carry, and the target that this names."""

    def __init__(self, elf: ElfObject, metadata: Metadata, target: Target) -> None:
        self.elf = elf
        self.metadata = metadata
        self.target = target
        self.broken_code = ""
        """Why there is no `code`."""

    @cached_property
    def code(self) -> Code | None:
        """The functions; None where the bytes are none, which `_functions` reports."""
        try:
            return Code(self.elf)
        except BadFormat as error:
            self.broken_code = str(error)
            return None

    @cached_property
    def btf(self) -> Btf | None:
        """The object's types; None where it has none. Errors: `BtfError`."""
        return btf_of(self.elf)

    @property
    def declared(self) -> tuple[DeclaredMap, ...]:
        """The maps that its types declare. Errors: `BtfError`."""
        return () if self.btf is None else declared_maps(self.btf)

    @cached_property
    def maps(self) -> dict[str, Map]:
        """The maps that there should be."""
        return {m.name: m for m in self.metadata.maps}

    @property
    def functions(self) -> tuple[Function, ...]:
        return self.code.functions if self.code else ()

    def reached(self) -> Iterator[tuple[str, Function, Survey]]:
        """Each program's name with each function that it can reach."""
        if self.code is None:
            return
        for number, function in enumerate(self.code.functions):
            if function.is_program:
                for callee in self.code.reachable(number):
                    yield function.name, self.code.functions[callee], self.code.surveys[callee]

    def defined(self, section: str) -> list[Symbol]:
        """The variables of a section."""
        return [s for s in self.elf.symbols if s.kind == STT_OBJECT and self.elf.section_name(s) == section]
