"""`oomlang diff`: where two policies choose differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oomlang.cli import streams
from oomlang.cli.failures import USAGE, Failure
from oomlang.cli.files import STDIN, PolicyFile, name_of, read_policy

if TYPE_CHECKING:
    from oomlang.cli.diff_events import Given
    from oomlang.diff import Search
    from oomlang.ir import nodes as ir

SAME, DIFFERENT = 0, 1
COUNT = 2000
VERSION = 1

_EPILOG = """\b
Examples:
  oomlang diff old.oom new.oom                            on machines near the constants of both
  oomlang diff old.oom new.oom --live                     and on this one
  oomlang diff old.oom new.oom --report kern.log --count 0
  git show HEAD:policy.oom | oomlang diff - policy.oom

\b
Exit codes, as diff's:
  0  no difference was found
  1  they choose differently
  2  a policy is wrong, wrong usage, or a file that cannot be read
"""


@click.command("diff", epilog=_EPILOG)
@click.argument("old", type=PolicyFile(), metavar="OLD")
@click.argument("new", type=PolicyFile(), metavar="NEW")
@click.option("--live", is_flag=True, help="Compare on this machine as it is now.")
@click.option(
    "--snapshot", "snapshots", multiple=True, type=click.Path(readable=False), metavar="FILE",
    help="Compare on what `oomlang snapshot` wrote.",
)  # fmt: skip
@click.option(
    "--report", "logs", multiple=True, type=click.Path(readable=False), metavar="FILE",
    help="Compare on the OOM events in a log of the kernel's.",
)  # fmt: skip
@click.option(
    "--set", "sets", multiple=True, metavar="INPUT=VALUE",
    help="Give an input a value; INPUT[/CGROUP]=VALUE for one per memcg. Not for generated machines.",
)  # fmt: skip
@click.option("--swap", metavar="SIZE", help="Swap that the machine had, where a report does not tell.")
@click.option(
    "--count", type=click.IntRange(0), default=COUNT, show_default=True, metavar="N",
    help="Compare on N generated machines; 0 for none.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Generate the machines of that run again.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    old: str,
    new: str,
    live: bool,
    snapshots: tuple[str, ...],
    logs: tuple[str, ...],
    sets: tuple[str, ...],
    swap: str | None,
    count: int,
    seed: int | None,
    form: str,
) -> int:
    """Say where two policies choose different victims.

    Compares on the events that are given: the whole machine out of memory, and each cgroup with a limit; or those of
    reports. And on machines generated near the constants of both policies, of which the smallest that makes a difference
    is shown as a test block. An event left to the kernel counts as the kernel's own choice. That no difference was found
    is no proof that there is none.
    """
    import random

    from oomlang.cli.diff_events import given
    from oomlang.diff import search

    if [old, new, *snapshots, *logs].count(STDIN) > 1:
        raise Failure("standard input can only be read once")
    policies = _policy(old), _policy(new)
    if policies[0] is None or policies[1] is None:
        return USAGE
    pair = policies[0], policies[1]
    found = list(given(pair, live=live, snapshots=snapshots, logs=logs, sets=sets, swap=swap))
    chosen = seed if seed is not None else random.SystemRandom().randrange(2**32)
    result = search(*pair, seed=chosen, count=count)
    if form == "json":
        streams.print_json(_json((old, new), pair, found, result))
    else:
        from oomlang.cli.diff_text import print_differences

        print_differences((name_of(old), name_of(new)), pair, found, result)
    different = any(item.relation.name == "DIFFERENT" for item in found) or result.different
    return DIFFERENT if different else SAME


def _policy(path: str) -> ir.Policy | None:
    """A policy's IR; None where it is wrong, which is said: 1 would mean that the policies differ."""
    from oomlang.compiler import Compilation
    from oomlang.diagnostics import OomlangError

    try:
        return Compilation(read_policy(path), name_of(path)).ir
    except OomlangError as error:
        streams.say_diagnostics(error.source, error.diagnostics)
        return None


def _json(
    files: tuple[str, str], pair: tuple[ir.Policy, ir.Policy], found: list[Given], result: Search
) -> dict[str, Any]:
    """What programs read (docs/schemas/diff.schema.json)."""
    from oomlang.cli.diff_text import example_block
    from oomlang.diff import Choice

    def who(choice: Choice) -> dict[str, Any]:
        return {
            "victim": choice.victim.pid if choice.victim is not None else None,
            "could": sorted(c.pid for c in choice.could if c is not None),
            "nobody": None in choice.could,
            "others": choice.others,
            "by_kernel": choice.by_kernel,
        }

    return {
        "version": VERSION,
        "old": name_of(files[0]),
        "new": name_of(files[1]),
        "given": [
            {"event": item.title, "relation": item.relation.value, "old": who(item.old), "new": who(item.new)}
            for item in found
        ],
        "generated": {
            "seed": result.seed,
            "count": result.count,
            "different": result.different,
            "example": example_block(pair, result.example) if result.example is not None else None,
        },
    }
