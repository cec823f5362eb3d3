"""`oomlang explain`: who would die now, why this one, and why not that one."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from oomlang.cli import streams
from oomlang.cli.failures import Failure
from oomlang.cli.files import PolicyFile, called, name_of, read_policy
from oomlang.cli.output import write_output

if TYPE_CHECKING:
    from oomlang.explanation.event import Explanation, Situation
    from oomlang.explanation.focus import Focus
    from oomlang.host import MemcgPath
    from oomlang.ir import nodes as ir

_ROWS = 10
_TASKS = 3
"""Candidates of one name that are explained; the others are counted."""

_EPILOG = """\b
Examples:
  oomlang explain policy.oom                              who would die on this machine now
  oomlang explain policy.oom --task sshd                  why not sshd
  oomlang explain policy.oom --scope /batch.slice         if that cgroup ran out of memory
  oomlang explain policy.oom --set 'priority[/web]=50'    if that input had this value
  oomlang explain policy.oom --snapshot host.json --html host.html
  journalctl -k | oomlang explain policy.oom --report -   the last OOM kill, under this policy
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line asks for. snapshot, report: a file; neither: the live machine."""

    policy: ir.Policy
    file: str
    snapshot: str | None
    report: str | None
    event: int | None
    scope: MemcgPath
    sets: tuple[str, ...]
    swap: int | None
    tasks: tuple[str, ...]
    limit: int | None
    form: str
    html: str | None


@click.command("explain", epilog=_EPILOG)
@click.argument("file", type=PolicyFile(), metavar="POLICY")
@click.option("--live", is_flag=True, help="This machine as it is now; the default. Needs no root.")
@click.option(
    "--snapshot", type=click.Path(readable=False), metavar="FILE", help="What `oomlang snapshot` wrote."
)
@click.option(
    "--report",
    type=click.Path(readable=False),
    metavar="FILE",
    help="A log with one of the kernel's own OOM reports; `oomlang replay` is for many.",
)
@click.option(
    "--event", type=click.IntRange(1), metavar="N", help="The Nth report of the log; the last by default."
)
@click.option("--scope", metavar="CGROUP", help="Suppose that this memory cgroup is out of memory.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="INPUT=VALUE",
    help="Give an input a value; INPUT[/CGROUP]=VALUE for one per memcg.",
)
@click.option("--swap", metavar="SIZE", help="Swap that the machine had, where the report does not tell.")
@click.option("--task", "tasks", multiple=True, metavar="PID|NAME", help="Say why not this one.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"Show the first N candidates; {_ROWS} in text, all in JSON.",
)
@click.option("--watch", is_flag=True, help="Look again and again until interrupted.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="For --watch.",
)
@click.option(
    "--html",
    type=click.Path(),
    metavar="FILE",
    help="Write a page with the ranking and a map of the cgroups.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)  # fmt: skip
def command(
    file: str,
    live: bool,
    snapshot: str | None,
    report: str | None,
    event: int | None,
    scope: str | None,
    sets: tuple[str, ...],
    swap: str | None,
    tasks: tuple[str, ...],
    limit: int | None,
    watch: bool,
    interval: float,
    html: str | None,
    form: str,
) -> int:
    """Say whom the policy would kill and why, beside whom the kernel would kill without it.

    Nothing is loaded and nobody is killed. What could not be seen counts as unknown, never as 0, and the answer says
    between whom it is uncertain then.
    """
    from oomlang.cli.explain_sources import memcg_path
    from oomlang.cli.replay_files import size
    from oomlang.compiler import Compilation

    if sum((live, snapshot is not None, report is not None)) > 1:
        raise Failure("--live, --snapshot and --report exclude each other")
    if report is not None and scope is not None:
        raise Failure("a report has a scope of its own", mend="leave --scope out")
    if event is not None and report is None:
        raise Failure("--event is for --report")
    if swap is not None and report is None:
        raise Failure("--swap is for --report", mend="this machine and snapshots tell how much swap there is")
    if watch and (snapshot is not None or report is not None or html is not None or form != "text"):
        raise Failure("--watch is for the text of the live machine")
    if file == "-" and "-" in (snapshot, report):
        raise Failure("standard input can only be read once")
    asked = _Asked(
        policy=Compilation(read_policy(file), name_of(file)).ir,
        file=os.path.basename(name_of(file)),
        snapshot=snapshot,
        report=report,
        event=event,
        scope=memcg_path(scope) if scope is not None else (),
        sets=sets,
        swap=size(swap),
        tasks=tasks,
        limit=limit,
        form=form,
        html=html,
    )
    if watch:
        _watch(asked, interval)
    else:
        _show(asked, *_explain(asked))
    return 0


def _explain(asked: _Asked) -> tuple[Explanation, tuple[Focus, ...]]:
    from oomlang.explanation.event import Explanation

    explanation = Explanation(asked.policy, asked.file, _situation(asked))
    return explanation, tuple(_focuses(asked, explanation))


def _situation(asked: _Asked) -> Situation:
    from oomlang.cli import explain_sources as sources
    from oomlang.cli.explain_inputs import parse_sets

    knobs, memcg_inputs = parse_sets(asked.sets, asked.policy)
    if asked.report is not None:
        return sources.report_situation(
            asked.report, asked.event, knobs=knobs, memcg_inputs=memcg_inputs, swap=asked.swap
        )
    if asked.snapshot is not None:
        facts, kind = sources.snapshot_facts(asked.snapshot), "snapshot"
        title = f"snapshot {name_of(asked.snapshot)}"
    else:
        facts, kind, title = sources.live_facts(), "live", "this machine"
    return sources.situation(
        facts, kind=kind, title=title, scope=asked.scope, knobs=knobs, memcg_inputs=memcg_inputs
    )


def _focuses(asked: _Asked, explanation: Explanation) -> list[Focus]:
    from oomlang.explanation.focus import find, focus

    found = []
    for wanted in asked.tasks:
        candidates = find(explanation, wanted)
        if not candidates:
            raise _no_such_task(explanation, wanted)
        if len(candidates) > _TASKS:
            streams.say(
                "warning",
                f"{len(candidates)} processes are called {wanted}; these are the {_TASKS} that would die first",
            )
        found += [focus(explanation, candidate) for candidate in candidates[:_TASKS]]
    return found


def _no_such_task(explanation: Explanation, wanted: str) -> Failure:
    from oomlang.explanation import name_text
    from oomlang.syntax.suggest import did_you_mean

    inside = explanation.decision.candidates
    names = {name_text(c.comm) for c in inside}
    machine = explanation.situation.machine
    if any(wanted in (str(c.pid), name_text(c.comm)) for c in machine.candidates):
        return Failure(f"{wanted} is outside of the cgroup that is out of memory, and no candidate")
    mend = did_you_mean(wanted, names) or "kernel threads and the machine's init are never candidates"
    return Failure(f"there is no process {wanted} among the {len(inside)} candidates", mend=mend)


def _show(asked: _Asked, explanation: Explanation, focuses: tuple[Focus, ...]) -> None:
    if asked.html is not None:
        from oomlang.explanation.page import page

        write_output(asked.html, page(explanation, focuses).encode("utf-8", "backslashreplace"))
        if asked.html == "-":
            return
    if asked.form == "json":
        from oomlang.explanation.structure import structure

        streams.print_json(structure(explanation, focuses, asked.limit))
    else:
        from oomlang.cli.explain_text import print_explanation

        print_explanation(explanation, focuses, asked.limit or _ROWS)
        if asked.html is not None:
            streams.print_text(f"wrote {called(asked.html)}\n")


def _watch(asked: _Asked, interval: float) -> None:
    from oomlang.cli.explain_text import print_explanation

    screen = streams.is_terminal(sys.stdout)
    while True:
        explanation, focuses = _explain(asked)
        if screen:
            streams.print_painted("\x1b[H\x1b[2J\x1b[3J")
        print_explanation(explanation, focuses, asked.limit or _ROWS)
        if not screen:
            streams.print_text("\n")
        streams.flush()
        time.sleep(interval)
