"""The documentation says what is so.

A fenced block whose info string begins with `oom` is a policy. `oom` alone: it checks without a word, is in the format
of `oomlang fmt` and passes its own tests. `oom E0204 W0601`: it gives exactly these codes.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click import Context

from oomlang.cli.app import VERBS, program
from oomlang.compiler import TARGETS, Compilation, Target, check, emit_c
from oomlang.data import data_path
from oomlang.diagnostics.render import render_text
from oomlang.facts import FACTS, INPUT_RANGES, UNITS, types
from oomlang.operations import FUNCTIONS
from oomlang.semantics.scope import INPUT_TYPES
from oomlang.syntax.printer import format_text
from oomlang.test_cases import run_tests

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```oom(?P<codes>(?: [EW]\d{4})*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A policy in a page: its text, the codes that it must give, and where it stands."""

    page: Path
    line: int
    text: str
    codes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Block(page=page, line=line, text=match["text"], codes=tuple(match["codes"].split()))


BLOCKS = list(blocks())
RIGHT = [block for block in BLOCKS if not block.codes]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.name)
def test_a_policy_in_the_docs_checks_as_said(block: Block) -> None:
    source, diagnostics = check(block.text.encode(), block.name)
    found = [str(d.code.value) for d in diagnostics]
    assert found == list(block.codes), render_text(source, diagnostics, color=False)


@pytest.mark.parametrize("block", RIGHT, ids=lambda b: b.name)
def test_a_policy_in_the_docs_is_formatted(block: Block) -> None:
    assert block.text == format_text(block.text)


@pytest.mark.parametrize("block", [b for b in RIGHT if "\ntest " in b.text], ids=lambda b: b.name)
def test_a_policy_in_the_docs_passes_its_tests(block: Block) -> None:
    compilation = Compilation(block.text.encode(), block.name)
    outcomes, _ = run_tests(compilation.policy, compilation.ir)
    assert outcomes != ()
    assert [(o.case.name, [c for c in o.checks if not c.passed]) for o in outcomes if not o.passed] == []


def test_the_generated_pages_are_up_to_date() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "tools" / "gen-docs", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# The reference leaves nothing out: what the tables and the grammar have stands on the page.


def _in_the_grammar(pattern: str) -> set[str]:
    return set(re.findall(pattern, Path(data_path("grammar", "oomlang.lark")).read_text(encoding="utf-8")))


def _examples() -> str:
    return "\n".join(b.text for b in RIGHT if b.page.name == "language.md")


def test_every_word_of_the_grammar_stands_in_an_example() -> None:
    words = _in_the_grammar(r'"([a-z]+)"') - {"_"}
    used = set(re.findall(r"[a-z]+", _examples()))
    assert len(words) > 30
    assert words - used == set()


def test_every_operator_stands_in_the_reference() -> None:
    operators = _in_the_grammar(r'"([=!<>+*/-]+)"')
    assert operators >= {"==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/"}
    assert [o for o in operators if o not in LANGUAGE] == []


def test_every_function_unit_and_type_stands_in_an_example() -> None:
    examples = _examples()
    assert [f for f in FUNCTIONS if f"{f}(" not in examples] == []
    assert [t for t in INPUT_TYPES if f": {t} = " not in examples] == []
    assert [u for u in UNITS if f"`{u}`" not in LANGUAGE] == []


