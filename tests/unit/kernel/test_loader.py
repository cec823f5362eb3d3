"""What the loader does without a kernel that has the hooks: records, refusals, the verifier's words."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

import oomlang
from oomlang.cli.failures import Failure
from oomlang.cli.loading import kernel_failures
from oomlang.compiler import TARGETS, Compilation, Target
from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel import probe
from oomlang.kernel.bindings import LibbpfError, VerifierRefusal
from oomlang.kernel.dry_run import DryRunner, Guard
from oomlang.kernel.inputs import memcg_id_of
from oomlang.kernel.libbpf import open_object
from oomlang.kernel.loader_refusal import RulePlace, refused_place, rule_of_line
from oomlang.kernel.pins import Pins, pin_name, wait_for_running_programs
from oomlang.kernel.policy import Policy
from oomlang.objects.metadata import Metadata, Program, Source, read_metadata
from oomlang.objects.variables import global_variables
from oomlang.targets.bpf.clang import compile_c
from oomlang.targets.bpf.inspect import inspect_object
from oomlang.targets.bpf.seal import seal

POLICY = """\
policy "inputs"
input floor: bytes = 256MiB
input eager: bool = false
input priority per memcg: int = 0
kill lowest priority
kill first when (eager and
  rss > floor)
"""

PLACES = """\
policy "places"
  let big = rss + swap > 64MiB
let unused = 1
kernel decides when oom.order == -1
never kill when comm == "sshd"
kill first when (big and
  # root's
  uid == 0) or pid == 9
