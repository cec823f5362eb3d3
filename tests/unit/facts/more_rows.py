"""Adds rows to the table of facts, then asks every reader what it makes of them; prints the answers as JSON.

A process of its own, since the readers go through the table when they are imported:

    python -m tests.unit.facts.more_rows DIRECTORY
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

from oomlang.facts import cells, table
from oomlang.facts.cells import (
    Always,
    Cgroup,
    CgroupFile,
    Column,
    InTest,
    PageCounter,
    ProcFile,
    Stat,
    Status,
)
from oomlang.facts.interval import Interval
from oomlang.facts.table import Fact, Scope
from oomlang.facts.types import Type

_SIZE = Interval(0, 2**50)
ROWS = (
    Fact(
        name="huge",
        type=Type.BYTES,
        scope=Scope.TASK,
        doc="A line of status, and a column.",
        range=_SIZE,
        kernel=table.FACTS["pgtables"].kernel,
        procfs=Status("HugetlbPages", cells.Unit.KIB),
        report=Column("hugepages", cells.Unit.PAGES, older=("nr_large", "nr_larger")),
        also=("hugetlb",),
    ),
    Fact(
        name="session",
        type=Type.INT,
        scope=Scope.TASK,
        doc="A field of stat.",
        range=Interval(0, 2**22),
        procfs=Stat(6),
    ),
    Fact(
        name="watched",
        type=Type.INT,
        scope=Scope.TASK,
        doc="A file of its own.",
        range=Interval(0, 99),
        procfs=ProcFile("watched", optional=True),
        test=InTest(default=7),
    ),
    Fact(
        name="memcg.failures",
        type=Type.BYTES,
        scope=Scope.MEMCG,
        doc="A page counter, and a line of a cgroup's file.",
        range=_SIZE,
        kernel=(*table.FACTS["memcg.usage"].kernel, "counter.failcnt"),
        bpf=PageCounter("failcnt"),
        cgroupfs=Cgroup(v2=CgroupFile("memory.numbers", "failures"), v1=Always(5)),
        test=InTest(summed=True),
    ),
)
POLICY = """\
kill highest huge
kill highest memcg.failures
test "given" {
  memcg "/a/b" { failures 3MiB }
  task "t" in "/a/b" { huge 2MiB  session 4 }
  task "u" in "/" { huge 1MiB }
  expect order "t", "u"
}
"""


def main(directory: Path) -> dict[str, object]:
    """The answers, by source."""
    table.FACTS.update({row.name: row for row in ROWS})
    table.FIELDS["counter.failcnt"] = table.KernelField("page_counter", "failcnt", "unsigned long failcnt")
    return {**_host(directory), **_reports(), **_language(), **_pages()}


def _host(directory: Path) -> dict[str, object]:
    from oomlang.host import read_machine, read_snapshot, write_snapshot
    from tests.unit.host.machines import MOUNTED_V1, MOUNTED_V2, V1_FILES, V2_FILES, FakeMachine

    fake = FakeMachine(directory / "v2", MOUNTED_V2)
    fake.cgroup("a", V2_FILES | {"memory.numbers": "other 1\nfailures 12"})
    process = fake.process(77, cgroup=b"0::/a\n")
    status = (process / "status").read_text()
    (process / "status").write_text(status.replace("VmSwap:", "HugetlbPages:\t  2048 kB\nVmSwap:"))
    (process / "watched").write_text("3\n")
    fake.process(78, mm=False).joinpath("watched").write_text("4\n")
    fake.process(79)
    machine = read_machine(os.fspath(directory / "v2"))
    again = read_snapshot(write_snapshot(machine).encode())
    old = FakeMachine(directory / "v1", MOUNTED_V1)
    old.cgroup("a", V1_FILES, mount="sys/fs/cgroup/memory")
    reader = old.cgroups()
    reader.memcg_of(b"4:memory:/a\n")
    names = {row.name for row in ROWS}

    def ours(facts: object) -> dict[str, int]:
        return {name: value for name, value in dict(facts).items() if name in names}  # type: ignore[call-overload]  # a mapping

    return {
        "procfs": {task.pid: ours(task.facts) for task in machine.tasks},
        "unseen": [[*unseen.what, *unseen.pids] for unseen in machine.unseen],
        "cgroup v2": ours(machine.memcgs[(b"a",)].facts),
        "cgroup v1": ours(reader.memcgs[(b"a",)].facts),
        "snapshot": [ours(again.tasks[0].facts), ours(again.memcgs[(b"a",)].facts)],
    }


def _reports() -> dict[str, object]:
    from oomlang.host.reports.table import Table

    found = []
    for columns, numbers in (("rss hugepages", "5 6"), ("rss nr_large nr_larger", "5 2 1")):
        rows = Table.of(f"[  pid  ]   uid  tgid {columns} name".encode())
        rows.add(f"[     77]     0    77 {numbers} task".encode())
        (row,) = rows.tasks(4096, ())
        found.append(row.facts["huge"])
    return {"report": found}


def _language() -> dict[str, object]:
    from oomlang.compiler import Compilation, check, emit_c
    from oomlang.diff.constants import constants
    from oomlang.diff.generator import scenario
    from oomlang.diff.text import block
    from oomlang.test_cases import cases, run_tests

    compilation = Compilation(POLICY.encode())
    (outcome,), _ = run_tests(compilation.policy, compilation.ir)
    (case,) = cases(compilation.policy)
    t, u = case.tasks["t"], case.tasks["u"]
    assert t.memcg is not None
    chance = random.Random(1)
    near = constants(compilation.ir)
    made_up = [scenario(near, chance) for _ in range(20)]
    _, diagnostics = check(b"kill highest hugetlb\nkill highest HugetlbPages\nkill highest hugepages\n")
    return {
        "test": outcome.passed,
        "test values": [t.facts["session"], u.facts["session"], u.facts["watched"]],
        "summed": t.memcg.chain[1].facts["memcg.failures"],
        "diff": [
            any("huge" in task.facts for test in made_up for task in test.tasks),
            all("memcg.failures" in memcg.facts for test in made_up for memcg in test.memcgs),
            all(cases(Compilation(block(test, {}, "expect none").encode()).policy) for test in made_up),
        ],
        "mends": [diagnostic.help for diagnostic in diagnostics],
        "c": emit_c(b"kill highest memcg.failures\n"),
    }


def _pages() -> dict[str, object]:
    from oomlang.cli.facts import facts_markdown

    return {"docs": [line for line in facts_markdown(ROWS).splitlines() if line.startswith("| `")]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
