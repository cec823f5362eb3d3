"""`load`, `status`, `input`, `unload` on a kernel with the hooks, held against whom it kills."""

from __future__ import annotations

import base64

import pytest

from oomlang.compiler import Compilation
from oomlang.objects.elf import read_object
from oomlang.targets.bpf.clang import compile_c
from oomlang.targets.bpf.seal import UNSEALED, digest, seal
from tests.vm.conftest import EXAMPLES, LIMIT, Machine, Report, compiled

pytestmark = pytest.mark.needs("qemu", "clang")


def test_without_a_policy_the_kernel_chooses(machine: Machine) -> None:
    status = machine.status()
    assert status["hook"] == {"present": True, "missing": []}
    assert status["policy"] is None
    assert machine.oom() == Report(policy="default", victim="beta")


def test_a_loaded_policy_chooses_and_signs_the_report_until_it_is_unloaded(machine: Machine) -> None:
    machine.load("alpha_first")
    status = machine.status()
    assert status["policy"]["name"] == "alpha_first"
    assert status["policy"]["source"]["name"] == "alpha_first.oom"
    assert (status["remains"], status["others"], status["policy"]["detached"]) == ([], [], [])
    assert machine.oom() == Report(policy="alpha_first", victim="alpha")
    counters = machine.status()["policy"]["counters"]
    assert counters["events"] >= 1
    assert counters["candidates"] >= 2
    assert counters["selected"] >= 1
    machine.done("unload")
    assert machine.in_force() is None
    assert machine.oom() == Report(policy="default", victim="beta")


def test_a_name_of_fifteen_bytes_is_in_the_report_as_it_is(machine: Machine) -> None:
    machine.load("fifteen_bytes_x")
    assert machine.oom().policy == "fifteen_bytes_x"


def test_the_lower_priority_dies_as_in_the_selftest_of_the_series(machine: Machine) -> None:
    for path, files in (("/parent", LIMIT), ("/parent/one", {}), ("/parent/two", {})):
        machine.vm.cgroup(path, files)
    machine.load("cg_priority", "--set", "priority/parent/one=10", "--set", "priority/parent/two=50")
    assert machine.oom() == Report(policy="cg_priority", victim="alpha")
    for path in ("/parent", "/parent/one", "/parent/two"):
        machine.vm.cgroup(path, LIMIT if path == "/parent" else {})
    machine.done("input", "set", "priority/parent/one", "50")
    machine.done("input", "set", "priority/parent/two", "10")
    assert machine.oom() == Report(policy="cg_priority", victim="beta")


def test_where_nothing_may_die_the_next_event_is_left_to_the_kernel(machine: Machine) -> None:
    machine.load("spares_all")
    mark = machine.vm.log_mark()
    machine.oom()
    policies = [report.policy for report in machine.reports(mark)]
    assert policies[:2] == ["spares_all", "default"]
    assert machine.reports(mark)[0].victim == ""
    counters = machine.status()["policy"]["counters"]
    assert counters["nothing_found"] == counters["stood_aside"] == 1
    assert counters["never"] >= 2


def test_an_event_that_a_rule_leaves_to_the_kernel_keeps_its_name(machine: Machine) -> None:
    machine.load("left")
    assert machine.oom() == Report(policy="default", victim="beta")
    assert machine.status()["policy"]["counters"]["left_to_kernel"] >= 1


def test_a_second_policy_is_refused_unless_it_replaces_the_first(machine: Machine) -> None:
    machine.load("alpha_first")
    refused = machine.oomlang("load", "/payload/beta_first.o")
    assert refused.exit == 3
    assert 'the policy "alpha_first" is in force' in refused.err
    assert machine.oom() == Report(policy="alpha_first", victim="alpha")
    machine.load("beta_first", "--replace")
    assert machine.in_force() == "beta_first"
    assert machine.oom(alpha="8M", beta="4M") == Report(policy="beta_first", victim="beta")
    elsewhere = machine.oomlang(
        "load", "/payload/alpha_first.o", "--pin", "/sys/fs/bpf/elsewhere", "--replace"
    )
    assert elsewhere.exit == 3
    assert "was not loaded from /sys/fs/bpf/elsewhere" in elsewhere.err


