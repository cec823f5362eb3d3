"""Everything there is to say about one OOM event under a policy: who dies, why this one, what the kernel would do.

In: a policy and a machine, and what the source of its facts says of itself. Out: an `Explanation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from oomlang.diagnostics.visible import visible
from oomlang.explanation.readable import path_text, size
from oomlang.explanation.reasons import Words
from oomlang.host import UNLIMITED, Unseen
from oomlang.ir import nodes as ir
from oomlang.targets.interp import (
    STOCK,
    Candidate,
    Comparison,
    Decision,
    Event,
    Machine,
    Memcg,
    Verdict,
    decide,
)

_LISTED = 4
"""Pids or cgroups in one sentence; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An OOM event and where its facts come from.

    kind: `live`, `snapshot` or `report`. title: what people call the source. taken_at: seconds since 1970, None where
    unknown. unseen: what the source could not see.
    """

    machine: Machine
    kind: str
    title: str
    taken_at: float | None = None
    kernel: str | None = None
    ran_out: str = ""
    unseen: tuple[Unseen, ...] = ()


def _room(event: Event, scope: Memcg) -> str:
    """The size of an event in a memory cgroup: the limit, and the swap that the kernel adds to it."""
    limit, total = scope.facts.get("memcg.limit"), event.total
    if limit is not None and limit != UNLIMITED:
        swap = "swap of unknown size" if total is None else f"{size(total - limit)} of swap"
        return f"its limit {size(limit)}" + ("" if total == limit else f", and {swap}")
    if total is None:
        return "its limit unknown"
    return (
        f"its limit and swap {size(total)}"
        if limit is None
        else f"no limit of its own, {size(total)} from above"
    )


@dataclass(frozen=True)
class Explanation:
    """A decision beside what the kernel would do without a policy. file: what to call the policy's file."""

    policy: ir.Policy
    file: str
    situation: Situation

    @cached_property
    def decision(self) -> Decision:
        return decide(self.policy, self.situation.machine)

    @cached_property
    def stock(self) -> Decision:
        """What the kernel would do without a policy."""
        return decide(STOCK, self.situation.machine)

    @cached_property
    def words(self) -> Words:
        return Words(self.decision, self.file)

    @cached_property
    def stock_words(self) -> Words:
        return Words(self.stock, self.file)

    # What happens

    @property
    def event(self) -> str:
        """Whose memory ran out, in words."""
        event = self.situation.machine.event
        if self.situation.ran_out:
            return f"{self.situation.ran_out} runs out of memory"
        total = "unknown" if event.total is None else size(event.total)
        if event.is_global or event.scope is None:
            return f"the whole machine runs out of memory (RAM and swap {total})"
        return f"the memory cgroup {path_text(event.scope.path)} runs out of memory ({_room(event, event.scope)})"

    @property
    def taken(self) -> str:
        """Where the facts come from, and of when."""
        situation = self.situation
        when = ""
        if situation.taken_at is not None:
            moment = datetime.fromtimestamp(situation.taken_at).astimezone()
            when = f", {moment.isoformat(sep=' ', timespec='seconds')}"
        return visible(f"{situation.title}{when}")

    @cached_property
    def against_next(self) -> Comparison | None:
        """What puts the victim before the second; None where there is no victim or nobody else."""
        ranking = self.decision.ranking
        if self.decision.victim is None or len(ranking) < 2:
            return None
        return self.decision.compare(ranking[0], ranking[1])

    def why(self) -> list[str]:
        """Why this one: sentences, the most important first."""
        decision, words = self.decision, self.words
        if decision.verdict is not Verdict.VICTIM or decision.victim is None:
            return []
        if self.against_next is None:
            return [f"{words.name(decision.victim)} is the only candidate that is not skipped"]
        found = [f"it comes before {words.name(decision.ranking[1])}: {words.comparison(self.against_next)}"]
        usual = self.stock.victim
        if usual is not None and usual not in decision.ranking[:2]:
            found.append(
                f"it comes before {words.name(usual)}, whom the kernel would take: {self._before(usual)}"
            )
        return found

    def _before(self, other: Candidate) -> str:
        assert self.decision.victim is not None  # the caller's
        return self.words.comparison(self.decision.compare(self.decision.victim, other))

    # The kernel

    @cached_property
    def differs(self) -> bool | None:
        """Whether the policy's choice differs from the kernel's; None where that is uncertain."""
        ours, usual = self.decision, self.stock
        if ours.possible == frozenset((Verdict.KERNEL_DECIDES,)):
            return False
        if ours.certain and usual.certain:
            if ours.verdict is Verdict.KERNEL_DECIDES:
                return False
            return (ours.verdict, ours.victim) != (usual.verdict, usual.victim)
        both = ours.possible & usual.possible or Verdict.KERNEL_DECIDES in ours.possible
        if not both:
            return True
        if ours.possible == usual.possible == frozenset((Verdict.VICTIM,)):
            both_others = ours.others and usual.others
            return None if both_others or set(ours.contenders) & set(usual.contenders) else True
        return None

    def kernel_says(self) -> str:
        """What the kernel would do, and whether that is the same."""
        usual = self.stock_words.verdict()
        unsure = "" if self.stock.certain else f" (or {self._others(self.stock_words)})"
        if self.differs is None:
            return f"without a policy {usual}{unsure}; whether the policy changes that is uncertain"
        if self.differs:
            return f"without a policy {usual}{unsure}: the policy changes that"
        return f"without a policy {usual}{unsure}, too: the policy does not change that"

    # What is uncertain

    def doubts(self) -> list[str]:
        """What is uncertain, between whom, and which rules could not be evaluated; nothing where all is certain."""
        decision = self.decision
        if decision.certain:
            return []
        found = (
            f"this is the likeliest answer, not a certain one; it could also be {self._others(self.words)}"
        )
        return [found, *self.words.all_unevaluated(decision.unevaluated)]

    def _others(self, words: Words) -> str:
        decision = words.decision
        ends = sorted(v.value for v in decision.possible - {decision.verdict} if v is not Verdict.VICTIM)
        rivals = [c for c in decision.contenders if c is not decision.victim]
        parts = [words.names(rivals, "or")] if rivals else []
        parts += ["one that could not be seen"] if decision.others else []
        parts += [f"that {end}" for end in ends]
        return " or ".join(parts)

    def unseen(self) -> list[str]:
        """What the source could not see, in words."""
        return list(unseen_texts(self.situation.unseen))


_UNSEEN = {
    "guard": "the kernel's guards",
    "task": "processes",
    "memcg": "the memory cgroup",
    "report": "a part",
}


def unseen_texts(unseen: Iterable[Unseen]) -> Iterator[str]:
    """What could not be seen, and why, in words."""
    for item in unseen:
        whose = [f"pid {pid}" for pid in item.pids] or [path_text(path) for path in item.memcgs]
        more = f" and {len(whose) - _LISTED} more" if len(whose) > _LISTED else ""
        of = f" of {', '.join(whose[:_LISTED])}{more}" if whose else ""
        what = ", ".join(_UNSEEN.get(word, word) for word in item.what)
        yield visible(f"{what}{of}: {item.why}")
