"""`oomlang unload`: the kernel chooses its victims itself again."""

from __future__ import annotations

import click

from oomlang.cli import streams
from oomlang.cli.loading import kernel_failures, pin_option, pins_at

_EPILOG = """\b
Examples:
  oomlang unload
  oomlang unload --pin /sys/fs/bpf/other
"""


@click.command("unload", epilog=_EPILOG)
@pin_option
def command(pin: str) -> None:
    """Take the policy out of the kernel, and whatever interrupted loads have left there.

    Does nothing, and is content, where there is none.
    """
    from oomlang.kernel.loader import unload

    with kernel_failures():
        done = unload(pins_at(pin))
    words = [
        f'policy "{done.name}" is not in force any more'
        if done.name is not None
        else "no policy was in force"
    ]
    if done.remains:
        words.append(f"removed what {len(done.remains)} interrupted loads had left")
    streams.say_text("; ".join(words) + "\n")
