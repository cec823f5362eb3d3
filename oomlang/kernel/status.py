"""What is in force on this machine.

In: the pins. Out: `Status`, read without changing anything and without the loaders' lock: what is seen while one is at
work may be half of its work, and `busy` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel.bindings import LibbpfError
from oomlang.kernel.inputs import CurrentInput, current_inputs
from oomlang.kernel.loader_environment import Attached, Interface, attached_to
from oomlang.kernel.maps import open_pinned_map
from oomlang.kernel.pins import Pins
from oomlang.kernel.policy import Policy
from oomlang.kernel.probe import why_not_permitted

Counters = Mapping[str, int | Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The policy in force. policy: None where its record cannot be read (another version of oomlang wrote it).

    detached: programs of it that are not attached, which should never be.
    """

    generation: int
    policy: Policy | None
    counters: Counters
    inputs: tuple[CurrentInput, ...]
    detached: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """remains: generations of loads that were interrupted or have just been replaced; they decide nothing.

    others: programs on the hook that were not loaded from here. busy: a loader is at work at this moment.
    """

    missing_hooks: tuple[str, ...]
    in_force: InForce | None
    remains: tuple[int, ...]
    others: tuple[Attached, ...]
    busy: bool


def read_status(pins: Pins, interfaces: Sequence[Interface]) -> Status:
    """interfaces: of the targets whose policies can be in force; the kernel must have one of them.

    Errors: `EnvironmentLacks` without the rights, libbpf, the kernel's BTF or the BPF file system; `LibbpfError`.
    """
    lacks = why_not_permitted("ask what is in force")
    if lacks is not None:
        raise lacks
    missing = min((interface.missing() for interface in interfaces), key=len)
    if missing:
        # Nothing can be loaded then, wherever the pins would be.
        return Status(missing_hooks=missing, in_force=None, remains=(), others=(), busy=False)
    busy = pins.is_locked()
    number = pins.turn().in_force
    generations = pins.generations()
    ours = {i for n in generations for i in pins.link_ids(n).values()}
    return Status(
        missing_hooks=missing,
        in_force=_in_force(pins, number) if number else None,
        remains=tuple(n for n in generations if n != number),
        others=tuple(a for a in attached_to(interfaces) if a.link_id not in ours),
        busy=busy,
    )


def policy_in_force(pins: Pins) -> Policy | None:
    """The policy in force, None for none. Errors: also `EnvironmentLacks` for one of another version."""
    lacks = why_not_permitted("use the policy in force")
    if lacks is not None:
        raise lacks
    pins.mounted_at()
    number = pins.turn().in_force
    if not number:
        return None
    try:
        return Policy.pinned(pins.record(number))
    except ValueError as exc:
        raise EnvironmentLacks(
            str(exc), mend="use the version of oomlang that loaded it, or load it again with --replace"
        ) from exc


def read_counters(pins: Pins, policy: Policy) -> Counters:
    """What its programs have counted since it was loaded."""
    with open_pinned_map(pins.map(policy.generation, ".bss")) as bss:
        data = bss.lookup(bytes(4)) or b""
    counters: dict[str, int | Mapping[str, int]] = {}
    for slot in policy.counters:
        if slot.names:
            counters[slot.name] = {
                name: _number(data, slot.offset + 8 * i)
                for i, name in enumerate(slot.names)
                if name != "none"
            }
        else:
            counters[slot.name] = _number(data, slot.offset)
    return counters


def _in_force(pins: Pins, number: int) -> InForce:
    try:
        policy = Policy.pinned(pins.record(number))
    except ValueError:
        policy = None
    if policy is None:
        return InForce(generation=number, policy=None, counters={}, inputs=(), detached=())
    links = pins.link_ids(number)
    return InForce(
        generation=number,
        policy=policy,
        counters=read_counters(pins, policy),
        inputs=tuple(current_inputs(pins, policy)),
        detached=tuple(name for name in policy.programs if name not in links),
    )


def _number(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


__all__ = ["InForce", "LibbpfError", "Status", "policy_in_force", "read_counters", "read_status"]
