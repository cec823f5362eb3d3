"""No module needs itself: what two need of each other belongs into a third."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "oomlang"
"""The package itself gives out what its modules define, and its version to them."""


def _imports(path: Path, modules: set[str]) -> set[str]:
    """What a module imports at any place in it, for types alone, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(names & modules or {node.module})
    return found & modules


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_two_modules_import_each_other() -> None:
    paths = {_module(path): path for path in (ROOT / PACKAGE).rglob("*.py")}
    graph = {module: _imports(path, set(paths)) - {module, PACKAGE} for module, path in paths.items()}
    assert sum(map(len, graph.values())) > len(graph)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None
