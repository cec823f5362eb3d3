"""`oomlang snapshot`: this machine's facts as a file, to be explained elsewhere."""

from __future__ import annotations

import click

from oomlang.cli import streams
from oomlang.cli.output import write_output

_EPILOG = """\b
Examples:
  oomlang snapshot -o host.json
  oomlang snapshot --redact -o for-the-vendor.json
  ssh host oomlang snapshot | oomlang explain policy.oom --snapshot -
"""


@click.command("snapshot", epilog=_EPILOG)
@click.option(
    "-o", "--output", type=click.Path(), default="-", metavar="FILE", help="Where to write; standard output by default."
)  # fmt: skip
@click.option(
    "--redact",
    is_flag=True,
    help="Hash the names of processes and cgroups; sizes, uids, pids and the tree stay. Rules about names "
    "match nothing then.",
)
def command(output: str, redact: bool) -> None:
    """Write down the facts that a policy can ask about this machine, as JSON.

    Needs no root. What could not be read is listed in it, and on standard error.
    """
    from oomlang.cli.explain_sources import live_facts
    from oomlang.explanation.event import unseen_texts
    from oomlang.host import redact as redacted
    from oomlang.host import write_snapshot

    facts = live_facts()
    if redact:
        facts = redacted(facts)
    write_output(output, write_snapshot(facts).encode())
    for text in unseen_texts(facts.unseen):
        streams.say_text(f"not seen: {text}\n")
