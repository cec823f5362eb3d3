"""Why one task goes before another, in sentences.

In: the parts of a decision's explanation (`oomlang.targets.interp.results`). Out: text without a line end, fit for a
terminal: every name in it went through `visible`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from oomlang.diagnostics.visible import visible
from oomlang.explanation.readable import UNSEEN, name_text, path_text, quantities, quantity
from oomlang.facts import FACTS, Type
from oomlang.ir import nodes as ir
from oomlang.ir.reads import reads
from oomlang.targets.interp import (
    Builtin,
    Candidate,
    Comparison,
    Decider,
    Decision,
    Exclusion,
    Guard,
    KeyValue,
    LevelValue,
    Reading,
    Unevaluated,
    Verdict,
)

_SHOWN = 3
"""Names in one sentence; the others are counted."""

_EVALUATED = {
    Builtin.BADNESS: "the kernel's own badness",
    Builtin.YOUNGER: "the later start",
    Builtin.PID: "the higher pid",
}


def comm_and_pid(candidate: Candidate) -> str:
    """`python3 (pid 4711)`."""
    return f"{name_text(candidate.comm)} (pid {candidate.pid})"


@dataclass(frozen=True)
class Words:
    """The sentences about one decision. file: what to call the policy's file. name: what to call a candidate."""

    decision: Decision
    file: str
    name: Callable[[Candidate], str] = comm_and_pid

    # The event

    def verdict(self) -> str:
        """How the event ends."""
        decision = self.decision
        rule = decision.event_rule
        match decision.verdict:
            case Verdict.VICTIM:
                assert decision.victim is not None  # that is what the verdict says
                return f"{self.name(decision.victim)} dies"
            case Verdict.KERNEL_DECIDES:
                assert rule is not None  # only a rule can say so
                return f"the kernel decides as it would without a policy: {self.rule(rule.origin)} holds"
            case Verdict.KILL_NOTHING:
                assert rule is not None  # only a rule can say so
                return f"nothing is killed: {self.rule(rule.origin)} holds"
            case Verdict.NONE_LEFT:
                if not decision.candidates:
                    return "there is no candidate"
                return f"no candidate is left: all {len(decision.candidates)} are skipped"
            case Verdict.ABORTED:
                dying = [c for c in decision.candidates if c.guard is Guard.DYING]
                return f"nobody else is killed: {self.names(dying)} is a victim already and still dying"

    # Rules

    def rule(self, origin: ir.Origin) -> str:
        """`kill first when … (policy.oom:7)`."""
        return f"{self.rule_text(origin)} ({visible(self.file)}:{origin.line})"

    def rule_text(self, origin: ir.Origin) -> str:
        """The rule's own text on one line."""
        return visible(" ".join(origin.text.split()))

    def decider(self, decider: Decider) -> str:
        """A rule with its place, or what the key after the last rule compares."""
        return self.rule(decider) if isinstance(decider, ir.Origin) else _EVALUATED[decider]

    def decider_text(self, decider: Decider) -> str:
        """The same without a place, for a table."""
        return self.rule_text(decider) if isinstance(decider, ir.Origin) else _EVALUATED[decider]

    def cause(self, cause: Guard | ir.Origin) -> str:
        """What excludes a candidate."""
        return self.rule(cause) if isinstance(cause, ir.Origin) else f"the kernel's own guard: {cause.value}"

    def exclusion(self, exclusion: Exclusion) -> str:
        """Why a candidate is skipped."""
        who, cause = self.name(exclusion.candidate), exclusion.cause
        if isinstance(cause, Guard):
            return f"the kernel itself skips {who}: {cause.value}"
        facts = self._facts(ir.rule_expressions(self._rules[cause.number]), (exclusion.candidate,))
        return f"{self.rule(cause)} covers {who}{facts}"

    # Comparisons

    def comparison(self, comparison: Comparison) -> str:
        """Why `first` goes before `second`."""
        cause = comparison.cause
        if cause is None:
            return "neither can be killed"
        if isinstance(cause, Exclusion):
            return self.exclusion(cause)
        if isinstance(cause, Builtin):
            return f"no rule of the policy tells them apart; {self._builtin(cause, comparison)}"
        key = self._rules[cause.number]
        assert isinstance(key, ir.FlagKey | ir.ValueKey | ir.EachDepthKey)
        return f"{self.rule(cause)}: {self._by_key(key, comparison)}"

    def short(self, comparison: Comparison) -> str:
        """The same in the fewest words, for a table: the rule and the two values."""
        cause = comparison.cause
        if isinstance(cause, Exclusion) or cause is None:
            return ""
        first, second = comparison.first_value, comparison.second_value
        values_known = first is not None and second is not None and None not in (first.value, second.value)
        if (
            cause is Builtin.BADNESS
            and first is not None
            and second is not None
            and (values_known or not comparison.certain)
        ):
            return f"badness {' > '.join(quantities(first.value, second.value, Type.BYTES))}"
        if isinstance(cause, Builtin):
            return _EVALUATED[cause]
        key = self._rules[cause.number]
        assert isinstance(key, ir.FlagKey | ir.ValueKey | ir.EachDepthKey)
        if isinstance(key, ir.FlagKey) or first is None or second is None or not second.holds:
            return self.rule_text(cause)
        if isinstance(key, ir.EachDepthKey):
            if comparison.level is None:
                return self.rule_text(cause)
            first_level, second_level = _levels(comparison.level, first, second)
            if first_level.number == second_level.number:
                return f"{self.rule_text(cause)}: the higher cgroup id"
            values = quantities(first_level.value, second_level.value, key.type)
        else:
            values = quantities(first.value, second.value, key.type)
        return f"{self.rule_text(cause)}: {(' > ' if key.highest else ' < ').join(values)}"

    def _builtin(self, cause: Builtin, comparison: Comparison) -> str:
        first, second = comparison.first_value, comparison.second_value
        assert first is not None  # as for every key
        assert second is not None
        match cause:
            case Builtin.BADNESS:
                a, b = quantities(first.value, second.value, Type.BYTES)
                one, other = self.name(comparison.first), self.name(comparison.second)
                if comparison.certain and UNSEEN in (a, b):
                    return f"the kernel's own badness is higher for {one} than for {other}, whatever could not be seen"
                return f"the kernel's own badness is {a} for {one}, {b} for {other}"
            case Builtin.YOUNGER:
                return f"their badness is equal, and {self.name(comparison.first)} started later"
            case Builtin.PID:
                return (
                    f"their badness and start are equal, and {self.name(comparison.first)} has the higher pid"
                )

    def _by_key(self, key: ir.Key, comparison: Comparison) -> str:
        first, second = comparison.first_value, comparison.second_value
        assert first is not None  # as for every key
        assert second is not None
        a, b = self.name(comparison.first), self.name(comparison.second)
        both = (comparison.first, comparison.second)
        if isinstance(key, ir.FlagKey):
            yes, no = (a, b) if key.first else (b, a)
            if first.holds is None or second.holds is None:
                unknown = [name for name, value in ((a, first), (b, second)) if value.holds is None]
                return f"it is unknown whether it holds for {_and(unknown)}"
            return f"it holds for {yes} and not for {no}{self._facts((key.condition,), both)}"
        if first.holds and not second.holds:
            verb = "may not" if second.holds is None else "does not"
            when = (key.when,) if key.when is not None else ()
            return f"its `when` {verb} hold for {b}{self._facts(when, both)}"
        if isinstance(key, ir.EachDepthKey):
            return self._level(key, comparison)
        x, y = quantities(first.value, second.value, key.type)
        steps = ""
        if key.step > 1 and first.number is not None and second.number is not None:
            steps = f" (in whole steps: {abs(first.number)} and {abs(second.number)})"
        return f"{x} for {a}, {y} for {b}{steps}"

    def _level(self, key: ir.EachDepthKey, comparison: Comparison) -> str:
        first, second, level = comparison.first_value, comparison.second_value, comparison.level
        if level is None or first is None or second is None:
            return "the cgroup of one of them is unknown"
        one, other = _levels(level, first, second)
        x, y = quantities(one.value, other.value, key.type)
        mine, theirs = path_text(one.memcg.path), path_text(other.memcg.path)
        by_id = "; the same number, so the higher cgroup id decides" if one.number == other.number else ""
        return f"{level} below the scope, {mine} has {x} and {theirs} has {y}{by_id}"

    # Values

    def reading(self, reading: Reading) -> str:
        """A value of a fact or an input."""
        value = reading.value
        if isinstance(value, bytes):
            return name_text(value)
        if isinstance(value, tuple):
            return path_text(value)
        return quantity(value, self.type_of(reading.name))

    def type_of(self, name: str) -> Type:
        """The type of a fact or an input of the policy."""
        if name in FACTS:
            return FACTS[name].type
        return next(i.type for i in self.decision.policy.inputs if i.name == name)

    def key_value(self, value: KeyValue) -> str:
        """What a key says of a candidate, in one cell of a table."""
        decider = value.decider
        if isinstance(decider, Builtin):
            if decider is Builtin.BADNESS:
                return quantity(value.value, Type.BYTES)
            return UNSEEN if value.value is None else str(value.value) if decider is Builtin.PID else ""
        key = self._rules[decider.number]
        if isinstance(key, ir.FlagKey):
            return UNSEEN if value.holds is None else "yes" if value.holds else "no"
        assert isinstance(key, ir.ValueKey | ir.EachDepthKey)
        if value.holds is False:
            return "does not apply"
        perhaps = "" if value.holds else f"{UNSEEN} "
        if isinstance(key, ir.EachDepthKey):
            return perhaps + (" / ".join(quantity(v.value, key.type) for v in value.levels) or UNSEEN)
        return perhaps + quantity(value.value, key.type)

    def unevaluated(self, found: Unevaluated) -> str:
        """A rule that could not be evaluated, for whom, and what was not seen."""
        return self.all_unevaluated((found,))[0]

    def all_unevaluated(self, found: Iterable[Unevaluated]) -> list[str]:
        """A sentence for the rules that lack the same facts of the same candidates."""
        alike: dict[tuple[tuple[Candidate, ...], tuple[str, ...]], list[Decider]] = {}
        for item in found:
            alike.setdefault((item.candidates, item.missing), []).append(item.rule)
        return [
            f"not evaluated: {_and(map(self.decider, rules))}{f' for {self.names(whose)}' if whose else ''}"
            + (f", as {_and(missing)} could not be seen" if missing else "")
            for (whose, missing), rules in alike.items()
        ]

    def names(self, candidates: Iterable[Candidate], word: str = "and") -> str:
        """Some names, and how many more there are."""
        listed = list(candidates)
        more = len(listed) - _SHOWN
        if more == 1:
            return _and([self.name(c) for c in listed], word)
        shown = [self.name(c) for c in listed[:_SHOWN]]
        return _and(shown if more <= 0 else [*shown, f"{more} others"], word)

    def _facts(self, expressions: tuple[ir.Expression, ...], whose: tuple[Candidate, ...]) -> str:
        """What expressions read of candidates: ` (memcg: /batch.slice and /user.slice)`."""
        asked = set(reads(expressions, self.decision.policy))
        columns = [[r for r in self.decision.assess(c).readings if (r.name, r.depth) in asked] for c in whose]
        parts = []
        for same in zip(*columns, strict=True):
            depth = f" at depth {same[0].depth}" if same[0].depth is not None else ""
            shown = dict.fromkeys(map(self.reading, same))
            parts.append(f"{same[0].name}{depth}: {' and '.join(shown)}")
        return f" ({'; '.join(parts)})" if parts else ""

    @cached_property
    def _rules(self) -> dict[int, ir.Rule]:
        return {rule.origin.number: rule for rule in self.decision.policy.rules}


def _levels(level: int, first: KeyValue, second: KeyValue) -> tuple[LevelValue, LevelValue]:
    """What two candidates have at a level; below its own cgroup a candidate stands for itself."""
    one, other = (v.levels[min(level, len(v.levels)) - 1] for v in (first, second))
    return one, other


def _and(words: Iterable[str], word: str = "and") -> str:
    *most, last = words
    return f"{', '.join(most)} {word} {last}" if most else last
