"""IR → C: everything that the templates lay out is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from oomlang.facts.patterns import Glob
from oomlang.facts.types import MAX_DEPTH
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Summary, fold
from oomlang.objects.metadata import Metadata, Source
from oomlang.records import dataclass
from oomlang.targets.bpf import readers, runtime
from oomlang.targets.bpf.attachments import Target
from oomlang.targets.bpf.escape import asm_ascii, c_comment, c_string
from oomlang.targets.bpf.expressions import Names, at, number
from oomlang.targets.bpf.kernel_types import declarations, fields
from oomlang.targets.bpf.let_uses import let_uses
from oomlang.targets.bpf.lines import MARK, lay_out
from oomlang.targets.bpf.metadata import describe
from oomlang.targets.bpf.questions import Questions
from oomlang.targets.bpf.record import Layout
from oomlang.targets.bpf.texts import Automata, needs_end, needs_length
from oomlang.targets.bpf.views import Collector, View, ViewKey

if TYPE_CHECKING:
    from jinja2 import Environment

MEMCG_INPUT_ENTRIES = 4096
"""Cgroups that a per-memcg input can have a value for."""

_GROUP = 64
"""Rules that share a function where there are many: each is verified once and by itself, a program has 256 functions, and
BPF's jumps reach 32,767 instructions.
"""

_INLINE_RULES = 32
"""Rules of a kind up to which they are no functions of their own."""

_INLINE_TEXT = 12_000
"""Characters of C of all rules up to which they are no functions of their own."""

_GROUP_TEXT = 12_000
"""Characters of C that the rules of such a function have, but for one that is longer by itself."""

_HEAVY_GROUPS = 32
"""How many groups the characters of all rules make, about, at most: larger ones where there are more."""

_LETS_GROUPS = 48
"""Functions that all lets are computed in, about; each view has one more where its lets do not fill the last."""

_LONG = 2_000
"""Characters of an expression's C from which on each read of a fact is one of memory: 512 bytes of stack are 64 values, and
the compiler would keep what it has read once.
"""

_STACK_MEMBERS = 8
"""Members that a candidate on the stack has at most: 512 bytes are for all functions of a chain of calls. A larger one lies
in the program's memory, which costs a store and a load for each.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The C of a policy and what its object says about itself."""

    c_source: str
    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """Which text a program was made from; `name` has no directories, so that the object does not depend on them."""

    name: str
    sha256: str
    compiler: str


def emit(policy: ir.Policy, target: Target, source: SourceInfo) -> Program:
    """The C of a policy, as the passes of `oomlang.ir.passes` leave it, for a target. The same policy gives the same text,
    always.
    """
    return _Emission(policy, target, source).run()


