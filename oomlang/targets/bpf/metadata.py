"""What an object says about itself: the JSON in its section `.oomlang`."""

from __future__ import annotations

import json
from typing import Any

from oomlang.facts import FACTS
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Summary, fold
from oomlang.records import dataclass
from oomlang.targets.bpf.lines import Owned
from oomlang.targets.bpf.readers import C_TYPES
from oomlang.targets.bpf.seal import UNSEALED
from oomlang.targets.bpf.views import Collector, Needs

SECTION = ".oomlang"
FORMAT = 1
LANGUAGE_VERSION = 1
TARGETS = ("evaluate-task", "dry-run")

_PROGRAMS = {
    "evaluate-task": {
        "begin_event": "fentry/bpf_set_policy_name",
        "evaluate_task": "fmod_ret/bpf_oom_evaluate_task",
        "end_event": "tp_btf/select_bad_process_end",
    },
    "dry-run": {"dry_run": "iter/task"},
}
_VALUE_BYTES = {"__s32": 4, "__u8": 1, "__s64": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The record of the dry-run program: a field is (name, offset, bytes); everything is little-endian.

    members, reads: the same as C, for the template.
    """

    size: int
    fields: tuple[tuple[str, int, int], ...]
    members: tuple[str, ...]
    reads: tuple[str, ...]

    @staticmethod
    def of(policy: ir.Policy, needs: Needs, inputs: dict[str, ir.InputDeclaration]) -> Layout:
        """The layout for a policy: a fixed head, the task's facts, each view's facts, the rules' numbers."""
        slots: list[tuple[str, int]] = [(n, 8) for n in _RECORD_HEAD]
        reads: list[str] = []
        for name in ("points", "start"):
            slots.append((name, 8))
            reads.append(f"record.{name} = c->{name};")
        for fact in sorted(needs.task):
            name = FACTS[fact].c_name
            if fact == "comm":
                slots.append(("comm", 16))
                reads.append("__builtin_memcpy(record.comm, c->comm, sizeof(record.comm));")
            else:
                slots.append((name, 8))
                reads.append(f"record.{name} = c->{name};")
        for view in needs.views.values():
            if isinstance(view.key, tuple):
                continue
            named = [
                FACTS[f].c_name for f in sorted(view.facts) if f not in ("memcg", "memcg.name", "memcg.id")
            ]
            named += [f"in_{n}" for n in inputs if n in view.inputs]
            if "memcg.id" in view.facts or view.changes:
                named.append("id")
            for name in named:
                slots.append((f"{view.member}_{name}", 8))
                reads.append(f"record.{view.member}_{name} = c->{view.member}.{name};")
        slots += [(f"rule_{k.origin.number}", 8) for k in policy.keys if not isinstance(k, ir.EachDepthKey)]
        fields, offset = [], 0
        for name, size in slots:
            fields.append((name, offset, size))
            offset += size
        members = tuple(
            f"u64 {name}[2]" if size == 16 else f"s64 {name}" for name, size in slots[len(_RECORD_HEAD) :]
        )
        return Layout(size=offset, fields=tuple(fields), members=members, reads=tuple(reads))


_RECORD_HEAD = ("end", "tgid", "guard", "never", "verdict", "event_rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The section's content. `data` is what stands in it, as plain JSON values."""

    data: dict[str, Any]

    @staticmethod
    def of(
        policy: ir.Policy,
        target: str,
        *,
        source_name: str,
        source_hash: str,
        compiler: str,
        loops: list[str],
        facts: set[str],
        collector: Collector,
        layout: Layout | None,
        owned: Owned,
    ) -> Metadata:
        """Everything about a program but its code."""
        data = {
            "format": FORMAT,
            "language": LANGUAGE_VERSION,
            "compiler": compiler,
            "digest": UNSEALED,
            "policy": policy.name,
            "source": {"name": source_name, "sha256": source_hash},
            "target": target,
            "programs": [{"name": n, "section": s} for n, s in _PROGRAMS[target].items()],
            "maps": _maps(policy, target),
            "inputs": [_input(i) for i in policy.inputs],
            "rules": [_rule(r, collector, owned) for r in policy.rules],
            "lets": [_let(let, owned) for let in policy.lets],
            "facts": sorted(facts),
            "loops": sorted(loops),
            "bounds": {"instructions": _bound(policy), "stack": 512},
        }
        if layout is not None:
            data["record"] = {"size": layout.size, "fields": [list(f) for f in layout.fields]}
        return Metadata(data=data)


def _maps(policy: ir.Policy, target: str) -> list[dict[str, Any]]:
    """The maps that the object must have, data sections apart."""
    maps = [
        {"name": f"in_{i.name}", "type": "hash", "key": 8, "value": _VALUE_BYTES[C_TYPES[i.type.value]]}
        for i in policy.inputs
        if i.per_memcg
    ]
    if target == "evaluate-task":
        maps.append({"name": "nothing_found", "type": "lru_hash", "key": 8, "value": 16})
    return maps


def _input(declared: ir.InputDeclaration) -> dict[str, Any]:
    c_type = C_TYPES[declared.type.value]
    return {
        "name": declared.name,
        "type": declared.type.value,
        "per_memcg": declared.per_memcg,
        "default": declared.default,
        "range": [declared.interval.low, declared.interval.high],
        "map": f"in_{declared.name}" if declared.per_memcg else ".data.inputs",
        "variable": f"in_{declared.name}",
        "bytes": _VALUE_BYTES[c_type],
    }


def _rule(rule: ir.Rule, collector: Collector, owned: Owned) -> dict[str, Any]:
    needs = Needs()
    collector.rule(rule, needs)
    match rule:
        case ir.EventRule(kernel_decides=kernel):
            kind = "kernel decides" if kernel else "kill nothing"
        case ir.Never():
            kind = "never kill"
        case ir.FlagKey(first=first):
            kind = "kill first" if first else "kill last"
        case ir.ValueKey(highest=highest):
            kind = "kill highest" if highest else "kill lowest"
        case _:
            highest = rule.highest
            kind = f"kill {'highest' if highest else 'lowest'} at each depth"
    inputs = needs.knobs | {i for v in needs.views.values() for i in v.inputs}
    return {
        "number": rule.origin.number,
        "kind": kind,
        "line": rule.origin.line,
        "column": rule.origin.column,
        "text": rule.origin.text,
        "facts": sorted(needs.facts),
        "inputs": sorted(inputs),
        "c_lines": _ranges(owned, f"rule_{rule.origin.number}"),
    }


def _let(let: ir.LetDeclaration, owned: Owned) -> dict[str, Any]:
    return {
        "name": let.name,
        "line": let.line,
        "column": let.column,
        "text": let.text,
        "c_lines": _ranges(owned, f"let_{let.name}"),
    }


def _ranges(owned: Owned, owner: str) -> list[list[int]]:
    return [list(lines) for lines in owned.get(owner, ())]


def _bound(policy: ir.Policy) -> int:
    """Instructions that the program can have at most: a frame, and so many for each thing that a policy
    reads or says. Several times what was seen.
    """
    expressions = [e for r in policy.rules for e in ir.rule_expressions(r)]
    expressions += [let.value for let in policy.lets]
    count = sum([fold(e, _Size()) for e in expressions])
    walks = sum(isinstance(k, ir.EachDepthKey) for k in policy.keys)
    needs = Collector(policy).policy(policy)
    reads = len(needs.facts) + sum(len(v.facts) + len(v.inputs) + 1 for v in needs.views.values())
    return 900 + 16 * count + 60 * len(policy.keys) + 400 * walks + 80 * reads + 40 * len(policy.inputs)


class _Size(Summary[int]):
    """How much code an expression can become, in steps of some instructions."""

    def leaf(self, node: ir.Leaf) -> int:
        match node:
            case ir.Match(_, _, patterns):
                return 1 + sum(3 + len(p.parts) + p.shortest // 4 for p in patterns)
            case ir.Under(_, _, pattern):
                return 1 + sum(4 + len(c.parts) + c.shortest // 4 for c in pattern.components)
            case _:
                return 1

    def join(self, node: ir.Expression, parts: tuple[int, ...]) -> int:
        values = len(node.values) if isinstance(node, ir.OneOf) else 0
        return 1 + values + sum(parts)


def metadata_json(metadata: Metadata) -> str:
    """The section's text: one line, keys in a fixed order."""
    return json.dumps(metadata.data, ensure_ascii=True, separators=(",", ":"))
