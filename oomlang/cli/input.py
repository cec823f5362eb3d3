"""`oomlang input`: the values that user space gives the policy in force."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from oomlang.cli import streams
from oomlang.cli.failures import ENVIRONMENT, Failure
from oomlang.cli.loading import (
    find_input,
    input_value,
    kernel_failures,
    memcg_id,
    pin_option,
    pins_at,
    spelled,
    split_target,
)

if TYPE_CHECKING:
    from oomlang.kernel.inputs import CurrentInput
    from oomlang.kernel.pins import Pins
    from oomlang.kernel.policy import Policy

_EPILOG = """\b
Examples:
  oomlang input list
  oomlang input get floor
  oomlang input set floor 512MiB
  oomlang input set priority/web.slice/api.service 50
  oomlang input unset priority/web.slice/api.service
"""


@click.group("input", epilog=_EPILOG)
def command() -> None:
    """Read and set the inputs of the policy in force.

    INPUT/CGROUP is the value of one memory cgroup: CGROUP is its path below /sys/fs/cgroup.
    """


@command.command("list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@pin_option
def list_command(form: str, pin: str) -> None:
    """Show all inputs with their values."""
    with kernel_failures():
        _, found = _current(pins_at(pin))
        paths = _paths(found)
    if form == "json":
        streams.print_json({"inputs": [_json(current, paths) for current in found]})
        return
    rows = []
    for current in found:
        if current.input.per_memcg:
            rows.append(
                (current.input.name, f"{spelled(current.input, current.input.default)} where not set")
            )
            for number, value in sorted(current.memcgs.items(), key=lambda item: paths.get(item[0], "")):
                place = paths.get(number, f"  (cgroup {number}, which is gone)")
                rows.append((f"{current.input.name}{place}", spelled(current.input, value)))
        else:
            rows.append((current.input.name, spelled(current.input, current.value or 0)))
    size = max((len(name) for name, _ in rows), default=0)
    streams.print_text("".join(f"{name.ljust(size)}  {value}\n" for name, value in rows))


@command.command("get")
@click.argument("name", metavar="INPUT[/CGROUP]")
@pin_option
def get_command(name: str, pin: str) -> None:
    """Print one value."""
    with kernel_failures():
        policy, found = _current(pins_at(pin))
    chosen, path = split_target(name)
    declared = find_input(policy, chosen)
    current = next(c for c in found if c.input is declared)
    _require_target(declared.per_memcg, chosen, path)
    if path is None:
        value = current.value or 0
    else:
        value = current.memcgs.get(memcg_id(path), declared.default)
    streams.print_text(spelled(declared, value) + "\n")


# A value such as -10 is no option.
@command.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="INPUT[/CGROUP]")
@click.argument("value")
@pin_option
def set_command(name: str, value: str, pin: str) -> None:
    """Set one value; OOM events that begin from now on see it."""
    from oomlang.kernel.inputs import write_knobs, write_memcg_value

    pins = pins_at(pin)
    with kernel_failures(), pins.lock():
        policy = _policy(pins)
        chosen, path = split_target(name)
        declared = find_input(policy, chosen)
        _require_target(declared.per_memcg, chosen, path)
        number = input_value(declared, value)
        if path is None:
            write_knobs(pins, policy, {chosen: number})
        else:
            try:
                write_memcg_value(pins, policy, chosen, memcg_id(path), number)
            except ValueError as error:
                raise Failure(
                    str(error), mend="`oomlang input unset` makes room", code=ENVIRONMENT
                ) from error


@command.command("unset")
@click.argument("name", metavar="INPUT/CGROUP")
@pin_option
def unset_command(name: str, pin: str) -> None:
    """Let one memory cgroup have the default again; CGROUP may also be the id of one that is gone."""
    from oomlang.kernel.inputs import write_memcg_value

    pins = pins_at(pin)
    with kernel_failures(), pins.lock():
        policy = _policy(pins)
        chosen, path = split_target(name)
        declared = find_input(policy, chosen)
        if not declared.per_memcg:
            raise Failure(
                f"{chosen} is one value for all cgroups", mend=f"`oomlang input set {chosen} VALUE`"
            )
        _require_target(True, chosen, path)
        assert path is not None  # or it would have been refused
        number = None
        with contextlib.suppress(ValueError):
            number = int(path[1:])
        if not write_memcg_value(pins, policy, chosen, memcg_id(path) if number is None else number, None):
            raise Failure(f"{chosen} is not set for {path}")


def _policy(pins: Pins) -> Policy:
    from oomlang.kernel.status import policy_in_force

    policy = policy_in_force(pins)
    if policy is None:
        raise Failure("no policy is in force", mend="load one: oomlang load POLICY", code=ENVIRONMENT)
    return policy


def _current(pins: Pins) -> tuple[Policy, list[CurrentInput]]:
    from oomlang.kernel.inputs import current_inputs

    policy = _policy(pins)
    return policy, current_inputs(pins, policy)


def _paths(found: list[CurrentInput]) -> dict[int, str]:
    from oomlang.kernel.inputs import memcg_paths

    return memcg_paths() if any(c.memcgs for c in found) else {}


def _require_target(per_memcg: bool, name: str, path: str | None) -> None:
    if per_memcg and path is None:
        raise Failure(f"{name} is an input per memcg", mend=f"say of which one: {name}/CGROUP")
    if not per_memcg and path is not None:
        raise Failure(f"{name} is one value for all cgroups", mend=f"leave the path out: {name}")


def _json(current: CurrentInput, paths: dict[int, str]) -> dict[str, Any]:
    declared = current.input
    return {
        "name": declared.name,
        "type": declared.type,
        "per_memcg": declared.per_memcg,
        "default": declared.default,
        "range": {"least": declared.lowest, "most": declared.highest},
        "value": current.value,
        "memcgs": [
            {"id": number, "path": paths.get(number), "value": value}
            for number, value in sorted(current.memcgs.items())
        ],
    }
