"""`--set`: values for a policy's inputs, as `floor=512MiB`, `priority=3` and `priority[/batch.slice]=3`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from oomlang.cli.explain_sources import memcg_path
from oomlang.cli.failures import Failure
from oomlang.cli.values import parse_value
from oomlang.host import MemcgPath
from oomlang.ir import nodes as ir

_SET = re.compile(r"(?P<name>\w+)(?:\[(?P<inside>[^\]]*)\]|(?P<path>/[^=]*))?=(?P<value>.*)", re.DOTALL)


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
        value = parse_value(declared.name, declared.type, declared.interval, match["value"])
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
