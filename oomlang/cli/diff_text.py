"""What `oomlang diff` prints for people."""

from __future__ import annotations

import sys

from oomlang.cli import streams
from oomlang.cli.diff_events import Given
from oomlang.diagnostics.visible import visible
from oomlang.diff import Choice, Example, Relation, Search, block, choice
from oomlang.diff.text import quoted
from oomlang.explanation.reasons import Words
from oomlang.ir import nodes as ir
from oomlang.targets.interp import Candidate, Decision, Verdict

_SHOWN = 10
"""Differences on given events that are shown in full; the others are counted."""


def print_differences(
    files: tuple[str, str], pair: tuple[ir.Policy, ir.Policy], found: list[Given], result: Search
) -> None:
    """The differences, then what was compared."""
    differences = [item for item in found if item.relation is Relation.DIFFERENT]
    for item in differences[:_SHOWN]:
        lines = [streams.paint(visible(item.title), "place", sys.stdout)]
        for sign, style, file, decision, made in (
            ("-", "removed", files[0], item.decisions[0], item.old),
            ("+", "added", files[1], item.decisions[1], item.new),
        ):
            lines += _choice(sign, style, Words(decision, file), decision, made)
        streams.print_painted("\n".join(lines) + "\n\n")
    if len(differences) > _SHOWN:
        streams.print_text(f"and {len(differences) - _SHOWN} more events with different choices\n\n")
    if result.example is not None:
        streams.print_painted(_example(files, pair, result.example))
    streams.print_text(_summary(found, differences, result))


def _choice(sign: str, style: str, words: Words, decision: Decision, made: Choice) -> list[str]:
    """What one policy does, and why."""
    head = streams.paint(f"{sign} {visible(words.file)}", style, sys.stdout)
    if len(made.could) > 1:
        names = words.names(c for c in made.could if c is not None)
        return [f"  {head}: one of {names} dies" + (", or nobody" if None in made.could else "")]
    if made.by_kernel and made.victim is not None:
        return [f"  {head}: {words.name(made.victim)} dies", f"      {words.verdict()}"]
    lines = [f"  {head}: {words.verdict()}"]
    if decision.verdict is Verdict.VICTIM and len(decision.ranking) > 1:
        lines.append(f"      {words.comparison(decision.compare(decision.ranking[0], decision.ranking[1]))}")
    return lines


def example_block(pair: tuple[ir.Policy, ir.Policy], example: Example) -> str:
    """The machine as a test block that the new policy passes."""
    inputs = {declared.name: declared for policy in pair for declared in policy.inputs}
    ids = {candidate: name for name, candidate in example.case.tasks.items()}
    verdict, victim = example.new.verdict, example.new.victim
    texts = {
        Verdict.KERNEL_DECIDES: "expect kernel decides",
        Verdict.KILL_NOTHING: "expect kill nothing",
        Verdict.NONE_LEFT: "expect none",
    }
    expectation = (
        f"expect victim {quoted(ids[victim].encode())}" if victim is not None else texts.get(verdict)
    )
    return block(example.test, inputs, expectation)


def _example(files: tuple[str, str], pair: tuple[ir.Policy, ir.Policy], example: Example) -> str:
    ids = {candidate: name for name, candidate in example.case.tasks.items()}

    def name(candidate: Candidate) -> str:
        return f'"{visible(ids[candidate])}"'

    lines = [
        streams.paint("generated", "place", sys.stdout),
        *map(visible, example_block(pair, example).split("\n")),
    ]
    for sign, style, file, decision in (
        ("-", "removed", files[0], example.old),
        ("+", "added", files[1], example.new),
    ):
        lines += _choice(sign, style, Words(decision, file, name), decision, choice(decision))
    return "\n".join(lines) + "\n\n"


def _summary(found: list[Given], differences: list[Given], result: Search) -> str:
    lines = []
    if found:
        unsure = sum(item.relation is Relation.UNCERTAIN for item in found)
        lines.append(
            f"given: different in {len(differences)} of {len(found)} events"
            + (f"; in {unsure} too little is known to tell" if unsure else "")
        )
    if result.count:
        lines.append(
            f"generated: different on {result.different} of {result.count} machines (--seed {result.seed})"
        )
    return "".join(line + "\n" for line in lines) or "nothing was compared\n"