kill highest memcg.usage at each depth when big
"""
"""Every kind of function that is made for a rule or a named value."""

needs_clang = pytest.mark.needs("clang")


def _artifact() -> oomlang.Artifact:
    return oomlang.compile(POLICY, name="inputs.oom")


def _policy() -> Policy:
    artifact = _artifact()
    return Policy.of_object(artifact.object, artifact.metadata, generation=7, now=12.5)


@needs_clang
def test_a_record_is_the_same_after_a_way_through_the_kernel() -> None:
    policy = _policy()
    assert Policy.from_bytes(policy.to_bytes() + b"\0\0") == policy
    assert policy.maps == (".bss", ".data.inputs", "in_priority", "nothing_found")
    assert policy.programs == ("begin_event", "end_event", "evaluate_task")


@needs_clang
def test_a_record_that_no_map_of_the_kernel_could_hold_is_refused_before_one_is_made(tmp_path: Path) -> None:
    policy = _policy()
    large = replace(policy, metadata=replace(policy.metadata, compiler="x" * (4 << 20)))
    with pytest.raises(LibbpfError, match="a map has 4194304 at most"):
        large.pin(tmp_path / "record")


@needs_clang
def test_counters_are_found_by_the_object_s_own_types() -> None:
    policy = _policy()
    names = [slot.name for slot in policy.counters]
    assert names[:2] == ["events", "left_to_kernel"]
    guarded = next(slot for slot in policy.counters if slot.name == "guarded")
    assert guarded.names == tuple(guard.name.lower() for guard in Guard)
    bss = global_variables(_artifact().object)
    assert policy.counters[0].offset == bss["counters"].offset
    assert policy.event_offset == bss["event"].offset


@needs_clang
@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b'{"record":1}', b'{"record":2}', b'{"record":2,"metadata":{"format":1}}'],
)
def test_a_record_of_another_version_is_said_to_be_unreadable(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        Policy.from_bytes(data)


@needs_clang
def test_values_of_inputs_are_checked_and_encoded() -> None:
    floor, priority, eager = (_policy().input(name) for name in ("floor", "priority", "eager"))
    assert floor is not None
    assert priority is not None
    assert eager is not None
    assert floor.encode(1 << 40) == struct.pack("<q", 1 << 40)
    assert priority.encode(-5) == struct.pack("<i", -5)
    assert priority.decode(priority.encode(-5)) == -5
    assert eager.encode(1) == b"\1"
    with pytest.raises(ValueError, match="takes 0 to"):
        floor.encode(-1)
    with pytest.raises(ValueError, match="takes 0 to 1"):
        eager.encode(2)


# --- the verifier's words -------------------------------------------------------------------------------------------


def _foreign(program: str, section: str) -> Metadata:
    """Of an object with one program and no rules."""
    return Metadata(
        language=1, compiler="", digest="", name="", source=Source(name="", sha256=""), target="", decides=False,
        programs=(Program(name=program, section=section),), kfuncs=(), turn=None, maps=(), inputs=(), rules=(),
        lets=(), facts=(), record=None,
    )  # fmt: skip


def _functions(c_source: str) -> dict[int, str]:
    """The function that each line of the C stands in, its comment included."""
    found = {}
    lines = c_source.splitlines()
    for at, line in enumerate(lines):
        head = re.match(r"(?:static |SEC\(|__noinline )[^;=]*?(\w+)\([^;]*[,)]$", line)
        if head and "{" in lines[at + 1 : at + 3]:  # what it takes may need a second line
            begin = at
            while lines[begin - 1].startswith(("/*", " *")):
                begin -= 1
            found.update(dict.fromkeys(range(begin + 1, lines.index("}", at) + 2), head[1]))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_a_line_of_c_leads_to_the_rule_or_the_named_value_that_it_was_made_for(target: Target) -> None:
    program = Compilation(PLACES.encode(), "some/where/places.oom").program(target)
    big = RulePlace(file="places.oom", line=2, column=3, text="let big = rss + swap > 64MiB")
    decides = RulePlace(file="places.oom", line=4, column=1, text="kernel decides when oom.order == -1")
    never = RulePlace(file="places.oom", line=5, column=1, text='never kill when comm == "sshd"')
    first = RulePlace(
        file="places.oom", line=6, column=1, text="kill first when (big and # root's uid == 0) or pid == 9"
    )
    walk = RulePlace(
        file="places.oom", line=9, column=1, text="kill highest memcg.usage at each depth when big"
    )
    made_for = {
        "let_big": big, "rule_1": decides, "rule_2": never, "rule_3": first, "rule_4": walk, "rule_4_when": walk,
        "read_each_4": walk, "rank_4": walk,
    }  # fmt: skip
    functions = _functions(program.c_source)
    # Those that no rule has for itself are known to the test, too.
    assert made_for.keys() | {"guard", "read_candidate", "never_kill", "rank"} <= set(functions.values())
    for number in range(1, program.c_source.count("\n") + 2):
        expected = made_for.get(functions.get(number, ""))
        assert rule_of_line(program.metadata, number) == expected, number


@needs_clang
@pytest.mark.parametrize("named", [True, False])
def test_a_refusal_says_the_line_of_c_with_old_kernels_too(named: bool) -> None:
    artifact = _artifact()
    line = artifact.c_source.splitlines().index("\tstart_event(oc);") + 1
    source = f"; start_event(oc);{f' @ policy.bpf.c:{line}' if named else ''}"
    state, reason = "0: R1=ctx() R10=fp0", "R1 invalid mem access 'scalar'"
    log = f"func#0 @0\n{state}\n{source}\n5: (79) r1 = *(u64 *)(r1 +0)\n{reason}\nprocessed 6 insns\n"
    place = refused_place(log, "begin_event", artifact.object, artifact.metadata)
    assert place.reason == reason
    assert place.line is not None
    if named:
        assert place.line == line


@pytest.mark.needs("root", "clang", "bpf")
def test_a_real_refusal_is_placed(compiled: object) -> None:
    assert callable(compiled)
    image = compiled("refused")
    with open_object(image, name="refused") as opened, pytest.raises(VerifierRefusal) as caught:
        opened.load()
    section = opened.programs[0].section
    place = refused_place(caught.value.log, caught.value.program, image, _foreign("careless", section))
    source = (Path(__file__).parent / "refused.bpf.c").read_text().splitlines()
    assert place.line is not None
    assert source[place.line - 1].strip()
    assert "map_value_or_null" in place.reason


def _broken(policy: str, function: str) -> bytes:
    """The dry run's object of a policy, but with a load from nowhere in one function; no other line is moved."""
    program = Compilation(policy.encode(), "places.oom").program("dry-run")
    lines = program.c_source.splitlines()
    inside = [number for number, name in _functions(program.c_source).items() if name == function]
    at = next(number for number in inside if re.match(r"\t(return|c->\w+ =) ", lines[number - 1])) - 1
    lines[at] = f"\t(void)*(volatile s64 *)8; {lines[at].lstrip()}"
    return seal(compile_c("\n".join(lines) + "\n"))


