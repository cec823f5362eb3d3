"""Brings policies into the kernel and out of it, so that at every moment one of them or the kernel decides.

In: the image of a checked object and its metadata. Out: the loaded `Policy`.

A load is a *generation* of its own: its maps, programs and attachments are all there, pinned and inert, before one
store (`Pins.hand_over`) puts it in force. That store is the only step that matters to an OOM event: before it the old
policy decides, after it the new one, and an event that is going on stays with whoever saw it begin. So a loader that is
killed leaves one or the other in force, and beside it at most remains that decide nothing; whoever loads or unloads
next removes them. docs/loading.md has the whole argument.

Errors: `EnvironmentLacks`, `Occupied`, `VerifierRefusal`, `LibbpfError`, `ValueError` for values of inputs; whichever it
is, what was in force before still is, and nothing of the new policy is left.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from oomlang.kernel.bindings import LibbpfError
from oomlang.kernel.inputs import CurrentInput, current_inputs, write_knobs, write_memcg_value
from oomlang.kernel.libbpf import BpfObject, open_object
from oomlang.kernel.loader_environment import Interface, attached_to, require_environment
from oomlang.kernel.maps import open_pinned_map
from oomlang.kernel.pins import LAST_GENERATION, BeforeStep, Pins, Turn, no_step, pin_name
from oomlang.kernel.policy import Policy
from oomlang.kernel.probe import page_size, why_not_permitted
from oomlang.objects.metadata import Metadata
from oomlang.objects.variables import global_variables

_STILL = 1.0
_DRAIN_LIMIT = 15.0
_POLL = 0.02


class Occupied(Exception):
    """Something stands where the policy should go; `mend` says what to do."""

    def __init__(self, what: str, *, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Values for inputs in base units: of knobs by name, of inputs per memcg by name and cgroup id."""

    knobs: Mapping[str, int] = field(default_factory=dict)
    memcgs: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load did. replaced: the name of the policy before it. left: generations that could not be removed yet."""

    policy: Policy
    replaced: str | None
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unloaded:
    """What an unload did. name: of the policy that was in force, None for none. remains: removed generations."""

    name: str | None
    remains: tuple[int, ...]


def load(
    image: bytes,
    metadata: Metadata,
    pins: Pins,
    *,
    replace: bool = False,
    values: Values | None = None,
    before_step: BeforeStep = no_step,
) -> Loaded:
    """Put a policy in force. replace: in place of the one that is. before_step: told of each step before it is taken."""
    if not metadata.decides:
        raise ValueError(f"an object for {metadata.target} decides nothing, and cannot be put in force")
    interface = Interface.of_metadata(metadata)
    require_environment("load a policy", interface)
    with pins.lock():
        old = pins.turn().in_force
        _require_room(pins, interface, old, replace)
        _remove_remains(pins, before_step)
        number = _free_number(pins)
        fresh = not pins.turn_path.exists()
        values = _with_values_of(pins, old, metadata, values or Values())
        try:
            policy = _stage(image, metadata, pins, number, values, before_step)
            before_step("hand over")
            pins.hand_over(Turn(in_force=number, outgoing=old))
        except BaseException:
            _roll_back(pins, number, fresh)
            raise
        name = _name(pins, old) if old else None
        try:
            left = _remove_remains(pins, before_step)
        except LibbpfError:  # it is in force, whatever becomes of what is left of others
            left = tuple(n for n in pins.generations() if n != number)
        return Loaded(policy=policy, replaced=name, left=left)


def unload(pins: Pins, *, before_step: BeforeStep = no_step) -> Unloaded:
    """Leave the choice to the kernel again and remove everything; also what interrupted loads left behind."""
    lacks = why_not_permitted("unload a policy")
    if lacks is not None:
        raise lacks
    with pins.lock():
        old = pins.turn().in_force
        name = _name(pins, old) if old else None
        before = pins.generations()
        if old:
            before_step("hand over")
            pins.hand_over(Turn(in_force=0, outgoing=0))
        left = _remove_remains(pins, before_step)
        if left:
            raise Occupied(
                f"the policy is not in force any more, but it is still deciding an OOM event that began before: {pins.root}",
                mend="run `oomlang unload` again in a moment",
            )
        before_step("remove the directory")
        pins.remove_root()
        return Unloaded(name=name, remains=tuple(n for n in before if n != old))


# --- one generation -------------------------------------------------------------------------------------------------


def _stage(
    image: bytes,
    metadata: Metadata,
    pins: Pins,
    number: int,
    values: Values,
    before_step: BeforeStep,
) -> Policy:
    """Load, fill, attach and pin it all; nothing of it decides anything yet."""
    policy = Policy.of_object(image, metadata, generation=number, now=time.time())
    before_step("load the object")
    with open_object(image, name="oomlang") as opened:
        _prepare(opened, image, metadata, pins, number)
        opened.load()
        before_step("make the directories")
        pins.make(number)
        if metadata.turn is not None and not pins.turn_path.exists():
            before_step("pin turn")
            opened.map(metadata.turn).pin(pins.turn_path)
        before_step("pin record")
        policy.pin(pins.record(number))
        for name in policy.maps:
            before_step(f"pin map {name}")
            opened.map(name).pin(pins.map(number, name))
        _fill(policy, pins, values)
        for name in policy.programs:
            before_step(f"pin program {name}")
            opened.program(name).pin(pins.program(number, name))
        for name in policy.programs:
            before_step(f"attach {name}")
            with opened.program(name).attach() as link:
                before_step(f"pin link {name}")
                link.pin(pins.link(number, pin_name(name)))
    return policy


def _prepare(opened: BpfObject, image: bytes, metadata: Metadata, pins: Pins, number: int) -> None:
    """What has to be known before loading: the size of a page, the generation, and whose turn it is."""
    variables = global_variables(image)
    for name, value in (("page_shift", page_size().bit_length() - 1), ("generation", number)):
        variable = variables[name]
        opened.map(variable.section).set_variable(variable, struct.pack("<I", value))
    if metadata.turn is not None and pins.turn_path.exists():
        with open_pinned_map(pins.turn_path) as turn:
            opened.map(metadata.turn).reuse(turn.fd)


def _fill(policy: Policy, pins: Pins, values: Values) -> None:
    """The inputs' first values."""
    if values.knobs:
        write_knobs(pins, policy, values.knobs)
    for name, cells in values.memcgs.items():
        for memcg_id, value in cells.items():
            write_memcg_value(pins, policy, name, memcg_id, value)


