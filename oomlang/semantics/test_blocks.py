"""Typing of test blocks."""

from __future__ import annotations

from collections.abc import Iterable

from oomlang.diagnostics import Code, Diagnostics, Label, Span
from oomlang.facts import FACTS, Interval, Type, spell
from oomlang.facts.cells import Cgroup
from oomlang.facts.patterns import BadPath, path_pattern
from oomlang.facts.table import Scope
from oomlang.facts.types import COMM_BYTES
from oomlang.semantics import model
from oomlang.semantics.mends import with_unit
from oomlang.semantics.scope import Names
from oomlang.syntax import tree
from oomlang.syntax.suggest import did_you_mean

# What a test's task and memcg can be given, by the name it has there; and why they cannot be given the rest.
TASK_FACTS = {f.entry: f for f in FACTS.values() if f.scope is Scope.TASK and not f.test.instead}
MEMCG_FACTS = {f.entry: f for f in FACTS.values() if f.scope is Scope.MEMCG and not f.test.instead}
_INSTEAD = {f.entry: f.test.instead for f in FACTS.values() if f.test.instead}
_SUMS = [f for f in TASK_FACTS.values() if f.sum_of]
_ROOT: tuple[bytes, ...] = ()
# No memory is what a test has that says nothing of it.
_MEMORY = Interval(0, 2**51)
# What people write into the wrong braces, or know by the name that it has in cgroupfs.
_ELSEWHERE = {
    "cgroup": {name: f"`{name}` belongs to a task" for name in TASK_FACTS if name not in MEMCG_FACTS}
    | {
        f.cgroupfs.v2.file.removeprefix("memory."): f"write `{f.entry}`"
        for f in MEMCG_FACTS.values()
        if isinstance(f.cgroupfs, Cgroup) and not f.cgroupfs.v2.key
    },
    "task": {name: f"`{name}` belongs to a cgroup" for name in MEMCG_FACTS if name not in TASK_FACTS},
}


class Tests:
    """Types the test blocks of one policy."""

    def __init__(self, names: Names, diagnostics: Diagnostics) -> None:
        self._names = names
        self._diagnostics = diagnostics

    def run(self, tests: list[tree.Test]) -> tuple[model.Test, ...]:
        seen: dict[bytes, Span] = {}
        for test in tests:
            if test.name.value in seen:
                self._twice(f"the test name {self._text(test.name)}", test.name.span, seen[test.name.value])
            seen.setdefault(test.name.value, test.name.span)
        return tuple(_Test(self._names, self._diagnostics, test).run() for test in tests)

    def _twice(self, what: str, span: Span, first: Span) -> None:
        _twice(self._diagnostics, what, span, first)

    def _text(self, node: tree.Node) -> str:
        return self._diagnostics.source.slice(node.span)


def _twice(diagnostics: Diagnostics, what: str, span: Span, first: Span, help: str = "rename one") -> None:
    diagnostics.error(
        Code.DUPLICATE,
        span,
        f"{what} is given twice",
        labels=(Label(span=first, text="first here"),),
        help=help,
    )


