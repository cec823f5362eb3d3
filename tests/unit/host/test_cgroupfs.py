from __future__ import annotations

from pathlib import Path

import pytest

from oomlang.facts.table import Scope, kept_by_name
from oomlang.host import UNLIMITED
from oomlang.host.mounts import parse_mounts
from tests.unit.host.machines import (
    MOUNTED_HYBRID,
    MOUNTED_V1,
    MOUNTED_V2,
    ONE_NUMBER,
    V1_FILES,
    V2_FILES,
    FakeMachine,
)

_ONE_NUMBER = {fact: number for fact, (_, _, number) in ONE_NUMBER.items()}


def test_version_2(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, swap_kb=1)
    fake.cgroup("a", V2_FILES)
    directory = fake.cgroup("a/b c", V2_FILES | {"memory.max": "8192", "memory.swap.max": "100"})
    reader = fake.cgroups()
    assert reader.memcg_of(b"0::/a/b c\n") == ((b"a", b"b c"), "")
    assert list(reader.memcgs) == [(), (b"a",), (b"a", b"b c")]
    memcg = reader.memcgs[b"a", b"b c"]
    assert memcg.id == directory.stat().st_ino
    assert memcg.facts == {
        **_ONE_NUMBER,
        "memcg.limit": 8192,
        "memcg.min": 1024,
        "memcg.low": 2048,
        "memcg.high": UNLIMITED,
        "memcg.swap": 8192,
        "memcg.oom_group": 1,
        "memcg.oom_kills": 7,
    }
    assert memcg.swap_room == 100
    assert reader.memcgs[(b"a",)].facts["memcg.limit"] == UNLIMITED
    assert reader.memcgs[(b"a",)].swap_room == 1024  # no limit: all that there is
    assert reader.memcgs[()].facts == {}
    assert not reader.unseen


@pytest.mark.parametrize(
    "mounted, line",
    [(MOUNTED_V1, b"4:memory:/a\n"), (MOUNTED_HYBRID, b"0::/u\n4:cpu,memory:/a\n")],
    ids=["v1", "hybrid"],
)
def test_version_1_and_both_side_by_side(tmp_path: Path, mounted: bytes, line: bytes) -> None:
    fake = FakeMachine(tmp_path, mounted, swap_kb=1000)
    fake.cgroup("a", V1_FILES, mount="sys/fs/cgroup/memory")
    reader = fake.cgroups()
    assert reader.memcg_of(line) == ((b"a",), "")
    memcg = reader.memcgs[(b"a",)]
    assert memcg.facts == {
        **_ONE_NUMBER,
        "memcg.limit": 8192000,
        "memcg.min": 0,
        "memcg.low": 0,
        "memcg.high": UNLIMITED,
        "memcg.swap": 8192,
        "memcg.oom_group": 0,
        "memcg.oom_kills": 7,
    }
    assert memcg.swap_room == 100_000
    assert not reader.unseen


def test_no_limit_of_version_1_is_a_number_near_2_to_the_63(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V1)
    for page in (4096, 65536):
        files = V1_FILES | {"memory.limit_in_bytes": str(2**63 - page)}
        fake.cgroup(f"a{page}", files, mount="sys/fs/cgroup/memory")
        reader = fake.cgroups()
        reader.memcg_of(b"4:memory:/a%d\n" % page)
        assert reader.memcgs[(b"a%d" % page,)].facts["memcg.limit"] == UNLIMITED