def _with_values_of(pins: Pins, old: int, metadata: Metadata, values: Values) -> Values:
    """What was set for the policy in force stays set for its successor, where that has an input of the same name, type
    and kind, and unless `values` says otherwise.
    """
    knobs, memcgs = dict(values.knobs), {name: dict(cells) for name, cells in values.memcgs.items()}
    declared = {i.name: i for i in metadata.inputs}
    for current in _inputs_of(pins, old) if old else []:
        before, now = current.input, declared.get(current.input.name)
        if now is None or (now.type, now.per_memcg) != (before.type, before.per_memcg):
            continue
        for memcg_id, value in current.memcgs.items():
            if now.lowest <= value <= now.highest:
                memcgs.setdefault(before.name, {}).setdefault(memcg_id, value)
        if current.value is None or current.value == before.default:
            continue
        if now.lowest <= current.value <= now.highest:
            knobs.setdefault(before.name, current.value)
    return Values(knobs=knobs, memcgs=memcgs)


def _inputs_of(pins: Pins, number: int) -> list[CurrentInput]:
    policy = _recorded(pins, number)  # one of another version wrote its values in a way of its own
    return current_inputs(pins, policy) if policy else []


def _free_number(pins: Pins) -> int:
    used = {0, *pins.generations(), pins.turn().in_force, pins.turn().outgoing}
    following = max(used) + 1
    if following <= LAST_GENERATION:
        return following
    return next(n for n in range(1, LAST_GENERATION + 1) if n not in used)


def _require_room(pins: Pins, interface: Interface, old: int, replace: bool) -> None:
    ours = {i for n in pins.generations() for i in pins.link_ids(n).values()}
    for other in attached_to([interface]):
        if other.link_id not in ours:
            raise Occupied(
                f"a program that was not loaded from {pins.root} decides OOM events: "
                f"{other.program} (program {other.program_id}, link {other.link_id})",
                mend="unload it first: two policies that do not know of each other cannot both decide",
            )
    if old and not replace:
        name = _name(pins, old)
        raise Occupied(
            f'the policy "{name}" is in force', mend="replace it with --replace, or `oomlang unload` it first"
        )


def _name(pins: Pins, number: int) -> str:
    policy = _recorded(pins, number)
    return policy.name if policy else "?"


def _recorded(pins: Pins, number: int) -> Policy | None:
    """What stands in a generation's record; None where there is none, or one of another version."""
    try:
        return Policy.pinned(pins.record(number))
    except ValueError:
        return None


# --- the end of one -------------------------------------------------------------------------------------------------


def _remove_remains(pins: Pins, before_step: BeforeStep = no_step) -> tuple[int, ...]:
    """Remove all generations but the one in force; those that could not be removed yet."""
    in_force = pins.turn().in_force
    if pins.generations():
        before_step("point current")
        pins.point_current(in_force)
    left = []
    for number in pins.generations():
        if number == in_force:
            continue
        if _drained(pins, number):
            _remove(pins, number, before_step)
        else:
            left.append(number)
    turn = pins.turn()
    if turn.outgoing and turn.outgoing not in left:
        before_step("forget the old policy")
        pins.hand_over(Turn(in_force=turn.in_force, outgoing=0))
    return tuple(left)


def _remove(pins: Pins, number: int, before_step: BeforeStep = no_step) -> None:
    """Detach a generation's programs in the opposite order: what decides goes first, what only counts last."""
    policy = _recorded(pins, number)
    pins.remove(number, tuple(reversed(policy.programs)) if policy else (), before_step)


def _drained(pins: Pins, number: int) -> bool:
    """Wait until a generation has no event left to decide; false if that takes too long.

    An event that begins after the hand-over clears the old one's note of its last event. Where none begins, the note
    stands for ever, and stillness has to do: a scan that goes on looks at tasks all the time.
    """
    policy = _recorded(pins, number)  # of another version: then it is only known by its stillness
    deadline = time.monotonic() + _DRAIN_LIMIT
    seen, since = b"", time.monotonic()
    while (now := time.monotonic()) < deadline:
        try:
            with open_pinned_map(pins.map(number, ".bss")) as bss:
                data = bss.lookup(bytes(4)) or b""
        except LibbpfError as exc:
            if exc.errno == errno.ENOENT:
                return True  # what has an attachment has its maps
            raise
        if policy is not None and not any(data[policy.event_offset : policy.event_offset + 8]):
            return True
        if data != seen:
            seen, since = data, now
        elif now - since >= _STILL:
            return True
        time.sleep(_POLL)
    return False


def _roll_back(pins: Pins, number: int, fresh: bool) -> None:
    """Nothing of the generation remains. If that fails too, the first failure is the one to report."""
    try:
        if pins.turn().in_force == number:
            return
        if number in pins.generations():
            _remove(pins, number)
        if fresh:
            pins.remove_root()
    except (LibbpfError, OSError):
        pass
