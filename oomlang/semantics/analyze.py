"""The pass over all statements: declarations first, then lets, rules and tests, each on its own."""

from __future__ import annotations

from oomlang.diagnostics import Code, Diagnostics, Label, Span
from oomlang.facts import FACTS, INPUT_RANGES, Fact, Type, spell
from oomlang.facts.table import Scope
from oomlang.facts.types import MAX_INPUTS, MAX_LETS, MAX_RULES, POLICY_NAME_BYTES
from oomlang.operations import FUNCTIONS
from oomlang.semantics import model
from oomlang.semantics.expressions import Expressions
from oomlang.semantics.mends import example, with_unit
from oomlang.semantics.reads import candidate_read, contains_depth, needs_memcg, task_fact
from oomlang.semantics.scope import INPUT_TYPES, WORDS, Names
from oomlang.semantics.test_blocks import Tests
from oomlang.syntax import tree
from oomlang.syntax.suggest import did_you_mean

LANGUAGE_VERSION = 1
DEFAULT_NAME = "oomlang"
"""The name of a policy that gives itself none."""


def analyze(policy: tree.Policy, diagnostics: Diagnostics) -> model.Policy:
    """Type a policy. The result is only whole where `diagnostics` holds no error afterwards."""
    return _Analysis(policy, diagnostics).run()


