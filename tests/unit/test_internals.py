"""docs/internals.md says what is so: its files are there, and they are those that an addition needs."""

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from oomlang.compiler import TARGETS, Compilation, Target
from oomlang.ir import nodes as ir
from oomlang.ir import passes
from oomlang.operations import FUNCTIONS
from oomlang.semantics import model
from oomlang.syntax import tree

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "internals.md").read_text(encoding="utf-8")
_PATH = re.compile(r"`([A-Za-z_.]+(?:/[A-Za-z_.0-9]+)*(?:/|\.(?:py|md|h|j2|lark|toml)))`")
_LISTED = re.compile(r"^(?:\d+\. |   (?! ))(.*)$", re.MULTILINE)


def section(title: str) -> str:
    """The text below a heading."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def listed(title: str) -> set[str]:
    """The files that the numbered list of a section names."""
    return set(_PATH.findall("\n".join(_LISTED.findall(section(title)))))


def naming(pattern: str, *folders: str) -> set[str]:
    """The files of some folders that have a match."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".j2", ".h", ".lark", ".md")
        and re.search(pattern, path.read_text(encoding="utf-8"))
    }


def test_every_path_on_the_page_is_there() -> None:
    named = set(_PATH.findall(PAGE))
    assert len(named) > 70
    assert [n for n in named if not ((ROOT / n).exists() or (ROOT / "oomlang" / n).exists())] == []


def test_the_layers_are_those_that_are_checked() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    checked = re.findall(r'"([^"]+)"', project.split("layers = [")[1].split("]")[0])
    table = section("The way of a policy").split("| layer | |\n|---|---|\n")[1]
    shown = [re.findall(r"`(\w+)(?:/|\.py)`", row.split("|")[1]) for row in table.strip().splitlines()]
    assert shown == [re.findall(r"\w+", layer) for layer in checked]


def test_only_the_files_on_the_list_know_the_fact_that_is_the_example() -> None:
    words = r"memcg\.peak|memory\.peak|max_usage_in_bytes|watermark"
    expected = listed("To add a fact") - {"CHANGELOG.md"}
    others = {"docs/internals.md", "tests/unit/test_internals.py"}
    assert naming(words, "oomlang", "templates", "grammar", "tests", "docs") - others == expected
    assert "`memcg.peak`" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_only_the_files_on_the_list_know_the_function_that_is_the_example() -> None:
    assert FUNCTIONS["clamp"].helper == "clamp"
    files = listed("To add a function")
    # Some use it as the function that it is in Python, and messages show it as an example.
    knows = naming(
        r"^class Clamp\b|\bCLAMP\b|\"clamp\"|\bs64 clamp\(|`clamp\(", "oomlang", "templates", "grammar"
    )
    assert {name for name in files if name.startswith(("oomlang", "templates"))} == knows
    for name in files:
        assert re.search(r"\bclamp\b|\bCLAMP\b", (ROOT / name).read_text(encoding="utf-8")), name


_RULES: list[type] = [*get_args(tree.Rule), *get_args(model.Rule), *get_args(ir.Rule)]


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: f"{rule.__module__}.{rule.__name__}")
def test_whatever_knows_a_kind_of_rule_is_on_the_page(rule: type) -> None:
    module = rule.__module__.rpartition(".")[2].replace("nodes", "ir")
    home = rule.__module__.replace(".", "/") + ".py"
    knows = naming(rf"\b{module}\.{rule.__name__}\b", "oomlang") | {home}
    assert knows - set(_PATH.findall(section("To add a rule"))) == set()


def test_every_file_on_the_list_for_rules_knows_a_rule() -> None:
    kinds = "|".join(sorted({rule.__name__ for rule in _RULES}))
    words = rf"\b(?:{kinds})\b|never[ _]kill|\bnever\b"
    files = {name for name in _PATH.findall(section("To add a rule")) if not name.endswith("/")}
    assert [name for name in files if not re.search(words, (ROOT / name).read_text(encoding="utf-8"))] == []


def test_a_pass_in_the_tuple_runs_before_the_c_is_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ir.Policy] = []

    def rename(policy: ir.Policy) -> ir.Policy:
        seen.append(policy)
        return replace(policy, name="renamed")

    monkeypatch.setattr(passes, "run", partial(passes.run, passes=(*passes.PASSES, rename)))
    compilation = Compilation(b'policy "before"\n\nkill highest rss\n')
    assert 'policy_name[16] = "renamed"' in compilation.program("evaluate-task").c_source
    assert [policy.name for policy in seen] == ["before"]
    assert compilation.ir.name == "before"


def test_every_pass_has_its_module_its_place_and_its_test() -> None:
    names = {step.__name__ for step in passes.PASSES}
    home = ROOT / "oomlang" / "ir" / "passes"
    assert {path.stem for path in home.glob("*.py")} - {"__init__", "rewrite"} == names
    assert [n for n in names if not (ROOT / f"tests/unit/ir/passes/test_{n}.py").exists()] == []
    rows = re.findall(r"^\| `(\w+)` \|", section("To add a pass"), re.MULTILINE)
    assert rows == [step.__name__ for step in passes.PASSES]


_ONE_MORE = """
import sys
from oomlang.targets.bpf import attachments
attachments.__path__.append(sys.argv.pop(1))
from oomlang.targets.bpf.attachments.elsewhere import ELSEWHERE
attachments.TARGETS = (*attachments.TARGETS, ELSEWHERE)
from oomlang.cli import main
main()
"""


def test_a_target_is_a_directory_and_its_place_in_the_tuple(tmp_path: Path) -> None:
    example = ROOT / "oomlang" / "targets" / "bpf" / "attachments" / "dry_run" / "__init__.py"
    text = example.read_text(encoding="utf-8")
    made = text.replace("DRY_RUN", "ELSEWHERE").replace('"dry-run"', '"elsewhere"')
    made = made.replace("rank the tasks of a live machine", "do something else")
    (tmp_path / "targets" / "elsewhere").mkdir(parents=True)
    (tmp_path / "targets" / "elsewhere" / "__init__.py").write_text(made)
    (tmp_path / "policy.oom").write_text("kill highest rss\n")

    def run(*argv: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", _ONE_MORE, str(tmp_path / "targets"), *argv],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip

    c = run("compile", "--target", "elsewhere", "--emit", "c", "-o", "-", "policy.oom")
    assert 'OOM policy "oomlang", target elsewhere.' in c
    assert "do something else" in run("compile", "--help")


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_of_a_target_is_of_the_kinds_on_the_list(target: Target) -> None:
    module = target.replace("-", "_")
    files = listed("To add a target")
    assert {name.replace("dry_run", module) for name in files if "dry_run" in name} == {
        f"oomlang/targets/bpf/attachments/{module}/__init__.py",
        f"templates/bpf/{module}.c.j2",
    }
    knows = naming(re.escape(target), "oomlang", "templates", "grammar")
    assert knows == {f"oomlang/targets/bpf/attachments/{module}/__init__.py"}
