"""Every policy of tests/corpus/ok means exactly what stands beside it, as IR.

`tools/update-corpus` writes the expected texts anew.
"""

import os
from pathlib import Path

import pytest

from oomlang.compiler import Compilation
from oomlang.ir.text import policy_text

CORPUS = Path(__file__).parents[1] / "corpus" / "ok"
POLICIES = sorted(CORPUS.glob("*.oom"))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.stem)
def test_a_policy_means_exactly_its_ir(policy: Path) -> None:
    compilation = Compilation(policy.read_bytes(), policy.name)
    text = policy_text(compilation.ir)
    expectation = policy.with_suffix(".ir")
    if os.environ.get("UPDATE_CORPUS"):
        expectation.write_text(text, encoding="utf-8")
    assert text == expectation.read_text(encoding="utf-8")


def test_there_is_a_corpus() -> None:
    assert len(POLICIES) >= 7