class _Analysis:
    def __init__(self, policy: tree.Policy, diagnostics: Diagnostics) -> None:
        self._policy = policy
        self._diagnostics = diagnostics
        self._names = Names()
        self._expressions = Expressions(self._names, diagnostics)

    def run(self) -> model.Policy:
        statements = self._policy.statements
        self._language(statements)
        name = self._policy_name(statements)
        self._declare(statements)
        self._expressions.type_lets()
        rules = [self._rule(s) for s in statements if isinstance(s, tree.Rule)]
        self._limit(MAX_RULES, "rules", [s for s in statements if isinstance(s, tree.Rule)])
        tests = Tests(self._names, self._diagnostics).run([s for s in statements if isinstance(s, tree.Test)])
        if not any(isinstance(s, tree.Broken) for s in statements):
            self._unused()
        return model.Policy(
            source=self._policy.source,
            name=name,
            inputs=tuple(self._names.inputs.values()),
            lets=self._expressions.lets,
            rules=tuple(r for r in rules if r is not None),
            tests=tests,
        )

    # Declarations

    def _language(self, statements: tuple[tree.Statement, ...]) -> None:
        for index, statement in enumerate(statements):
            if not isinstance(statement, tree.Language):
                continue
            if index > 0:
                self._diagnostics.error(
                    Code.VERSION_NOT_FIRST,
                    statement.span,
                    "the language version stands first in the file, once",
                    help="move it to the top"
                    if not isinstance(statements[0], tree.Language)
                    else "remove it",
                )
            version = statement.version
            if isinstance(version, tree.Unreadable):
                continue
            if version.type is not Type.INT or version.value != LANGUAGE_VERSION:
                self._diagnostics.error(
                    Code.UNKNOWN_VERSION,
                    version.span,
                    f"this oomlang speaks language version {LANGUAGE_VERSION} only",
                    help=f"write `oomlang {LANGUAGE_VERSION}`, or install a newer oomlang",
                )

    def _policy_name(self, statements: tuple[tree.Statement, ...]) -> str:
        named = [s for s in statements if isinstance(s, tree.PolicyName)]
        for again in named[1:]:
            self._duplicate("policy name", again.span, named[0].span)
        if not named:
            return DEFAULT_NAME
        literal = named[0].name
        value = literal.value
        problem = help = ""
        if not value:
            problem, help = "a policy's name cannot be empty", 'policy "batch_first"'
        elif len(value) > POLICY_NAME_BYTES:
            problem = f"this name has {len(value)} bytes; the kernel's log has room for {POLICY_NAME_BYTES}"
            short = bytes(b for b in value.replace(b" ", b"_") if _fit_for_a_log(b))[:POLICY_NAME_BYTES]
            help = f'shorten it: "{short.rstrip(b"_").decode()}"' if short else ""
        elif not all(map(_fit_for_a_log, value)):
            problem = "this name holds bytes that a kernel log line should not carry"
            help = (
                "use letters, digits and ASCII punctuation other than space, comma, =, quotes and backslash"
            )
        if problem:
            self._diagnostics.error(Code.BAD_POLICY_NAME, literal.span, problem, help=help)
            return DEFAULT_NAME
        return value.decode("ascii")

    def _declare(self, statements: tuple[tree.Statement, ...]) -> None:
        seen: dict[str, Span] = {}
        for statement in statements:
            match statement:
                case tree.Broken(declares=str(name)):
                    self._names.broken.add(name)
                case tree.Input() | tree.Let():
                    name = statement.name.name
                    if not self._free(statement.name):
                        continue
                    if name in seen:
                        self._duplicate(f"name `{name}`", statement.name.span, seen[name])
                        continue
                    seen[name] = statement.name.span
                    if isinstance(statement, tree.Let):
                        self._names.lets[name] = statement
                    elif (declared := self._input(statement)) is not None:
                        self._names.inputs[name] = declared
                    else:
                        self._names.broken.add(name)
                case _:
                    pass
        self._limit(MAX_INPUTS, "inputs", [s for s in statements if isinstance(s, tree.Input)])
        self._limit(MAX_LETS, "lets", [s for s in statements if isinstance(s, tree.Let)])

    def _limit(self, most: int, what: str, statements: list[tree.Statement]) -> None:
        if len(statements) > most:
            self._diagnostics.error(
                Code.TOO_MANY,
                statements[most].span,
                f"this policy has {len(statements)} {what}; the limit is {most}",
                label="the first one too many",
            )

    def _duplicate(self, what: str, span: Span, first: Span) -> None:
        self._diagnostics.error(
            Code.DUPLICATE,
            span,
            f"the {what} is given twice",
            labels=(Label(span=first, text="first here"),),
            help="remove or rename one",
        )

    def _free(self, name: tree.Name) -> bool:
        """Whether a declaration may take a name."""
        taken = ""
        if name.name in FACTS or any(f.startswith(f"{name.name}.") for f in FACTS):
            taken = "a fact"
        elif name.name in FUNCTIONS:
            taken = "a function"
        elif name.name in WORDS:
            taken = "a word of the language"
        elif "." in name.name:
            taken = "written like a fact: only facts have a dot in their names"
        if taken:
            self._diagnostics.error(
                Code.TAKEN_NAME, name.span, f"`{name.name}` is {taken}", help="choose another name"
            )
            self._names.broken.add(name.name)
        return not taken

    def _input(self, statement: tree.Input) -> model.Input | None:
        type = INPUT_TYPES.get(statement.type.name)
        types = ", ".join(f"`{t}`" for t in INPUT_TYPES)
        if type is None:
            self._diagnostics.error(
                Code.UNKNOWN_TYPE,
                statement.type.span,
                f"an input cannot be of type `{statement.type.name}`",
                help=did_you_mean(statement.type.name, INPUT_TYPES) or f"the types of inputs are {types}",
            )
            return None
        literal = statement.default
        if isinstance(literal, tree.Negative) and isinstance(literal.operand, tree.Number):  # `-0`
            literal = literal.operand
        if isinstance(literal, tree.Unreadable):
            return None
        if not isinstance(literal, tree.Number | tree.Truth):
            self._diagnostics.error(
                Code.NOT_A_LITERAL,
                literal.span,
                "the default of an input has to be a literal",
                help=f"such as {example(type)}",
            )
            return None
        given = literal.type if isinstance(literal, tree.Number) else Type.BOOL
        if given is not type:
            self._diagnostics.error(
                Code.INPUT_DEFAULT,
                literal.span,
                f"the default of this input is {given.phrase}, and its type is `{type.value}`",
                label=given.value,
                labels=(Label(span=statement.type.span, text=type.value),),
                help=with_unit(int(literal.value), given, type),
            )
            return None
        value, interval = int(literal.value), INPUT_RANGES[type]
        if value not in interval:
            low, high = spell(interval.low, type), spell(interval.high, type)
            self._diagnostics.error(
                Code.OUT_OF_RANGE, literal.span, f"an input of type `{type.value}` lies in {low}…{high}"
            )
            return None
        return model.Input(
            span=statement.span,
            name=statement.name.name,
            type=type,
            interval=interval,
            per_memcg=statement.per_memcg,
            default=value,
        )

    def _unused(self) -> None:
        for name, declared in self._names.inputs.items():
            if name not in self._names.used:
                self._diagnostics.error(Code.UNUSED, declared.span, f"no rule uses the input `{name}`")
        for let in self._expressions.lets:
            if let.name not in self._names.used:
                self._diagnostics.error(Code.UNUSED, let.span, f"no rule uses the let `{let.name}`")

    # Rules

    def _rule(self, statement: tree.Rule) -> model.Rule | None:
        match statement:
            case tree.KernelDecides():
                return self._event_rule(statement, model.Action.KERNEL_DECIDES)
            case tree.KillNothing():
                return self._event_rule(statement, model.Action.KILL_NOTHING)
            case tree.NeverKill():
                condition = self._expressions.condition(statement.condition)
                if condition is None:
                    return None
                return model.NeverKill(span=statement.span, condition=condition)
            case tree.KillFlag():
                condition = self._expressions.condition(statement.condition)
                if condition is None:
                    return None
                return model.KillFlag(span=statement.span, first=statement.first, condition=condition)
            case tree.KillBy():
                return self._kill_by(statement)

    def _event_rule(
        self, statement: tree.KernelDecides | tree.KillNothing, action: model.Action
    ) -> model.EventRule | None:
        condition = self._expressions.condition(statement.condition)
        if condition is None:
            return None
        found = candidate_read(condition)
        if found is not None:
            read, part = found
            whose = "a task" if isinstance(read, Fact) and read.scope is Scope.TASK else "a cgroup"
            where = statement.condition.span
            # In a let that the condition uses it stands somewhere else.
            inside = where.start <= part.span.start and part.span.end <= where.end
            self._diagnostics.error(
                Code.EVENT_RULE_FACT,
                part.span if inside else where,
                f"`{action.value}` is about a whole event, and `{read.name}` belongs to {whose}",
                labels=() if inside else (Label(span=part.span, text="read here"),),
                help="use oom.* facts and knobs; for single tasks write `never kill when …`",
            )
            return None
        return model.EventRule(span=statement.span, action=action, condition=condition)

    def _kill_by(self, statement: tree.KillBy) -> model.KillBy | None:
        word = "highest" if statement.highest else "lowest"
        value = self._expressions.rank(
            statement.value,
            f"`kill {word}` ranks by a number",
            # Of a condition, true counts as the higher.
            "kill first when" if statement.highest else "kill last when",
        )
        when = self._expressions.condition(statement.when) if statement.when is not None else None
        step = self._step(statement.step, value)
        if value is None or step is None or (statement.when is not None and when is None):
            return None
        if statement.each_depth is not None and not self._each_depth(statement, value):
            return None
        return model.KillBy(
            span=statement.span,
            highest=statement.highest,
            value=value,
            step=step,
            when=when,
            each_depth=statement.each_depth is not None,
        )

    def _step(self, node: tree.Expression | None, value: model.Expression | None) -> int | None:
        if node is None:
            return 1
        step = self._expressions.expression(node)
        if step is None:
            return None
        if not isinstance(step, model.Constant) or not step.type.is_number:
            self._diagnostics.error(Code.BAD_STEP, node.span, "a step is a literal", help="step 64MiB")
        elif value is not None and step.type is not value.type:
            self._diagnostics.error(
                Code.BAD_STEP,
                node.span,
                f"this ranks by {value.type.phrase}, and the step is {step.type.phrase}",
                label=step.type.value,
                labels=(Label(span=value.span, text=value.type.value),),
                help=f"give the step the unit of the value, such as {example(value.type)}",
            )
        elif step.value <= 0:
            self._diagnostics.error(Code.BAD_STEP, node.span, "a step is greater than 0")
        elif value is not None and value.interval.steps(step.value).is_point:
            self._diagnostics.error(
                Code.BAD_STEP,
                node.span,
                "with this step every candidate is in the same one",
                help="make it smaller",
            )
        else:
            return step.value
        return None

    def _each_depth(self, statement: tree.KillBy, value: model.Expression) -> bool:
        assert statement.each_depth is not None
        problem = help = ""
        if contains_depth(value):
            problem, help = (
                "`at each depth` goes through all depths, and the value fixes one",
                "remove `at depth`",
            )
        elif (fact := task_fact(value)) is not None:
            problem = f"`at each depth` compares cgroups, and `{fact.name}` belongs to a task"
            help = "use memcg facts here, and rank by the task in a rule below"
        elif not needs_memcg(value):
            problem, help = (
                "`at each depth` compares cgroups, and the value reads no memcg fact",
                "memcg.usage",
            )
        if problem:
            self._diagnostics.error(Code.DEPTH_MISUSE, statement.value.span, problem, help=help)
        return not problem


def _fit_for_a_log(byte: int) -> bool:
    """Whether a policy's name can hold a byte.

    The kernel's dump_header() prints the name as policy_name=%s between commas: it must not look like another field.
    """
    return 0x21 <= byte <= 0x7E and byte not in b'"\\=,'
