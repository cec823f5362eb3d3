"""The pipeline, as a list of passes: this is the public API behind `oomlang.compile` and `oomlang.check`.

text → `syntax.parser` → tree → `semantics.analyze` → typed policy → `lowering` → IR → `ir.reach` → a target.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from oomlang.diagnostics import Diagnostic, Diagnostics, Source
from oomlang.ir import nodes as ir
from oomlang.ir.reach import check_rules
from oomlang.lowering import lower
from oomlang.semantics import model
from oomlang.semantics.analyze import analyze
from oomlang.syntax import tree
from oomlang.syntax.parser import parse


@dataclass
class Compilation:
    """One policy on its way through the passes; each runs when its result is first asked for.

    The properties of a policy with errors raise `OomlangError`, except `source`, `tree` and `diagnostics`.
    """

    data: bytes
    name: str = "<policy>"

    @cached_property
    def _parsed(self) -> tuple[tree.Policy, Diagnostics]:
        return parse(self.data, self.name)

    @property
    def source(self) -> Source:
        return self._parsed[0].source

    @property
    def tree(self) -> tree.Policy:
        """The syntax tree; statements that could not be read are `Broken` in it."""
        return self._parsed[0]

    @cached_property
    def _typed(self) -> tuple[model.Policy, Diagnostics]:
        parsed, diagnostics = self._parsed
        return analyze(parsed, diagnostics), diagnostics

    @property
    def policy(self) -> model.Policy:
        """The typed policy, tests included."""
        policy, diagnostics = self._typed
        diagnostics.raise_if_failed()
        return policy

    @cached_property
    def _lowered(self) -> tuple[ir.Policy | None, Diagnostics]:
        policy, diagnostics = self._typed
        if diagnostics.failed:
            return None, diagnostics
        lowered = lower(policy)
        check_rules(lowered, diagnostics)
        return lowered, diagnostics

    @property
    def ir(self) -> ir.Policy:
        """The policy's meaning."""
        lowered, diagnostics = self._lowered
        diagnostics.raise_if_failed()
        assert lowered is not None  # only a failed analysis leaves it out
        return lowered

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that there is to say about the policy, sorted by position."""
        return self._lowered[1].items


def check(data: bytes, name: str = "<policy>") -> tuple[Source, tuple[Diagnostic, ...]]:
    """Check a policy. data: its text in UTF-8. name: what messages call it. Returns its source and diagnostics."""
    compilation = Compilation(data, name)
    return compilation.source, compilation.diagnostics
