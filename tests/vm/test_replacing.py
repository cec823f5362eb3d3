"""One policy in the place of another: no event between them, no mixture, and no harm if the loader dies on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.vm.conftest import Machine, Outcome, Report

pytestmark = pytest.mark.needs("qemu", "clang")

ALPHA, BETA = "/payload/alpha_first.o", "/payload/beta_first.o"
CHOICE = {
    None: Report(policy="default", victim="beta"),
    "alpha_first": Report(policy="alpha_first", victim="alpha"),
    "beta_first": Report(policy="beta_first", victim="beta"),
}
"""What the machine does to a small alpha and a large beta."""


STILL = 0.2
"""Seconds that the loader waits here: no event is going on when it is asked."""


def _must(outcome: Outcome) -> Outcome:
    assert outcome.exit == 0, outcome
    return outcome


def _killed_at_every_step(
    machine: Machine,
    prepare: Callable[[], object],
    request: dict[str, object],
    before: str | None,
    after: str | None,
) -> None:
    """Kill what `request` starts before each of its steps, each time from the state that `prepare` makes.

    before, after: what is in force before and after its step "hand over".
    """
    prepare()
    steps = _must(machine.driver(**request, still=STILL)).steps
    assert "hand over" in steps
    _must(machine.driver(unload=True, still=STILL))
    for number in range(1, len(steps) + 1):
        prepare()
        killed = machine.driver(**request, kill_before=number, still=STILL)
        assert (killed.exit, killed.steps) == (-9, steps[:number])
        expected = after if "hand over" in steps[: number - 1] else before
        status = machine.status()
        assert (status["policy"]["name"] if status["policy"] else None) == expected, steps[:number]
        assert status["others"] == []
        # Unpinning a map or a program, or removing a directory, cannot change who is asked; each event takes a second.
        if not steps[number - 1].startswith("remove "):
            assert machine.oom() == CHOICE[expected], steps[:number]
        # Whoever comes next finds its way: one time to replace, one time to unload.
        if number % 2:
            _must(machine.driver(load=BETA, replace=True, still=STILL))
            status = machine.status()
            assert (status["policy"]["name"], status["remains"]) == ("beta_first", [])
        _must(machine.driver(unload=True, still=STILL))
        assert machine.pinned() == [], steps[:number]


def test_a_killed_first_load_leaves_the_kernel_or_the_policy(machine: Machine) -> None:
    _killed_at_every_step(machine, lambda: None, {"load": ALPHA}, None, "alpha_first")


def test_a_killed_replacement_leaves_the_old_policy_or_the_new_one(machine: Machine) -> None:
    def prepare() -> None:
        _must(machine.driver(load=ALPHA))

    _killed_at_every_step(machine, prepare, {"load": BETA, "replace": True}, "alpha_first", "beta_first")


def test_a_killed_unload_leaves_the_policy_or_the_kernel(machine: Machine) -> None:
    def prepare() -> None:
        _must(machine.driver(load=ALPHA))

    _killed_at_every_step(machine, prepare, {"unload": True}, "alpha_first", None)


def test_a_failed_replacement_is_rolled_back_whole(machine: Machine) -> None:
    _must(machine.driver(load=ALPHA))
    steps = _must(machine.driver(load=BETA)).steps
    _must(machine.driver(load=ALPHA))
    before = machine.pinned()
    for number in range(1, steps.index("hand over") + 2):
        failed = machine.driver(load=BETA, fail_before=number)
        assert failed.exit == 3, failed
        assert machine.pinned() == before, steps[:number]
    assert machine.oom() == CHOICE["alpha_first"]


def test_a_failed_first_load_leaves_nothing(machine: Machine) -> None:
    steps = _must(machine.driver(load=ALPHA)).steps
    _must(machine.driver(unload=True))
    for number in range(1, steps.index("hand over") + 2):
        assert machine.driver(load=ALPHA, fail_before=number).exit == 3
        assert machine.pinned() == [], steps[:number]


def test_two_loaders_at_once_are_kept_apart(machine: Machine) -> None:
    _must(machine.driver(load=ALPHA))
    script = (
        "import fcntl, os; fd = os.open('/sys/fs/bpf', os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX); "
        "print('ready', flush=True); input()"
    )
    machine.vm.spawn("other", ["python3", "-S", "-c", script], ready="ready")
    for request in ({"load": BETA}, {"unload": True}):
        refused = machine.driver(**request)
        assert refused.exit == 3
        assert "another oomlang" in refused.err
    assert machine.status()["busy"]
    machine.vm.call("kill", name="other")
    assert not machine.status()["busy"]
    assert machine.in_force() == "alpha_first"


def test_the_outgoing_policy_decides_what_its_successor_has_not_claimed_and_nothing_else(
    machine: Machine,
) -> None:
    """What lasts for some nanoseconds in a replacement, held still: the store came while an event was beginning."""
    _must(machine.driver(load=ALPHA))
    steps = _must(machine.driver(load=BETA, replace=True)).steps
    _must(machine.driver(load=ALPHA))
    old = machine.status()["policy"]["generation"]
    # Both are attached, the new one complete.
    assert machine.driver(load=BETA, replace=True, kill_before=steps.index("hand over") + 1).exit == -9
    (new,) = machine.status()["remains"]
    nobody = new + 1
    for turn, policy in (
        ((old, 0), "alpha_first"),
        ((new, old), "beta_first"),
        ((new, 0), "beta_first"),
        ((nobody, old), "alpha_first"),
        ((nobody, new), "beta_first"),
        ((nobody, 0), None),
        ((0, 0), None),
    ):
        _must(machine.driver(turn=turn))
        assert machine.oom() == CHOICE[policy], turn
