"""An explanation as plain data for programs (docs/schemas/explain.schema.json). Values are in base units."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from oomlang.explanation.event import Explanation
from oomlang.explanation.focus import Focus
from oomlang.host.snapshot import spell_name, spell_path
from oomlang.ir import nodes as ir
from oomlang.targets.interp import (
    Assessment,
    Builtin,
    Candidate,
    Comparison,
    Decider,
    Exclusion,
    Guard,
    KeyValue,
    Reading,
)

VERSION = 1
_KEYS = {Builtin.BADNESS: "badness", Builtin.YOUNGER: "start", Builtin.PID: "pid"}


def structure(
    explanation: Explanation, focuses: tuple[Focus, ...] = (), limit: int | None = None
) -> dict[str, Any]:
    """Everything that the text says, and every value that it is about.

    `unevaluated`, `ranking`, `skipped` and `tasks` are iterators: a large machine's would take a gigabyte at once.
    """
    decision, situation = explanation.decision, explanation.situation
    event = situation.machine.event
    taken = situation.taken_at
    return {
        "version": VERSION,
        "policy": {"name": explanation.policy.name, "file": explanation.file},
        "source": {
            "kind": situation.kind,
            "title": situation.title,
            "taken_at": datetime.fromtimestamp(taken, UTC).isoformat(timespec="milliseconds")
            if taken is not None
            else None,
            "kernel": situation.kernel,
            "unseen": [
                {"what": list(u.what), "why": u.why, "pids": list(u.pids),
                 "memcgs": [spell_path(m) for m in u.memcgs]}
                for u in situation.unseen
            ],
        },
        "event": {
            "global": event.globally,
            "memcg": spell_path(event.scope.path if event.scope is not None else ()) if event.scope_seen else None,
            "total": event.total,
            "order": event.order,
        },
        "verdict": decision.verdict.name.lower(),
        "certain": decision.certain,
        "victim": _pid(decision.victim),
        "contenders": [c.pid for c in decision.contenders],
        "possible": sorted(v.name.lower() for v in decision.possible),
        "event_rule": rule_structure(decision.event_rule.origin) if decision.event_rule is not None else None,
        "why": explanation.why(),
        "kernel": {
            "verdict": explanation.stock.verdict.name.lower(),
            "victim": _pid(explanation.stock.victim),
            "certain": explanation.stock.certain,
        },
        "differs": explanation.differs,
        "unevaluated": (
            {"rule": decider_structure(u.rule), "pids": [c.pid for c in u.candidates], "missing": list(u.missing)}
            for u in decision.unevaluated
        ),
        "candidates": len(decision.ranking),
        "ranking": (
            _candidate(explanation, c, place)
            for place, c in enumerate(islice(decision.ranking, limit), start=1)
        ),
        "skipped": (
            {**_task(e.candidate), "cause": cause_structure(e.cause)}
            for e in sorted(decision.exclusions, key=lambda e: e.candidate.pid)
        ),
        "tasks": (_focus(focus) for focus in focuses),
    }  # fmt: skip


def _pid(candidate: Candidate | None) -> int | None:
    return candidate.pid if candidate is not None else None


def rule_structure(origin: ir.Origin) -> dict[str, Any]:
    """A rule and where it stands."""
    return {"line": origin.line, "column": origin.column, "text": origin.text}


def decider_structure(decider: Decider) -> dict[str, Any]:
    """A rule, or a key after the last rule."""
    return {"rule": rule_structure(decider)} if isinstance(decider, ir.Origin) else {"key": _KEYS[decider]}


def cause_structure(cause: Guard | ir.Origin) -> dict[str, Any]:
    """What excludes a candidate."""
    if isinstance(cause, Guard):
        return {"guard": cause.name.lower(), "meaning": cause.value}
    return {"rule": rule_structure(cause)}


def _task(candidate: Candidate) -> dict[str, Any]:
    return {
        "pid": candidate.pid,
        "comm": spell_name(candidate.comm) if candidate.comm is not None else None,
        "memcg": spell_path(candidate.memcg.path) if candidate.memcg is not None else None,
        "facts": dict(candidate.facts),
    }


def _candidate(explanation: Explanation, candidate: Candidate, place: int) -> dict[str, Any]:
    decision = explanation.decision
    following = decision.ranking[place] if place < len(decision.ranking) else None
    assessment = decision.assess(candidate)
    return {
        "place": place,
        **_task(candidate),
        **_details(assessment),
        "next": _comparison(decision.compare(candidate, following)) if following is not None else None,
    }


def _details(assessment: Assessment) -> dict[str, Any]:
    return {
        "maybe_skipped": [cause_structure(cause) for cause in assessment.maybe_excluded],
        "reads": [_reading(reading) for reading in assessment.readings],
        "keys": [_key(value) for value in assessment.keys],
    }


def _reading(reading: Reading) -> dict[str, Any]:
    value: Any = reading.value
    if isinstance(value, bytes):
        value = spell_name(value)
    elif isinstance(value, tuple):
        value = spell_path(value)
    return {"name": reading.name, "depth": reading.depth, "value": value}


def _key(value: KeyValue) -> dict[str, Any]:
    number = value.number
    return {
        **decider_structure(value.decider),
        "holds": value.holds,
        "value": value.value,
        "number": None if number == ir.LEAST else number,
        "evaluated": value.evaluated,
        "levels": [
            {"memcg": spell_path(v.memcg.path), "value": v.value, "number": v.number} for v in value.levels
        ],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first.pid,
        "second": comparison.second.pid,
        "by": by_structure(comparison),
        "level": comparison.level,
        "certain": comparison.certain,
        "undecided": [decider_structure(decider) for decider in comparison.undecided],
    }


def by_structure(comparison: Comparison) -> dict[str, Any] | None:
    """What puts the first of two candidates before the second."""
    cause = comparison.cause
    if isinstance(cause, Exclusion):
        return {"skipped": cause_structure(cause.cause)}
    return decider_structure(cause) if cause is not None else None


def _focus(focus: Focus) -> dict[str, Any]:
    assessment = focus.assessment
    exclusion = assessment.exclusion
    return {
        "place": assessment.place,
        **_task(focus.candidate),
        "cause": cause_structure(exclusion.cause) if exclusion is not None else None,
        **_details(assessment),
        "answer": list(focus.answer),
        "behind": [_comparison(comparison) for comparison in focus.comparisons],
    }
