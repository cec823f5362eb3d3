"""`--set`: values for a policy's inputs, as `floor=512MiB`, `priority=3` and `priority[/batch.slice]=3`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from oomlang.cli.explain_sources import memcg_path
from oomlang.cli.failures import Failure
from oomlang.facts import UNITS, Type, spell
from oomlang.host import MemcgPath
from oomlang.ir import nodes as ir

_SET = re.compile(r"(?P<name>\w+)(?:\[(?P<inside>[^\]]*)\]|(?P<path>/[^=]*))?=(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"(-?[0-9]+)([A-Za-z%]*)")


def parse_sets(
    given: Iterable[str], policy: ir.Policy
) -> tuple[dict[str, int], dict[str, dict[MemcgPath, int]]]:
    """The values of the knobs, and of the inputs per memcg by cgroup. Errors: `Failure` with what is taken."""
    knobs: dict[str, int] = {}
    memcgs: dict[str, dict[MemcgPath, int]] = {}
    for text in given:
        match = _SET.fullmatch(text)
        if match is None:
            raise Failure(
                f"`--set {text}` is no assignment", mend="--set INPUT=VALUE, --set INPUT[/CGROUP]=VALUE"
            )
        declared = _declared(match["name"], policy)
        value = parse_value(declared, match["value"])
        path = match["inside"] if match["inside"] is not None else match["path"]
        if declared.per_memcg:
            if path is None:
                raise Failure(
                    f"{declared.name} is an input per memcg",
                    mend=f"say of which one: --set '{declared.name}[/CGROUP]={match['value']}'",
                )
            memcgs.setdefault(declared.name, {})[memcg_path(path)] = value
        elif path is not None:
            raise Failure(
                f"{declared.name} is one value for all cgroups",
                mend=f"leave the path out: --set {declared.name}={match['value']}",
            )
        else:
            knobs[declared.name] = value
    return knobs, memcgs


def _declared(name: str, policy: ir.Policy) -> ir.InputDeclaration:
    from oomlang.syntax.suggest import did_you_mean

    found = next((i for i in policy.inputs if i.name == name), None)
    if found is None:
        names = [i.name for i in policy.inputs]
        mend = did_you_mean(name, names) or (f"it has {', '.join(names)}" if names else "it has none")
        raise Failure(f"the policy has no input `{name}`", mend=mend)
    return found


def parse_value(declared: ir.InputDeclaration, text: str) -> int:
    """A literal of the language as a value of an input, in base units. Errors: `Failure` with what it takes."""
    value: int | None = None
    if declared.type is Type.BOOL:
        value = {"true": 1, "false": 0}.get(text)
    elif match := _NUMBER.fullmatch(text):
        unit = UNITS.get(match[2])
        if declared.type is Type.INT and not match[2]:
            value = int(match[1])
        elif unit is not None and unit.type is declared.type:
            value = int(match[1]) * unit.scale
    if value is None:
        raise Failure(f"`{text}` is no value for {declared.name}", mend=_takes(declared))
    if value not in declared.interval:
        raise Failure(f"{declared.name} cannot be {text}", mend=_takes(declared))
    return value


def _takes(declared: ir.InputDeclaration) -> str:
    if declared.type is Type.BOOL:
        return "it takes true or false"
    low, high = (spell(end, declared.type) for end in (declared.interval.low, declared.interval.high))
    units = " ".join(u.suffix for u in UNITS.values() if u.type is declared.type)
    return f"it takes {declared.type.value} from {low} to {high}" + (
        f", with a unit: {units}" if units else ""
    )
