"""What policies compare with: the numbers, names and paths at which their choices change.

In: the IR of policies. Out: `Constants`, for whoever makes up machines near them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from oomlang.facts import FACTS
from oomlang.facts.patterns import ANY, Glob
from oomlang.host.model import MemcgPath
from oomlang.ir import nodes as ir
from oomlang.ir.fold import parts
from oomlang.ir.reads import Reads

_MOST_NAMES = 12


@dataclass(slots=True)
class Constants:
    """numbers: by fact or input, what it is compared with; those of other expressions under the empty name. comms, names,
    paths: texts that match the patterns, and some that just miss. facts: what the policies read, by name. scopes: paths
    for the cgroup that runs out. inputs: those of the policies, by name.
    """

    numbers: dict[str, set[int]] = field(default_factory=dict)
    comms: dict[bytes, None] = field(default_factory=dict)
    names: dict[bytes, None] = field(default_factory=dict)
    paths: dict[MemcgPath, None] = field(default_factory=dict)
    scopes: dict[MemcgPath, None] = field(default_factory=dict)
    facts: set[str] = field(default_factory=set)
    inputs: dict[str, ir.InputDeclaration] = field(default_factory=dict)


def constants(*policies: ir.Policy) -> Constants:
    """All that some policies compare with."""
    found = Constants()
    for policy in policies:
        for declared in policy.inputs:
            found.inputs.setdefault(declared.name, declared)
            found.numbers.setdefault(declared.name, set()).add(declared.default)
        roots = [e for rule in policy.rules for e in ir.rule_expressions(rule)] + [
            let.value for let in policy.lets
        ]
        reads = Reads(policy)
        found.facts |= {name for name, _ in reads.of(*roots) if name in FACTS}
        for key in policy.keys:
            if isinstance(key, ir.ValueKey | ir.EachDepthKey) and key.step > 1:
                _note(found, reads, key.value, {key.step, 2 * key.step})
        for root in roots:
            for node in parts(root):
                _collect(found, policy, reads, node)
    return found


def _collect(found: Constants, policy: ir.Policy, reads: Reads, node: ir.Expression) -> None:
    match node:
        case ir.Compare(_, left, right):
            for subject, other in ((left, right), (right, left)):
                values = {n.value for n in parts(other) if isinstance(n, ir.Number)}
                asked = {name for name, _ in reads.of(other)}
                _note(found, reads, subject, values | {i.default for i in policy.inputs if i.name in asked})
        case ir.OneOf(subject, values):
            _note(found, reads, subject, set(values))
        case ir.Number(value):
            found.numbers.setdefault("", set()).add(value)
        case ir.Match(fact, _, patterns):
            texts = found.comms if fact == "comm" else found.names
            for pattern in patterns[:_MOST_NAMES]:
                texts.update(dict.fromkeys(_texts(pattern)))
        case ir.Under(fact, _, pattern):
            path = tuple(next(_texts(component)) or b"x" for component in pattern.components)
            paths = found.paths if fact == "memcg" else found.scopes
            paths.update(dict.fromkeys((path, (*path, b"inner"), (*path[:-1], b"other"))))
        case _:
            pass


def _note(found: Constants, reads: Reads, subject: ir.Expression, values: set[int]) -> None:
    for name, _ in reads.of(subject):
        found.numbers.setdefault(name, set()).update(values)


def _texts(pattern: Glob) -> Iterator[bytes]:
    """The shortest text that matches, a longer one, and one that does not (unless all do)."""
    parts = [part.replace(bytes((ANY,)), b"a") for part in pattern.parts]
    yield b"".join(parts)
    if len(parts) > 1:
        yield b"x".join(parts)
    yield b"un" + b"".join(parts)
