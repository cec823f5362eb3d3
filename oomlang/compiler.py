"""The pipeline, as a list of passes: this is the public API behind `oomlang.compile` and `oomlang.check`.

text → `syntax.parser` → tree → `semantics.analyze` → typed policy → `lowering` → IR → `ir.reach` → `targets.bpf.emit` →
C → `targets.bpf.clang` → object → `targets.bpf.elf_checks` → `targets.bpf.seal`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from oomlang import __version__
from oomlang.diagnostics import Diagnostic, Diagnostics, EnvironmentLacks, Source
from oomlang.ir import nodes as ir
from oomlang.ir.limits import check_limits
from oomlang.ir.reach import check_rules
from oomlang.lowering import lower
from oomlang.objects.metadata import Metadata
from oomlang.semantics import model
from oomlang.semantics.analyze import analyze
from oomlang.syntax import tree
from oomlang.syntax.parser import parse
from oomlang.targets.bpf import attachments

if TYPE_CHECKING:
    from oomlang.targets.bpf.emit import Program

Target: TypeAlias = str
"""The name of a target."""

TARGETS: tuple[Target, ...] = tuple(target.name for target in attachments.TARGETS)
"""The first one is the default."""


@dataclass
class Compilation:
    """One policy on its way through the passes; each runs when its result is first asked for.

    The properties of a policy with errors raise `OomlangError`, except `source`, `tree` and `diagnostics`.
    """

    data: bytes
    name: str = "<policy>"

    @cached_property
    def _parsed(self) -> tuple[tree.Policy, Diagnostics]:
        return parse(self.data, self.name)

    @property
    def source(self) -> Source:
        return self._parsed[0].source

    @property
    def tree(self) -> tree.Policy:
        """The syntax tree; statements that could not be read are `Broken` in it."""
        return self._parsed[0]

    @cached_property
    def _typed(self) -> tuple[model.Policy, Diagnostics]:
        parsed, diagnostics = self._parsed
        return analyze(parsed, diagnostics), diagnostics

    @property
    def policy(self) -> model.Policy:
        """The typed policy, tests included."""
        policy, diagnostics = self._typed
        diagnostics.raise_if_failed()
        return policy

    @cached_property
    def _lowered(self) -> tuple[ir.Policy | None, Diagnostics]:
        policy, diagnostics = self._typed
        if diagnostics.failed:
            return None, diagnostics
        lowered = lower(policy)
        check_limits(lowered, diagnostics)
        check_rules(lowered, diagnostics)
        return lowered, diagnostics

    @cached_property
    def optimized(self) -> ir.Policy:
        """The policy's meaning, as targets that are compiled take it."""
        from oomlang.ir.passes import run

        return run(self.ir)

    @property
    def ir(self) -> ir.Policy:
        """The policy's meaning."""
        lowered, diagnostics = self._lowered
        diagnostics.raise_if_failed()
        assert lowered is not None  # only a failed analysis leaves it out
        return lowered

    def program(self, target: Target) -> Program:
        """The C of the policy for a target, and its metadata."""
        from oomlang.targets.bpf.emit import SourceInfo, emit

        source = SourceInfo(
            # No directories; and a file's name is any bytes, where the object needs text.
            name=os.path.basename(self.name)
            .encode("utf-8", "surrogateescape")
            .decode("utf-8", "backslashreplace")
            or "<policy>",
            sha256=hashlib.sha256(self.data).hexdigest(),
            compiler=__version__,
        )
        from oomlang.targets.bpf.attachments import find_target

        return emit(self.optimized, find_target(target), source)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that there is to say about the policy, sorted by position."""
        return self._lowered[1].items


def check(data: bytes, name: str = "<policy>") -> tuple[Source, tuple[Diagnostic, ...]]:
    """Check a policy. data: its text in UTF-8. name: what messages call it. Returns its source and diagnostics."""
    compilation = Compilation(data, name)
    return compilation.source, compilation.diagnostics


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A compiled policy.

    object: the BPF ELF object, checked. c_source: the C that it was made of. metadata: what stands in its section
    `.oomlang`. diagnostics: the policy's warnings.
    """

    target: Target
    object: bytes
    c_source: str
    metadata: Metadata
    source: Source
    diagnostics: tuple[Diagnostic, ...]


def compile(
    source: bytes | str, *, name: str = "<policy>", target: Target = TARGETS[0], clang: str | None = None
) -> Artifact:
    """Compile a policy to a checked BPF object.

    source: the policy's text (UTF-8 where it is bytes). name: what messages and the object call it; only the last
    component of a path gets into the object. target: the kernel interface to compile for. clang: the compiler to use in
    place of the first one on the PATH that is new enough.

    Raises `OomlangError` where the policy is wrong, `EnvironmentLacks` where clang or the libbpf headers are missing or
    clang does not do its work, `InternalError` where the object fails our own checks, `ValueError` for an unknown target.
    """
    from oomlang.targets.bpf.clang import Clang

    attachments.find_target(target)
    compilation = Compilation(
        source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source, name
    )
    try:
        started = Clang(clang)
    except EnvironmentLacks:
        compilation.program(target)  # what is wrong with the policy comes first
        raise
    with started:
        program = compilation.program(target)
        # The checks take as long to import as to run: both cores have something to do while clang works.
        importing = Thread(target=_import_checks)
        importing.start()
        try:
            image = started.compile(program.c_source)
        finally:
            importing.join()
    from oomlang.objects.elf import read_object
    from oomlang.objects.metadata import SECTION
    from oomlang.targets.bpf.elf_checks import check_object
    from oomlang.targets.bpf.seal import digest, seal

    if read_object(image).section(SECTION) is None:  # what is in every C of ours is not in the object
        raise EnvironmentLacks(
            f"`{started.program}` made its object of something else than the C that it was given",
            mend="try another clang: set OOMLANG_CLANG to its path",
        )
    check_object(image, program.metadata)
    image = seal(image)
    sealed_with = digest(image)
    assert sealed_with is not None  # a moment ago
    return Artifact(
        target=target,
        object=image,
        c_source=program.c_source,
        metadata=replace(program.metadata, digest=sealed_with),
        source=compilation.source,
        diagnostics=compilation.diagnostics,
    )


def _import_checks() -> None:
    from oomlang.objects.by_pyelftools import import_pyelftools
    from oomlang.targets.bpf import elf_checks, seal  # noqa: F401  (for who imports them next)

    import_pyelftools()


def emit_c(source: bytes | str, *, name: str = "<policy>", target: Target = TARGETS[0]) -> str:
    """The C of a policy; needs no clang. Raises `OomlangError` where the policy is wrong."""
    attachments.find_target(target)
    data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    return Compilation(data, name).program(target).c_source