def test_every_fact_stands_on_its_page() -> None:
    page = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
    assert [name for name in FACTS if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize(
    "what, limit",
    [
        ("rules", types.MAX_RULES),
        ("inputs", types.MAX_INPUTS),
        ("lets", types.MAX_LETS),
        ("elements of one `in (…)`", types.MAX_LIST),
        ("operations, each named value counted for each depth that it is used at", types.MAX_OPERATIONS),
        ("different patterns of `comm`, names and paths of cgroups", types.MAX_PATTERNS),
        ("rules `at each depth`", types.MAX_EACH_DEPTH),
        ("nesting of an expression, with the lets that it uses", f"{types.MAX_NESTING} levels"),
        ("nesting of brackets", f"{types.MAX_NESTING} levels"),
        ("a statement", f"{types.MAX_STATEMENT} characters"),
        ("N in `at depth N`; levels of `at each depth`", types.MAX_DEPTH),
        ("components of a path", types.PATH_COMPONENTS),
        ("name of a policy; `comm`", f"{types.POLICY_NAME_BYTES} bytes"),
        ("name of a cgroup", f"{types.CGROUP_NAME_BYTES} bytes"),
        ("name of a let or an input", f"{types.MAX_NAME} characters"),
    ],
)
def test_the_limits_are_those_of_the_checker(what: str, limit: int | str) -> None:
    assert f"| {what} | {limit} |\n" in LANGUAGE
    assert types.COMM_BYTES == types.POLICY_NAME_BYTES


def test_the_ranges_of_inputs_are_those_of_the_checker() -> None:
    ranges = {
        "int": (-2147483648, 2147483647),
        "bytes": (0, 2**50),
        "ratio": (0, 100000 * types.RATIO_ONE // 100),
        "duration": (0, 1099511627776),
        "bool": (0, 1),
    }
    assert {t.value: (i.low, i.high) for t, i in INPUT_RANGES.items()} == ranges


def test_the_targets_page_names_every_target() -> None:
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    assert [t for t in TARGETS if f"## `{t}`" not in page] == []


@pytest.mark.parametrize("target", TARGETS)
def test_the_targets_page_describes_the_section(target: Target) -> None:
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    text = b"input a: int = 0\nlet b = a * nice\nkill highest b\nkill lowest b + 1\n"
    data = Compilation(text).program(target).metadata.to_json()
    described = set(re.findall(r"`([a-z_]+)`", page.partition("## The section `.oomlang`")[2]))
    assert set(data) - described == set()
    assert (
        set(data["inputs"][0])
        - described
        - {"name", "type", "default", "lowest", "highest", "map", "variable", "size"}
        == set()
    )
    assert set(data["lets"][0]) - described <= {"line", "column", "text"}
    assert set(data["rules"][0]) - described <= {"number", "kind", "line", "column", "text"}


# What the README and the page on embedding show is what one gets.

README = (ROOT / "README.md").read_text(encoding="utf-8")
EMBEDDING = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
_COMING = {"input"}
"""Verbs that the pages speak of and that another part of the project brings."""
_COMMAND = re.compile(r"\boomlang (?P<verb>[a-z-]+)(?P<rest>(?: [^`\n#|>]*)?)")


def _fenced(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _elided(shown: str) -> str:
    """What is shown as a regular expression: a line with nothing but … stands for any lines."""
    return ".*\n".join(re.escape(part) for part in shown.split("…\n"))


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment with `oomlang` on the PATH."""
    program = tmp_path / "bin" / "oomlang"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m oomlang "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    search = os.pathsep.join([str(program.parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": search, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "NO_COLOR": "1"}


@pytest.mark.needs("clang")
def test_the_readme_shows_real_output(tmp_path: Path, shell: dict[str, str]) -> None:
    (policy,) = _fenced(README, "oom")
    (tmp_path / "policy.oom").write_text(policy, encoding="utf-8")
    wrong = policy.replace("64MiB", "64").replace('"sshd" and', '"systemd-networkd" and')
    shutil.copy(ROOT / "tests" / "data" / "snapshots" / "host.json", tmp_path)
    (tmp_path / "wrong.oom").write_text(wrong.partition("\ntest ")[0], encoding="utf-8")
    shown = "".join(_fenced(README, "console"))
    commands = re.findall(r"^\$ (.*)$", shown, re.MULTILINE)
    got = ""
    for command in commands:
        ran = subprocess.run(
            ["sh", "-c", f"{command} 2>&1"],
            cwd=tmp_path,
            env=shell,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        got += f"$ {command}\n{ran.stdout}"
    assert re.fullmatch(_elided(shown), got, re.DOTALL), got


def test_the_readme_shows_real_c() -> None:
    (policy,) = _fenced(README, "oom")
    (shown,) = _fenced(README, "c")
    assert re.search(_elided(shown), emit_c(policy, name="policy.oom"), re.DOTALL)


def _commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The verbs of `oomlang` in a page's code, each with its options."""
    text = page.read_text(encoding="utf-8")
    code = _ANY_FENCE.findall(text) + re.findall(r"`[^`\n]+`", _ANY_FENCE.sub("", text))
    for match in _COMMAND.finditer("\n".join(code)):
        yield match["verb"], re.findall(r"(?<!\S)--?[a-z][a-z-]*", match["rest"])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    unknown = []
    for verb, options in _commands(page):
        if verb in _COMING and verb not in VERBS:
            continue
        command = program.get_command(Context(program), verb)
        known = {o for p in command.params for o in p.opts} if command is not None else set()
        unknown += [f"{verb} {o}" for o in options if o not in known]
        unknown += [verb] if command is None else []
    assert unknown == []


@pytest.mark.needs("clang")
def test_the_rules_for_make_build(tmp_path: Path, shell: dict[str, str]) -> None:
    (makefile,) = _fenced(EMBEDDING, "make")
    (tmp_path / "Makefile").write_text(makefile, encoding="utf-8")
    (tmp_path / "policies").mkdir()
    (policy,) = _fenced(README, "oom")
    (tmp_path / "policies" / "web.oom").write_text(policy, encoding="utf-8")
    make = shutil.which("make")
    assert make is not None
    checks = ["check-policies"] if "test" in VERBS else ["--version"]
    for wanted in ([], ["--question"], checks):  # builds, has built, and checks
        ran = subprocess.run(
            [make, *wanted], cwd=tmp_path, env=shell, capture_output=True, text=True, timeout=120, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "build" / "web.d").read_text(encoding="utf-8").startswith("build/web.bpf.o:")


@pytest.mark.needs("clang")
def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = _fenced(EMBEDDING, "python")
    exec(compile(example, "embedding.md", "exec"), {})  # noqa: S102  # our own page
    assert capsys.readouterr().out.endswith('bytes kill first when comm == "batch"\n')


# Links


def _anchors(page: Path) -> set[str]:
    text = _ANY_FENCE.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
        found.add(kept.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = _ANY_FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for match in _LINK.finditer(text):
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_linked_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    names = {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert [n for n in sorted(names) if f"({n})" not in index] == []
