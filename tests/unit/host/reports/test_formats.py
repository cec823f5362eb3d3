"""The formats of kernels from 4.19 on, and of older ones that vendors keep alive."""

import io
from pathlib import Path

from oomlang.host.reports import Counter, Report, read_reports

DATA = Path(__file__).parents[3] / "data" / "reports"


def report(name: str) -> Report:
    (found,) = read_reports(io.BytesIO((DATA / name).read_bytes()))
    return found


def test_4_19_tells_the_scope_in_a_line_of_its_own_and_may_kill_a_child() -> None:
    found = report("hand-4.19-memcg.syslog")
    assert (found.scope, found.victim_memcg) == ((b"docker", b"ab12"), (b"docker", b"ab12", b"app"))
    assert found.memsw == Counter(usage=512 << 20, limit=512 << 20)
    assert (found.chosen, found.kills[0].pid) == (4021, 4090)
    chosen = found.task(found.chosen)
    assert chosen is not None
    assert (chosen.tgid, chosen.comm) == (4020, b"java")
    assert [task.tgid for task in found.tasks] == [3990, 4020, 4090]  # threads have no rows of their own
    assert found.host == "node7"


def test_4_19_tells_a_global_event_by_its_memory() -> None:
    found = report("hand-4.19-global.dmesg")
    assert (found.is_global, found.constraint, found.scope) == (True, "NONE", None)
    assert found.ram == (1048444 - 40111) * 4096
    assert found.total_swap == 1048572 << 10
    assert found.tasks[-1].comm == b"Web Content"


def test_rhel_7_counts_page_tables_in_pages() -> None:
    found = report("hand-rhel7.syslog")
    assert {task.comm: task.facts["pgtables"] for task in found.tasks}[b"mysqld"] == 511 * 4096
    assert found.kills[0].facts["vm"] == 1648932 << 10


def test_a_cpuset_is_a_constraint() -> None:
    assert report("hand-rhel8-cpuset.dmesg").constraint == "CPUSET"


def test_the_three_kinds_of_resident_memory_are_read_since_6_8() -> None:
    found = report("vm-memcg.dmesg")
    assert found.tasks[1].facts == {
        "uid": 1000,
        "vm": 1807 * 4096,
        "rss": 1553 * 4096,
        "rss.anon": 1536 * 4096,
        "rss.file": 17 * 4096,
        "rss.shmem": 0,
        "pgtables": 53248,
        "swap": 0,
        "oom_score_adj": 500,
    }


def test_pages_of_64_kib_show_in_the_victims_size() -> None:
    data = (DATA / "vm-sysrq.dmesg").read_bytes()
    assert b"total-vm:21564kB" in data
    (found,) = read_reports(io.BytesIO(data.replace(b"total-vm:21564kB", b"total-vm:%dkB" % (21564 * 16))))
    assert found.page_size == 65536
    assert found.tasks[0].facts["rss"] % 65536 == 0


def test_the_name_of_a_policy_in_force_is_read() -> None:
    data = (DATA / "vm-sysrq.dmesg").read_bytes().replace(b"policy_name=default", b"policy_name=a, b")
    (found,) = read_reports(io.BytesIO(data))
    assert found.policy_name == b"a, b"


def test_nobody_to_kill_is_an_end() -> None:
    data = (DATA / "vm-memcg.dmesg").read_bytes()
    at = data.index(b"[    3.818213]")
    end = b"[    3.9] Memory cgroup out of memory and no killable processes...\n"
    (found,) = read_reports(io.BytesIO(data[:at] + end))
    assert found.none_left
    assert found.missing == ()


def test_a_kill_of_the_invoker_is_no_choice() -> None:
    data = (DATA / "vm-sysrq.dmesg").read_bytes()
    changed = data.replace(b"Out of memory: Killed", b"Out of memory (oom_kill_allocating_task): Killed")
    (found,) = read_reports(io.BytesIO(changed))
    assert found.by_invoker