def test_beside_a_program_of_somebody_else_no_policy_is_loaded_and_the_program_is_named(
    machine: Machine,
) -> None:
    pin = "/sys/fs/bpf/foreign"
    attached = machine.driver(attach="/payload/foreign.o", program="evaluate", pin=pin)
    assert attached.exit == 0, attached
    try:
        refused = machine.oomlang("load", "/payload/alpha_first.o", "--replace")
        status = machine.status()
        pinned = machine.pinned()
    finally:
        machine.vm.run(["rm", pin])
    assert refused.exit == 3, refused
    assert (
        "a program that was not loaded from /sys/fs/bpf/oomlang decides OOM events: evaluate " in refused.err
    )
    assert status["policy"] is None
    assert [other["program"] for other in status["others"]] == ["evaluate"]
    assert pinned == [pin]
    machine.load("alpha_first")
    assert machine.status()["others"] == []


def test_inputs_change_the_choice_while_the_policy_runs(machine: Machine) -> None:
    machine.load("knobs")
    assert machine.oom() == Report(policy="knobs", victim="beta")
    machine.done("input", "set", "alphas", "true")
    assert machine.done("input", "get", "alphas") == "true\n"
    assert machine.oom() == Report(policy="knobs", victim="alpha")
    machine.done("input", "set", "alphas", "false")
    machine.done("input", "set", "floor", "6MiB")  # the larger one dies last now
    assert machine.oom(alpha="4M", beta="8M") == Report(policy="knobs", victim="alpha")
    for wrong in (
        ("floor", "12"),
        ("floor", "-1B"),
        ("alphas", "1"),
        ("flor", "1MiB"),
        ("priority", "3"),
        ("floor/a", "1B"),
    ):
        assert machine.oomlang("input", "set", *wrong).exit == 2, wrong
    assert machine.oomlang("input", "set", "priority/no/such", "3").exit == 2


def test_what_was_set_stays_set_for_the_policy_that_follows(machine: Machine) -> None:
    number = machine.vm.cgroup("/parent")
    machine.load("knobs", "--set", "alphas=true", "--set", "priority/parent=7")
    machine.load("knobs_again", "--replace")
    inputs = {i["name"]: i for i in machine.status()["policy"]["inputs"]}
    assert inputs["alphas"]["value"] == 1
    assert inputs["floor"]["value"] == 2 << 30  # was not set: the new default
    assert inputs["priority"]["memcgs"] == {str(number): 7}
    assert "priority/parent  7\n" in machine.done("input", "list")
    machine.done("input", "unset", "priority/parent")
    assert machine.done("input", "get", "priority/parent") == "0\n"


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_every_example_loads(machine: Machine, name: str) -> None:
    machine.load(name)
    status = machine.status()
    assert status["policy"]["detached"] == []
    report = machine.oom()
    assert report.victim in ("alpha", "beta")


def test_objects_that_are_not_whole_or_not_for_this_are_refused_and_nothing_is_loaded(
    machine: Machine,
) -> None:
    for name, words in (("dry", "for the target dry-run"), ("driver.py", "not an ELF")):
        path = f"/payload/{name}" if "." in name else f"/payload/{name}.o"
        refused = machine.oomlang("load", path)
        assert refused.exit == 1, refused
        assert refused.steps == []
        assert words in refused.err or name == "driver.py", refused.err
    assert machine.pinned() == []


def _refused_by_the_verifier(image: bytes) -> bytes:
    """The object with one load of `begin_event` from far behind its context, sealed: no check of ours sees that."""
    section = read_object(image).section("fentry/bpf_set_policy_name")
    assert section is not None
    for at in range(section.offset, section.offset + section.size, 8):
        if image[at] == 0x79 and image[at + 1] >> 4 == 1:  # r? = *(u64 *)(r1 + offset)
            changed = image[: at + 2] + (4096).to_bytes(2, "little") + image[at + 4 :]
            held = digest(changed)
            assert held is not None
            return seal(changed.replace(held.encode(), UNSEALED.encode()))
    raise AssertionError("begin_event reads no argument")


