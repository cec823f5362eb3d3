from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomlang.kernel.fit.matching import resolve
from oomlang.kernel.fit.missing import missing_from
from oomlang.kernel.fit.relocations import (
    ObjectTypes,
    Relocation,
    RelocationKind,
    Step,
    essential_name,
    object_types,
)
from oomlang.objects import BadFormat
from oomlang.objects.btf import Btf, Kind, parse_btf, read_btf
from oomlang.objects.elf import read_elf
from tests.unit.objects.btf_images import Image

pytestmark = pytest.mark.needs("clang", "btf")


def object_types_of(image: bytes) -> ObjectTypes:
    return object_types(read_elf(io.BytesIO(image)))


def _by_path(image: bytes) -> dict[tuple[str, str], Relocation]:
    return {(r.path, r.kind.name): r for r in object_types_of(image).relocations}


def test_relocations_have_readable_paths(compiled: Callable[[str], bytes]) -> None:
    found = _by_path(compiled("tasks"))
    assert ("mm_struct.rss_stat[1].count", "FIELD_BYTE_OFFSET") in found
    assert ("cgroup_subsys_id.memory_cgrp_id", "ENUMVAL_VALUE") in found
    assert found["kernfs_node___6_18.__parent", "FIELD_EXISTS"].section == "iter/task"


def test_reads_the_btf_of_an_object(compiled: Callable[[str], bytes], tmp_path: Path) -> None:
    path = tmp_path / "tasks.o"
    path.write_bytes(compiled("tasks"))
    types = read_btf(path)
    assert types.field("task_struct", "comm")
    assert types.enumerator("memory_cgrp_id") == 99


def test_relocations_resolve_as_the_kernel_has_them(
    compiled: Callable[[str], bytes], running_kernel: Btf
) -> None:
    types = object_types_of(compiled("tasks"))
    found = _by_path(compiled("tasks"))
    comm = running_kernel.field("task_struct", "comm")
    assert comm is not None
    resolution = resolve(
        found["task_struct.comm", "FIELD_BYTE_OFFSET"], local=types.btf, kernel=running_kernel
    )
    assert (resolution.found, resolution.value) == (True, comm.offset)
    memory = resolve(
        found["cgroup_subsys_id.memory_cgrp_id", "ENUMVAL_VALUE"], local=types.btf, kernel=running_kernel
    )
    assert memory.value == running_kernel.enumerator("memory_cgrp_id")


def test_an_object_that_asks_before_it_reads_lacks_nothing(
    compiled: Callable[[str], bytes], running_kernel: Btf
) -> None:
    assert missing_from(compiled("tasks"), running_kernel) == ()


def test_what_a_kernel_lacks_is_named(compiled: Callable[[str], bytes], running_kernel: Btf) -> None:
    missing = missing_from(compiled("hooks"), running_kernel)
    assert [m.what for m in missing] == [
        "function no_such_hook",
        "tracepoint no_such_tracepoint",
        "kfunc no_such_kfunc",
        "kfunc bpf_rcu_read_lock",
        "oom_control.no_such_member",
    ]
    assert "void bpf_rcu_read_lock(int) is called" in missing[3].reason


