"""What an expression holds and reads, lets looked into."""

from __future__ import annotations

from collections.abc import Iterator

from oomlang.facts import Fact
from oomlang.facts.table import Scope
from oomlang.semantics import model


def walk(node: model.Expression, seen: set[str] | None = None) -> Iterator[model.Expression]:
    """The expression and everything in it; each let is entered once."""
    seen = set() if seen is None else seen
    yield node
    if isinstance(node, model.LetRef):
        if node.let.name not in seen:
            seen.add(node.let.name)
            yield from walk(node.let.value, seen)
        return
    for child in model.children(node):
        yield from walk(child, seen)


def reads(node: model.Expression) -> Iterator[Fact | model.Input]:
    """Every fact and input that an expression reads."""
    for part in walk(node):
        if (read := _read(part)) is not None:
            yield read


def _read(node: model.Expression) -> Fact | model.Input | None:
    """What a node itself reads, its operands left aside."""
    match node:
        case model.FactRef(fact=fact) | model.Match(fact=fact) | model.Under(fact=fact):
            return fact
        case model.InputRef(input=declared):
            return declared
        case _:
            return None


def _of_memcg(read: Fact | model.Input) -> bool:
    return read.per_memcg if isinstance(read, model.Input) else read.scope is Scope.MEMCG


def _of_task(read: Fact | model.Input) -> bool:
    return isinstance(read, Fact) and read.scope is Scope.TASK


def needs_memcg(node: model.Expression) -> bool:
    """Whether the expression depends on which cgroup its facts are read from."""
    return any(_of_memcg(read) for read in reads(node))


def task_fact(node: model.Expression) -> Fact | None:
    """A fact of the task itself that the expression reads, if there is one."""
    return next((r for r in reads(node) if isinstance(r, Fact) and _of_task(r)), None)


def candidate_read(node: model.Expression) -> tuple[Fact | model.Input, model.Expression] | None:
    """Something that can differ between two candidates of one event, and the part of the expression that reads it."""
    for part in walk(node):
        read = _read(part)
        if read is not None and (_of_memcg(read) or _of_task(read)):
            return read, part
    return None


def contains_depth(node: model.Expression) -> bool:
    """Whether an expression holds an `at depth`."""
    return any(isinstance(part, model.AtDepth) for part in walk(node))
