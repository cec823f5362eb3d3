"""Runs in the guest: facts of live tasks, as BPF reads them between two readings of /proc and cgroupfs.

    live_facts_guest.py PASSES

In: a JSON list; each pass has `object` (the path of a dry-run object) and `request` (fields of `Request`). Out: JSON: for
each pass the records, and the two readings around it. Bytes become latin-1 text.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from oomlang.host import MachineFacts, MemcgPath, read_machine
from oomlang.kernel.dry_run import DryRun, DryRunner, Request
from oomlang.objects.metadata import read_metadata


def main() -> None:
    """Take all passes."""
    passes = []
    for wanted in json.loads(sys.argv[1]):
        with open(wanted["object"], "rb") as file:
            image = file.read()
        with DryRunner(image, read_metadata(image)) as runner:
            before = read_machine()
            path = tuple(map(os.fsencode, wanted["request"].pop("scope_path", ())))
            run = runner.run(Request(**wanted["request"], scope_path=path))
            after = read_machine()
        passes.append({"run": _run(run), "before": _machine(before), "after": _machine(after)})
    json.dump(passes, sys.stdout)


def _plain(value: int | bytes) -> int | str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _path(path: MemcgPath | None) -> str | None:
    return None if path is None else "/" + b"/".join(path).decode("latin-1")


def _run(run: DryRun) -> dict[str, Any]:
    return {
        "victim": run.victim,
        "event_rule": run.event_rule,
        "dying": run.dying,
        "records": {
            record.pid: {
                "guard": record.guard.name,
                "points": record.points,
                "start": record.start,
                "facts": [[name, depth, _plain(value)] for (name, depth), value in record.facts.items()],
                "numbers": {str(number): value for number, value in record.numbers.items()},
            }
            for record in run.records
        },
    }


def _machine(facts: MachineFacts) -> dict[str, Any]:
    return {
        "ram": facts.ram,
        "swap": facts.swap,
        "hierarchy": facts.hierarchy,
        "page": facts.page_size,
        "memcgs": {_path(path): {"id": memcg.id, **memcg.facts} for path, memcg in facts.memcgs.items()},
        "tasks": {
            task.pid: {
                "comm": None if task.comm is None else _plain(task.comm),
                "memcg": _path(task.memcg),
                "has_mm": task.has_mm,
                "start": task.start,
                "oom_score": _oom_score(task.pid),
                **task.facts,
            }
            for task in facts.tasks
        },
    }


def _oom_score(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/oom_score") as file:
            return int(file.read())
    except OSError:
        return None


if __name__ == "__main__":
    main()
