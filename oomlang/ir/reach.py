"""What only all the rules together show: conditions that never change, rules that never decide, a machine where nothing
could be killed.

In: the IR of a policy whose statements are right one by one. Out: diagnostics. A finding is a proof (see `cells`); where
there are too many cases to look at, nothing is said. Each rule is held against the few nearest earlier rules that ask
about the same things, so that the cost grows with the number of rules and no faster.
"""

from __future__ import annotations

from oomlang.diagnostics import Code, Diagnostics, Label
from oomlang.ir import nodes as ir
from oomlang.ir.cells import Cells, Context, TooManyCells, Variable, variable

_NEIGHBOURS = 6
"""Earlier rules on the same facts that a rule is held against."""

_NOTHING_LEFT = (
    "when nothing can be killed, the kernel panics in a global OOM event, "
    "and in a memory cgroup the allocation fails"
)


def check_rules(policy: ir.Policy, diagnostics: Diagnostics) -> None:
    """Add a diagnostic for each rule that the others, or its own condition, leave without effect."""
    _Reach(policy, diagnostics).run()


class _Related:
    """Earlier conditions by what they ask about."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_variable: dict[Variable, list[int]] = {}
        self.rules: list[tuple[ir.Expression, ir.Origin]] = []

    def add(self, condition: ir.Expression, origin: ir.Origin) -> None:
        for name in self.variables(condition):
            self._by_variable.setdefault(name, []).append(len(self.rules))
        self.rules.append((condition, origin))

    def variables(self, condition: ir.Expression) -> set[Variable]:
        try:
            return {variable(a) for a in self._context.plain(condition).atoms}
        except TooManyCells:
            return set()

    def near(self, condition: ir.Expression) -> list[ir.Expression]:
        """The nearest earlier conditions that share a question with this one, in their order."""
        return [rule[0] for rule in self.near_rules(condition)]

    def near_rules(self, condition: ir.Expression) -> list[tuple[ir.Expression, ir.Origin]]:
        """The same, and where they stand."""
        indices = {i for v in self.variables(condition) for i in self._by_variable.get(v, [])[-_NEIGHBOURS:]}
        return [self.rules[i] for i in sorted(indices)[-_NEIGHBOURS:]]

    def groups(self) -> list[list[int]]:
        """The rules in groups that share no question with each other."""
        leader = list(range(len(self.rules)))

        def find(i: int) -> int:
            while leader[i] != i:
                leader[i] = leader[leader[i]]
                i = leader[i]
            return i

        for indices in self._by_variable.values():
            for i in indices[1:]:
                leader[find(i)] = find(indices[0])
        found: dict[int, list[int]] = {}
        for i in range(len(self.rules)):
            found.setdefault(find(i), []).append(i)
        return list(found.values())


class _Reach:
    def __init__(self, policy: ir.Policy, diagnostics: Diagnostics) -> None:
        self._policy = policy
        self._diagnostics = diagnostics
        self._context = Context({i.name: i for i in policy.inputs}, {let.name: let for let in policy.lets})
        self._events = _Related(self._context)
        self._never = _Related(self._context)
        self._conditions = _Related(self._context)
        self._values: dict[tuple[object, ...], tuple[int, ir.Origin]] = {}
        self._unique: ir.Origin | None = None

    def run(self) -> None:
        policy = self._policy
        rules = [*policy.event_rules, *policy.never, *policy.keys]
        constant = {id(r) for r in rules if self._constant(r)}
        for event_rule in policy.event_rules:
            if id(event_rule) not in constant:
                self._event_rule(event_rule)
        self._events_all_decided()
        for never in policy.never:
            if id(never) not in constant:
                self._never_rule(never)
        if policy.never:
            self._all_covered()
        for key in policy.keys:
            if id(key) not in constant:
                self._key(key)

    # Conditions on their own

    def _constant(self, rule: ir.Rule) -> bool:
        """Whether a rule's condition is always true or never true; says so."""
        condition = rule.when if isinstance(rule, ir.ValueKey | ir.EachDepthKey) else rule.condition
        if condition is None:
            return False
        try:
            cells = Cells([condition], self._context)
        except TooManyCells:
            return False
        holds = cells.where(condition)
        if holds not in (0, cells.everything):
            return False
        if holds and isinstance(rule, ir.Never):
            self._covers_all(
                rule.origin, "this condition holds for every task, so nothing could ever be killed"
            )
        elif holds:
            self._diagnostics.error(
                Code.ALWAYS_TRUE,
                rule.origin.span,
                "the condition of this rule is always true",
                help="remove the condition, or the rule"
                if isinstance(rule, ir.ValueKey)
                else "remove the rule",
            )
        else:
            self._diagnostics.error(
                Code.ALWAYS_FALSE,
                rule.origin.span,
                "the condition of this rule is never true",
                help="mend or remove it",
            )
        return True

    # Event rules

    def _event_rule(self, rule: ir.EventRule) -> None:
        earlier = self._events.near(rule.condition)
        if earlier and self._implied(rule.condition, earlier):
            self._diagnostics.error(
                Code.NEVER_REACHED,
                rule.origin.span,
                "the event rules above already decide every event for which this holds",
                labels=self._blame(rule.condition, self._events),
                help="remove it, or move it up",
            )
        self._events.add(rule.condition, rule.origin)

    def _events_all_decided(self) -> None:
        later = [*self._policy.never, *self._policy.keys]
        if not later or not self._events.rules:
            return
        if any(self._tautology([self._events.rules[i][0] for i in g]) for g in self._events.groups()):
            first = min((r.origin for r in later), key=lambda o: o.number)
            self._diagnostics.error(
                Code.NEVER_REACHED,
                first.span,
                "the event rules decide every event, so neither this rule nor any other is ever asked",
                labels=tuple(
                    Label(span=o.span, text="decides before it") for _, o in self._events.rules[-2:]
                ),
                help="narrow the conditions of the event rules",
            )

    # Never

    def _never_rule(self, rule: ir.Never) -> None:
        earlier = self._never.near(rule.condition)
        if earlier and self._implied(rule.condition, earlier):
            self._diagnostics.error(
                Code.NEVER_DECIDES,
                rule.origin.span,
                "the `never kill` rules above already cover every task that this one does",
                labels=self._blame(rule.condition, self._never, "covers them"),
                help="remove it",
            )
        self._never.add(rule.condition, rule.origin)

    def _all_covered(self) -> None:
        """Find events in which the `never kill` rules leave no candidate."""
        from oomlang.ir.witness import event_that_kills_nobody

        for group in self._never.groups():
            members = [self._never.rules[i] for i in group]
            conditions = [c for c, _ in members]
            events = [c for condition in conditions for c in self._events.near(condition)]
            try:
                cells = Cells([*conditions, *events], self._context)
            except TooManyCells:
                continue
            left = cells.everything & ~cells.where(
                *events
            )  # the others are decided before a candidate is looked at
            uncovered = left & ~cells.where(*conditions)
            open_events = [bool(event & uncovered) for event in cells.events() if event & left]
            # The cells hold events that there cannot be: there is nothing to say without one that there can.
            if all(open_events) or event_that_kills_nobody(self._policy, conditions) is None:
                continue
            last = max((o for _, o in members), key=lambda o: o.number)
            if not any(open_events):
                together = "the `never kill` rules together cover" if len(members) > 1 else "this rule covers"
                self._covers_all(
                    last,
                    f"{together} every task, so nothing could ever be killed",
                    together=[o for _, o in members if o is not last],
                )
            else:
                culprit = next(
                    (
                        o
                        for c, o in members
                        if all(self._context.event_only(v) for v in self._never.variables(c))
                    ),
                    last,
                )
                self._covers_all(
                    culprit,
                    "there are events in which this covers every task, so nothing could be killed in them",
                    "narrow it, or write `kill nothing when …` to let such an event end without a kill",
                )

    def _covers_all(
        self,
        origin: ir.Origin,
        message: str,
        mend: str = "narrow it",
        together: list[ir.Origin] | None = None,
    ) -> None:
        labels = tuple(Label(span=o.span, text="together with this") for o in (together or [])[-2:])
        self._diagnostics.error(
            Code.COVERS_ALL, origin.span, message, labels=labels, help=f"{mend}: {_NOTHING_LEFT}"
        )

    # Keys

    def _key(self, key: ir.Key) -> None:
        verdict = self._redundant(key)
        if verdict:
            message, labels = verdict
            earlier = None if isinstance(key, ir.FlagKey) else self._ranked(key)
            coarser = earlier is not None and not isinstance(key, ir.FlagKey) and key.step > earlier[0]
            mend = (
                "put it above that rule, which then decides what it leaves open" if coarser else "remove it"
            )
            self._diagnostics.error(Code.NEVER_DECIDES, key.origin.span, message, labels=labels, help=mend)
        match key:
            case ir.FlagKey(condition=condition, origin=origin):
                self._conditions.add(condition, origin)
            case ir.ValueKey() | ir.EachDepthKey():
                if key.when is not None:
                    self._conditions.add(key.when, key.origin)
                value = self._named(key.value)
                self._values.setdefault((type(key), value, key.when), (key.step, key.origin))
                unique = isinstance(key, ir.ValueKey) and key.when is None and key.step == 1
                if unique and self._unique is None and value == ir.Fact("pid"):
                    self._unique = key.origin

    def _redundant(self, key: ir.Key) -> tuple[str, tuple[Label, ...]] | None:
        """Why a key never tells two candidates apart, or None."""
        if self._unique is not None:
            label = Label(span=self._unique.span, text="no two candidates have the same pid")
            return "a rule above tells any two candidates apart, so this one is never asked", (label,)
        if isinstance(key, ir.FlagKey):
            return self._decided(key.condition, "this rule")
        # Equal numbers at each depth are told apart by the cgroups.
        if isinstance(key, ir.ValueKey) and (key.interval.is_point or not self._context.differs(key.value)):
            return "this value is the same for all candidates of an event", ()
        if (earlier := self._ranked(key)) is not None:
            return "a rule above already ranks by this value", (Label(span=earlier[1].span, text="this one"),)
        if key.when is not None:
            return self._excluded(key.when)
        return None

    def _named(self, node: ir.Expression) -> ir.Expression:
        """The expression that a let stands for."""
        while isinstance(node, ir.Let) and node.depth is None:
            node = self._context.lets[node.name].value
        return node

    def _ranked(self, key: ir.ValueKey | ir.EachDepthKey) -> tuple[int, ir.Origin] | None:
        """An earlier rule (with its step) after which two candidates that are level have the same number here."""
        value = self._named(key.value)
        same = self._values.get((type(key), value, key.when))
        if same is None and key.when is not None and self._decided(key.when, "") is not None:
            # Level candidates agree on `when`; where it holds, a rule without it has compared the value.
            same = self._values.get((type(key), value, None))
        return same if same is not None and key.step % same[0] == 0 else None

    def _decided(self, condition: ir.Expression, what: str) -> tuple[str, tuple[Label, ...]] | None:
        """Whether earlier rules make a condition the same for any two candidates that are still level."""
        never, earlier = self._never.near(condition), self._conditions.near(condition)
        try:
            cells = Cells([condition, *never, *earlier], self._context)
        except TooManyCells:
            return None
        left = cells.everything & ~cells.where(*never)
        levels = [
            event & left for event in cells.events()
        ]  # candidates that are still level lie in one of them
        for e in earlier:
            decided = cells.where(e)
            levels = [part for level in levels for part in (level & decided, level & ~decided) if part]
        holds = cells.where(condition)
        if any(level & holds not in (0, level) for level in levels):
            return None
        covers = self._blame(condition, self._never, "covers them")
        labels = self._blame(condition, self._conditions) or covers
        if never and left and not left & holds:
            return f"`never kill` already covers every task for which {what} holds", covers
        if not earlier:
            return f"the condition of {what} is the same for all candidates of an event", ()
        return f"the rules above already decide everything that {what} could", labels

    def _excluded(self, condition: ir.Expression) -> tuple[str, tuple[Label, ...]] | None:
        """Whether `never kill` leaves no candidate for which a `when` holds."""
        never = self._never.near(condition)
        if never and self._implied(condition, never):
            return "`never kill` already covers every task for which this holds", self._blame(
                condition, self._never
            )
        return None

    # Proofs

    def _implied(self, condition: ir.Expression, by: list[ir.Expression]) -> bool:
        """Whether one of several conditions holds wherever this one does."""
        try:
            cells = Cells([condition, *by], self._context)
        except TooManyCells:
            return False
        return not cells.where(condition) & ~cells.where(*by)

    def _tautology(self, conditions: list[ir.Expression]) -> bool:
        try:
            cells = Cells(conditions, self._context)
        except TooManyCells:
            return False
        return cells.where(*conditions) == cells.everything

    def _blame(
        self, condition: ir.Expression, related: _Related, text: str = "decides before it"
    ) -> tuple[Label, ...]:
        """The earlier rules that a finding rests on, to point at; the last two at most."""
        found = [origin.span for _, origin in reversed(related.near_rules(condition))]
        spans = list(dict.fromkeys(found))[:2]
        return tuple(Label(span=s, text=text) for s in sorted(spans))
