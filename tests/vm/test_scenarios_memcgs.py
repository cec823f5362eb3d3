"""Paths, depths and globs on a real kernel, in cgroups that are made after the policy was loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.vm.scenarios.stage import LIMIT, Hog, Scene, Stage, staged

pytestmark = pytest.mark.needs("qemu", "clang")


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from staged(request)


def _machine(sizes: Mapping[str, str]) -> Scene:
    """A hog in each of these cgroups, named as its path; an event of the whole machine."""
    return Scene(
        hogs={path: Hog(cgroup=path, size=size, comm="hog") for path, size in sizes.items()}, sysrq=True
    )


def _order(stage: Stage, scene: Scene) -> list[str]:
    """All hogs in the order in which a policy kills them, one event after the other."""
    begun = stage.vm.log_mark()
    played = stage.play(scene)
    order = [played.victim]
    while len(order) < len(scene.hogs):
        begun = stage.vm.log_mark()
        stage.sysrq(*[name for name in scene.hogs if name not in order])
        stage.vm.wait(*order)
        order.append(stage.outcome(begun).victim)
    return order


def test_path_patterns_match_one_component_a_star_and_all_below(stage: Stage) -> None:
    stage.policy(
        'policy "paths"\nkill first when memcg under "/apps/*/web"\nkill first when memcg under "/b*h/j-*-x"\n'
    )
    scene = _machine(
        {
            "/apps/one/web": "2M",
            "/apps/two/web/deeper/down": "3M",
            "/batch/j-1-x": "4M",
            "/batch/j--x/y": "5M",
            "/batch/j-1-z": "10M",
            "/apps/web": "11M",
            "/apps/one/two/web": "12M",
            "/apps/one/webs": "13M",
            "/apps2/one/web": "14M",
        }
    )
    assert _order(stage, scene) == [
        "/apps/two/web/deeper/down",
        "/apps/one/web",
        "/batch/j--x/y",
        "/batch/j-1-x",
        "/apps2/one/web",
        "/apps/one/webs",
        "/apps/one/two/web",
        "/apps/web",
        "/batch/j-1-z",
    ]


def test_names_match_globs_with_several_stars(stage: Stage) -> None:
    stage.policy(
        'policy "globs"\nkill first when memcg.name like "*a*b*c"\nkill first when comm like "w*k*r-*"\n'
    )
    scene = Scene(
        hogs={
            "abc": Hog(cgroup="/n/abc", size="2M"),
            "xaxbxcxc": Hog(cgroup="/n/xaxbxcxc", size="3M"),
            "worker-1": Hog(cgroup="/n/plain", size="4M"),
            "wkr-": Hog(cgroup="/n/plain", size="5M"),
            "abcd": Hog(cgroup="/n/abcd", size="10M"),
            "acb": Hog(cgroup="/n/acb", size="11M"),
            "xworker-1": Hog(cgroup="/n/plain", size="12M"),
            "wrk-": Hog(cgroup="/n/plain", size="13M"),
        },
        sysrq=True,
    )
    assert _order(stage, scene) == ["xaxbxcxc", "abc", "wkr-", "worker-1", "wrk-", "xworker-1", "acb", "abcd"]


def test_hostile_names_match_as_they_are(stage: Stage) -> None:
    stage.policy(
        'policy "hostile"\nkill first when comm == "a) R 1 [\\"\\\\"\nkill first when memcg.name == "größe \\\\x"\n'
    )
    scene = Scene(
        hogs={
            "comm": Hog(cgroup="/n/plain", size="2M", comm='a) R 1 ["\\'),
            "memcg": Hog(cgroup="/n/größe \\x", size="3M"),
            "large": Hog(cgroup="/n/plain", size="9M"),
        },
        sysrq=True,
    )
    assert _order(stage, scene) == ["comm", "memcg", "large"]


def test_at_depth_compares_ancestors(stage: Stage) -> None:
    scene = _machine(
        {"/big/a": "2M", "/big/b": "3M", "/big/c/deep": "4M", "/small/x": "8M", "/shallow": "6M"}
    )
    for rule, victim in (
        ("kill highest memcg.usage at depth 1", "/big/c/deep"),
        ("kill highest memcg.usage at depth 2", "/small/x"),
        ("kill lowest memcg.usage at depth 1", "/shallow"),
        ("kill highest memcg.usage at depth 9", "/small/x"),
        ("kill highest memcg.depth at depth 2\nkill lowest rss", "/big/a"),
    ):
        stage.policy(f'policy "depths"\n{rule}\n')
        assert stage.play(scene).decision == ("depths", victim), rule
        stage.clear()


def test_at_each_depth_walks_into_the_worst_subtree(stage: Stage) -> None:
    tree = {
        "/a/small/x": "6M", "/a/small/y": "7M", "/a/single": "12M", "/b/only": "23M", "/c": "3M",
    }  # fmt: skip
    stage.policy('policy "tree"\nkill highest memcg.usage at each depth\n')
    # /a holds 25 of 51, in it /a/small 13, in it y 7; then /b holds the most; and so on.
    assert _order(stage, _machine(tree)) == ["/a/small/y", "/b/only", "/a/single", "/a/small/x", "/c"]
    stage.clear()
    stage.policy('policy "tree"\nkill lowest memcg.usage at each depth\n')
    assert stage.play(_machine(tree)).victim == "/c"


def test_levels_count_from_the_scope_of_the_event(stage: Stage) -> None:
    hogs = {
        "/s/scope/a/one": Hog(cgroup="/s/scope/a/one", size="4M"),
        "/s/scope/a/two": Hog(cgroup="/s/scope/a/two", size="5M"),
        "/s/scope/b/one": Hog(cgroup="/s/scope/b/one", size="7M"),
    }
    outside = {"outside": Hog(cgroup="/s/other", size="10M")}
    scene = Scene(
        cgroups={"/s/scope": {"memory.max": 20 << 20, "memory.swap.max": 0}},
        hogs={**outside, **hogs, "last": Hog(cgroup="/s/scope/c", size="6M")},
    )
    stage.policy('policy "tree"\nkill highest memcg.usage at each depth\n')
    assert stage.play(scene).decision == ("tree", "/s/scope/a/two")
    assert stage.running("outside")


def test_a_cgroup_that_replaces_another_of_the_same_name_is_a_new_one(stage: Stage) -> None:
    """Inputs belong to a cgroup and not to its path."""
    stage.policy('policy "ids"\ninput rank per memcg: int = 0\nkill highest rank\n')
    scene = Scene(
        cgroups={"/parent": LIMIT},
        hogs={"first": Hog(cgroup="/parent/one"), "second": Hog(cgroup="/parent/two", size="8M")},
    )
    stage.cgroups({"/parent/one": {}})
    stage.set("rank/parent/one", 5)
    assert stage.play(scene).decision == ("ids", "first")
    stage.clear()
    assert stage.play(scene).decision == ("ids", "second")


def test_a_task_that_moves_counts_where_it_is_now(stage: Stage) -> None:
    stage.policy('policy "moves"\nkill first when memcg under "/to"\n')
    stage.cgroups({"/from": {}, "/to": {}})
    stage.start({"mover": Hog(cgroup="/from"), "large": Hog(cgroup="/from", size="8M")})
    stage.vm.call("write", path="/sys/fs/cgroup/to/cgroup.procs", data="{pid:mover}")
    begun = stage.vm.log_mark()
    stage.sysrq("mover", "large")
    assert stage.outcome(begun).decision == ("moves", "mover")
