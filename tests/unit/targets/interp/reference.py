"""A second implementation of `oomlang.ir.nodes`, written to be read: one candidate, one expression at a time.

Everything has to be known. Shares nothing with the interpreter but its machines and the patterns.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cmp_to_key

from oomlang.facts import FACTS
from oomlang.facts.patterns import PathPattern
from oomlang.ir import nodes as ir
from oomlang.operations import Operation
from oomlang.targets.interp import UNLIMITED, Candidate, Guard, Machine, Memcg, Verdict


def truncated(value: Fraction) -> int:
    return int(value)  # towards zero


def clamped(name: str, value: int) -> int:
    row = FACTS[name].range
    assert row is not None
    return max(row.low, min(row.high, value))


def above(memcg: Memcg) -> list[Memcg]:
    """From the root to the cgroup."""
    return [*(above(memcg.parent) if memcg.parent is not None else []), memcg]


@dataclass
class Reference:
    policy: ir.Policy
    machine: Machine

    # Facts

    def event(self, name: str) -> int:
        event = self.machine.event
        assert event.total is not None
        assert event.order is not None
        order = clamped("oom.order", event.order)
        return {
            "oom.global": int(event.scope is None),
            "oom.total": clamped("oom.total", event.total),
            "oom.order": order,
            "oom.sysrq": int(order == -1),
        }[name]

    def memcg(self, name: str, memcg: Memcg) -> int:
        if name == "memcg.depth":
            return clamped(name, len(memcg.path))
        if memcg.path == ():
            return {
                "memcg.id": 1,
                "memcg.limit": self.event("oom.total"),
                "memcg.high": self.event("oom.total"),
            }.get(name, 0)
        if name == "memcg.id":
            assert memcg.id is not None
            return clamped(name, memcg.id)
        if FACTS[name].unlimited and memcg.facts[name] == UNLIMITED:
            return self.event("oom.total")
        return clamped(name, memcg.facts[name])

    def task(self, name: str, task: Candidate) -> int:
        if name == "pid":
            return clamped(name, task.pid)
        if name == "invoker":
            return int(task.pid == self.machine.event.invoker)
        if name == "badness":
            page = self.machine.event.page_size
            pages = sum(self.task(n, task) // page for n in ("rss", "swap", "pgtables"))
            total = self.event("oom.total") // page
            return clamped(name, (pages + self.task("oom_score_adj", task) * (total // 1000)) * page)
        return clamped(name, task.facts[name])

    # Expressions

    def value(
        self, node: ir.Expression, task: Candidate | None, view: Memcg | None, depth: int | None = None
    ) -> int:
        def at(own: int | None) -> Memcg:
            wanted = own if depth is None else depth
            if wanted is None:
                assert view is not None
                return view
            assert task is not None
            assert task.memcg is not None
            path = above(task.memcg)
            return path[wanted] if wanted < len(path) else path[-1]

        def of(operand: ir.Expression) -> int:
            return self.value(operand, task, view, depth)

        match node:
            case ir.Number(value):
                return value
            case ir.Fact(name, own):
                if name.startswith("oom."):
                    return self.event(name)
                if name.startswith("memcg."):
                    return self.memcg(name, at(own))
                assert task is not None
                return self.task(name, task)
            case ir.Input(name, own):
                declared = next(i for i in self.policy.inputs if i.name == name)
                given = at(own).inputs if declared.per_memcg else self.machine.knobs
                value = given.get(name, declared.default)
                return max(declared.interval.low, min(declared.interval.high, value))
            case ir.Let(name, own):
                let = next(x for x in self.policy.lets if x.name == name)
                return self.value(let.value, task, view, own if depth is None else depth)
            case ir.Apply(operation, operands):
                return arithmetic(operation, *map(of, operands))
            case ir.Compare(operator, left, right):
                a, b = of(left), of(right)
                return int(
                    {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
                )
            case ir.OneOf(subject, values):
                return int(of(subject) in values)
            case ir.Match(fact, own, patterns):
                if fact == "comm":
                    assert task is not None
                    assert task.comm is not None
                    text = task.comm[:15]
                else:
                    text = (at(own).path or (b"",))[-1][:255]
                return int(any(p.matches(text) for p in patterns))
            case ir.Under(fact, own, pattern):
                scope = self.machine.event.scope
                path = at(own).path if fact == "memcg" else scope.path if scope is not None else ()
                return int(pattern.covers(path))
            case ir.Logical(operator, operands):
                return int((all if operator == "and" else any)(of(o) for o in operands))
            case ir.Not(operand):
                return int(not of(operand))
            case ir.Select(condition, then, otherwise):
                return of(then) if of(condition) else of(otherwise)
            case ir.Asked(fact, own, questions):
                asked = [self.policy.questions[number] for number in questions]
                return max(
                    of(
                        ir.Under(fact, own, question)
                        if isinstance(question, PathPattern)
                        else ir.Match("memcg.name", own, (question,))
                    )
                    for question in asked
                )

    # The decision

    def of_task(self, node: ir.Expression, task: Candidate) -> int:
        return self.value(node, task, task.memcg)

    def candidates(self) -> list[Candidate]:
        scope = self.machine.event.scope
        return [c for c in self.machine.candidates if scope is None or (c.memcg and scope in above(c.memcg))]

    def skipped(self, task: Candidate) -> bool:
        if task.guard is Guard.DYING and self.event("oom.sysrq"):
            pass
        elif task.guard is not Guard.NONE:
            return True
        return self.task("oom_score_adj", task) == -1000 or any(
            self.of_task(n.condition, task) for n in self.policy.never
        )

    def compare_by(self, key: ir.Key, a: Candidate, b: Candidate) -> int:
        """Positive: a first."""
        if isinstance(key, ir.FlagKey):
            x, y = self.of_task(key.condition, a), self.of_task(key.condition, b)
            return x - y if key.first else y - x
        holds = [1 if key.when is None else self.of_task(key.when, t) for t in (a, b)]
        if holds != [1, 1]:
            return holds[0] - holds[1]
        sign = 1 if key.highest else -1
        if isinstance(key, ir.ValueKey):
            x, y = (self.of_task(key.value, t) // key.step for t in (a, b))
            return sign * (x - y)
        scope = self.machine.event.scope
        base = len(scope.path) if scope is not None else 0
        for level in range(1, 17):
            assert a.memcg is not None
            assert b.memcg is not None
            p, q = (above(m)[min(base + level, len(m.path))] for m in (a.memcg, b.memcg))
            if p is not q:
                x, y = (self.value(key.value, None, m) // key.step for m in (p, q))
                return sign * (x - y) or self.memcg("memcg.id", p) - self.memcg("memcg.id", q)
        return 0

    def compare(self, a: Candidate, b: Candidate) -> int:
        for key in self.policy.keys:
            if found := self.compare_by(key, a, b):
                return found
        assert a.start is not None
        assert b.start is not None
        return self.task("badness", a) - self.task("badness", b) or a.start - b.start or a.pid - b.pid

    def order(self) -> list[Candidate]:
        left = [c for c in self.candidates() if not self.skipped(c)]

        def later(a: Candidate, b: Candidate) -> int:
            return self.compare(b, a)

        return sorted(left, key=cmp_to_key(later))

    def verdict(self) -> Verdict:
        for rule in self.policy.event_rules:
            if self.value(rule.condition, None, None):
                return Verdict.KERNEL_DECIDES if rule.kernel_decides else Verdict.KILL_NOTHING
        if not self.event("oom.sysrq") and any(c.guard is Guard.DYING for c in self.candidates()):
            return Verdict.ABORTED
        return Verdict.VICTIM if self.order() else Verdict.NONE_LEFT


def arithmetic(operation: Operation, a: int, b: int = 0, c: int = 0) -> int:
    match operation.name:
        case "add":
            return a + b
        case "subtract":
            return a - b
        case "multiply":
            return a * b
        case "divide":
            return truncated(Fraction(a, b)) if b else 0
        case "ratio":
            return max(-(10**12), min(10**12, truncated(Fraction(a * 10000, b)))) if b else 0
        case "share":
            return truncated(Fraction(a * b, 10000))
        case "minimum":
            return a if a < b else b
        case "maximum":
            return a if a > b else b
        case "negate":
            return 0 - a
        case "absolute":
            return a if a > 0 else 0 - a
        case "clamp":
            return c if c <= b or a > c else b if a < b else a
        case _:
            raise AssertionError(operation)


def kernel_order(machine: Machine) -> list[Candidate]:
    """What Linux 6.12 does: `oom_badness()` and `oom_evaluate_task()`, the task scanned later winning a tie.

    Without a victim that is still dying. In pages, as in the kernel. The scan goes by start, then pid.
    """
    page, total = machine.event.page_size, machine.event.total
    assert total is not None

    def badness(task: Candidate) -> int | None:
        adj = task.facts["oom_score_adj"]
        if task.guard is not Guard.NONE or adj == -1000:
            return None
        points = task.facts["rss"] // page + task.facts["swap"] // page + task.facts["pgtables"] // page
        return points + adj * (total // page // 1000)

    left = {c.pid: c for c in machine.candidates}
    order: list[Candidate] = []
    while left:
        chosen: Candidate | None = None
        chosen_points: int | None = None
        for task in sorted(left.values(), key=lambda c: (c.start or 0, c.pid)):
            points = badness(task)
            if points is None or (chosen_points is not None and points < chosen_points):
                continue
            chosen, chosen_points = task, points
        if chosen is None:
            break
        order.append(left.pop(chosen.pid))
    return order
