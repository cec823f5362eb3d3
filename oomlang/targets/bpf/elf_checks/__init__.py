"""What every object is held against before anybody gets it.

In: an object that clang made, and the metadata that it should carry. Out: nothing, or `InternalError` with every check
that failed: clang made something else than we meant, or we meant something wrong; both are bugs of ours.

Checked is what the kernel's verifier does not know: that these are the programs, maps and types that the metadata speaks
of, and that no program can reach anything that writes or kills. What the verifier finds (jumps, loops, the stack, the
number of instructions) is left to it. The object is read through pyelftools and not through our own reader, which
`inspect` uses: the two have to agree about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from oomlang.diagnostics import InternalError
from oomlang.objects import BadFormat
from oomlang.objects.by_pyelftools import read_with_pyelftools
from oomlang.objects.elf import ElfObject
from oomlang.objects.metadata import Metadata
from oomlang.targets.bpf.attachments import find_target
from oomlang.targets.bpf.elf_checks import code, parts
from oomlang.targets.bpf.elf_checks.subject import Subject

_MAX_COMPLAINTS = 20  # of one check

CHECKS: Final[tuple[tuple[str, Callable[[Subject], Iterator[str]]], ...]] = (
    ("target", parts.target),
    ("sections", parts.sections),
    ("functions", code.functions),
    ("programs", parts.programs),
    ("license", parts.license),
    ("types", parts.types),
    ("metadata", parts.metadata),
    ("maps", parts.maps),
    ("inputs", parts.inputs),
    ("numbers", code.numbers),
    ("calls", code.calls),
    ("relocations", code.relocations),
    ("kfuncs", code.kfuncs),
    ("helpers", code.helpers),
    ("updates", code.updates),
)
"""In the order of the report. `header` stands before them all: without it nothing can be read."""


def check_object(image: bytes, metadata: Metadata) -> None:
    """Hold a compiled object against everything that it must be. metadata: what its section `.oomlang` must say.

    Raises `InternalError` that lists every failed check.
    """
    try:
        elf = read_with_pyelftools(image)
        failed = failed_checks(elf, metadata)
    except BadFormat as error:
        failed = [f"header: {error}"]
    if failed:
        raise InternalError(
            "the compiled object fails our own checks:\n" + "\n".join(f"  {line}" for line in failed)
        )


def failed_checks(elf: ElfObject, metadata: Metadata) -> list[str]:
    """Every failed check, each as `check: what is wrong`. metadata: of one of the targets."""
    subject = Subject(elf, metadata, find_target(metadata.target))
    failed = []
    for name, check in CHECKS:
        complaints = list(islice(check(subject), _MAX_COMPLAINTS + 1))
        failed += [f"{name}: {what}" for what in complaints[:_MAX_COMPLAINTS]]
        if len(complaints) > _MAX_COMPLAINTS:
            failed.append(f"{name}: … and more")
    return failed
