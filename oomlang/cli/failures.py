"""What a command cannot do: the failure that says so, and the exit codes."""

from __future__ import annotations

import errno
import os
import signal

POLICY_WRONG = 1
USAGE = 2
ENVIRONMENT = 3
OUR_BUG = 4
INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE
"""What a shell shows for a program that SIGPIPE or SIGINT ended: 128 and the signal's number."""

OF_THE_MACHINE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)
"""What is the state of the machine, which no other command line would mend."""


class Failure(Exception):
    """What the command cannot do, and how to mend it. The exit code is that of wrong usage unless given.

    message: one line; a line end in it belongs to a name and is shown as what it is. details: lines below it.
    """

    def __init__(self, message: str, *, details: str = "", mend: str = "", code: int = USAGE) -> None:
        self.message = message
        self.details = details
        self.mend = mend
        self.code = code
        super().__init__(message)


NOWHERE = "the working directory has been deleted"
SOMEWHERE = "cd to a directory that exists, or give the whole path"


def is_nowhere(name: str) -> bool:
    """Whether a relative name stands for nothing, as the working directory is none any more."""
    if os.path.isabs(name):
        return False
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def file_failure(action: str, name: str, error: OSError, *, mend: str = "") -> Failure:
    """A file that cannot be used: `cannot read policy.oom: permission denied`."""
    if isinstance(error, FileNotFoundError) and is_nowhere(name):
        return Failure(f"cannot {action} {name}: {NOWHERE}", mend=mend or SOMEWHERE)
    reason = error.strerror or str(error)
    code = ENVIRONMENT if error.errno in OF_THE_MACHINE else USAGE
    return Failure(f"cannot {action} {name}: {reason[:1].lower()}{reason[1:]}", mend=mend, code=code)
