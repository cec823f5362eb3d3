"""IR → C: everything that the templates lay out is decided here."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from oomlang.facts import FACTS
from oomlang.facts.patterns import Glob, PathPattern
from oomlang.facts.table import Scope
from oomlang.facts.types import MAX_DEPTH
from oomlang.ir import nodes as ir
from oomlang.objects.metadata import Metadata, Source
from oomlang.records import dataclass
from oomlang.targets.bpf import readers
from oomlang.targets.bpf.attachments import find_target
from oomlang.targets.bpf.escape import asm_ascii, c_comment, c_string
from oomlang.targets.bpf.expressions import Emitter, address, at
from oomlang.targets.bpf.kernel_types import declarations, fields
from oomlang.targets.bpf.lines import MARK, Owned, lay_out
from oomlang.targets.bpf.matching import Matchers
from oomlang.targets.bpf.metadata import Layout, describe
from oomlang.targets.bpf.views import Collector, Needs, View, ViewKey

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_THREADS = 1024
"""Threads of a process that are looked at for a memory map when its leader has none."""

MEMCG_INPUT_ENTRIES = 4096
"""Cgroups that a per-memcg input can have a value for."""

_CHUNKS = 32
"""Functions that the rules of a kind are cut into at most: a program has 256 in all."""

_CHUNK = 32
_INLINE_RULES = 96
_STACK_MEMBERS = 12
"""Members of a candidate that may lie on the stack, if nothing below it needs room for a name: it has 512 bytes in all."""


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


def emit(policy: ir.Policy, target: str, source: SourceInfo) -> Program:
    """The C of a policy for a target (`evaluate-task` or `dry-run`). The same policy gives the same text, always."""
    return _Emission(policy, target, source).run()


class _Emission:
    def __init__(self, policy: ir.Policy, target: str, source: SourceInfo) -> None:
        self._policy = policy
        self._target = target
        self._source = source
        self._collector = Collector(policy)
        self._needs = self._collector.policy(policy)
        self._matchers = Matchers()
        self._inputs = {i.name: i for i in policy.inputs}
        self._lets = {let.name: let for let in policy.lets if let.name in self._needs.lets}
        self._let_uses: dict[str, tuple[bool, bool]] = {}
        self._emitter = Emitter(
            inputs=self._inputs, match_call=self._match, under_call=self._under, let_call=self._let
        )

    def run(self) -> Program:
        policy, needs = self._policy, self._needs
        lets = [self._let_function(let) for let in self._lets.values()]
        rules = [
            *(self._event_rule(r) for r in policy.event_rules),
            *(self._never(r) for r in policy.never),
            *(c for r in policy.keys for c in self._key(r)),
        ]
        views = self._views()
        layout = Layout.of(policy, needs, self._inputs) if self._target == "dry-run" else None
        keys = [
            {
                "number": k.origin.number,
                "each_depth": isinstance(k, ir.EachDepthKey),
                "when": k.when is not None if isinstance(k, ir.EachDepthKey) else False,
                "position": self._position(k.origin),
            }
            for k in policy.keys
        ]
        members, local, lines = readers.task_lines(needs)
        event_members, event_reads = readers.event_lines(needs, policy, self._target)
        memcg_views = list(needs.views.values())
        candidate_views = [v for v in memcg_views if not isinstance(v.key, tuple)]
        memcg_members = readers.view_members(memcg_views, self._inputs)
        size = len(members) + len(candidate_views) * (len(memcg_members) + 1)
        flat_keys = [k for k in keys if not k["each_depth"]]
        chunked = len(policy.keys) > _INLINE_RULES
        dry_run = self._target == "dry-run"
        matchers = self._matchers
        counted = {f for v in memcg_views for f in v.facts} & readers.COUNTED
        uses_scope = dry_run
        context: dict[str, Any] = {
            "mark": MARK,
            "policy_name": c_comment(policy.name),
            "policy_name_c": c_string(policy.name.encode()),
            "target": self._target,
            "compiler_version": c_comment(self._source.compiler),
            "source_name": c_comment(self._source.name),
            "source_hash": self._source.sha256,
            "kernel_types": declarations(fields(needs, self._target)),
            "knobs": [self._input(i) for i in policy.inputs if not i.per_memcg],
            "memcg_inputs": [self._input(i) for i in policy.inputs if i.per_memcg],
            "memcg_input_entries": MEMCG_INPUT_ENTRIES,
            "event_members": event_members,
            "event_reads": event_reads,
            "memcg_members": memcg_members,
            "has_memcg": bool(memcg_views),
            "candidate_members": [*members, *(f"struct memcg {v.member}" for v in candidate_views)],
            "candidate_locals": local,
            "candidate_reads": [*self._view_reads(candidate_views), *lines],
            "each_depth_keys": [k for k in keys if k["each_depth"]],
            "keys": keys,
            "cached_views": [v for v in candidate_views if v.changes],
            "scratch": dry_run or size > _STACK_MEMBERS or bool(matchers.functions),
            "arithmetic": self._emitter.arithmetic,
            "called": _called(
                [*event_reads, *lines, *_lines(views, "reads"), *_lines(rules, "body")], lets, counted
            ),
            "max_threads": MAX_THREADS,
            "max_depth": MAX_DEPTH,
            "uses_task_cgroup": bool(candidate_views) or uses_scope,
            "uses_ancestor": uses_scope or matchers.uses_paths or any(v.key is not None for v in memcg_views),
            "uses_depths": any(v.key is not None for v in candidate_views),
            "uses_cgroup_id": uses_scope or any(readers.needs_id(v) for v in memcg_views),
            "uses_cgroup_name": matchers.uses_paths or any("memcg.name" in v.facts for v in memcg_views),
            "uses_counters": bool(counted),
            "uses_limits": bool(counted & {"memcg.limit", "memcg.high"}),
            "total_limit": readers.limit("memcg.limit"),
            "uses_swap": "memcg.swap" in counted,
            "swap_limit": readers.limit("memcg.swap"),
            "uses_oom_kills": "memcg.oom_kills" in counted,
            "oom_kills_limit": readers.limit("memcg.oom_kills"),
            "uses_scope": uses_scope,
            "views": views,
            "matchers": matchers.functions,
            "lets": lets,
            "rules": rules,
            "event_chunks": _chunks(
                "event_rules", [{"number": r.origin.number} for r in policy.event_rules], True
            ),
            "kernel_decides_rules": [r.origin.number for r in policy.event_rules if r.kernel_decides],
            "never_chunks": _chunks(
                "covered",
                [{"number": r.origin.number} for r in policy.never],
                len(policy.never) <= _INLINE_RULES,
            ),
            "key_chunks": _chunks("rank_by", keys, not chunked),
            "rank_inline": "__noinline" if chunked else "__always_inline",
            "record_chunks": _chunks("record_numbers", flat_keys, not chunked) if dry_run else [],
            "record_members": layout.members if layout else [],
            "record_reads": layout.reads if layout else [],
            "record_size": layout.size if layout else 0,
        }
        c_source, owned = lay_out(_environment().get_template("bpf/policy.bpf.c.j2").render(context))
        # It says where in the C the rules stand, and so comes behind all of that.
        metadata = self._metadata(layout, owned)
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

    # Calls

    def _match(self, fact: str, depth: int | None, view: str, pattern: Glob) -> str:
        if fact == "comm":
            return self._matchers.comm_call(pattern)
        prefix = at(depth, view)
        return self._matchers.text_call(pattern, f"{prefix}name", f"{prefix}name_length")

    def _under(self, fact: str, depth: int | None, view: str, pattern: PathPattern) -> str:
        if FACTS[fact].scope is Scope.EVENT:
            return self._matchers.path_call(pattern, "event.scope")
        return self._matchers.path_call(pattern, f"{at(depth, view)}cgroup")

    def _let(self, name: str, depth: int | None, view: str) -> str:
        uses_candidate, uses_view = self._uses(name)
        arguments = (["c"] if uses_candidate else []) + ([address(at(depth, view))] if uses_view else [])
        return f"let_{name}({', '.join(arguments)})"

    def _uses(self, name: str) -> tuple[bool, bool]:
        """Whether a let's function needs the candidate, and the view that it is read from."""
        if name not in self._let_uses:
            self._let_uses[name] = self._scan(self._lets[name].value)
        return self._let_uses[name]

    def _scan(self, node: ir.Expression) -> tuple[bool, bool]:
        match node:
            case ir.Fact(name, depth) | ir.Match(name, depth, _) | ir.Under(name, depth, _):
                scope = FACTS[name].scope
                memcg = scope is Scope.MEMCG
                return scope is Scope.TASK or (memcg and depth is not None), memcg and depth is None
            case ir.Input(name, depth):
                memcg = self._inputs[name].per_memcg
                return memcg and depth is not None, memcg and depth is None
            case ir.Let(name, depth):
                candidate, view = self._uses(name)
                return candidate or (view and depth is not None), view and depth is None
            case _:
                found = [self._scan(child) for child in ir.children(node)]
                return any(c for c, _ in found), any(v for _, v in found)

    # Functions

    def _let_function(self, let: ir.LetDeclaration) -> dict[str, Any]:
        uses_candidate, uses_view = self._uses(let.name)
        parameters = (["const struct candidate *c"] if uses_candidate else []) + (
            ["const struct memcg *m"] if uses_view else []
        )
        return {
            "function": f"let_{let.name}",
            "parameters": ", ".join(parameters) or "void",
            "value": self._emitter.value(let.value, "m->"),
            "position": c_comment(f"{self._source.name}:{let.line}:{let.column}"),
            "text": c_comment(let.text),
        }

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

    def _event_rule(self, rule: ir.EventRule) -> dict[str, Any]:
        return self._function(
            rule.origin, "bool", "void", [f"return {self._emitter.value(rule.condition, '')};"]
        )

    def _never(self, rule: ir.Never) -> dict[str, Any]:
        value = self._emitter.value(rule.condition, "c->memcg.")
        return self._function(rule.origin, "bool", "const struct candidate *c", [f"return {value};"])

    def _key(self, key: ir.Key) -> list[dict[str, Any]]:
        candidate = "const struct candidate *c"
        match key:
            case ir.FlagKey(condition=condition, first=first, origin=origin):
                node = condition if first else ir.Not(condition)
                return [
                    self._function(
                        origin, "s64", candidate, [f"return {self._emitter.value(node, 'c->memcg.')};"]
                    )
                ]
            case ir.ValueKey(origin=origin, when=when):
                body = []
                if when is not None:
                    unless = self._emitter.value(ir.Not(when), "c->memcg.")
                    body += [f"if ({unless})", "\treturn -0x7fffffffffffffffLL - 1;"]
                body.append(f"return {self._number(key, 'c->memcg.')};")
                return [self._function(origin, "s64", candidate, body)]
            case ir.EachDepthKey(origin=origin, when=when):
                body = [f"return {self._number(key, 'm->')};"]
                functions = [self._function(origin, "s64", "const struct memcg *m", body)]
                if when is not None:
                    test = [f"return {self._emitter.value(when, 'c->memcg.')};"]
                    functions.append(self._function(origin, "s64", candidate, test, "_when"))
                return functions

    def _number(self, key: ir.ValueKey | ir.EachDepthKey, view: str) -> str:
        """floor(value / step), negated for `lowest`."""
        if key.step == 1:
            node = key.value if key.highest else ir.Negate(key.value)
            return self._emitter.value(node, view)
        value = self._emitter.value(key.value, view)
        self._emitter.arithmetic.add("floor_steps")
        return f"{'' if key.highest else '-'}floor_steps({value}, {key.step}ULL)"

    # Views

    def _views(self) -> list[dict[str, Any]]:
        found = []
        globs = _name_globs(self._policy, self._needs)
        # Several readers in one frame would need more of the 512 bytes of stack than there are.
        inline = "__always_inline" if len(self._needs.views) < 3 else "__noinline"
        for view in self._needs.views.values():
            local, lines = readers.view_lines(view, self._policy, self._matchers, globs)
            rule = view.key[1] if isinstance(view.key, tuple) else None
            found.append({"name": view.name, "inline": inline, "comment": _comment(view.key), "rule": rule,
                          "locals": local, "reads": lines})  # fmt: skip
        return found

    def _view_reads(self, views: list[View]) -> list[str]:
        lines = []
        for view in views:
            cgroup = (
                "task_cgroup(task)" if view.key is None else f"ancestor_at(task_cgroup(task), {view.key})"
            )
            lines.append(f"read_{view.name}(&c->{view.member}, {cgroup});")
        return lines

    # Metadata

    def _metadata(self, layout: Layout | None, owned: Owned) -> Metadata:
        return describe(
            self._policy,
            find_target(self._target),
            source=Source(name=self._source.name, sha256=self._source.sha256),
            compiler=self._source.compiler,
            facts=self._needs.facts,
            collector=self._collector,
            layout=layout,
            owned=owned,
        )


