"""The loader's steps on this machine's kernel, with programs that nobody runs: what is pinned, handed over and removed.

That they decide OOM events, and which policy does while one replaces another, is for the virtual machine (tests/vm).
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oomlang.kernel import loader
from oomlang.kernel.inputs import current_inputs, write_knobs
from oomlang.kernel.loader import Occupied, Values, load, unload
from oomlang.kernel.loader_environment import Interface
from oomlang.kernel.pins import Pins
from oomlang.kernel.policy import Policy
from oomlang.kernel.probe import bpf_file_systems
from oomlang.kernel.status import policy_in_force, read_status
from oomlang.objects.metadata import Input, Map, Metadata, Program, Source

pytestmark = pytest.mark.needs("root", "clang", "bpf", "bpf file system")

Compiled = Callable[[str], bytes]


def metadata(name: str) -> Metadata:
    """Of `inert.bpf.c`, as the policy of that name."""
    return Metadata(
        language=1, compiler="", digest="", name=name, source=Source(name="", sha256=""), target="", decides=True,
        programs=tuple(Program(name=n, section="iter/task") for n in ("first", "second")), kfuncs=(),
        turn=".data.turn", maps=(Map(name="in_priority", type="hash", key=8, value=4),),
        inputs=(
            Input(name="floor", type="bytes", per_memcg=False, default=5, lowest=0, highest=1 << 40,
                  map=".data.inputs", variable="in_floor", size=8),
            Input(name="priority", type="int", per_memcg=True, default=0, lowest=-100, highest=100,
                  map="in_priority", variable="in_priority", size=4),
        ),
        rules=(), lets=(), facts=(), record=None,
    )  # fmt: skip


INTERFACES = [Interface.of_metadata(metadata(""))]


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pins]:
    monkeypatch.setattr(loader, "_STILL", 0.0)  # no event is going on
    place = Pins(bpf_file_systems()[0] / f"oomlang-test-{os.getpid()}")
    # Loaders keep each other out; tests of several processes wait.
    with Path(tempfile.gettempdir(), "oomlang-test-loader").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield place
        unload(place)


def inputs(pins: Pins) -> dict[str, object]:
    policy = policy_in_force(pins)
    assert policy is not None
    return {c.input.name: c.memcgs if c.input.per_memcg else c.value for c in current_inputs(pins, policy)}


def in_force(pins: Pins) -> Policy:
    found = read_status(pins, INTERFACES).in_force
    assert found is not None
    assert found.policy is not None
    assert found.detached == ()
    return found.policy


def test_a_load_attaches_in_the_order_of_the_metadata_and_then_hands_over(
    compiled: Compiled, pins: Pins
) -> None:
    steps: list[str] = []
    values = Values(knobs={"floor": 77}, memcgs={"priority": {9: -3}})
    load(compiled("inert"), metadata("one"), pins, values=values, before_step=steps.append)
    attached = [step for step in steps if step.startswith("attach ")]
    assert attached == ["attach first", "attach second"]
    assert steps.index("attach second") < steps.index("hand over")
    assert in_force(pins).metadata == metadata("one")
    assert inputs(pins) == {"floor": 77, "priority": {9: -3}}


def test_a_successor_keeps_the_values_and_the_old_one_is_detached_in_the_opposite_order(
    compiled: Compiled, pins: Pins
) -> None:
    load(compiled("inert"), metadata("one"), pins, values=Values(memcgs={"priority": {9: -3}}))
    write_knobs(pins, in_force(pins), {"floor": 99})
    with pytest.raises(Occupied, match='the policy "one" is in force'):
        load(compiled("inert"), metadata("two"), pins)
    steps: list[str] = []
    done = load(compiled("inert"), metadata("two"), pins, replace=True, before_step=steps.append)
    assert (done.replaced, done.left, in_force(pins).name) == ("one", (), "two")
    assert [s for s in steps if s.startswith("detach ")] == ["detach second", "detach first"]
    assert steps.index("hand over") < steps.index("detach second")
    assert inputs(pins) == {"floor": 99, "priority": {9: -3}}


def test_whatever_step_fails_nothing_is_left(compiled: Compiled, pins: Pins) -> None:
    class Failed(Exception):
        pass

    def failing(number: int) -> Callable[[str], None]:
        names: list[str] = []

        def step(name: str) -> None:
            names.append(name)
            if len(names) == number:
                raise Failed(name)

        return step

    steps: list[str] = []
    load(compiled("inert"), metadata("one"), pins, before_step=steps.append)
    unload(pins)
    for number in range(1, steps.index("hand over") + 2):
        with pytest.raises(Failed):
            load(compiled("inert"), metadata("one"), pins, before_step=failing(number))
        assert not pins.root.exists(), steps[number - 1]


def test_what_decides_nothing_is_not_loaded(compiled: Compiled, pins: Pins) -> None:
    with pytest.raises(ValueError, match="decides nothing"):
        load(compiled("inert"), replace(metadata("one"), decides=False), pins)
