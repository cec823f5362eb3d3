"""What the commands about loaded policies share: the option --pin, values of inputs, and failures in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import click

from oomlang.cli.failures import ENVIRONMENT, Failure

if TYPE_CHECKING:
    from oomlang.kernel.bindings import VerifierRefusal
    from oomlang.kernel.pins import Pins
    from oomlang.kernel.policy import Policy
    from oomlang.objects.metadata import Input, Metadata

Command = TypeVar("Command", bound=Callable[..., object])

_DEFAULT_DIRECTORY = "/sys/fs/bpf/oomlang"


def pin_option(command: Command) -> Command:
    """`--pin DIR`."""
    return click.option(
        "--pin",
        type=click.Path(readable=False),
        default=_DEFAULT_DIRECTORY,
        show_default=True,
        metavar="DIR",
        help="Where the policy is pinned: a directory on a BPF file system.",
    )(command)


def pins_at(directory: str) -> Pins:
    """The pins below a directory."""
    from pathlib import Path

    from oomlang.kernel.pins import Pins

    return Pins(Path(directory))


@contextmanager
def kernel_failures(*, loading: tuple[bytes, Metadata] | None = None) -> Iterator[None]:
    """Turn what the kernel layer raises into failures. loading: the object that is loaded meanwhile, and its metadata."""
    from oomlang.kernel.bindings import LibbpfError, VerifierRefusal
    from oomlang.kernel.loader import Occupied

    try:
        yield
    except Occupied as error:
        raise Failure(error.what, mend=error.mend, code=ENVIRONMENT) from error
    except LibbpfError as error:
        if loading is not None and isinstance(error, VerifierRefusal):
            raise _refusal(error, *loading) from error
        raise Failure(
            str(error), mend="see `dmesg` for the kernel's own words, if any", code=ENVIRONMENT
        ) from error


def _refusal(error: VerifierRefusal, image: bytes, metadata: Metadata) -> Failure:
    from oomlang.diagnostics.visible import visible
    from oomlang.kernel.loader_refusal import refused_place

    place = refused_place(error.log, error.program, image, metadata)
    lines = []
    if (rule := place.rule) is not None:
        file = visible(rule.file)
        lines.append(f"it was at {file}:{rule.line}:{rule.column}: {rule.text}")
    if place.line is not None:
        lines.append(f"line {place.line} of the C (`oomlang compile --emit c`)")
    lines += ["the end of its log:", *error.log.rstrip().splitlines()[-12:]]
    return Failure(
        f"the kernel's verifier refuses program {error.program}: {place.reason}",
        details="\n".join(lines),
        mend="`oomlang compile --kernel running` says whether this kernel lacks something; "
        "please report a policy that a kernel with the hooks refuses",
        code=ENVIRONMENT,
    )


# --- values of inputs -------------------------------------------------------------------------------------------------


def find_input(policy: Policy, name: str) -> Input:
    """The input of that name. Errors: `Failure` with a proposal."""
    declared = policy.input(name)
    if declared is None:
        from oomlang.syntax.suggest import did_you_mean

        names = [i.name for i in policy.inputs]
        mend = did_you_mean(name, names) or (f"it has {', '.join(names)}" if names else "it has none")
        raise Failure(f'the policy "{policy.name}" has no input `{name}`', mend=mend)
    return declared


def split_target(text: str) -> tuple[str, str | None]:
    """`floor` is a knob, `priority/web/api` the input `priority` of the cgroup `/web/api`."""
    name, slash, path = text.partition("/")
    return name, f"/{path}" if slash else None


def input_value(declared: Input, text: str) -> int:
    """A literal as a value of an input of the policy in force, in base units. Errors: `Failure` with what it takes."""
    from oomlang.cli.values import parse_value
    from oomlang.facts import Interval, Type

    interval = Interval(declared.lowest, declared.highest)
    return parse_value(declared.name, Type(declared.type), interval, text)


def spelled(declared: Input, value: int) -> str:
    """A value as the language writes it."""
    from oomlang.facts import Type, spell

    return spell(value, Type(declared.type))


def memcg_id(path: str) -> int:
    """The id of a cgroup. Errors: `Failure`."""
    from oomlang.kernel.inputs import memcg_id_of

    try:
        return memcg_id_of(path)
    except OSError as error:
        raise Failure(
            f"there is no memory cgroup {path}", mend="paths begin at /sys/fs/cgroup, which is /"
        ) from error


def time_text(seconds: float) -> str:
    """A moment in local time, to the second."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