@pytest.mark.needs("root", "clang", "bpf")
@pytest.mark.parametrize(
    "function, place",
    [
        ("rule_3", "places.oom:6:1: kill first when (big and # root's uid == 0) or pid == 9"),
        ("let_big", "places.oom:2:3: let big = rss + swap > 64MiB"),
        ("rule_4_when", "places.oom:9:1: kill highest memcg.usage at each depth when big"),
        ("read_candidate", None),
    ],
)
def test_the_rule_that_the_verifier_refuses_is_named_from_the_object_alone(
    function: str, place: str | None
) -> None:
    image = _broken(PLACES, function)
    assert inspect_object(image).failed_checks == ()  # nothing but the verifier minds
    metadata = read_metadata(image)
    with pytest.raises(Failure) as caught, kernel_failures(loading=(image, metadata)):
        DryRunner(image, metadata)
    refusal = caught.value.__cause__
    assert isinstance(refusal, VerifierRefusal)
    message = r"the kernel's verifier refuses program dry_run: R\d invalid mem access 'scalar'"
    assert re.fullmatch(message, caught.value.message)
    where = caught.value.details.splitlines()[0]
    if place is not None:
        assert where == f"it was at {place}"
    else:
        assert re.fullmatch(r"line \d+ of the C \(`oomlang compile --emit c`\)", where)
    before_6_8 = re.sub(r" @ \S+:\d+$", "", refusal.log, flags=re.MULTILINE)
    found = [refused_place(log, "dry_run", image, metadata) for log in (refusal.log, before_6_8)]
    assert found[0] == found[1]


@pytest.mark.parametrize("log", ["", "\n", "processed 0 insns\n", "0: (b7) r0 = 0\n"])
def test_a_log_that_says_nothing_is_no_bug(log: str) -> None:
    place = refused_place(log, "x", b"not an object", _foreign("x", "fentry/x"))
    assert (place.reason, place.line, place.rule) == ("no reason given", None, None)


# --- pins -----------------------------------------------------------------------------------------------------------


def test_names_of_pins_have_no_dots() -> None:
    assert [pin_name(name) for name in (".bss", ".data.inputs", "in_floor")] == [
        "bss",
        "data_inputs",
        "in_floor",
    ]


def test_a_directory_that_is_not_on_a_bpf_file_system_is_refused_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("oomlang.kernel.pins.bpf_file_systems", lambda: ())
    with pytest.raises(EnvironmentLacks) as caught:
        Pins().mounted_at()
    assert caught.value.mend == "mount it: mount -t bpf bpf /sys/fs/bpf"
    monkeypatch.setattr("oomlang.kernel.pins.bpf_file_systems", lambda: (Path("/sys/fs/bpf"),))
    assert Pins().mounted_at() == Path("/sys/fs/bpf")
    with pytest.raises(EnvironmentLacks, match="not under a BPF file system"):
        Pins(tmp_path / "pins").mounted_at()
    with pytest.raises(EnvironmentLacks, match="not under a BPF file system"):
        Pins(Path("/sys/fs/bpf/../elsewhere/oomlang")).mounted_at()


def test_waiting_for_running_programs_returns() -> None:
    wait_for_running_programs()


def test_a_memcg_is_named_by_a_path_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for place in ("", "a", "a/b"):
        (tmp_path / place / "cgroup.procs").touch()
    assert memcg_id_of("/a/b", tmp_path) == (tmp_path / "a/b").stat().st_ino
    assert memcg_id_of("/", tmp_path) == tmp_path.stat().st_ino
    for wrong in ("/c", "/a/../../x", "/a/b/cgroup.procs", "/.."):
        with pytest.raises(FileNotFoundError):
            memcg_id_of(wrong, tmp_path)


def test_a_machine_without_rights_or_with_lockdown_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/kernel/security").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("CapEff:\t0000000000000000\n")
    lacks = probe.why_not_permitted("load a policy", tmp_path)
    assert lacks is not None
    assert "CAP_BPF" in lacks.what
    (tmp_path / "proc/self/status").write_text("CapEff:\t000001ffffffffff\n")
    (tmp_path / "sys/kernel/security/lockdown").write_text("none integrity [confidentiality]\n")
    lacks = probe.why_not_permitted("load a policy", tmp_path)
    assert lacks is not None
    assert "lockdown" in lacks.what


@needs_clang
def test_the_metadata_is_read_back_from_the_object() -> None:
    artifact = _artifact()
    assert read_metadata(artifact.object) == artifact.metadata


def test_an_error_of_the_kernel_s_keeps_its_number() -> None:
    assert LibbpfError("detach a program", errno=16, words="held").errno == 16