def test_the_memory_cgroup_is_the_nearest_with_the_controller(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.cgroup("a", V2_FILES)
    fake.cgroup("a/b", {"cgroup.controllers": "cpu pids"})
    fake.cgroup("a/b/c", {"cgroup.controllers": ""})
    fake.cgroup("x", {"cgroup.controllers": "pids"})
    reader = fake.cgroups()
    assert reader.memcg_of(b"0::/a/b/c\n") == ((b"a",), "")
    assert reader.memcg_of(b"0::/x\n") == ((), "")


def test_io_brings_the_memory_controller_with_it_and_hides_its_files(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.cgroup("a", {"cgroup.controllers": "io"})
    reader = fake.cgroups()
    assert reader.memcg_of(b"0::/a\n") == ((b"a",), "")
    assert "memcg.usage" not in reader.memcgs[(b"a",)].facts
    assert ("memcg.usage", "memory.current: no such file or directory") in reader.unseen


def test_a_file_that_is_missing_or_odd_is_a_fact_that_was_not_seen(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2, swap_kb=5)
    files = {n: t for n, t in V2_FILES.items() if n not in ("memory.swap.current", "memory.oom.group")}
    fake.cgroup("a", files | {"memory.low": "many", "memory.events": "low 0"})
    reader = fake.cgroups()
    reader.memcg_of(b"0::/a\n")
    unseen = {"memcg.swap", "memcg.oom_group", "memcg.low", "memcg.oom_kills"}
    assert {fact for fact, _ in reader.unseen} == unseen
    assert set(reader.memcgs[(b"a",)].facts) == {f.name for f in kept_by_name(Scope.MEMCG)} - unseen
    assert all(paths == [(b"a",)] for paths in reader.unseen.values())


def test_without_swap_no_cgroup_has_any(tmp_path: Path) -> None:
    fake = FakeMachine(tmp_path, MOUNTED_V2)
    fake.cgroup("a", {n: t for n, t in V2_FILES.items() if "swap" not in n})
    reader = fake.cgroups()
    reader.memcg_of(b"0::/a\n")
    assert (reader.memcgs[(b"a",)].facts["memcg.swap"], reader.memcgs[(b"a",)].swap_room) == (0, 0)
    assert not reader.unseen


def test_cgroups_that_cannot_be_seen_say_why(tmp_path: Path) -> None:
    reader = FakeMachine(tmp_path, MOUNTED_V2).cgroups()
    assert reader.memcg_of(b"0::/../other\n") == (None, "it lies outside this cgroup namespace")
    assert reader.memcg_of(b"0::/gone (deleted)\n") == (None, "the cgroup has been removed")
    assert reader.memcg_of(b"0::/vanished\n") == (None, "the cgroup has been removed")
    assert reader.memcg_of(b"1:cpu:/\n") == (None, "this kernel runs without the memory controller")


@pytest.mark.parametrize(
    "mounted, line, mount, files",
    [
        (MOUNTED_V2, b"0::", "sys/fs/cgroup", V2_FILES),
        (MOUNTED_V1, b"4:memory:", "sys/fs/cgroup/memory", V1_FILES),
        (MOUNTED_HYBRID, b"4:cpu,memory:", "sys/fs/cgroup/memory", V1_FILES),
    ],
    ids=["v2", "v1", "hybrid"],
)
def test_a_name_may_end_like_the_path_of_a_removed_cgroup(
    tmp_path: Path, mounted: bytes, line: bytes, mount: str, files: dict[str, str]
) -> None:
    fake = FakeMachine(tmp_path, mounted, swap_kb=1)
    fake.cgroup("job (deleted)/inner", files, mount=mount)
    fake.cgroup("job (deleted)", files, mount=mount)
    fake.cgroup("twice (deleted) (deleted)", files, mount=mount)
    reader = fake.cgroups()
    gone = (None, "the cgroup has been removed")
    assert reader.memcg_of(line + b"/job (deleted)\n") == ((b"job (deleted)",), "")
    assert reader.memcgs[(b"job (deleted)",)].facts["memcg.usage"] == 4096000
    assert reader.memcg_of(line + b"/job (deleted)/inner\n") == ((b"job (deleted)", b"inner"), "")
    assert reader.memcg_of(line + b"/job (deleted)/inner (deleted)\n") == gone
    assert reader.memcg_of(line + b"/job (deleted) (deleted)\n") == gone
    assert reader.memcg_of(line + b"/twice (deleted) (deleted)\n") == (
        (b"twice (deleted) (deleted)",),
        "",
    )
    assert reader.memcg_of(line + b"/twice (deleted)\n") == gone
    assert not reader.unseen


def test_a_cgroup_of_version_2_that_no_mount_shows_is_not_taken_for_the_root(tmp_path: Path) -> None:
    unmounted = FakeMachine(tmp_path / "none", b"").cgroups()
    assert unmounted.memcg_of(b"0::/job (deleted)\n") == (None, "no mounted cgroup file system shows it")
    assert unmounted.memcg_of(b"0::/\n") == ((), "")
    part = FakeMachine(tmp_path / "part", MOUNTED_V2.replace(b" / /sys", b" /docker/17 /sys"))
    part.cgroup("inner", {"cgroup.controllers": "cpu"})
    part.cgroup("", {"cgroup.controllers": "cpu"})
    assert part.cgroups().memcg_of(b"0::/docker/17/inner\n") == (
        None,
        "no mounted cgroup file system shows it",
    )


@pytest.mark.parametrize(
    "mounted, line", [(MOUNTED_V2, b"0::"), (MOUNTED_V1, b"4:memory:")], ids=["v2", "v1"]
)
def test_cgroups_as_deep_as_a_path_can_be(tmp_path: Path, mounted: bytes, line: bytes) -> None:
    # /proc/PID/cgroup shows paths of up to 4096 bytes.
    reader = FakeMachine(tmp_path, mounted).cgroups()
    path, why = reader.memcg_of(line + b"/a" * 2047 + b"\n")
    if mounted is MOUNTED_V1:
        assert (len(path or ()), why) == (2047, "")
        assert len(reader.memcgs) == 2048
    else:
        assert (path, why) == (None, "the cgroup has been removed")


def test_a_container_mounts_only_its_part_of_the_tree(tmp_path: Path) -> None:
    mounted = MOUNTED_V1.replace(b" / /sys", b" /docker/17 /sys")
    fake = FakeMachine(tmp_path, mounted)
    fake.cgroup("inner", V1_FILES, mount="sys/fs/cgroup/memory")
    reader = fake.cgroups()
    assert reader.memcg_of(b"4:memory:/docker/17/inner\n")[0] == (b"docker", b"17", b"inner")
    assert reader.memcgs[b"docker", b"17", b"inner"].facts["memcg.usage"] == 4096000
    assert reader.memcgs[(b"docker",)].facts == {}
    assert reader.unseen["memcg", "no mounted cgroup file system shows it"] == [(b"docker",)]


def test_mountinfo_is_read_with_its_escapes_and_oddities() -> None:
    line = rb"30 23 0:26 /a\040b /mnt\134x rw shared:4 master:2 - cgroup2 none rw" + b"\n"
    mounts = parse_mounts(
        b"half a line\n\n" + line + b"21 23 0:20 / /proc rw - proc proc rw,hidepid=invisible\n"
    )
    assert [(m.root, m.point) for m in mounts.v2] == [(b"/a b", "/mnt\\x")]
    assert mounts.hidepid == "invisible"
    assert parse_mounts(b"\xff - - - \n").v2 == ()
