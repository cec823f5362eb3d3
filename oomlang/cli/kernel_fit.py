"""Whether a kernel can run an object, and if not, which rules of the policy ask too much of it.

In: the object, the policy's meaning, a kernel's BTF. Out: nothing, or `EnvironmentLacks` with
everything that is missing.
Hooks and kfuncs belong to the target; a type or field is traced through the table of facts to the rules that read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from oomlang.cli.failures import Failure
from oomlang.diagnostics import EnvironmentLacks
from oomlang.diagnostics.visible import visible
from oomlang.facts import FACTS
from oomlang.facts.table import ANCESTOR_FIELDS, FIELDS, GUARD_FIELDS, ID_FIELDS, MEMCG_FIELDS, TIE_FIELDS
from oomlang.ir import nodes as ir
from oomlang.ir.reads import Reads
from oomlang.kernel.fit.missing import missing_from
from oomlang.kernel.probe import kernel_btf_path
from oomlang.objects import BadFormat
from oomlang.objects.btf import Btf, BtfError, read_btf
from oomlang.targets.bpf.attachments import TARGETS, find_target

RUNNING = "running"
_TEXT = 60
"""Characters of a rule that are quoted."""


def read_kernel(kernel: str) -> Btf:
    """The types of the kernel that `--kernel` names. Errors: `EnvironmentLacks` for the running one, else `Failure`."""
    if kernel == RUNNING:
        path = kernel_btf_path()
        try:
            return read_btf(path)
        except BtfError as error:
            raise EnvironmentLacks(str(error), mend="name a file with the kernel's BTF instead") from error
    try:
        return read_btf(Path(kernel))
    except BtfError as error:
        mend = "give a kernel's /sys/kernel/btf/vmlinux, a copy of it, or a vmlinux with BTF"
        raise Failure(str(error), mend=mend) from error


def require_fit(image: bytes, policy: ir.Policy, kernel: str, btf: Btf, *, name: str, target: str) -> None:
    """Raise `EnvironmentLacks` if the kernel lacks something that the object needs.

    kernel: as `--kernel` names it. name: the policy's file.
    """
    try:
        missing = missing_from(image, btf)
    except BadFormat as error:
        raise Failure(f"cannot compare the object with the types of {kernel}: {error}") from error
    if not missing:
        return
    name = visible(name)
    which = "the running kernel" if kernel == RUNNING else f"the kernel of {visible(kernel)}"
    lines = [f"{which} cannot run {name} (target {target})"]
    to_blame: list[ir.Origin] = []
    # One member can be missed in several places of the program.
    for item in {(item.kind, item.reason): item for item in missing}.values():
        lines.append(f"- {item.reason}")
        if item.kind == "type":
            rules = rules_that_need(item.what, policy)
            to_blame += rules
            quoted = [f"{name}:{rule.line} `{_short(rule.text)}`" for rule in rules]
            lines.append("  needed by " + ("\n  and ".join(quoted) or f"every policy for {target}"))
    text = "\n".join(lines)
    if all(item.kind in ("hook", "kfunc") for item in missing) and find_target(target).decides:
        others = [f"`--target {other.name}` ({other.summary})" for other in TARGETS if not other.decides]
        mend = "this kernel has no OOM hooks for BPF; boot one that has them, or compile with " + " or ".join(
            others
        )
    elif to_blame and all(item.kind == "type" for item in missing):
        mend = "choose another kernel, or leave out of these rules what it lacks"
    else:
        mend = "choose another kernel"
    raise EnvironmentLacks(text, mend=mend)


def rules_that_need(path: str, policy: ir.Policy) -> list[ir.Origin]:
    """The rules that read a type, member or enumerator (`mem_cgroup.swap`), in their order; none where every policy
    reads it.
    """
    chains = list(_chains(path))
    if any(chain <= always for chain in chains for always in _ALWAYS):
        return []
    reads = Reads(policy)
    return [
        rule.origin
        for rule in policy.rules
        if any(chain <= need for chain in chains for need in _needs(rule, reads))
    ]


# What every policy reads, each with its own way to it.
_ALWAYS = (
    frozenset(GUARD_FIELDS),
    frozenset(TIE_FIELDS),
    frozenset(FACTS["badness"].kernel),
    frozenset({"oc.chosen"}),
)


def _chains(path: str) -> Iterator[frozenset[str]]:
    """The keys of FIELDS along a path: `mem_cgroup.swap.usage` is memcg.swap and counter.usage.

    Kernels differ in some of the fields, and then there is more than one way.
    """
    root, *members = re.sub(r"\[\d+\]", "", path).split(".")
    found = list(_walk(root.split("___")[0], members)) if members else []
    # A type alone: all that is read from it.
    found = found or [frozenset({key}) for key, field in FIELDS.items() if field.kernel_type == root]
    yield from found


def _walk(type_name: str, members: list[str]) -> Iterator[frozenset[str]]:
    if not members:
        yield frozenset()
        return
    for key, field in FIELDS.items():
        if field.kernel_type == type_name and field.field == members[0]:
            # What the table does not know any further belongs to what it knows last.
            rest = list(_walk(_type_of(field.declaration), members[1:])) or [frozenset()]
            yield from (frozenset({key}) | chain for chain in rest)


def _type_of(declaration: str) -> str:
    """The type's name in a declaration of C: `struct percpu_counter rss_stat[4]` gives `percpu_counter`."""
    words = declaration.replace("*", " ").split()
    names = [word for word in words[:-1] if word not in ("struct", "const", "unsigned", "enum")]
    return names[-1] if names else ""


def _needs(rule: ir.Rule, reads: Reads) -> Iterator[frozenset[str]]:
    """The fields behind everything that a rule reads."""
    if isinstance(rule, ir.EachDepthKey):
        yield frozenset((*MEMCG_FIELDS, *ANCESTOR_FIELDS, *ID_FIELDS))
    for name, depth in reads.of(*ir.rule_expressions(rule)):
        if name in FACTS:
            yield frozenset(FACTS[name].kernel)
        elif name in reads.per_memcg:
            yield frozenset((*MEMCG_FIELDS, *ID_FIELDS))
        if depth is not None:
            yield frozenset(ANCESTOR_FIELDS)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 3]}..."
