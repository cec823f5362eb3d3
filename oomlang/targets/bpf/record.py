"""What a program writes about each process, of targets that have such a record.

A fixed head for all; behind it, for those that no guard covers, the task's facts, each view's, and the rules' numbers.
"""

from __future__ import annotations

from oomlang.facts import FACTS
from oomlang.ir import nodes as ir
from oomlang.objects.metadata import Record, RecordField
from oomlang.records import dataclass
from oomlang.targets.bpf.views import Needs

HEAD = ("end", "tgid", "guard", "never", "verdict", "event_rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A record and the C of it: its members behind the head, the lines that fill them."""

    record: Record
    members: tuple[str, ...]
    reads: tuple[str, ...]

    @staticmethod
    def of(policy: ir.Policy, needs: Needs) -> Layout:
        """The layout for a policy."""
        slots: list[tuple[str, int]] = [(n, 8) for n in HEAD]
        reads: list[str] = []

        def add(name: str, value: str) -> None:
            slots.append((name, 8))
            reads.append(f"record.{name} = {value};")

        add("points", "c->points")
        add("start", "task->start_boottime")
        for fact in sorted(needs.task):
            if fact == "comm":
                slots.append(("comm", 16))
                reads += ["record.comm[0] = c->comm.low;", "record.comm[1] = c->comm.high;"]
            else:
                add(FACTS[fact].c_name, f"c->{FACTS[fact].c_name}")
        for view in needs.views.values():
            if view.each_depth:
                continue
            names = [FACTS[f].c_name for f in sorted(view.facts) if f != "memcg.id"]
            names += [f"in_{i.name}" for i in policy.inputs if i.name in view.inputs]
            if "memcg.id" in view.facts or view.changes:
                names.append("id")
            for name in names:
                add(f"{view.name}_{name}", f"{view.name}.{name}")
        slots += [(f"rule_{k.origin.number}", 8) for k in policy.keys if not isinstance(k, ir.EachDepthKey)]
        fields, offset = [], 0
        for name, size in slots:
            fields.append(RecordField(name=name, offset=offset, size=size))
            offset += size
        members = tuple(
            f"u64 {name}[2]" if size == 16 else f"s64 {name}" for name, size in slots[len(HEAD) :]
        )
        return Layout(record=Record(size=offset, fields=tuple(fields)), members=members, reads=tuple(reads))
