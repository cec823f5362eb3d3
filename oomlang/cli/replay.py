"""`oomlang replay`: what a policy would have done in OOM events of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oomlang.cli import failures, reporting, streams
from oomlang.cli.files import STDIN, PolicyFile, called, name_of, read_policy

if TYPE_CHECKING:
    from oomlang.replay import Replayed, Summary

_EPILOG = """\b
Examples:
  oomlang replay policy.oom /var/log/kern.log*
  journalctl -k -o json --all | oomlang replay policy.oom -
  oomlang replay policy.oom --format jsonl dmesg.txt.gz | jq 'select(.outcome == "different")'
  oomlang replay policy.oom --set 'priority[/batch.slice]=-5' --swap 2GiB kern.log

\b
Reads what dmesg, journalctl -k (short forms, export, json) and syslog write, plain or compressed (gzip, bzip2, xz, zstd).
"""


@click.command("replay", epilog=_EPILOG)
@click.argument("policy", type=PolicyFile(), metavar="POLICY")
@click.argument("logs", nargs=-1, required=True, type=click.Path(readable=False), metavar="REPORT...")
@click.option(
    "--set", "set_", multiple=True, metavar="INPUT[/CGROUP]=VALUE",
    help="The value of an input, in brackets the cgroup of one per memcg: 'priority[/batch.slice]=3'.",
)  # fmt: skip
@click.option(
    "--swap", metavar="SIZE",
    help="Swap that the machine had, where a report does not tell (those of memory cgroups never do).",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
    help="jsonl: a line for each event, then one for all.",
)  # fmt: skip
def command(policy: str, logs: tuple[str, ...], set_: tuple[str, ...], swap: str | None, form: str) -> int:
    """Decide the OOM events in the kernel's logs again, by a policy; - is standard input.

    Says of each event whom the kernel killed, whom the policy would have killed and why, and which of its rules the report
    has too few facts for. Ends with 0, whatever the policy would have done.
    """
    from oomlang.cli.explain_inputs import parse_sets
    from oomlang.cli.replay_files import Bar, reports, size
    from oomlang.compiler import Compilation
    from oomlang.replay import Summary, replay

    if [policy, *logs].count(STDIN) > 1:
        raise failures.Failure("standard input can only be read once")
    compilation = Compilation(read_policy(policy), name_of(policy))
    meaning = compilation.ir
    knobs, per_memcg = parse_sets(set_, meaning)
    machine_swap = size(swap)
    output = _Jsonl(name_of(policy)) if form == "jsonl" else _Text(name_of(policy))
    summary = Summary()
    bar = Bar()
    unread = 0
    for log in dict.fromkeys(logs):
        before = summary.events
        try:
            for report in reports(log, bar):
                replayed = replay(meaning, report, knobs=knobs, memcg_inputs=per_memcg, swap=machine_swap)
                summary.add(replayed)
                with bar.away():
                    output.event(log, replayed)
        except failures.Failure as failure:
            unread = reporting.say_failure(failure)
            continue
        if summary.events == before:
            streams.say_text(f"{called(log)}: no OOM report\n")
    output.end(summary)
    return unread


class _Text:
    """Events as paragraphs."""

    def __init__(self, policy: str) -> None:
        self._policy = policy

    def event(self, log: str, replayed: Replayed) -> None:
        from oomlang.cli.replay_text import event_text

        streams.print_painted(event_text(name_of(log), self._policy, replayed))
        streams.flush()

    def end(self, summary: Summary) -> None:
        from oomlang.cli.replay_text import summary_text

        if summary.events:
            streams.print_painted(summary_text(summary))


class _Jsonl:
    """Events as lines of JSON."""

    def __init__(self, policy: str) -> None:
        self._policy = policy

    def event(self, log: str, replayed: Replayed) -> None:
        from oomlang.cli.replay_json import event_line

        streams.print_bytes(event_line(name_of(log), self._policy, replayed))

    def end(self, summary: Summary) -> None:
        from oomlang.cli.replay_json import summary_line

        streams.print_bytes(summary_line(summary))
