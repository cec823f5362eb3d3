"""Where in the policy the verifier's refusal points.

In: the verifier's log, the object's image and its metadata. Out: the line of C, and the rule or the
named value that this line was made for, if it was made for one alone.

Since Linux 6.8 the log names the line of each instruction itself (`; return x; @ policy.bpf.c:123`). Older ones quote
its text only; then the number of the last instruction is looked up in the object's `.BTF.ext`.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from oomlang.objects import BadFormat
from oomlang.objects.btf import btf_of
from oomlang.objects.btf_ext import BtfExt
from oomlang.objects.elf import read_elf
from oomlang.objects.metadata import Metadata

_NAMED = re.compile(r"^; (.*) @ [^:]*:(\d+)$", re.MULTILINE)
_INSTRUCTION = re.compile(r"^(\d+): \(", re.MULTILINE)
_STATISTICS = re.compile(r"^(processed \d+ insns|verification time|stack depth|-- END)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlace:
    """A rule or a named value in the policy; its text on one line."""

    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPlace:
    """What the verifier was looking at. reason: its last words. line: of the C, None where nothing says it."""

    reason: str
    line: int | None
    rule: RulePlace | None


def refused_place(log: str, program: str, image: bytes, metadata: Metadata) -> RefusedPlace:
    """log: as the kernel wrote it. program: the name of the refused one."""
    line = _line_of_log(log)
    if line is None:
        section = next((p.section for p in metadata.programs if p.name == program), "")
        line = _line_of_instruction(log, section, image)
    rule = rule_of_line(metadata, line) if line is not None else None
    return RefusedPlace(reason=_reason(log), line=line, rule=rule)


def rule_of_line(metadata: Metadata, line: int) -> RulePlace | None:
    """The rule or the named value that a line of the C was made for; None for what several share."""
    for owner in metadata.owners:
        if any(first <= line <= last for first, last in owner.c_lines):
            return RulePlace(
                file=metadata.source.name,
                line=owner.line,
                column=owner.column,
                text=" ".join(owner.text.split()),
            )
    return None


def _line_of_log(log: str) -> int | None:
    found = list(_NAMED.finditer(log))
    return int(found[-1][2]) if found else None


def _line_of_instruction(log: str, program_section: str, image: bytes) -> int | None:
    numbers = [int(found[1]) for found in _INSTRUCTION.finditer(log)]
    if not numbers:
        return None
    try:
        elf = read_elf(io.BytesIO(image))
        btf, ext = btf_of(elf), elf.named(".BTF.ext")
        section = elf.section(program_section)
        # Behind the program's own instructions libbpf appends those of the functions that it calls, in an order of its own.
        if btf is None or ext is None or section is None or numbers[-1] >= section.size // 8:
            return None
        lines = BtfExt(ext, btf.table).lines
    except BadFormat:
        return None
    before = [
        entry for entry in lines if entry.section == program_section and entry.instruction <= numbers[-1]
    ]
    return before[-1].line if before else None


def _reason(log: str) -> str:
    """The last line that is neither an instruction, nor a register state, nor a count."""
    text = log[: found.start()] if (found := _STATISTICS.search(log)) else log
    said = [
        line
        for line in text.splitlines()
        if line.strip()
        and not re.match(r"^(\d+: |; |from \d+ to |func#|arg#|R\d+(_\w+)?=|mark_precise|\s)", line)
    ]
    return said[-1] if said else "no reason given"
