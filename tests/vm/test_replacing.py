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
    steps = _must(machine.driver(**request)).steps
    assert "hand over" in steps
    for number in range(1, len(steps) + 1):
        machine.driver(unload=True)
        prepare()
        killed = machine.driver(**request, kill_before=number)
        assert (killed.exit, killed.steps) == (-9, steps[:number])
        expected = after if "hand over" in steps[: number - 1] else before
        status = machine.status()
        assert (status["policy"]["name"] if status["policy"] else None) == expected, steps[:number]
        assert status["others"] == []
        assert machine.oom() == CHOICE[expected], steps[:number]
        # Whoever comes next finds its way: one time to replace, one time to unload.
        if number % 2:
            _must(machine.driver(load=BETA, replace=True))
            assert machine.status()["remains"] == []
            assert machine.in_force() == "beta_first"
        _must(machine.driver(unload=True))
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
    before = machine.pinned()
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
