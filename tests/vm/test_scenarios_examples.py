"""Every policy of examples/ on a real kernel, in a scene of its own where it and the kernel choose differently."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.conftest import EXAMPLES as FILES
from tests.vm.scenarios.examples import EXAMPLES, Example
from tests.vm.scenarios.stage import Stage, staged

pytestmark = pytest.mark.needs("qemu", "clang")


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from staged(request)


@pytest.mark.parametrize("scene", EXAMPLES)
def test_example_kills_whom_its_rules_say_and_the_kernel_alone_another(scene: str, stage: Stage) -> None:
    example: Example = EXAMPLES[scene]
    assert stage.play(example.scene).decision == ("default", example.stock)
    stage.clear()
    stage.cgroups({hog.cgroup: {} for hog in example.scene.hogs.values() if hog.cgroup is not None})
    stage.example(example.policy, *example.settings)
    played = stage.play(example.scene)
    assert played.decision == ("default" if example.left else example.policy, example.victim), played.log
    assert stage.counters()["left_to_kernel"] == (1 if example.left else 0)


def test_no_example_is_without_a_scene() -> None:
    assert {example.policy for example in EXAMPLES.values()} == {path.stem for path in FILES}
    # Where both choose alike, the scene is about something else.
    alike = {e.policy for e in EXAMPLES.values() if e.victim == e.stock and not e.left}
    assert alike == {"invoker", "stock"}
