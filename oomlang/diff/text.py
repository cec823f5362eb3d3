"""A made-up machine as the text of a test block, to be put into a policy.

In: a test block as data. Out: its text, which `oomlang test` reads as the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from oomlang.facts import FACTS, Type, spell
from oomlang.ir import nodes as ir
from oomlang.semantics import model


def block(test: model.Test, inputs: Mapping[str, ir.InputDeclaration], expectation: str | None = None) -> str:
    """The text, without a line end. inputs: those of the policies, by name. expectation: the last line's."""
    lines = [f"memory {spell(test.memory, Type.BYTES)}"]
    if test.swap:
        lines.append(f"swap {spell(test.swap, Type.BYTES)}")
    if test.order:
        lines.append(f"order {test.order}")
    if test.scope is not None:
        lines.append(f"scope {_path(test.scope)}")
    if test.invoker is not None:
        lines.append(f"invoker {quoted(test.invoker.encode())}")
    lines += [f"set {name} = {spell(value, inputs[name].type)}" for name, value in test.inputs.items()]
    for memcg in test.memcgs:
        entries = {FACTS[k].entry: (v, FACTS[k].type) for k, v in memcg.facts.items()}
        entries |= {k: (v, inputs[k].type) for k, v in memcg.inputs.items()}
        lines.append(f"memcg {_path(memcg.path)}{_entries(entries)}")
    for task in test.tasks:
        # Given the parts, the whole is their sum.
        given = {k: FACTS[k] for k in task.facts if not task.facts.keys() & set(FACTS[k].sum_of)}
        entries = {k: (task.facts[k], fact.type) for k, fact in given.items()}
        head = f"task {quoted(task.comm)} as {quoted(task.id.encode())} in {_path(task.path)}"
        lines.append(f"{head}{_entries(entries)}")
    if expectation is not None:
        lines.append(expectation)
    body = "".join(f"  {line}\n" for line in lines)
    return f"test {quoted(test.name.encode())} {{\n{body}}}"


def _entries(entries: Mapping[str, tuple[int, Type]]) -> str:
    given = "  ".join(f"{name} {spell(*value)}" for name, value in entries.items())
    return f" {{ {given} }}" if given else ""


def _path(path: tuple[bytes, ...]) -> str:
    return quoted(b"/" + b"/".join(path))


def quoted(text: bytes) -> str:
    """A text literal of the language."""
    pieces = []
    for char in text.decode("utf-8", "surrogateescape"):
        if char in '"\\':
            pieces.append("\\" + char)
        elif char.isprintable():
            pieces.append(char)
        else:
            pieces += [f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape")]
    return f'"{"".join(pieces)}"'