class _Emission:
    def __init__(self, policy: ir.Policy, target: Target, source: SourceInfo) -> None:
        self._policy = policy
        self._target = target
        self._source = source
        self._collector = Collector(policy)
        self._needs = self._collector.policy(policy)
        self._lets = {let.name: let for let in policy.lets if let.name in self._needs.lets}
        automata = Automata()
        self._names = Names(
            lets=self._lets,
            let_uses=let_uses(self._lets.values()),
            questions=Questions(policy.questions, automata),
            automata=automata,
            lists={},
        )
        self._fresh = replace(self._names, fresh=True)

    def run(self) -> Program:
        policy, needs, names = self._policy, self._needs, self._names
        lets = [self._let_function(let) for let in self._lets.values()]
        rules = [function for rule in policy.rules for function in self._rule_functions(rule)]
        keys = [
            {
                "number": k.origin.number,
                "each_depth": isinstance(k, ir.EachDepthKey),
                "when": isinstance(k, ir.EachDepthKey) and k.when is not None,
                "position": self._position(k.origin),
            }
            for k in policy.keys
        ]
        views = list(needs.views.values())
        task_views = [v for v in views if not v.each_depth]
        event = readers.event(needs, policy, self._target.event)
        event_lets = [let.name for let in self._lets.values() if let.name in needs.event_lets]
        patterns = _patterns(policy)
        candidate = readers.candidate(
            needs,
            comm_length=any(map(needs_length, patterns)),
            comm_end=any(map(needs_end, patterns)),
        )
        task_lets = self._task_lets()
        computed = _Computed(len(event_lets) + len(task_lets) + sum(len(v.lets) for v in views))
        members = [*candidate.members, *(f"s64 {member}" for member, _ in task_lets)]
        weights: dict[int, int] = {}
        for function in rules:
            weight = weights.get(function["number"], 0) + sum(map(len, function["body"]))
            weights[function["number"]] = weight
        many = (
            max(map(len, (policy.event_rules, policy.never, keys, task_lets))) > _INLINE_RULES
            or sum(weights.values()) > _INLINE_TEXT
        )
        groups = _Groups(weights, inline=not many)
        layout = Layout.of(policy, needs) if self._target.record else None
        context: dict[str, Any] = {
            "mark": MARK,
            "policy_name": c_comment(policy.name),
            "policy_name_c": c_string(policy.name.encode()),
            "target": self._target.name,
            "template": self._target.template,
            "compiler_version": c_comment(self._source.compiler),
            "source_name": c_comment(self._source.name),
            "source_hash": self._source.sha256,
            "piece": runtime.piece,
            "target_pieces": self._target.pieces,
            "kernel_types": declarations(fields(needs, self._target)),
            "knobs": [self._input(i) for i in policy.inputs if not i.per_memcg],
            "memcg_inputs": [self._input(i) for i in policy.inputs if i.per_memcg],
            "memcg_input_entries": MEMCG_INPUT_ENTRIES,
            "event_members": [*event.members, *(f"s64 let_{name}" for name in event_lets)],
            "event_reads": [
                *event.lines,
                *computed.lines(
                    "event", [f"event.let_{name} = {names.call(name, '')};" for name in event_lets]
                ),
            ],
            "answers_in_event": needs.scope_asks,
            "memcg_members": readers.view_members(views, policy),
            "task_views": [v.name for v in task_views],
            "candidate_members": members,
            "candidate_locals": candidate.locals,
            "candidate_reads": [
                *candidate.lines,
                *computed.lines("task", [f"c->{member} = {call};" for member, call in task_lets]),
            ],
            "each_depth_keys": [k for k in keys if k["each_depth"]],
            "keys": keys,
            "cached_views": [v.name for v in task_views if v.changes],
            "scratch": many or len(members) > _STACK_MEMBERS,
            "many": many,
            "max_depth": MAX_DEPTH,
            "asks": needs.asks,
            "remember": any(v.asks for v in views),
            "questions": names.questions,
            "question_functions": [
                f
                for functions in (*(v.functions for v in names.questions.levels), names.questions.names)
                for f in functions
            ],
            "scope_names": needs.scope_asks and self._target.scoped,
            "tables": names.automata.tables(),
            "views": [self._view(v, computed) for v in views],
            "computed": computed.functions,
            "looks": [_look(v.key) for v in task_views],
            "lists": [
                {"function": f, "values": [number(v) for v in values]} for values, f in names.lists.items()
            ],
            "lets": lets,
            "rules": rules,
            "event_groups": groups.of(
                "event_rules", policy.event_rules, [r.origin.number for r in policy.event_rules]
            ),
            "kernel_decides_rules": [r.origin.number for r in policy.event_rules if r.kernel_decides],
            "never_groups": groups.of("covered", policy.never, [r.origin.number for r in policy.never]),
            "key_groups": groups.of("rank_by", policy.keys, keys),
            "record_groups": groups.of(
                "record_numbers",
                [k for k in policy.keys if not isinstance(k, ir.EachDepthKey)],
                [k["number"] for k in keys if not k["each_depth"]],
            )
            if layout
            else [],
            "record": layout,
        }
        body = _environment().get_template("bpf/body.c.j2").render(context)
        pieces = runtime.needed([body])
        context |= {
            "body": body,
            "early": [name for name in runtime.EARLY if name in pieces],
            "late": [name for name in runtime.LATE if name in pieces],
        }
        c_source, owned = lay_out(_environment().get_template("bpf/policy.bpf.c.j2").render(context))
        # It says where in the C the rules stand, and so comes behind all of that.
        metadata = describe(
            policy,
            self._target,
            source=Source(name=self._source.name, sha256=self._source.sha256),
            compiler=self._source.compiler,
            facts=needs.facts,
            collector=self._collector,
            record=layout.record if layout is not None else None,
            answers=8 * names.questions.words if any(v.asks for v in views) else 0,
            owned=owned,
        )
        section = _environment().get_template("bpf/metadata.c.j2")
        c_source += section.render(metadata_lines=_ascii_lines(metadata.to_text()))
        return Program(c_source=c_source, metadata=metadata)

    # Names and positions

    def _position(self, origin: ir.Origin) -> str:
        return c_comment(f"{self._source.name}:{origin.line}:{origin.column}")

    def _input(self, declared: ir.InputDeclaration) -> dict[str, Any]:
        return {
            "variable": f"in_{declared.name}",
            "c_type": readers.C_TYPES[declared.type.value],
            "c_default": readers.c_default(declared),
            "line": declared.line,
            "declaration": c_comment(f"input {declared.name} per memcg: {declared.type.value}"),
        }

    # Functions

    def _let_function(self, let: ir.LetDeclaration) -> dict[str, Any]:
        candidate, view = self._names.let_uses[let.name]
        parameters = (["const struct candidate *c"] if candidate else []) + (
            ["const struct memcg *m"] if view else []
        )
        value = self._names.value(let.value, "m->")
        if len(value) > _LONG:
            value = self._fresh.value(let.value, "m->")
        return {
            "function": f"let_{let.name}",
            "parameters": ", ".join(parameters) or "void",
            "value": value,
            "position": c_comment(f"{self._source.name}:{let.line}:{let.column}"),
            "text": c_comment(let.text),
        }

    def _task_lets(self) -> list[tuple[str, str]]:
        """Lets that are computed once for each candidate: the member of `struct candidate`, and the call."""
        order = {name: i for i, name in enumerate(self._lets)}
        uses = sorted(self._needs.task_lets, key=lambda use: (order[use[0]], use[1] or 0))
        return [
            (
                f"let_{name}{'' if depth is None else f'_at_{depth}'}",
                self._names.call(name, at(depth, "memcg.")),
            )
            for name, depth in uses
        ]

    def _function(
        self, origin: ir.Origin, c_type: str, parameters: str, body: list[str], suffix: str = ""
    ) -> dict[str, Any]:
        return {
            "number": origin.number,
            "function": f"rule_{origin.number}{suffix}",
            "c_type": c_type,
            "parameters": parameters,
            "body": body,
            "position": self._position(origin),
            "text": c_comment(origin.text),
        }

    def _rule_functions(self, rule: ir.Rule) -> list[dict[str, Any]]:
        functions = self._rule(rule, self._names)
        if max(len(line) for function in functions for line in function["body"]) > _LONG:
            return self._rule(rule, self._fresh)
        return functions

    def _rule(self, rule: ir.Rule, names: Names) -> list[dict[str, Any]]:
        origin, candidate, value = rule.origin, "const struct candidate *c", names.value
        match rule:
            case ir.EventRule(condition=condition):
                return [self._function(origin, "bool", "void", [f"return {value(condition, '')};"])]
            case ir.Never(condition=condition):
                return [self._function(origin, "bool", candidate, [f"return {value(condition, 'memcg.')};"])]
            case ir.FlagKey(condition=condition, first=first):
                text = (value if first else names.opposite)(condition, "memcg.")
                return [self._function(origin, "s64", candidate, [f"return {text};"])]
            case ir.ValueKey(when=when):
                body = [f"return {self._number(rule, names, 'memcg.')};"]
                if when is not None:
                    body = [f"if ({names.opposite(when, 'memcg.')})", "\treturn LEAST;", *body]
                return [self._function(origin, "s64", candidate, body)]
            case ir.EachDepthKey(when=when):
                functions = [
                    self._function(
                        origin,
                        "s64",
                        "const struct memcg *m",
                        [f"return {self._number(rule, names, 'm->')};"],
                    )
                ]
                if when is not None:
                    test = [f"return {value(when, 'memcg.')};"]
                    functions.append(self._function(origin, "s64", candidate, test, "_when"))
                return functions

    def _number(self, key: ir.ValueKey | ir.EachDepthKey, names: Names, view: str) -> str:
        """floor(value / step), negated for `lowest`."""
        value = names.c(key.value, view)
        text = value.text if key.step == 1 else f"floor_steps({value.text}, {key.step}ULL)"
        if key.highest:
            return text
        return f"-{value.inside(0) if key.step == 1 else text}"

    # Views

    def _view(self, view: View, computed: _Computed) -> dict[str, Any]:
        calls = [
            f"m->let_{name} = {self._names.call(name, 'm->')};" for name in self._lets if name in view.lets
        ]
        variable = "step" if view.each_depth else view.name
        struct = readers.view(view, self._policy, computed.lines(view.name, calls, variable))
        return {
            "name": view.name,
            "variable": variable,
            "rule": view.key[1] if isinstance(view.key, tuple) else None,
            "comment": _comment(view.key),
            "locals": struct.locals,
            "reads": struct.lines,
        }


