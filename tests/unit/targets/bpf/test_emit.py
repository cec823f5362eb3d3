"""Rules and lets that are many stand in groups, and none falls between two of them."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from oomlang.compiler import TARGETS, emit_c

COUNTS = [2, 32, 33, 64, 65, 129]
"""Around what is laid out inline and what a group has."""


def _calls(c_source: str, function: str) -> Counter[str]:
    """How often each function of a kind is called: its definition is one mention more."""
    return Counter(re.findall(rf"\b({function})\(", c_source)) - Counter(
        re.findall(rf"^\S.*\b({function})\(", c_source, re.M)
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", COUNTS)
def test_each_rule_is_called_by_one_group(count: int, target: str) -> None:
    rules = [f"kernel decides when oom.order == {n % 60} and oom.total > {n + 1}MiB" for n in range(count)]
    rules += [f"never kill when pid == {n + 2} and rss > {n}MiB" for n in range(count)]
    rules += [f"kill first when pid == {n + 2} and swap > {n}MiB" for n in range(count)]
    c_source = emit_c("\n".join(rules), target=target)
    calls = _calls(c_source, r"rule_\d+")
    # The dry run calls the keys once more, for its record.
    keys = 2 if target == "dry-run" else 1
    expected = {f"rule_{n}": 1 if n <= 2 * count else keys for n in range(1, 3 * count + 1)}
    assert calls == expected
    group = r"(?:event_rules|covered|rank_by|record_numbers)(?:_\d+)?"
    groups = re.findall(rf"^(?:__noinline|static __always_inline) int ({group})\(", c_source, re.M)
    assert len(groups) >= 3
    assert _calls(c_source, group) == dict.fromkeys(groups, 1)


@pytest.mark.parametrize("count", COUNTS)
def test_each_let_is_computed_once_for_what_it_is_of(count: int) -> None:
    lines = [f"let task{n} = rss * {n + 2} / 3 + swap" for n in range(count)]
    lines += [f"let cgroup{n} = memcg.usage * {n + 2} / 3 + memcg.swap" for n in range(count)]
    lines += [f"let event{n} = oom.total * {n + 2} / 3" for n in range(count)]
    lines += [f"kill first when task{n} > cgroup{n} and pid == {n}" for n in range(1, count)]
    lines += [f"kill highest task{n} step {n + 2}MiB" for n in range(count)]
    lines += [
        f"kill highest cgroup{n} step {n + 2}MiB when pid == {n} and rss > event{n}" for n in range(count)
    ]
    c_source = emit_c("\n".join(lines))
    computed = Counter(re.findall(r"\b((?:c->|m->|event\.)let_\w+) = ", c_source))
    read = set(re.findall(r"\b((?:c->|memcg\.|event\.)let_\w+)\b(?! =)", c_source))
    assert len(read) >= count
    assert computed == dict.fromkeys((member.replace("memcg.", "m->") for member in read), 1)


@pytest.mark.parametrize("target", TARGETS)
def test_no_struct_is_empty(target: str) -> None:
    """The kernel refuses types of variables that have no size."""
    for text in ("kill highest memcg.usage * 0 at each depth\n", "\n"):
        assert not re.search(r"struct \w+ \{\n\}", emit_c(text, target=target)), text
