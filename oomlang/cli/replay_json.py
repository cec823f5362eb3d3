"""What `oomlang replay --format jsonl` writes: a line for each event, the last for all of them
(docs/schemas/replay.schema.json). Rules, names and causes are spelled as `explain` does.
"""

from __future__ import annotations

import json
from typing import Any

from oomlang.explanation.reasons import Words
from oomlang.explanation.structure import by_structure, decider_structure, rule_structure
from oomlang.host.snapshot import spell_name, spell_path
from oomlang.replay import Outcome, Replayed, Summary
from oomlang.targets.interp import Candidate, Verdict

VERSION = 1


def event_line(log: str, policy: str, replayed: Replayed) -> bytes:
    """One event."""
    report, decision = replayed.report, replayed.decision
    known = replayed.outcome is not Outcome.NO_FACTS
    return _line(
        {
            "version": VERSION,
            "file": log,
            "line": report.line,
            "time": report.time or None,
            "host": report.host or None,
            "event": {
                "global": report.is_global,
                "memcg": spell_path(report.scope) if report.scope is not None else None,
                "order": report.order,
                "total": decision.machine.event.total,
                "constraint": report.constraint,
                "candidates": len(decision.candidates),
            },
            "kernel": {
                "pid": report.chosen,
                "comm": _comm(report.task(report.chosen))
                or (spell_name(report.chosen_comm) if report.chosen_comm is not None else None),
                "memcg": spell_path(report.victim_memcg) if report.victim_memcg is not None else None,
                "killed": [{"pid": kill.pid, "comm": spell_name(kill.comm)} for kill in report.kills],
                "freed": replayed.freed,
            },
            "policy": {
                "verdict": decision.verdict.name.lower(),
                "certain": decision.certain,
                "victim": _task(decision.victim),
                "possible": sorted(v.name.lower() for v in decision.possible),
                "contenders": [_task(c) for c in decision.contenders],
                "others": decision.others,
                "event_rule": rule_structure(decision.event_rule.origin)
                if decision.event_rule is not None
                else None,
                "why": _why(replayed, policy),
                "freed": replayed.freed_now,
            }
            if known
            else None,
            "outcome": replayed.outcome.name.lower(),
            "protected": [_task(c) for c in replayed.protected],
            "perhaps_protected": [_task(c) for c in replayed.perhaps_protected],
            "unevaluated": [
                {
                    "rule": decider_structure(u.rule),
                    "pids": [c.pid for c in u.candidates],
                    "missing": list(u.missing),
                }
                for u in decision.unevaluated
            ]
            if known
            else [],
            "notes": list(replayed.notes),
        }
    )


def summary_line(summary: Summary) -> bytes:
    """The last line."""
    return _line(
        {
            "version": VERSION,
            "summary": {
                "events": summary.events,
                **{outcome.name.lower(): number for outcome, number in summary.outcomes.items()},
                "measured": summary.measured,
                "freed": summary.freed,
                "freed_by_policy": summary.freed_now,
                "protected_died": len(summary.protected),
            },
        }
    )


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _comm(task: Any) -> str | None:
    return spell_name(task.comm) if task is not None else None


def _task(candidate: Candidate | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    return {
        "pid": candidate.pid,
        "comm": spell_name(candidate.comm) if candidate.comm is not None else None,
        "rss": candidate.facts.get("rss"),
    }


def _why(replayed: Replayed, policy: str) -> dict[str, Any] | None:
    """What puts the policy's choice before the kernel's, or before the next one where they are the same."""
    decision, actual = replayed.decision, replayed.actual
    if decision.verdict is not Verdict.VICTIM or len(decision.ranking) < 1:
        return None
    victim, *others = decision.ranking[:2]
    against = actual if actual is not None and actual is not victim else others[0] if others else None
    if against is None:
        return None
    comparison = decision.compare(victim, against)
    if comparison.cause is None:
        return None
    return {
        "against": against.pid,
        "by": by_structure(comparison),
        "certain": comparison.certain,
        "text": Words(decision, policy).comparison(comparison),
    }