class _Test:
    """One test block."""

    def __init__(self, names: Names, diagnostics: Diagnostics, test: tree.Test) -> None:
        self._names = names
        self._diagnostics = diagnostics
        self._test = test
        self._broken = any(isinstance(s, tree.Broken) for s in test.statements)
        self._once: dict[type, Span] = {}
        self._memcgs: dict[tuple[bytes, ...], model.TestMemcg] = {}
        self._tasks: dict[str, model.TestTask] = {}

    def run(self) -> model.Test:
        memory = swap = order = 0
        scope: tuple[bytes, ...] | None = None
        inputs: dict[str, int] = {}
        for statement in self._test.statements:
            self._only_once(statement)
            match statement:
                case tree.TestMemory(size=size):
                    memory = self._value(size, Type.BYTES, _MEMORY, "memory") or 0
                case tree.TestSwap(size=size):
                    swap = self._value(size, Type.BYTES, FACTS["swap"].range, "swap") or 0
                case tree.TestOrder(order=number):
                    order = self._value(number, Type.INT, FACTS["oom.order"].range, "order") or 0
                case tree.TestSet():
                    self._set(statement, inputs)
                case tree.TestMemcg():
                    self._memcg(statement)
                case _:
                    pass
        # Tasks and scopes may stand before the cgroups that they name.
        for statement in self._test.statements:
            match statement:
                case tree.TestTask():
                    self._task(statement)
                case tree.TestScope(path=path):
                    scope = self._declared(path)
                case _:
                    pass
        self._distinct()
        invoker = next(
            (self._task_id(s.task) for s in self._test.statements if isinstance(s, tree.TestInvoker)), None
        )
        expectations = self._expectations()
        return model.Test(
            span=self._test.span,
            name=self._test.name.value.decode("utf-8", "backslashreplace"),
            memory=memory,
            swap=swap,
            order=order,
            scope=scope,
            invoker=invoker,
            inputs=inputs,
            memcgs=tuple(self._memcgs.values()),
            tasks=tuple(self._tasks.values()),
            expectations=expectations,
        )

    def _distinct(self) -> None:
        """No two tasks have one pid, no two cgroups one id; 1 is the root's."""
        pids = [(t.facts["pid"], t.span) for t in self._tasks.values() if "pid" in t.facts]
        ids = [(m.facts["memcg.id"], m.span) for m in self._memcgs.values() if "memcg.id" in m.facts]
        for what, given in (("pid", pids), ("cgroup id", ids)):
            first: dict[int, Span] = {}
            for value, span in given:
                if value in first:
                    _twice(self._diagnostics, f"the {what} {value}", span, first[value], "change one")
                first.setdefault(value, span)
        for id, span in ids:
            if id < 2:
                self._diagnostics.error(
                    Code.TEST_VALUE,
                    span,
                    f"{id} is not the id of a cgroup below the root",
                    help="leave `id` out",
                )

    def _text(self, node: tree.Node) -> str:
        return self._diagnostics.source.slice(node.span)

    def _guess(self, word: str, known: Iterable[str]) -> str:
        return "" if self._diagnostics.many else did_you_mean(word, known)

    def _only_once(self, statement: tree.TestStatement) -> None:
        kind = type(statement)
        if kind not in (tree.TestMemory, tree.TestSwap, tree.TestOrder, tree.TestScope, tree.TestInvoker):
            return
        if kind in self._once:
            word = self._text(statement).split()[0]
            _twice(self._diagnostics, f"`{word}`", statement.span, self._once[kind], "remove one")
        self._once.setdefault(kind, statement.span)

    # Values

    def _value(self, node: tree.Expression, type: Type, range: Interval | None, what: str) -> int | None:
        """A literal of a given type and range, in base units."""
        if isinstance(node, tree.Unreadable):
            return None
        if not isinstance(node, tree.Number | tree.Truth | tree.Text):
            self._diagnostics.error(
                Code.NOT_A_LITERAL, node.span, f"the value of `{what}` has to be a literal"
            )
            return None
        given = node.type if isinstance(node, tree.Number) else Type.BOOL
        if isinstance(node, tree.Text):
            given = Type.TEXT
        value = 0 if isinstance(node, tree.Text) else int(node.value)
        if given is not type:
            self._diagnostics.error(
                Code.TEST_VALUE,
                node.span,
                f"`{what}` is {type.phrase}, and this is {given.phrase}",
                label=given.value,
                help=with_unit(value, given, type),
            )
            return None
        if range is not None and value not in range:
            low, high = spell(range.low, type), spell(range.high, type)
            self._diagnostics.error(Code.OUT_OF_RANGE, node.span, f"`{what}` lies in {low}…{high}")
            return None
        return value

    def _set(self, statement: tree.TestSet, inputs: dict[str, int]) -> None:
        name = statement.name.name
        declared = self._names.inputs.get(name)
        if declared is None or declared.per_memcg:
            if name in self._names.broken:
                return
            knobs = [n for n, i in self._names.inputs.items() if not i.per_memcg]
            help = did_you_mean(name, knobs)
            if not help and knobs:
                help = "the inputs are " + ", ".join(f"`{k}`" for k in knobs)
            message = f"no input is called `{name}`"
            if declared is not None:
                message = f"`{name}` has a value for each cgroup"
                help = f'write it into the cgroup: memcg "/path" {{ {name} {self._text(statement.value)} }}'
            self._diagnostics.error(Code.UNKNOWN_NAME, statement.name.span, message, help=help)
            return
        if name in inputs:
            self._diagnostics.error(
                Code.DUPLICATE, statement.span, f"`{name}` is set twice", help="remove one"
            )
        value = self._value(statement.value, declared.type, declared.interval, name)
        if value is not None:
            inputs[name] = value

    def _path(self, node: tree.Text) -> tuple[bytes, ...] | None:
        try:
            pattern = path_pattern(node.value, wildcards=False)
        except BadPath as error:
            self._diagnostics.error(Code.BAD_PATH, node.span, str(error), help=error.help)
            return None
        return tuple(b"".join(c.parts) for c in pattern.components)

    def _declared(self, node: tree.Text) -> tuple[bytes, ...] | None:
        """The path of a cgroup that the test declares."""
        path = self._path(node)
        if path is None or path == _ROOT or path in self._memcgs or self._broken:
            return path
        known = ("/" + "/".join(c.decode("utf-8", "replace") for c in p) for p in self._memcgs)
        help = self._guess(node.value.decode("utf-8", "replace"), known)
        self._diagnostics.error(
            Code.TEST_UNKNOWN_MEMCG,
            node.span,
            f"this test declares no cgroup {self._text(node)}",
            help=help or f"add a line: memcg {self._text(node)} {{ usage 1GiB }}",
        )
        return None

    def _memcg(self, statement: tree.TestMemcg) -> None:
        path = self._path(statement.path)
        if path is None:
            return
        if path in self._memcgs:
            first = self._memcgs[path].span
            what = f"the cgroup {self._text(statement.path)}"
            _twice(
                self._diagnostics, what, statement.path.span, first, "put all that is known of it into one"
            )
            return
        facts: dict[str, int] = {}
        inputs: dict[str, int] = {}
        per_memcg = {n: i for n, i in self._names.inputs.items() if i.per_memcg}
        for entry in statement.entries:
            name = entry.name.name.removeprefix("memcg.")
            if name in MEMCG_FACTS:
                fact = MEMCG_FACTS[name]
                self._entry(entry, fact.name, fact.type, fact.range, facts)
            elif name in per_memcg:
                declared = per_memcg[name]
                self._entry(entry, name, declared.type, declared.interval, inputs)
            elif name in self._names.inputs:
                self._diagnostics.error(
                    Code.TEST_FACT,
                    entry.name.span,
                    f"`{name}` has one value for all cgroups",
                    help=f"write a line: set {name} = {self._text(entry.value)}",
                )
            elif name not in self._names.broken:
                self._unknown_entry(entry, "cgroup", [*MEMCG_FACTS, *per_memcg])
        if path == _ROOT and facts:
            self._diagnostics.error(
                Code.TEST_FACT,
                statement.span,
                "the root cgroup has no counters and no limits",
                help="remove them",
            )
        self._memcgs[path] = model.TestMemcg(span=statement.span, path=path, facts=facts, inputs=inputs)

    def _entry(
        self, entry: tree.Entry, name: str, type: Type, range: Interval | None, into: dict[str, int]
    ) -> None:
        value = self._value(entry.value, type, range, entry.name.name)
        if name in into:
            self._diagnostics.error(Code.DUPLICATE, entry.span, f"`{entry.name.name}` is given twice")
        if value is not None:
            into[name] = value

    def _unknown_entry(self, entry: tree.Entry, whose: str, known: list[str]) -> None:
        name = entry.name.name
        why = _ELSEWHERE[whose].get(name) or _INSTEAD.get(name)
        self._diagnostics.error(
            Code.TEST_FACT,
            entry.name.span,
            f"a test cannot give a {whose} `{name}`",
            help=why
            or did_you_mean(name, known)
            or f"a {whose} can have " + ", ".join(f"`{k}`" for k in known),
        )

    # Tasks

    def _task(self, statement: tree.TestTask) -> None:
        comm = statement.comm.value
        if len(comm) > COMM_BYTES:
            self._diagnostics.error(
                Code.TEXT_TOO_LONG,
                statement.comm.span,
                f"`comm` has at most {COMM_BYTES} bytes, and this name has {len(comm)}",
                help=f'the kernel cuts it: "{comm[:COMM_BYTES].decode("utf-8", "ignore")}"',
            )
        named = statement.id or statement.comm
        id = named.value.decode("utf-8", "backslashreplace")
        if id in self._tasks:
            _twice(
                self._diagnostics,
                f"the task {self._text(named)}",
                named.span,
                self._tasks[id].span,
                f'give one another id: task {self._text(statement.comm)} as "{id}-2" in …',
            )
            return
        facts: dict[str, int] = {}
        for entry in statement.entries:
            if entry.name.name in TASK_FACTS:
                fact = TASK_FACTS[entry.name.name]
                self._entry(entry, fact.name, fact.type, fact.range, facts)
            else:
                self._unknown_entry(entry, "task", list(TASK_FACTS))
        self._sums(statement, facts)
        path = self._declared(statement.path)
        self._tasks[id] = model.TestTask(
            span=statement.span, id=id, comm=comm, path=path if path is not None else _ROOT, facts=facts
        )

    def _sums(self, statement: tree.TestTask, facts: dict[str, int]) -> None:
        """A sum of other facts is filled in where only they are given, and checked where all are."""
        for fact in _SUMS:
            parts = [facts.get(p) for p in fact.sum_of]
            total = sum(p for p in parts if p is not None)
            if all(p is None for p in parts):
                continue
            given = facts.setdefault(fact.name, total)
            if given < total or (None not in parts and given != total):
                self._diagnostics.error(
                    Code.TEST_VALUE,
                    statement.span,
                    f"{fact.name} is the sum of its parts, and {spell(given, fact.type)} is not "
                    f"{spell(total, fact.type)}",
                    help=f"leave `{fact.name}` out: the parts say it",
                )

    def _task_id(self, node: tree.Text) -> str | None:
        id = node.value.decode("utf-8", "backslashreplace")
        if id in self._tasks or self._broken:
            return id
        self._diagnostics.error(
            Code.TEST_UNKNOWN_TASK,
            node.span,
            f"this test has no task {self._text(node)}",
            help=self._guess(id, self._tasks) or f'add a line: task {self._text(node)} in "/" {{ rss 1GiB }}',
        )
        return None

    # Expectations

    def _expectations(self) -> tuple[model.Expectation, ...]:
        found: list[model.Expectation] = []
        for statement in self._test.statements:
            names: tuple[tree.Text, ...] = ()
            match statement:
                case tree.ExpectVictim(task=task):
                    names, expect = (task,), model.Expect.VICTIM
                case tree.ExpectOrder(tasks=tasks):
                    names, expect = tasks, model.Expect.ORDER
                case tree.ExpectSafe(task=task):
                    names, expect = (task,), model.Expect.SAFE
                case tree.ExpectNone():
                    expect = model.Expect.NONE
                case tree.ExpectKernel():
                    expect = model.Expect.KERNEL_DECIDES
                case tree.ExpectNothing():
                    expect = model.Expect.KILL_NOTHING
                case _:
                    continue
            ids = tuple(self._task_id(n) for n in names)
            known = tuple(i for i in ids if i is not None)
            if len(set(known)) < len(known):
                self._contradiction(statement.span, "a task stands in this order twice")
            found.append(model.Expectation(span=statement.span, expect=expect, tasks=known))
        if not found and not self._broken:
            self._diagnostics.error(
                Code.TEST_NO_EXPECTATION,
                self._test.name.span,
                "this test expects nothing",
                help='add a line such as `expect victim "…"`, `expect order "…", "…"` or `expect none`',
            )
        self._agree(found)
        return tuple(found)

    def _contradiction(self, span: Span, message: str, *others: Span) -> None:
        labels = tuple(Label(span=other, text="excludes it") for other in others)
        self._diagnostics.error(
            Code.TEST_CONTRADICTION, span, message, labels=labels, help="remove one, or write two tests"
        )

    def _agree(self, expectations: list[model.Expectation]) -> None:
        """Find expectations that cannot hold together."""
        verdicts = [e for e in expectations if e.expect in _VERDICTS]
        kills = [e for e in expectations if e.expect in (model.Expect.VICTIM, model.Expect.ORDER)]
        for other in verdicts[1:]:
            self._contradiction(other.span, "these outcomes exclude each other", verdicts[0].span)
        if verdicts:
            for kill in kills:
                self._contradiction(
                    kill.span, f"`expect {verdicts[0].expect.value}` leaves no victim", verdicts[0].span
                )
        first: dict[str, model.Expectation] = {}
        for kill in kills:
            if kill.tasks:
                first.setdefault(kill.tasks[0], kill)
        if len(first) > 1:
            one, two, *_ = first.values()
            self._contradiction(two.span, "two tasks cannot both die first", one.span)
        safe = {e.tasks[0]: e for e in expectations if e.expect is model.Expect.SAFE and e.tasks}
        for kill in kills:
            for task in kill.tasks:
                if task in safe:
                    self._contradiction(kill.span, f'"{task}" cannot be safe and die', safe[task].span)


_VERDICTS = (model.Expect.NONE, model.Expect.KERNEL_DECIDES, model.Expect.KILL_NOTHING)
