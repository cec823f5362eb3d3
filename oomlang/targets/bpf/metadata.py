"""What an object will say about itself, out of the policy's meaning."""

from __future__ import annotations

from oomlang.ir import nodes as ir
from oomlang.objects.metadata import (
    ANSWERED,
    KNOBS,
    LANGUAGE_VERSION,
    Input,
    Let,
    Lines,
    Map,
    Metadata,
    Program,
    Record,
    Rule,
    Source,
)
from oomlang.targets.bpf.attachments import Target
from oomlang.targets.bpf.lines import Owned
from oomlang.targets.bpf.readers import C_TYPES
from oomlang.targets.bpf.seal import UNSEALED
from oomlang.targets.bpf.views import Collector

_VALUE_BYTES = {"__s32": 4, "__u8": 1, "__s64": 8}


def describe(
    policy: ir.Policy,
    target: Target,
    *,
    source: Source,
    compiler: str,
    facts: set[str],
    collector: Collector,
    record: Record | None,
    answers: int,
    owned: Owned,
) -> Metadata:
    """Everything about an object but its code. answers: bytes of the answers to what is asked about a cgroup, which are kept
    in a map; 0 for none. owned: which lines of the C were made for what.
    """
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
        maps=(
            *(_map(i) for i in policy.inputs if i.per_memcg),
            *((Map(name=ANSWERED, type="lru_hash", key=8, value=answers),) if answers else ()),
            *target.maps,
        ),
        inputs=tuple(_input(i) for i in policy.inputs),
        rules=tuple(_rule(r, collector, owned) for r in policy.rules),
        lets=tuple(
            Let(
                name=v.name, line=v.line, column=v.column, text=v.text, c_lines=_lines(owned, f"let_{v.name}")
            )
            for v in policy.lets
        ),
        facts=tuple(sorted(facts)),
        record=record,
    )


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


def _rule(rule: ir.Rule, collector: Collector, owned: Owned) -> Rule:
    needs = collector.rules([rule])
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
