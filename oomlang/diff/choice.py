"""What a policy makes of an event, so that two policies can be compared.

In: a decision. Out: a `Choice`; and how two stand to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from oomlang.targets.interp import STOCK, Candidate, Decision, Verdict, decide


class Relation(Enum):
    """How the choices of two policies stand to each other."""

    SAME = "same"
    DIFFERENT = "different"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How an event ends. victim: the one that dies, None where nobody does. could: all that could die, nobody (None)
    among them; more than one where facts are unknown. others: also some that the source of the facts may lack.
    by_kernel: a rule leaves the event to the kernel.
    """

    victim: Candidate | None
    could: frozenset[Candidate | None]
    by_kernel: bool
    others: bool = False


def choice(decision: Decision) -> Choice:
    """What becomes of an event. An event that is left to the kernel ends as the stock kernel ends it."""
    could: set[Candidate | None] = set(decision.contenders)
    others = decision.others
    if Verdict.KERNEL_DECIDES in decision.possible:
        usual = choice(decide(STOCK, decision.machine))
        could |= usual.could
        others = others or usual.others
    if decision.possible - {Verdict.KERNEL_DECIDES, Verdict.VICTIM}:
        could.add(None)
    by_kernel = decision.verdict is Verdict.KERNEL_DECIDES
    victim = choice(decide(STOCK, decision.machine)).victim if by_kernel else decision.victim
    return Choice(victim=victim, could=frozenset(could), by_kernel=by_kernel, others=others)


def relation(old: Choice, new: Choice) -> Relation:
    """Whether the same task dies; different for sure only where none could die by both."""
    if old.others and new.others:
        return Relation.UNCERTAIN
    if len(old.could) == 1 and old.could == new.could and not (old.others or new.others):
        return Relation.SAME
    if not old.could & new.could:
        return Relation.DIFFERENT
    return Relation.UNCERTAIN
