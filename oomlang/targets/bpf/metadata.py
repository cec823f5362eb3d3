"""What an object will say about itself, out of the policy's meaning."""

from __future__ import annotations

from oomlang.facts import FACTS
from oomlang.ir import nodes as ir
from oomlang.objects.metadata import (
    LANGUAGE_VERSION,
    Input,
    Let,
    Lines,
    Map,
    Metadata,
    Program,
    Record,
    RecordField,
    Rule,
    Source,
)
from oomlang.records import dataclass
from oomlang.targets.bpf.attachments import Target
from oomlang.targets.bpf.lines import Owned
from oomlang.targets.bpf.readers import C_TYPES
from oomlang.targets.bpf.seal import UNSEALED
from oomlang.targets.bpf.views import Collector, Needs

KNOBS = ".data.inputs"
"""The section of all inputs that are not per memcg."""

_VALUE_BYTES = {"__s32": 4, "__u8": 1, "__s64": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The record that a program writes. members, reads: the same as C, for the template."""

    record: Record
    members: tuple[str, ...]
    reads: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.record.size

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
            fields.append(RecordField(name=name, offset=offset, size=size))
            offset += size
        members = tuple(
            f"u64 {name}[2]" if size == 16 else f"s64 {name}" for name, size in slots[len(_RECORD_HEAD) :]
        )
        return Layout(record=Record(size=offset, fields=tuple(fields)), members=members, reads=tuple(reads))


_RECORD_HEAD = ("end", "tgid", "guard", "never", "verdict", "event_rule")


def describe(
    policy: ir.Policy,
    target: Target,
    *,
    source: Source,
    compiler: str,
    facts: set[str],
    collector: Collector,
    layout: Layout | None,
    owned: Owned,
) -> Metadata:
    """Everything about an object but its code. owned: which lines of the C were made for what."""
    return Metadata(
        language=LANGUAGE_VERSION,
        compiler=compiler,
        digest=UNSEALED,
        name=policy.name,
        source=source,
        target=target.name,
        decides=target.decides,
        programs=tuple(Program(name=p.name, section=p.section) for p in target.programs),
        kfuncs=target.kfuncs,
        turn=target.turn,
        maps=(*(_map(i) for i in policy.inputs if i.per_memcg), *target.maps),
        inputs=tuple(_input(i) for i in policy.inputs),
        rules=tuple(_rule(r, collector, owned) for r in _in_order(policy)),
        lets=tuple(
            Let(
                name=v.name, line=v.line, column=v.column, text=v.text, c_lines=_lines(owned, f"let_{v.name}")
            )
            for v in policy.lets
        ),
        facts=tuple(sorted(facts)),
        record=layout.record if layout is not None else None,
    )


def _in_order(policy: ir.Policy) -> list[ir.EventRule | ir.Never | ir.Key]:
    rules = [*policy.event_rules, *policy.never, *policy.keys]
    return sorted(rules, key=lambda r: r.origin.number)


def _map(declared: ir.InputDeclaration) -> Map:
    return Map(name=f"in_{declared.name}", type="hash", key=8, value=_bytes(declared))


def _input(declared: ir.InputDeclaration) -> Input:
    return Input(
        name=declared.name,
        type=declared.type.value,
        per_memcg=declared.per_memcg,
        default=declared.default,
        lowest=declared.interval.low,
        highest=declared.interval.high,
        map=f"in_{declared.name}" if declared.per_memcg else KNOBS,
        variable=f"in_{declared.name}",
        size=_bytes(declared),
    )


def _bytes(declared: ir.InputDeclaration) -> int:
    return _VALUE_BYTES[C_TYPES[declared.type.value]]


def _rule(rule: ir.EventRule | ir.Never | ir.Key, collector: Collector, owned: Owned) -> Rule:
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
    return Rule(
        number=rule.origin.number,
        kind=kind,
        line=rule.origin.line,
        column=rule.origin.column,
        text=rule.origin.text,
        facts=tuple(sorted(needs.facts)),
        inputs=tuple(sorted(inputs)),
        c_lines=_lines(owned, f"rule_{rule.origin.number}"),
    )


def _lines(owned: Owned, owner: str) -> Lines:
    return tuple((first, last) for first, last in owned.get(owner, ()))