def test_a_refusal_of_the_verifier_is_shown_with_its_place_and_nothing_is_left(machine: Machine) -> None:
    image = _refused_by_the_verifier(compiled("alpha_first"))
    machine.vm.call("write", path="/tmp/wrong.o", b64=base64.b64encode(image).decode())
    machine.load("beta_first")
    before = machine.pinned()
    refused = machine.oomlang("load", "/tmp/wrong.o", "--replace")
    assert refused.exit == 3, refused
    assert "the kernel's verifier refuses program begin_event: " in refused.err
    assert "of the C (`oomlang compile --emit c`)" in refused.err
    assert machine.pinned() == before
    assert machine.in_force() == "beta_first"


def test_a_refusal_within_a_rule_names_the_rule_though_there_is_only_the_object(machine: Machine) -> None:
    policy = b'policy "careless"\nkill first when rss > 1MiB\n'
    program = Compilation(policy, "careless.oom").program("evaluate-task")
    ((first, last),) = program.metadata.rules[0].c_lines
    lines = program.c_source.splitlines()
    at = next(n for n in range(first, last) if lines[n].startswith("\treturn "))
    lines[at] = f"\t(void)*(volatile s64 *)8; {lines[at].lstrip()}"  # no other line is moved
    image = seal(compile_c("\n".join(lines) + "\n"))
    machine.vm.call("write", path="/tmp/careless.o", b64=base64.b64encode(image).decode())
    refused = machine.oomlang("load", "/tmp/careless.o")
    assert refused.exit == 3, refused
    assert "the kernel's verifier refuses program evaluate_task: " in refused.err
    assert "it was at careless.oom:2:1: kill first when rss > 1MiB\n" in refused.err
    assert machine.pinned() == []


def test_watch_says_what_was_counted(machine: Machine) -> None:
    machine.load("alpha_first")
    watch = ["python3", "-m", "oomlang", "watch", "--count", "1", "--interval", "0.05"]
    machine.vm.spawn("watch", watch, adj=-1000)
    while "alpha_first" not in machine.vm.call("report", name="watch")["stderr"]:
        assert machine.vm.call("report", name="watch")["running"]
        machine.vm.call("sleep", seconds=0.2)
    machine.oom()
    ended = machine.vm.wait("watch")["watch"]
    assert ended["exit"] == 0, ended
    assert "OOM events, " in ended["stdout"]
    assert "tasks that it was asked about" in ended["stdout"]
    machine.done("unload")
    assert machine.oomlang("input", "list").exit == 3


def test_a_user_without_rights_is_told_so(machine: Machine) -> None:
    machine.vm.run(["cp", "/payload/stock.o", "/tmp/stock.o"])
    machine.vm.run(["chmod", "644", "/tmp/stock.o"])
    for argv in (["load", "/tmp/stock.o"], ["status"], ["input", "list"]):
        refused = machine.oomlang(*argv, uid=65534)
        assert refused.exit == 3, refused
        assert "CAP_BPF" in refused.err, refused.err
    assert machine.oomlang("unload", uid=65534).exit == 3


def test_without_a_bpf_file_system_the_command_that_mounts_one_is_said(machine: Machine) -> None:
    machine.vm.run(["umount", "/sys/fs/bpf"])
    try:
        refused = machine.oomlang("load", "/payload/stock.o")
    finally:
        machine.vm.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"])
    assert refused.exit == 3
    assert "mount -t bpf bpf /sys/fs/bpf" in refused.err


def test_without_the_kernel_s_types_nothing_is_loaded_and_what_they_take_is_said(machine: Machine) -> None:
    machine.vm.run(["mount", "-t", "tmpfs", "none", "/sys/kernel/btf"])
    try:
        refused = machine.oomlang("load", "/payload/stock.o")
        status = machine.oomlang("status")
    finally:
        machine.vm.run(["umount", "/sys/kernel/btf"])
    assert refused.exit == 3
    assert "CONFIG_DEBUG_INFO_BTF" in refused.err, refused
    assert status.exit == 3
    assert "CONFIG_DEBUG_INFO_BTF" in status.err, status
