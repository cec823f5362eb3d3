"""The parts of a decision's explanation.

None stands for a value that is unobservable, or that follows from one: it is never 0 instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from oomlang.facts import Interval
from oomlang.ir import nodes as ir
from oomlang.targets.interp.keys import Decider
from oomlang.targets.interp.machine import Candidate, Guard, Memcg


class Verdict(Enum):
    """How an event ends; the values are words for a message."""

    VICTIM = "a victim is chosen"
    NONE_LEFT = "no candidate is left"
    KERNEL_DECIDES = "the kernel decides"
    KILL_NOTHING = "nothing is killed"
    ABORTED = "a victim is dying already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Why a candidate is skipped: one of the kernel's guards, or the first `never kill` rule that covers it."""

    candidate: Candidate
    cause: Guard | ir.Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A fact or an input as a policy reads it. depth: of `at depth`. value: base units, bytes for a text,
    components for a path.
    """

    name: str
    depth: int | None
    value: int | bytes | tuple[bytes, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelValue:
    """What `at each depth` sees at one level. value: base units. number: in steps, negated for `lowest`."""

    memcg: Memcg
    value: int | None
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """What a key says of a candidate.

    holds: the condition of `kill first|last when`, or the `when` of a ranking; true where there is none.
    value: of the expression that is ranked by, base units, before steps (the key itself for a built-in one,
    where `start` has the unit of the source); None for a flag, too. number: the key's number as
    `oomlang.ir.nodes` defines it. possible: all that the number can be, where it is unknown. levels: of `at
    each depth`, from the scope downwards; there is no `number` then.
    """

    decider: Decider
    holds: bool | None = True
    value: int | None = None
    number: int | None = None
    possible: Interval | None = None
    levels: tuple[LevelValue, ...] = ()

    @property
    def evaluated(self) -> bool:
        """Whether the key's number is known."""
        if self.levels:
            return self.holds is False or (
                self.holds is True and all(v.number is not None for v in self.levels)
            )
        return self.number is not None or self.holds is False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Why `first` goes before `second`.

    cause: the rule or built-in key that tells them apart; or what excludes `second`; None where both are
    excluded and neither can die. level: of `at each depth`, counted from 1 below the scope. certain: the
    order is the same whatever the unobservable facts are. undecided: the rules and keys up to there that
    might tell them apart the other way, or first, because a value is unknown.
    """

    first: Candidate
    second: Candidate
    cause: Decider | Exclusion | None
    first_value: KeyValue | None = None
    second_value: KeyValue | None = None
    level: int | None = None
    certain: bool = True
    undecided: tuple[Decider, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All that a decision says of one candidate.

    place: in the order, from 1; None for an excluded one. maybe_excluded: guards and `never kill` rules of
    which it is unknown whether they cover it. readings: what the policy reads of it, the event's facts
    included.
    """

    candidate: Candidate
    place: int | None
    exclusion: Exclusion | None
    maybe_excluded: tuple[Guard | ir.Origin, ...]
    readings: tuple[Reading, ...]
    keys: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unevaluated:
    """A rule that could not be evaluated for some candidates, and the unobservable facts that it lacked.

    candidates: none where the rule is about the event.
    """

    rule: Decider
    candidates: tuple[Candidate, ...]
    missing: tuple[str, ...]
