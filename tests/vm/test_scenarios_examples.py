"""Every policy of examples/ on a real kernel, in scenes of its own where it and the kernel choose differently."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.conftest import EXAMPLES as FILES
from tests.vm.scenarios.examples import EXAMPLES
from tests.vm.scenarios.stage import Stage, staged

pytestmark = pytest.mark.needs("qemu", "clang")


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from staged(request)


@pytest.mark.parametrize("policy", [path.stem for path in FILES])
def test_example_kills_whom_its_rules_say_and_the_kernel_alone_another(policy: str, stage: Stage) -> None:
    scenes = {name: example for name, example in EXAMPLES.items() if example.policy == policy}
    found, expected = {}, {}
    for name, example in scenes.items():
        expected[name, "alone"] = ("default", example.stock)
        found[name, "alone"] = stage.play(example.scene).decision
        stage.clear()
    stage.example(policy)
    for name, example in scenes.items():
        expected[name, policy] = ("default" if example.left else policy, example.victim)
        stage.cgroups({hog.cgroup: {} for hog in example.scene.hogs.values() if hog.cgroup is not None})
        for setting in example.settings:
            stage.set(*setting.split("="))
        found[name, policy] = stage.play(example.scene).decision
        stage.clear()
    assert found == expected
    assert stage.counters()["left_to_kernel"] >= sum(example.left for example in scenes.values())


def test_no_example_is_without_a_scene() -> None:
    assert {example.policy for example in EXAMPLES.values()} == {path.stem for path in FILES}
    # Where both choose alike, the scene is about something else.
    alike = {e.policy for e in EXAMPLES.values() if e.victim == e.stock and not e.left}
    assert alike == {"invoker", "stock"}
