"""The command `oomlang` itself: its verbs, and the one place where every failure becomes a message and an exit code.

A verb's module is imported when the verb is called; `oomlang --help` reads only the table here. Each module has a click
command named `command` that returns its exit code (None is 0).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

import oomlang
from oomlang.cli import failures, reporting, signals, streams

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETION_VARIABLE = "_OOMLANG_COMPLETE"


class Verb(NamedTuple):
    """A row of `oomlang --help`: the verb's module in `oomlang.cli`, and its line."""

    module: str
    summary: str


VERBS: dict[str, Verb] = {
    "check": Verb("check", "Say what is wrong with policies."),
    "test": Verb("test", "Run the tests of policies."),
    "explain": Verb("explain", "Say whom a policy would kill on a machine, and why."),
    "snapshot": Verb("snapshot", "Write down a machine's facts, to be explained elsewhere."),
    "replay": Verb("replay", "Decide OOM events of the past again, by a policy."),
    "diff": Verb("diff", "Show where two policies choose differently."),
    "fmt": Verb("fmt", "Format policies in place."),
    "compile": Verb("compile", "Compile a policy to a BPF object."),
    "inspect": Verb("inspect", "Show what is in a BPF object."),
    "load": Verb("load", "Put a policy in force on this machine."),
    "unload": Verb("unload", "Take the policy out of the kernel."),
    "status": Verb("status", "Say what is in force and what it has counted."),
    "input": Verb("input", "Read and set the inputs of the policy in force."),
    "watch": Verb("watch", "Follow the OOM events that the policy decides."),
    "facts": Verb("facts", "List the facts that a policy can use."),
    "explain-code": Verb("explain_code", "Explain a diagnostic by its code."),
    "completion": Verb("completion", "Print the script for a shell's completion."),
}

_EPILOG = """\b
Examples:
  oomlang check policy.oom           say what is wrong with it
  oomlang test policy.oom            run its tests
  oomlang compile policy.oom         write policy.bpf.o
  oomlang facts memcg.usage          what a fact means
  oomlang explain-code E0204         what a diagnostic means

\b
Exit codes:
  0  done
  1  the policy is wrong or not formatted, or a test fails
  2  wrong usage, or a file that cannot be read
  3  the environment lacks something: clang, a kernel's hook, room on the disk
  4  a bug in oomlang
"""


class _Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = importlib.import_module(f"oomlang.cli.{verb.module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=verb.summary)
            for name, verb in VERBS.items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            from oomlang.syntax.suggest import did_you_mean

            mend = did_you_mean(name, VERBS) or "see `oomlang --help`"
            raise failures.Failure(f"there is no command `{name}`", mend=mend)
        return super().resolve_command(ctx, args)


@click.group(
    "oomlang",
    cls=_Verbs,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(oomlang.__version__, prog_name="oomlang", message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context) -> int:
    """Check, format and compile policies for the Linux OOM killer."""
    if ctx.invoked_subcommand is None:
        # Whoever types just `oomlang` gets to read something, but a script has forgotten the command.
        click.echo(ctx.get_help(), err=True)
        return 2
    return 0


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; never raises."""
    with signals.as_interrupts() as asked:
        code = _run(arguments, asked)
    return asked.code or code


def _run(arguments: Sequence[str] | None, asked: signals.Asked) -> int:
    try:
        streams.prepare()
        instruction = os.environ.get(COMPLETION_VARIABLE)
        if instruction:
            from oomlang.cli.shells import complete

            code = complete(program, COMPLETION_VARIABLE, instruction)
        else:
            code = _invoke(sys.argv[1:] if arguments is None else list(arguments))
        streams.flush()
    except BaseException as error:  # noqa: BLE001  # the top: whatever it is becomes a message and an exit code
        code = asked.code or reporting.report(error)
    return code


def _invoke(arguments: list[str]) -> int:
    with program.make_context("oomlang", arguments) as ctx:
        # A group returns what its verb returned.
        code: int | None = program.invoke(ctx)
    return code or 0
