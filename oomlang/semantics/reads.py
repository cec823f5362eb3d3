"""What an expression holds and reads, lets looked into."""

from __future__ import annotations

from oomlang.facts import Fact
from oomlang.facts.table import Scope
from oomlang.semantics import model


def reads_of(node: model.Expression) -> model.Reads:
    """What an expression reads. Of each let in it is asked what it reads, so that this takes time by its text alone."""
    found: dict[str, tuple[Fact | model.Input, model.Expression]] = {}
    at_depth = False
    pending = [node]
    while pending:
        part = pending.pop()
        at_depth = at_depth or isinstance(part, model.AtDepth)
        match part:
            case model.FactRef(fact=fact) | model.Match(fact=fact) | model.Under(fact=fact):
                found.setdefault(fact.name, (fact, part))
            case model.InputRef(input=declared):
                found.setdefault(declared.name, (declared, part))
            case model.LetRef(let=let):
                at_depth = at_depth or let.reads.at_depth
                for read, where in let.reads.what:
                    found.setdefault(read.name, (read, where))
            case _:
                pending.extend(reversed(model.children(part)))
    return model.Reads(what=tuple(found.values()), at_depth=at_depth)


def _of_memcg(read: Fact | model.Input) -> bool:
    return read.per_memcg if isinstance(read, model.Input) else read.scope is Scope.MEMCG


def _of_task(read: Fact | model.Input) -> bool:
    return isinstance(read, Fact) and read.scope is Scope.TASK


def needs_memcg(node: model.Expression) -> bool:
    """Whether the expression depends on which cgroup its facts are read from."""
    return any(_of_memcg(read) for read, _ in reads_of(node).what)


def task_fact(node: model.Expression) -> Fact | None:
    """A fact of the task itself that the expression reads, if there is one."""
    return next((r for r, _ in reads_of(node).what if isinstance(r, Fact) and _of_task(r)), None)


def candidate_read(node: model.Expression) -> tuple[Fact | model.Input, model.Expression] | None:
    """Something that can differ between two candidates of one event, and the part of the expression that reads it."""
    return next((found for found in reads_of(node).what if _of_memcg(found[0]) or _of_task(found[0])), None)


def contains_depth(node: model.Expression) -> bool:
    """Whether an expression holds an `at depth`."""
    return reads_of(node).at_depth
