"""What `oomlang test` prints for people: failures in full, passes counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from oomlang.cli import streams
from oomlang.diagnostics.visible import visible
from oomlang.explanation import Words, path_text, size
from oomlang.explanation.columns import columns
from oomlang.explanation.rows import Row, ranked, skipped
from oomlang.ir import nodes as ir
from oomlang.targets.interp import Comparison, Exclusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oomlang.cli.tested import Tested
    from oomlang.targets.interp.expectations import Check, Coverage, Outcome

_ROWS = 20
"""Candidates that a failure shows; tests have few."""


def print_outcomes(tested: Sequence[Tested], with_coverage: bool) -> None:
    """The result of every policy, then a last line for all."""
    for item in tested:
        for outcome in item.failed:
            streams.print_painted(_failure(item, outcome))
        if with_coverage:
            streams.print_painted(_coverage(visible(item.source.name), item.coverage))
    ran = sum(len(item.outcomes) for item in tested)
    failed = sum(len(item.failed) for item in tested)
    where = f" in {len(tested)} files" if len(tested) > 1 else ""
    if ran:
        counts = [(failed, "failed", "error"), (ran - failed, "passed", "added")]
        words = [streams.paint(f"{n} {word}", style, sys.stdout) for n, word, style in counts if n]
        streams.print_painted(f"{', '.join(words)}{where}\n")


def words_of(item: Tested, outcome: Outcome) -> Words:
    """The sentences about a test, in which a task is called by its id."""
    ids = {task: id for id, task in outcome.case.tasks.items()}
    return Words(outcome.decision, item.source.name, lambda task: f'"{visible(ids[task])}"')


def place_of(item: Tested, check: Check) -> str:
    """Where an expectation stands: `policy.oom:12:3`."""
    line, column = item.source.position(check.expectation.span.start)
    return f"{visible(item.source.name)}:{line}:{column}"


def expected(item: Tested, check: Check) -> str:
    """The expectation's own text, without its first word."""
    return visible(" ".join(item.source.slice(check.expectation.span).split())).removeprefix("expect ")


def got(words: Words, check: Check) -> str:
    """What came out instead."""
    from oomlang.targets.interp.expectations import Expect

    if check.expectation.expect is Expect.SAFE:
        task = check.expectation.tasks[0]
        exclusion = "no guard and no `never kill` rule covers it"
        places = {words.name(c): place for place, c in enumerate(words.decision.ranking, start=1)}
        place = places.get(f'"{visible(task)}"')
        if place is None:
            return "it is outside of the scope, and no candidate" if not check.why else words.verdict()
        return f"it is number {place} to die: {exclusion}"
    if len(check.expectation.tasks) > 1 and len(check.got) > 1:
        return ", ".join(f'"{visible(id)}"' for id in check.got)
    return words.verdict()


def why(words: Words, check: Check) -> str:
    """What made it so; empty where `got` has said it."""
    match check.why:
        case None:
            return ""
        case Comparison():
            return words.comparison(check.why)
        case Exclusion():
            return words.exclusion(check.why)
        case ir.Origin():
            return words.rule(check.why)


def _failure(item: Tested, outcome: Outcome) -> str:
    words = words_of(item, outcome)
    head = streams.paint("FAILED", "error", sys.stdout)
    lines = [f"{head} {visible(outcome.case.name, streams.encoding_of(sys.stdout))}"]
    for check in outcome.checks:
        if check.passed:
            continue
        rows = [("expected", expected(item, check)), ("got", got(words, check))]
        if because := why(words, check):
            rows.append(("because", because))
        lines.append(f"  {streams.shown(place_of(item, check), sys.stdout)}")
        lines += [f"    {label.ljust(8)}  {streams.shown(text, sys.stdout)}" for label, text in rows]
    lines += [f"    {streams.shown(line, sys.stdout)}".rstrip() for line in _candidates(words, outcome)]
    return "\n".join(lines) + "\n\n"


def _candidates(words: Words, outcome: Outcome) -> list[str]:
    rows = [*ranked(words), *skipped(words)]
    outside = [
        ("-", f'"{visible(id)}"', *_facts(Row(candidate=outcome.case.tasks[id], place=None, note=""))[:-1],
         "outside of the scope")
        for id in outcome.outside
    ]  # fmt: skip
    cells = [(str(row.place or "-"), words.name(row.candidate), *_facts(row)) for row in rows] + outside
    head = ("place", "task", "memcg", "rss", "swap", "before the next one by")
    more = [f"… and {len(cells) - _ROWS} more"] if len(cells) > _ROWS else []
    return ["", *columns([head, *cells[:_ROWS]], right=(0, 3, 4)), *more] if cells else []


def _facts(row: Row) -> tuple[str, str, str, str]:
    candidate = row.candidate
    path = path_text(candidate.memcg.path if candidate.memcg is not None else None)
    return path, size(candidate.facts.get("rss")), size(candidate.facts.get("swap")), row.note


def _coverage(name: str, coverage: Coverage) -> str:
    rules = coverage.rules
    covered = len(rules) - len(coverage.uncovered)
    head = f"{name}: the tests show {covered} of {len(rules)} rules at work"
    rows = []
    for origin, cases in rules:
        tests = f"{len(cases)} test{'s' if len(cases) != 1 else ''}" if cases else "no test"
        rows.append((f"{name}:{origin.line}", tests, " ".join(origin.text.split())))
    lines = [streams.shown(line, sys.stdout) for line in columns(rows)] if rows else []
    painted = [
        streams.paint(line, "error", sys.stdout) if not cases else line
        for line, (_, cases) in zip(lines, rules, strict=True)
    ]
    return "\n".join([streams.shown(head, sys.stdout), *(f"  {line}" for line in painted)]) + "\n\n"
