"""What an object of ours says about itself: the JSON in its section `.oomlang`.

In: the compiler's `Metadata`, or an object of any origin. Out: the section's text; or the `Metadata` of an object that is
ours, None for one that is not, or a `BadFormat` that says what is wrong. docs/targets.md describes each field.

The loader, `inspect` and `status` know a policy and its target by this alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, NoReturn

from oomlang.objects import BadFormat
from oomlang.objects.elf import ElfFile, read_object
from oomlang.objects.json_records import from_json, to_json
from oomlang.records import dataclass

SECTION: Final = ".oomlang"
FORMAT: Final = 2
LANGUAGE_VERSION: Final = 1
KNOBS: Final = ".data.inputs"
"""The map of all inputs that are not per memcg, and the section of their variables."""
ANSWERED: Final = "answered"
"""The map of what was asked about cgroups before."""

_MAX_BYTES = 4 << 20
_LAST_LINE = (1 << 22) - 1  # the kernel's struct bpf_line_info has 22 bits for a line

Lines = tuple[tuple[int, int], ...]
"""Ranges of lines of the C, each with its first and its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text that the object was made from; `name` has no directories."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, and the section that says which hook it is attached to."""

    name: str
    section: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """A map that is no data section; sizes of key and value in bytes."""

    name: str
    type: str
    key: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value that user space gives the policy, in base units.

    It is the variable `variable` of the map `map`, or in a map of its own the value of each cgroup; size: its bytes.
    """

    name: str
    type: str
    per_memcg: bool
    default: int
    lowest: int
    highest: int
    map: str
    variable: str
    size: int

    def encode(self, value: int) -> bytes:
        """As it lies in its map. Errors: `ValueError` outside its range."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"input {self.name!r} takes {self.lowest} to {self.highest}, not {value}")
        return value.to_bytes(self.size, "little", signed=self.size > 1)

    def decode(self, data: bytes) -> int:
        """Back from there."""
        return int.from_bytes(data, "little", signed=self.size > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule with its place in the policy's text (from 1), and the facts and inputs that it reads."""

    number: int
    kind: str
    line: int
    column: int
    text: str
    facts: tuple[str, ...]
    inputs: tuple[str, ...]
    c_lines: Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Let:
    """A named value with its place in the policy's text; one that nothing uses has no lines of C."""

    name: str
    line: int
    column: int
    text: str
    c_lines: Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """A field of a record; offset and size in bytes, little-endian."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a program writes about each process."""

    size: int
    fields: tuple[RecordField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The section's content.

    digest: as `targets.bpf.seal` sets it. decides: whether its programs are attached to OOM events. programs: in the
    order in which they are attached, the last one being what makes the choice. kfuncs: that they call. turn: the map that
    says which generation's turn it is, where all of a policy's generations share one. record: None where no program writes
    one.
    """

    language: int
    compiler: str
    digest: str
    name: str
    source: Source
    target: str
    decides: bool
    programs: tuple[Program, ...]
    kfuncs: tuple[str, ...]
    turn: str | None
    maps: tuple[Map, ...]
    inputs: tuple[Input, ...]
    rules: tuple[Rule, ...]
    lets: tuple[Let, ...]
    facts: tuple[str, ...]
    record: Record | None

    @property
    def owners(self) -> tuple[Rule | Let, ...]:
        """All that lines of the C can have been made for."""
        return (*self.rules, *self.lets)

    def input(self, name: str, *, per_memcg: bool) -> Input:
        """The input of that name and kind. Errors: `ValueError`."""
        for declared in self.inputs:
            if (declared.name, declared.per_memcg) == (name, per_memcg):
                return declared
        kind = "per memcg" if per_memcg else "that is a knob"
        raise ValueError(f"the policy has no input {name!r} {kind}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, keys in a fixed order."""
        return {"format": FORMAT, **to_json(self)}

    def to_text(self) -> str:
        """The section's text: one line of ASCII."""
        import json

        return json.dumps(self.to_json(), ensure_ascii=True, separators=(",", ":"))

    @staticmethod
    def from_json(parsed: Any) -> Metadata:
        """Back from JSON of any origin. Errors: `BadFormat`."""
        if isinstance(parsed, dict):
            format_ = parsed.get("format")
            if type(format_) is not int or format_ != FORMAT:
                raise BadFormat(
                    f"it is of the format {str(format_)[:40]!r}, and only {FORMAT} is known here: compile the policy again"
                )
        found = from_json(Metadata, parsed)
        if found.language > LANGUAGE_VERSION:
            raise BadFormat(
                f"it is of language version {found.language}, and only {LANGUAGE_VERSION} is known here"
            )
        _check_lines(found)
        return found

    @staticmethod
    def of_object(elf: ElfFile) -> Metadata | None:
        """What an object says; None for one that is not ours. Errors: `BadFormat`."""
        data = elf.named(SECTION)
        if data is None:
            return None
        import json  # only where there is something to read: `check` has no use for it

        if len(data) > _MAX_BYTES:
            raise BadFormat(f"its section `{SECTION}` has {len(data)} bytes, more than any of ours")
        try:
            parsed = json.loads(data.decode("utf-8"), parse_constant=_no_number)
        except RecursionError as error:
            raise BadFormat(f"its section `{SECTION}` is not JSON (nested too deeply)") from error
        except ValueError as error:
            raise BadFormat(f"its section `{SECTION}` is not JSON ({str(error)[:200]})") from error
        try:
            return Metadata.from_json(parsed)
        except BadFormat as error:
            raise BadFormat(f"its section `{SECTION}` is not as oomlang writes it: {error}") from error


def read_metadata(image: bytes) -> Metadata:
    """What an object of ours says. Errors: `BadFormat`, also for one that is not ours."""
    found = Metadata.of_object(read_object(image))
    if found is None:
        raise BadFormat(f"it has no section `{SECTION}`: oomlang did not make it")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _check_lines(metadata: Metadata) -> None:
    """A line of C has one owner at most, and every rule has some."""
    ranges = []
    for number, owner in enumerate(metadata.owners):
        is_rule = number < len(metadata.rules)
        place = f"rules[{number}]" if is_rule else f"lets[{number - len(metadata.rules)}]"
        if is_rule and not owner.c_lines:
            raise BadFormat(f"`{place}.c_lines` is empty")
        for at, (first, last) in enumerate(owner.c_lines):
            path = f"`{place}.c_lines[{at}]`"
            if not 1 <= first <= last <= _LAST_LINE:
                raise BadFormat(f"{path} is no range of lines")
            ranges.append((first, last, path))
    for (_, last, path), (first, _, other) in pairwise(sorted(ranges)):
        if first <= last:
            raise BadFormat(f"{path} and {other} have a line in common")