def _name_globs(policy: ir.Policy, needs: Needs) -> bool:
    """Whether some pattern on `memcg.name` needs the name's length."""
    pending = [e for r in (*policy.event_rules, *policy.never, *policy.keys) for e in ir.rule_expressions(r)]
    pending += [let.value for let in policy.lets if let.name in needs.lets]
    while pending:
        node = pending.pop()
        if (
            isinstance(node, ir.Match)
            and node.fact == "memcg.name"
            and any(p.literal is None for p in node.patterns)
        ):
            return True
        pending.extend(ir.children(node))
    return False


def _lines(functions: list[dict[str, Any]], key: str) -> list[str]:
    return [line for function in functions for line in function[key]]


def _called(lines: list[str], lets: list[dict[str, Any]], counted: frozenset[str] | set[str]) -> set[str]:
    """Which of the small helpers are used, so that no C comes with functions that nothing calls."""
    text = "\n".join([*lines, *(let["value"] for let in lets)])
    used = {name for name in ("minimum", "page_bytes") if f"{name}(" in text}
    if counted & {"memcg.limit", "memcg.high", "memcg.swap"}:
        used.add("page_bytes")
    if "memcg.oom_kills" in counted:
        used.add("minimum")
    return used


def _comment(key: ViewKey) -> str:
    if key is None:
        return "/* The task's own memory cgroup. */"
    if isinstance(key, tuple):
        return f"/* A cgroup on the way down, for rule {key[1]}. */"
    return f"/* The task's ancestor cgroup {key} below the root. */"


