"""The keys of a policy, and the three that always stand after them, as columns that candidates are ordered
by.

A key gives each candidate a number, the higher first. Where the number is unknown the column holds the least
and the most that it can be: `low` and `high`. For `at each depth` the number is a rank made for this event: 0
for a candidate for which `when` does not hold, else that of its cgroup (`Tree`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from operator import neg, not_
from typing import Any, TypeAlias

from oomlang.ir import nodes as ir
from oomlang.ir.levels import Level
from oomlang.targets.interp import values
from oomlang.targets.interp.expressions import Evaluation
from oomlang.targets.interp.machine import Machine
from oomlang.targets.interp.readers import Column
from oomlang.targets.interp.tree import Tree, key_number


class Builtin(Enum):
    """The keys after the last rule; the values are words for a message."""

    BADNESS = "higher badness"
    YOUNGER = "later start"
    PID = "higher pid"


Decider: TypeAlias = ir.Origin | Builtin
"""A rule, or a built-in key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumn:
    """A key's numbers, for each candidate.

    low, high: the same list where all are known (`exact`). of_memcg: the number depends on the candidate's
    cgroup alone. condition: that of a `FlagKey`, or `when`. value: what the rule's expression gave, before
    steps. tree: of an `EachDepthKey`. ends: the values with an unknown oom.total at its least and at its most: all
    candidates see the same one, so that comparing them there says more than comparing `low` with `high`.
    """

    decider: Decider
    key: ir.Key | None
    low: Sequence[Any]
    high: Sequence[Any]
    exact: bool
    of_memcg: bool = False
    condition: Column | None = None
    value: Column | None = None
    tree: Tree | None = None
    ends: tuple[Column, Column] | None = None


def key_columns(policy: ir.Policy, evaluation: Evaluation, machine: Machine) -> list[KeyColumn]:
    """A column for each key of a policy, then the built-in ones."""
    return [_key_column(policy, key, evaluation, machine) for key in policy.keys] + _builtins(evaluation)


def _key_column(policy: ir.Policy, key: ir.Key, evaluation: Evaluation, machine: Machine) -> KeyColumn:
    match key:
        case ir.FlagKey():
            return _flag(key, evaluation)
        case ir.ValueKey():
            return _value(key, evaluation)
        case ir.EachDepthKey():
            return _each_depth(policy, key, evaluation, machine)


def _flag(key: ir.FlagKey, evaluation: Evaluation) -> KeyColumn:
    condition = evaluation.column(key.condition)
    number = condition
    if not key.first:
        inverted = map(not_ if condition.exact else values.invert, condition.values)
        number = Column(level=condition.level, values=list(inverted), exact=condition.exact)
    return _plain(key, number, evaluation, condition=condition)


def _value(key: ir.ValueKey, evaluation: Evaluation) -> KeyColumn:
    value = evaluation.column(key.value)
    number = value
    if not value.exact:
        number = Column(level=value.level, values=[key_number(key, v) for v in value.values], exact=False)
    elif key.step > 1:
        steps = [v // key.step for v in value.values]  # the floor first, then the sign
        number = Column(level=value.level, values=steps if key.highest else list(map(neg, steps)), exact=True)
    elif not key.highest:
        number = Column(level=value.level, values=list(map(neg, value.values)), exact=True)
    if key.when is None:
        return _plain(key, number, evaluation, value=value)
    condition = evaluation.column(key.when)
    least = Column(level=Level.EVENT, values=[ir.LEAST], exact=True)
    return _plain(
        key, evaluation.select(condition, number, least), evaluation, condition=condition, value=value
    )


def _plain(
    key: ir.Key,
    number: Column,
    evaluation: Evaluation,
    *,
    condition: Column | None = None,
    value: Column | None = None,
) -> KeyColumn:
    spread = evaluation.view.spread(number, Level.TASK)
    if number.exact:
        low = high = spread if isinstance(spread, Sequence) else list(spread)
    else:
        spread = list(spread)
        low, high = [values.low(v) for v in spread], [values.high(v) for v in spread]
    return KeyColumn(
        decider=key.origin,
        key=key,
        low=low,
        high=high,
        exact=number.exact,
        of_memcg=number.level <= Level.MEMCG,
        condition=condition,
        value=value,
    )


def _each_depth(
    policy: ir.Policy, key: ir.EachDepthKey, evaluation: Evaluation, machine: Machine
) -> KeyColumn:
    view = evaluation.view
    tree = Tree(policy, key, machine, view.memcgs)
    condition = evaluation.column(key.when) if key.when is not None else None
    exact = tree.exact and (condition is None or condition.exact)
    low = [tree.low[i] for i in view.index]
    high = low if exact else [tree.high[i] for i in view.index]
    if condition is not None:
        holds = list(view.spread(condition, Level.TASK))
        high = high if exact else [v if values.high(h) else 0 for v, h in zip(high, holds, strict=True)]
        holds = holds if exact else list(map(values.low, holds))
        low = [v if h else 0 for v, h in zip(low, holds, strict=True)]
        high = low if exact else high
    return KeyColumn(
        decider=key.origin,
        key=key,
        low=low,
        high=high,
        exact=exact,
        of_memcg=condition is None or condition.level <= Level.MEMCG,
        condition=condition,
        tree=tree,
    )


def _builtins(evaluation: Evaluation) -> list[KeyColumn]:
    tasks = evaluation.view.tasks
    badness = evaluation.readers.number("badness")
    low = badness.values if badness.exact else [values.low(v) for v in badness.values]
    high = badness.values if badness.exact else [values.high(v) for v in badness.values]
    found = [
        KeyColumn(
            decider=Builtin.BADNESS,
            key=None,
            low=low,
            high=high,
            exact=badness.exact,
            value=badness,
            ends=None if badness.exact else evaluation.readers.badness_at_ends(),
        )
    ]
    starts = tasks.starts
    if None in starts:
        low = [-_INFINITE if s is None else s for s in starts]
        high = [_INFINITE if s is None else s for s in starts]
        found.append(KeyColumn(decider=Builtin.YOUNGER, key=None, low=low, high=high, exact=False))
    else:
        found.append(KeyColumn(decider=Builtin.YOUNGER, key=None, low=starts, high=starts, exact=True))
    pids = tasks.pids
    found.append(KeyColumn(decider=Builtin.PID, key=None, low=pids, high=pids, exact=True))
    return found


_INFINITE = float("inf")
"""Beyond every start, whatever its unit."""
