"""What one program cannot hold is said of the rule that goes over it."""

from __future__ import annotations

from oomlang.compiler import Compilation
from oomlang.facts.types import MAX_OPERATIONS


def _messages(text: str) -> list[str]:
    return [d.message for d in Compilation(text.encode()).diagnostics if d.code.value == "E0307"]


def _chains(depths: int, rules: int) -> str:
    """A thousand lets in chains of twenty, each chain read at some depths."""
    lines = []
    for i in range(1000):
        before = f" + v{i - 1} / 2" if i % 20 else ""
        lines.append(f"let v{i} = max(memcg.usage / {i + 2}, memcg.swap + {i}KiB) * 3{before}")
    ends = [(i, depth) for i in range(19, 1000, 20) for depth in range(1, depths + 1)]
    lines += [f"kill highest v{i} at depth {depth} step {i}MiB" for i, depth in ends[:rules]]
    return "\n".join(lines) + "\n"


def test_a_let_counts_once_for_each_depth_that_it_is_used_at() -> None:
    (message,) = _messages(_chains(depths=16, rules=2000))
    assert f"operations; the limit is {MAX_OPERATIONS}" in message
    assert _messages(_chains(depths=1, rules=50)) == []


def test_a_let_counts_once_however_often_it_is_used_at_a_depth() -> None:
    used_often = "let large = " + " + ".join(f"rss / {n}" for n in range(2, 130)) + "\n"
    used_often += "".join(f"kill first when large > {n}MiB\n" for n in range(1, 1000))
    assert _messages(used_often) == []


def test_equal_numbers_at_each_depth_leave_a_rule_its_effect() -> None:
    # The cgroups' ids decide then; of a rule that ranks candidates by one number for all, nothing is left.
    def codes(text: str) -> set[str]:
        return {d.code.value for d in Compilation(text.encode()).diagnostics}

    assert codes("kill highest memcg.usage * 0 at each depth\n") == set()
    assert codes("kill highest memcg.usage * 0\n") == {"E0401"}
