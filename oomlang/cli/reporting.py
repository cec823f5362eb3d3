"""From whatever went wrong to a message on standard error and an exit code."""

from __future__ import annotations

import os

import click

from oomlang.cli import streams
from oomlang.cli.failures import (
    BROKEN_PIPE,
    ENVIRONMENT,
    INTERRUPTED,
    OF_THE_MACHINE,
    OUR_BUG,
    POLICY_WRONG,
    Failure,
)

_BUG_LINES = 30


def say_failure(failure: Failure) -> int:
    """Print a failure and return its exit code."""
    streams.say("error", failure.message, failure.details)
    if failure.mend:
        streams.say("help", failure.mend)
    return failure.code


def report(error: BaseException) -> int:
    """Print what there is to say about the exception that ended the program, and return the exit code."""
    # A second ^C while this is printed must not end in a traceback either.
    try:
        return _report(error)
    except (KeyboardInterrupt, BrokenPipeError):
        return INTERRUPTED


def _report(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.exceptions.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, click.exceptions.Exit):  # after --help and --version
        return _flushed(error.exit_code)
    # What was printed before comes first, where both go to one place.
    try:
        streams.flush()
    except (OSError, Failure):
        pass  # that is what is going to be said, or somebody left who would have read it
    if isinstance(error, Failure):
        return say_failure(error)
    if isinstance(error, click.ClickException):
        return say_failure(_usage(error))
    if isinstance(error, MemoryError):
        return say_failure(Failure("there is not enough memory for this", code=ENVIRONMENT))
    return _report_ours(error)


def _report_ours(error: BaseException) -> int:
    """The exceptions of the package's own layers, and bugs."""
    from oomlang.diagnostics import EnvironmentLacks, OomlangError

    if isinstance(error, OomlangError):
        streams.say_diagnostics(error.source, error.diagnostics)
        return POLICY_WRONG
    if isinstance(error, EnvironmentLacks):
        what, _, words = error.what.partition("\n")  # what another program said stands below
        return say_failure(Failure(what, details=words, mend=error.mend, code=ENVIRONMENT))
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        where = f" ({error.filename})" if error.filename else ""
        return say_failure(Failure(f"the system says: {error.strerror}{where}", code=ENVIRONMENT))
    return _bug(error)


def _flushed(code: int) -> int:
    try:
        streams.flush()
    except BrokenPipeError:
        return BROKEN_PIPE
    except Failure as failure:
        return say_failure(failure)
    return code


def _usage(error: click.ClickException) -> Failure:
    """A complaint of click's in the form of ours."""
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "oomlang"
    return Failure(f"{message[:1].lower()}{message[1:]}", mend=f"see `{command} --help`")


def _bug(error: BaseException) -> int:
    import traceback

    import oomlang
    from oomlang.diagnostics import InternalError

    lines = str(error).splitlines()
    # Our own checks say all that there is to know; another exception's further lines are for its traceback.
    lines = lines[: _BUG_LINES if isinstance(error, InternalError) else 1]
    words = ": ".join([type(error).__name__, *lines[:1]]) + _place(error)
    streams.say("error", f"this is a bug in oomlang {oomlang.__version__}: {words}", "\n".join(lines[1:]))
    debug = os.environ.get("OOMLANG_DEBUG") == "1"
    more = "" if debug else "; OOMLANG_DEBUG=1 makes it print the traceback that belongs to the report"
    streams.say("help", f"please report it with the command and the policy that show it{more}")
    if debug:
        streams.say_text("".join(traceback.format_exception(error)))
    return OUR_BUG


def _place(error: BaseException) -> str:
    """Where in the package the exception arose: ` (oomlang/cli/app.py:12)`."""
    from pathlib import Path

    package = Path(__file__).resolve().parent.parent
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(package):
            place = f" ({file.relative_to(package.parent)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place