def _patterns(policy: ir.Policy) -> list[Glob]:
    """The patterns that a policy holds comm against."""
    expressions = [e for rule in policy.rules for e in ir.rule_expressions(rule)]
    expressions += [let.value for let in policy.lets]
    return list(dict.fromkeys(pattern for e in expressions for pattern in fold(e, _Patterns())))


class _Patterns(Summary[tuple[Glob, ...]]):
    def leaf(self, node: ir.Leaf) -> tuple[Glob, ...]:
        return node.patterns if isinstance(node, ir.Match) else ()

    def join(self, node: ir.Expression, parts: tuple[tuple[Glob, ...], ...]) -> tuple[Glob, ...]:
        return tuple(chain.from_iterable(parts))


def _look(key: ViewKey) -> str:
    """The call that reads a view of the cgroup `own`."""
    return "read_memcg((u64)own);" if key is None else f"read_memcg_at_{key}((u64)ancestor_at(own, {key}));"


def _comment(key: ViewKey) -> str:
    if key is None:
        return "/* The task's own memory cgroup. */"
    if isinstance(key, tuple):
        return f"/* A cgroup on the way down, for rule {key[1]}. */"
    return f"/* The task's ancestor cgroup {key} below the root. */"


class _Computed:
    """The statements that compute lets, in functions of their own where they are many. functions: those.

    total: of all statements, those for every view together; the more, the larger the functions, of which a program has 256.
    """

    def __init__(self, total: int) -> None:
        self.functions: list[dict[str, Any]] = []
        self._group = max(_GROUP, -(-total // _LETS_GROUPS))

    def lines(self, what: str, statements: list[str], view: str | None = None) -> list[str]:
        """What stands in the place of the statements. what: it is computed for. view: the variable that `m` points to."""
        if len(statements) <= _INLINE_RULES:
            return statements
        names = [f"{what}_lets_{i // self._group + 1}" for i in range(0, len(statements), self._group)]
        self.functions += [
            {
                "name": name,
                "what": what,
                "view": view,
                "lines": statements[i * self._group : (i + 1) * self._group],
            }
            for i, name in enumerate(names)
        ]
        return [f"{name}();" for name in names]


class _Groups:
    """Rules in groups that each become a function: one where they are inlined.

    weights: characters of C, by the rule's number; a group has as many rules as its characters and their number allow.
    """

    def __init__(self, weights: Mapping[int, int], *, inline: bool) -> None:
        self._weights = weights
        self._inline = inline

    def of(self, name: str, rules: Sequence[ir.Rule], shown: Sequence[Any]) -> list[dict[str, Any]]:
        """shown: what the template takes of each rule."""
        groups: list[list[Any]] = []
        room = 0
        for rule, entry in zip(rules, shown, strict=True):
            weight = self._weights[rule.origin.number]
            if not groups or (not self._inline and (len(groups[-1]) == _GROUP or weight > room)):
                groups.append([])
                room = max(_GROUP_TEXT, sum(self._weights.values()) // _HEAVY_GROUPS)
            groups[-1].append(entry)
            room -= weight
        if len(groups) == 1:
            return [{"function": name, "rules": groups[0]}]
        return [{"function": f"{name}_{n}", "rules": group} for n, group in enumerate(groups, start=1)]


def _ascii_lines(text: str) -> list[str]:
    """The metadata as lines of assembler."""
    data = text.encode()
    return [asm_ascii(data[i : i + 72]) for i in range(0, len(data), 72)]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from oomlang.data import data_path
    from oomlang.targets.bpf.template_cache import template_cache

    return Environment(
        loader=FileSystemLoader(data_path("templates")),
        undefined=StrictUndefined,
        bytecode_cache=template_cache(),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # this is C: strings go through oomlang.targets.bpf.escape
    )