def _chunks(name: str, rules: list[dict[str, Any]], inline: bool) -> list[dict[str, Any]]:
    """Rules in groups that each become a function: one where they are few, several where they are many, since BPF's
    jumps reach 32767 instructions at most.
    """
    if inline:
        return [{"function": name, "inline": "__always_inline", "rules": rules}] if rules else []
    size = max(_CHUNK, -(-len(rules) // _CHUNKS))
    return [
        {"function": f"{name}_{i // size + 1}", "inline": "__noinline", "rules": rules[i : i + size]}
        for i in range(0, len(rules), size)
    ]


def _ascii_lines(text: str) -> list[str]:
    """The metadata as lines of assembler."""
    data = text.encode()
    return [asm_ascii(data[i : i + 72]) for i in range(0, len(data), 72)]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined

    from oomlang.data import cache_path, data_path

    # A template's byte code is kept under the hash of its text, as the parser's tables are.
    cache = cache_path("templates")
    if cache is not None:
        try:
            os.makedirs(cache, mode=0o700, exist_ok=True)
        except OSError:
            cache = None

    return Environment(
        loader=FileSystemLoader(data_path("templates")),
        undefined=StrictUndefined,
        bytecode_cache=FileSystemBytecodeCache(cache) if cache is not None else None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # this is C: strings go through oomlang.targets.bpf.escape
    )
