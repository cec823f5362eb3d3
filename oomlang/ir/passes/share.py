"""What is computed more than once becomes a let, what is computed once is none.

All expressions of the rules, lets written out, are put into one table in which each different term stands once: a term that
two others use, or one uses twice, is found by its place there; and so is one that is the same for a whole event in an
expression that is asked of every candidate. Those that cost more than a read become lets with `shared`, under the name that
the policy gave them, or `shared_1`, `shared_2`, … All other lets are written out where they are used, but for those without
which an expression would nest too deep. Lets that nothing uses are gone afterwards.

The table grows with the text of the policy and with the depths at which a let is used, and not with what lets in lets
multiply to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from oomlang.facts import Type
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary
from oomlang.ir.intervals import intervals
from oomlang.ir.levels import Level, leaf_level
from oomlang.ir.passes.rewrite import with_expressions, with_operands
from oomlang.operations import NEGATE

MAX_NESTING = 48
"""How deep an expression nests afterwards at most: compilers of C bound that, and so does Python's stack."""

MAX_WEIGHT = 16
"""Numbers that the arithmetic of one expression reads afterwards at most: all of them may be held at once, and BPF has ten
registers and little stack.
"""

_WORD, _WORDS = 64, 4
"""The answers about a cgroup are bits in words; those in so many words are looked up as fast as a let is read."""

Place: TypeAlias = int


def share(policy: ir.Policy) -> ir.Policy:
    """The policy with a let for each term that is worth one."""
    return _Sharing(policy).run()


class _Table(Summary[Place]):
    """Every different term once, those that it is made of before it."""

    def __init__(self) -> None:
        self.nodes: list[ir.Expression] = []
        self.operands: list[tuple[Place, ...]] = []
        self.levels: list[Level] = []
        self._places: dict[object, Place] = {}

    def leaf(self, node: ir.Leaf) -> Place:
        return self._place(node, node, (), leaf_level(node))

    def join(self, node: ir.Expression, parts: tuple[Place, ...]) -> Place:
        match node:
            case ir.Apply(operation, _, ranges):
                own: object = (operation, ranges)
            case ir.Compare(operator, _, _) | ir.Logical(operator, _):
                own = operator
            case ir.OneOf(_, values):
                own = values
            case _:
                own = None
        level = max([self.levels[part] for part in parts])
        return self._place((type(node), own, parts), node, parts, level)

    def _place(self, key: object, node: ir.Expression, parts: tuple[Place, ...], level: Level) -> Place:
        found = self._places.setdefault(key, len(self.nodes))
        if found == len(self.nodes):
            self.nodes.append(node)
            self.operands.append(parts)
            self.levels.append(level)
        return found


class _Sharing:
    def __init__(self, policy: ir.Policy) -> None:
        self._policy = policy
        self._table = _Table()
        self._intervals = intervals(policy)
        lets = Lets(policy.lets, self._table)
        self._roots = [(rule, lets.fold(e)) for rule in policy.rules for e in ir.rule_expressions(rule)]
        self._given: dict[Place, ir.LetDeclaration] = {}
        for let in policy.lets:
            self._given.setdefault(lets.fold(ir.Let(let.name)), let)
        self._used, self._origin = self._uses()
        self._taken = {let.name for let in policy.lets}
        self._count = 0

    def _uses(self) -> tuple[list[int], dict[Place, ir.Origin]]:
        """How often each term is used, by rules and by terms that rules need; and the first rule that needs it."""
        levels = self._table.levels
        used = [0] * len(levels)
        origin: dict[Place, ir.Origin] = {}

        def use(place: Place, by: Level) -> None:
            # Once for all candidates would be once for each.
            used[place] += 2 if levels[place] is Level.EVENT and by is not Level.EVENT else 1

        for rule, root in self._roots:
            use(root, Level.EVENT if isinstance(rule, ir.EventRule) else Level.TASK)
            pending = [root]
            while pending:
                place = pending.pop()
                if place not in origin:
                    origin[place] = rule.origin
                    pending += self._table.operands[place]
        for place in origin:
            for operand in self._table.operands[place]:
                use(operand, levels[place])
        return used, origin

    def run(self) -> ir.Policy:
        lets: list[ir.LetDeclaration] = []
        terms: dict[Place, ir.Expression] = {}
        heights: dict[Place, int] = {}
        weights: dict[Place, int] = {}
        for place in sorted(self._origin):  # operands before those that use them
            operands = self._table.operands[place]
            node = self._table.nodes[place]
            term = with_operands(node, tuple([terms[o] for o in operands])) if operands else node
            height = 1 + max([heights[o] for o in operands], default=0)
            weight = max(1, sum([weights[o] for o in operands]))
            if isinstance(node, ir.Logical | ir.Not):
                weight = 1  # one condition after the other
            large = height >= MAX_NESTING or weight > MAX_WEIGHT
            if (self._used[place] > 1 and not _is_cheap(term)) or large:
                let = self._given.get(place) or self._new(place)
                lets.append(replace(let, value=term, shared=True))
                term, height, weight = ir.Let(let.name), 1, 1
            terms[place], heights[place], weights[place] = term, height, weight
        changed = iter([terms[place] for _, place in self._roots])
        rules = [with_expressions(rule, lambda _: next(changed)) for rule in self._policy.rules]
        return replace(self._policy, lets=tuple(lets), rules=tuple(rules))

    def _new(self, place: Place) -> ir.LetDeclaration:
        """A let for a term that the policy gives no name. It stands where the first rule stands that needs it."""
        self._count += 1
        while f"shared_{self._count}" in self._taken:
            self._count += 1
        node, origin = self._table.nodes[place], self._origin[place]
        return ir.LetDeclaration(
            name=f"shared_{self._count}",
            type=Type.INT if isinstance(node, ir.Apply | ir.Select) else Type.BOOL,
            interval=self._intervals.fold(node),
            value=node,
            line=origin.line,
            column=origin.column,
            text=origin.text,
        )


def _is_cheap(term: ir.Expression) -> bool:
    """Whether a term costs no more than to read what it would be kept in."""
    match term:
        case ir.Not(operand) | ir.Compare(_, operand, ir.Number()):
            return _is_read(operand)
        case ir.Apply(operation, (operand,)):
            return operation is NEGATE and _is_read(operand)
        case _:
            return _is_read(term)


def _is_read(term: ir.Expression) -> bool:
    match term:
        case ir.Number() | ir.Fact() | ir.Input() | ir.Let():
            return True
        case ir.Asked(_, _, questions):
            return len({number // _WORD for number in questions}) <= _WORDS
        case _:
            return False
