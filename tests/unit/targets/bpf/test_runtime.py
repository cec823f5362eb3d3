"""The runtime's pieces are C that stands on its own, and what is emitted with them compiles without a warning."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from oomlang.compiler import emit_c
from oomlang.facts.table import FIELDS
from oomlang.targets.bpf import attachments, runtime
from oomlang.targets.bpf.attachments import TARGETS, Target
from oomlang.targets.bpf.clang import _FLAGS, find_clang
from oomlang.targets.bpf.emit import _environment
from oomlang.targets.bpf.kernel_types import declarations

ROOT = Path(__file__).parents[4]
RUNTIME = ROOT / "templates" / "bpf" / "runtime"
TEMPLATES = sorted([*RUNTIME.glob("*.h"), *RUNTIME.parent.glob("*.j2")])
EXAMPLES = sorted((ROOT / "examples").glob("*.oom"))
ALWAYS = ("types", "verdicts")
OF_TARGETS = tuple(dict.fromkeys(name for target in TARGETS for name in target.pieces))
PIECES = (*runtime.EARLY, *runtime.LATE)
COLUMNS = 100
STRICT = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only")
STATE = """
static const struct { u64 star, end, next[256]; } globs[1];
static const struct { u64 star[4], end[4], next[256][4]; } long_globs[1];
struct candidate { struct comm comm; u64 comm_length; };
struct event { s64 total; u64 now; } event;
#define END_WORDS 1
"""
"""What a policy declares and pieces refer to."""

EVERY_KIND_OF_TEXT = r"""
kernel decides when oom.memcg under "/a/*x*/b"
let long = memcg.name like "*0123456789012345678901234567890123456789012345678901234567890123456789?b*"
never kill when long or memcg.name like "a*b?c*" or comm like "a*?é*c"
never kill when comm like "?*b" or comm like "a?c" or comm in ("x", "y*", "*z", "a*b")
kill highest rss / 3 when pid in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
kill lowest memcg.swap * 7% at each depth when age > 1s
kill highest clamp(memcg.usage / memcg.limit, 1%, 90%) at depth 2 step 1%
kill highest abs(oom_score_adj) + max(threads, 3) + memcg.oom_kills
"""

clang = pytest.mark.needs("clang")


def _complaints(c_source: str, *flags: str) -> str:
    command = [find_clang(), *_FLAGS, *STRICT, *flags, "-"]
    return subprocess.run(
        command, input=c_source, capture_output=True, text=True, timeout=120, check=False
    ).stderr


def _with_pieces(names: frozenset[str]) -> str:
    """A program of some pieces and of all that a policy declares."""
    env = _environment()
    types = env.get_template("bpf/kernel_types.c.j2").render(kernel_types=declarations(list(FIELDS)))
    early = [runtime.piece(n) for n in runtime.EARLY if n in names | {"comm"}]
    late = [runtime.piece(n) for n in (*OF_TARGETS, *runtime.LATE) if n in names]
    start = [
        runtime.piece("types"),
        types,
        "const volatile __u32 page_shift = 12;\n",
        runtime.piece("verdicts"),
    ]
    return "\n".join([*start, *early, STATE, *late])


def test_each_file_is_a_piece_that_something_takes() -> None:
    assert sorted([*PIECES, *ALWAYS, *OF_TARGETS]) == [path.stem for path in sorted(RUNTIME.glob("*.h"))]


@clang
def test_all_pieces_compile_together_without_a_warning() -> None:
    # Each program takes only those that it calls, so here some are called by nobody.
    assert _complaints(_with_pieces(frozenset((*PIECES, *OF_TARGETS))), "-Wno-unused-function") == ""


@clang
@pytest.mark.parametrize("name", [*PIECES, *OF_TARGETS])
def test_what_a_piece_calls_comes_with_it(name: str) -> None:
    needed = runtime.needed([runtime.piece(name)]) | {name}
    assert _complaints(_with_pieces(needed), "-Wno-unused-function", "-Wno-unused-const-variable") == ""


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_lines_are_no_longer_than_the_house_has_them(path: Path) -> None:
    lines = path.read_text().splitlines()
    # A line with a loop or a condition in it becomes a shorter one.
    assert [line for line in lines if len(line.expandtabs(8)) > COLUMNS and "{{" not in line] == []


@pytest.mark.parametrize("path", sorted(RUNTIME.glob("*.h")), ids=lambda p: p.stem)
def test_a_macro_does_not_decide_where_its_caller_goes(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S).replace("\\\n", " ")
    macros = [line for line in text.splitlines() if line.startswith("#define")]
    assert not [m for m in macros if re.search(r"\b(return|goto|break|continue|if|for|while)\b", m)]


@pytest.mark.parametrize("path", sorted(RUNTIME.glob("*.h")), ids=lambda p: p.stem)
def test_a_function_that_says_yes_or_no_is_bool(path: Path) -> None:
    """But for those that are not static, which the verifier takes with int only."""
    functions = re.findall(
        r"^(static [^;={]+?)\b(\w+)\([^{;]*\)\n\{\n(.*?)^\}", path.read_text(), re.M | re.S
    )
    for kind, name, body in functions:
        if re.search(r"\breturn (?:true|false|!!.*|[^;?]* (?:==|!=|<|>|&&|\|\|) [^;?]*);", body):
            assert " bool " in kind, name


@clang
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("policy", [*EXAMPLES, None], ids=lambda p: p.stem if p else "every kind of text")
def test_what_is_emitted_compiles_without_a_warning(policy: Path | None, target: Target) -> None:
    text = policy.read_text() if policy else EVERY_KIND_OF_TEXT
    c_source = emit_c(text, name=policy.name if policy else "every.oom", target=target.name)
    # All rules take a candidate, and a program takes what the kernel gives it, whether they look at it or not.
    assert _complaints(c_source, "-Wno-unused-parameter") == ""


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("policy", EXAMPLES, ids=lambda p: p.stem)
def test_only_what_comes_from_the_policy_makes_a_long_line(policy: Path, target: Target) -> None:
    c_source = emit_c(policy.read_text(), name=policy.name, target=target.name)
    long = [line for line in c_source.splitlines() if len(line.expandtabs(8)) > COLUMNS]
    # Its own text, the metadata, patterns and constants, and the rules that are written in one line.
    allowed = re.compile(rf'/\* {re.escape(policy.name)}:|^\t"\.ascii|[0-9a-f]U?LL\b|^\treturn ')
    assert [line for line in long if not allowed.search(line)] == []


def test_a_target_names_pieces_that_there_are() -> None:
    for target in attachments.TARGETS:
        assert all(runtime.piece(name) for name in target.pieces)
