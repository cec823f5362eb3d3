"""What `oomlang replay` prints for people. Every name in it is made fit for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from oomlang.cli import streams
from oomlang.diagnostics.visible import visible
from oomlang.explanation.readable import name_text, path_text, size
from oomlang.explanation.reasons import Words
from oomlang.host.reports import Report
from oomlang.replay import Outcome, Replayed, Summary
from oomlang.targets.interp import Builtin, Candidate, Verdict

_STYLES = {
    Outcome.SAME: "added",
    Outcome.DIFFERENT: "removed",
    Outcome.UNCERTAIN: "warning",
    Outcome.NO_FACTS: "warning",
}
_OUTCOMES = {
    Outcome.SAME: "same choice",
    Outcome.DIFFERENT: "different",
    Outcome.UNCERTAIN: "uncertain",
    Outcome.NO_FACTS: "without a task table",
}
NODES = {"CPUSET": "a cpuset", "MEMORY_POLICY": "a memory policy's set of nodes"}
"""What runs out where only some of the machine's memory may be used."""

_RULES = 5
"""Rules of one event that are said not to have been evaluated; the others are counted."""


def event_text(log: str, policy: str, replayed: Replayed) -> str:
    """A paragraph about one event, and an empty line."""
    report = replayed.report
    place = streams.paint(f"{visible(log)}:{report.line}", "place", sys.stdout)
    stamp = " ".join(visible(part) for part in (report.time, report.host) if part)
    lines = [f"{place}{'  ' + stamp if stamp else ''}  {_what(report)}"]
    lines += [f"  {label:<9} {text}" for label, text in _rows(replayed, Words(replayed.decision, policy))]
    return "\n".join(lines) + "\n\n"


def _what(report: Report) -> str:
    if report.scope is not None:
        limit = f" (limit {size(report.memory.limit)})" if report.memory is not None else ""
        return f"{path_text(report.scope)} ran out of memory{limit}"
    if report.order == -1:
        return "somebody asked for a kill (sysrq)"
    if report.constraint in NODES:
        return f"{NODES[report.constraint]} ran out of memory"
    if report.is_global:
        return "the machine ran out of memory" + (f" ({size(report.ram)})" if report.ram is not None else "")
    return f"{'a memory cgroup' if report.is_global is False else 'something'} ran out of memory"


def _rows(replayed: Replayed, words: Words) -> Iterator[tuple[str, str]]:
    report = replayed.report
    yield "kernel", _kernel(replayed)
    if replayed.outcome is not Outcome.NO_FACTS:
        mark = streams.paint(_OUTCOMES[replayed.outcome], _STYLES[replayed.outcome], sys.stdout)
        yield "policy", f"{mark}: {_policy(replayed, words)}"
        yield from (("", f"because {why}") for why in _why(replayed, words))
        # Reports of memory cgroups never show who started later, and it rarely matters.
        found = replayed.decision.unevaluated if not replayed.decision.certain else ()
        unevaluated = [u for u in found if u.rule is not Builtin.YOUNGER or len(found) == 1]
        for item in unevaluated[:_RULES]:
            yield "unseen", words.unevaluated(item)
        if len(unevaluated) > _RULES:
            yield "unseen", f"and {len(unevaluated) - _RULES} more rules could not be evaluated"
        for candidate in replayed.protected:
            exclusion = replayed.decision.exclusion(candidate)
            if exclusion is not None:
                yield "protected", f"{words.name(candidate)} died, though {words.exclusion(exclusion)}"
        if replayed.perhaps_protected:
            yield "protected", f"perhaps {words.names(replayed.perhaps_protected)}, who died"
    for note in replayed.notes:
        yield "note", visible(note)
    if report.policy_name not in (None, b"default"):
        yield "note", f"the policy {name_text(report.policy_name)} was in force"


def _kernel(replayed: Replayed) -> str:
    report = replayed.report
    if not report.kills and report.chosen is None:
        if report.panicked:
            return "panicked and killed nobody"
        return "found nobody to kill" if report.none_left else "the report does not tell whom it killed"
    row = report.task(report.chosen)
    first = report.kills[0] if report.kills else None
    comm = row.comm if row is not None else report.chosen_comm
    pid = row.tgid if row is not None else report.chosen
    resident = (row.facts if row is not None else first.facts if first is not None else {}).get("rss")
    words = f"killed {name_text(comm)} (pid {pid})"
    if resident is not None:
        words += f", {size(resident)} resident"
    if report.victim_memcg is not None:
        words += f", in {path_text(report.victim_memcg)}"
    others = len({kill.pid for kill in report.kills}) - 1
    return words + (f", and {others} more of its cgroup" if others > 0 else "")


def _policy(replayed: Replayed, words: Words) -> str:
    decision = replayed.decision
    if decision.certain:
        victim = decision.victim
        if victim is not None:
            return f"{_named(victim, words)} dies"
        return words.verdict()
    ends, contenders = decision.possible, decision.contenders
    could = []
    if contenders:
        could.append(f"one of {words.names(contenders)} dies" if len(contenders) > 1
                     else f"{_named(contenders[0], words)} dies")  # fmt: skip
    texts = {
        Verdict.KERNEL_DECIDES: "the kernel decides",
        Verdict.KILL_NOTHING: "nothing is killed",
        Verdict.NONE_LEFT: "no candidate is left",
        Verdict.ABORTED: "nobody else is killed, as a victim is still dying",
    }
    could += [text for verdict, text in texts.items() if verdict in ends]
    if decision.others:
        could.append("a task dies that the report lacks")
    return ", or ".join(could)


def _why(replayed: Replayed, words: Words) -> Iterator[str]:
    """What puts the policy's choice before the kernel's, or before the next one where they are the same."""
    decision, actual = replayed.decision, replayed.actual
    if decision.verdict is not Verdict.VICTIM or not decision.ranking:
        return
    victim = decision.ranking[0]
    if replayed.outcome is Outcome.SAME and len(decision.ranking) > 1:
        yield words.comparison(decision.compare(victim, decision.ranking[1]))
    elif replayed.outcome is Outcome.DIFFERENT and actual is not None and actual is not victim:
        yield words.comparison(decision.compare(victim, actual))


def _named(candidate: Candidate, words: Words) -> str:
    resident = candidate.facts.get("rss")
    return words.name(candidate) + (f", {size(resident)} resident," if resident is not None else "")


def summary_text(summary: Summary) -> str:
    """The last lines, about all events."""
    counts = [
        streams.paint(f"{number} {_OUTCOMES[outcome]}", _STYLES[outcome], sys.stdout)
        for outcome, number in summary.outcomes.items()
        if number
    ]
    lines = [
        f"{summary.events} events: {', '.join(counts)}" if summary.events > 1 else f"1 event: {counts[0]}"
    ]
    if summary.measured:
        lines.append(
            f"resident memory of the victims: {size(summary.freed)} then, {size(summary.freed_now)} by the policy"
            + (
                f" (in the {summary.measured} events where both are known)"
                if summary.measured < summary.events
                else ""
            )
        )
    if summary.protected:
        lines.append(f"protected tasks that died: {len(summary.protected)}")
        for report, candidate in summary.protected[:20]:
            lines.append(f"  {name_text(candidate.comm)} (pid {candidate.pid}), line {report.line}")
        if len(summary.protected) > 20:
            lines.append(f"  and {len(summary.protected) - 20} more")
    return "\n".join(lines) + "\n"