def _kernel_6_1() -> Btf:
    """As much of Linux 6.1's types as `tasks.bpf.c` reads, with 6.1's rss_stat and kernfs_node."""
    image = Image()
    number = image.integer()
    wide = image.integer("s64", 8)
    text = image.add(Kind.ARRAY, "", 0, [(number, number, 16)])
    counts = image.add(Kind.ARRAY, "", 0, [(wide, number, 4)])
    rss = image.struct("mm_rss_stat", [("count", counts, 0)])
    mm = image.add(Kind.PTR, "", image.struct("mm_struct", [("rss_stat", rss, 0)]))
    node = image.struct("kernfs_node", [("parent", image.next_id + 1, 0), ("id", wide, 64)])
    node_pointer = image.add(Kind.PTR, "", node)
    cgroup = image.add(Kind.PTR, "", image.struct("cgroup", [("kn", node_pointer, 0)]))
    css = image.add(Kind.PTR, "", image.struct("cgroup_subsys_state", [("cgroup", cgroup, 0)]))
    subsys = image.add(Kind.ARRAY, "", 0, [(css, number, 14)])
    css_set = image.add(Kind.PTR, "", image.struct("css_set", [("subsys", subsys, 0)]))
    image.add(Kind.ENUM, "cgroup_subsys_id", 4, [(image.string("memory_cgrp_id"), 4)])
    members = [("pid", number), ("tgid", number), ("comm", text), ("mm", mm), ("cgroups", css_set)]
    task = image.struct("task_struct", [(name, type_id, 64 * i) for i, (name, type_id) in enumerate(members)])
    task_pointer = image.add(Kind.PTR, "", task)
    meta = image.struct("bpf_iter_meta", [("seq", task_pointer, 0)])
    meta_pointer = image.add(Kind.PTR, "", meta)
    image.struct("bpf_iter__task", [("meta", meta_pointer, 0), ("task", task_pointer, 64)])
    prototype = image.add(Kind.FUNC_PROTO, "", number)
    image.add(Kind.FUNC, "bpf_iter_task", prototype)
    return parse_btf(image.blob())


def test_an_older_kernel_takes_the_other_branch(compiled: Callable[[str], bytes]) -> None:
    kernel = _kernel_6_1()
    types = object_types_of(compiled("tasks"))
    found = _by_path(compiled("tasks"))
    old = resolve(
        found["mm_struct___6_1.rss_stat.count[1]", "FIELD_BYTE_OFFSET"], local=types.btf, kernel=kernel
    )
    new = resolve(found["mm_struct.rss_stat[1].count", "FIELD_BYTE_OFFSET"], local=types.btf, kernel=kernel)
    assert (old.found, old.value) == (True, 8)
    assert (new.found, new.reason) == (
        False,
        "the kernel's mm_struct.rss_stat is of another kind: struct mm_rss_stat",
    )
    assert missing_from(compiled("tasks"), kernel) == ()


def test_an_array_index_must_exist_in_the_kernel() -> None:
    image = Image()
    number = image.integer()
    array = image.add(Kind.ARRAY, "", 0, [(number, number, 4)])
    flexible = image.add(Kind.ARRAY, "", 0, [(number, number, 0)])
    root = image.struct("s", [("few", array, 0), ("open", flexible, 128)])
    types = parse_btf(image.blob())

    def found(member: str, index: int) -> bool:
        steps = (
            Step(member=member, index=0, type_id=array if member == "few" else flexible),
            Step(member=None, index=index, type_id=number),
        )
        relocation = Relocation(
            section="x",
            instruction=0,
            kind=RelocationKind.FIELD_BYTE_OFFSET,
            root_type=root,
            root_name="s",
            path="",
            steps=steps,
        )
        return resolve(relocation, local=types, kernel=types).found

    assert [found("few", 3), found("few", 4), found("open", 9)] == [True, False, True]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("kernfs_node___old", "kernfs_node"),
        ("a___b___c", "a___b"),
        ("____x", "____x"),
        ("x____y", "x____y"),
        ("x___", "x___"),
        ("__parent", "__parent"),
    ],
)
def test_a_flavour_is_what_follows_three_underscores(name: str, expected: str) -> None:
    assert essential_name(name) == expected


@settings(max_examples=150)
@given(data=st.data())
def test_a_changed_object_is_read_or_refused(
    data: st.DataObject, compiled: Callable[[str], bytes], running_kernel: Btf
) -> None:
    image = bytearray(compiled(data.draw(st.sampled_from(["tasks", "hooks"]))))
    places = st.integers(0, len(image) - 1)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        image[at] = byte
    cut = data.draw(st.one_of(st.just(len(image)), places))
    with contextlib.suppress(BadFormat):
        missing_from(bytes(image[:cut]), running_kernel)
