"""`oomlang completion`: the script that makes a shell complete oomlang's command line."""

from __future__ import annotations

import click

from oomlang.cli import streams

_EPILOG = """\b
Examples:
  eval "$(oomlang completion bash)"                                      now
  oomlang completion bash >~/.local/share/bash-completion/completions/oomlang
  oomlang completion zsh >~/.zfunc/_oomlang                              a directory of $fpath
  oomlang completion fish >~/.config/fish/completions/oomlang.fish
"""


@click.command("completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script for a shell's completion; policies complete as *.oom."""
    from oomlang.cli.app import COMPLETION_VARIABLE, program
    from oomlang.cli.shells import script

    streams.print_text(script(program, COMPLETION_VARIABLE, shell))
