"""`oomlang fmt`: write policies in the one format."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from oomlang.cli import failures, reporting, streams
from oomlang.cli.files import STDIN, PolicyFile, called, name_of, policies
from oomlang.cli.output import write_outputs

_EPILOG = """\b
Examples:
  oomlang fmt policy.oom
  oomlang fmt --check policies/*.oom
  oomlang fmt - <policy.oom
"""


@click.command("fmt", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=PolicyFile(), metavar="FILE...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; list the files that would change.")
@click.option("--diff", "only_diff", is_flag=True, help="Write nothing; show what would change.")
def command(files: tuple[str, ...], only_check: bool, only_diff: bool) -> int:
    """Format policies in place; - formats standard input to standard output.

    A policy with a syntax error is left alone. With --check or --diff the exit code is 1 if a file would change.
    """
    from oomlang.syntax.parser import parse
    from oomlang.syntax.printer import format_text

    if only_check and only_diff:
        raise failures.Failure("--check and --diff are two ways to ask; choose one")
    unread = 0
    refused = changed = False
    for path, data in policies(files):
        if isinstance(data, failures.Failure):
            unread = reporting.say_failure(data)
            continue
        tree, diagnostics = parse(data, name_of(path))
        if diagnostics.failed:
            streams.say_diagnostics(tree.source, diagnostics.items)
            refused = True
            continue
        formatted = format_text(tree.source.text).encode()
        changed |= formatted != data
        if only_check:
            if formatted != data:
                streams.print_text(f"{called(path)}\n")
        elif only_diff:
            for line in _diff(data, formatted, called(path)):
                streams.print_painted(line)
        elif path == STDIN:
            streams.print_bytes(formatted)
        elif formatted != data:
            try:
                write_outputs([(path, formatted)], durable=True)
                streams.print_text(f"formatted {called(path)}\n")
            except failures.Failure as failure:
                unread = reporting.say_failure(failure)
    if unread:
        return unread
    return failures.POLICY_WRONG if refused or (changed and (only_check or only_diff)) else 0


def _diff(before: bytes, after: bytes, name: str) -> Iterator[str]:
    """A unified diff, in colour and without control characters where a person reads it; else for `patch`."""
    import difflib

    terminal = streams.is_terminal(sys.stdout)
    styles = {"+": "added", "-": "removed", "@": "place"}
    # The file's name is made visible on every path: in a header it is no part of any content.
    label = streams.shown(name, sys.stdout)
    lines = difflib.unified_diff(_lines(before), _lines(after), label, label)
    for number, line in enumerate(lines):
        text, end = (line[:-1], "\n") if line.endswith("\n") else (line, "\n\\ No newline at end of file\n")
        if terminal:
            style = "title" if number < 2 else styles.get(line[0], "")
            text = streams.shown(text, sys.stdout)
            text = streams.paint(text, style, sys.stdout) if style else text
        yield text + end


def _lines(data: bytes) -> list[str]:
    """The lines with their ends; only a line feed ends one, in a policy as in a patch."""
    *whole, rest = data.decode().split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])
