"""The record of the dry run: what stands where, and that the C fills all of it."""

from __future__ import annotations

import re

from oomlang.compiler import Compilation
from oomlang.targets.bpf.record import HEAD, Layout
from oomlang.targets.bpf.views import Collector

TEXT = (
    "input tag per memcg: int = 0\nlet heavy = rss * 2 / 3 + memcg.usage\n"
    'kernel decides when oom.order == 3\nnever kill when comm == "a" or comm like "b*"\n'
    'kill first when uid == 0 and memcg under "/a"\n'
    "kill highest memcg.usage at depth 2\nkill lowest memcg.swap at each depth\n"
    "kill highest tag at depth 1\nkill highest memcg.depth\nkill highest heavy\nkill lowest heavy at depth 2"
)


def _layout(text: str) -> Layout:
    policy = Compilation(text.encode()).optimized
    return Layout.of(policy, Collector(policy).policy(policy))


def test_the_fields_follow_one_another_behind_the_head() -> None:
    record = _layout(TEXT).record
    assert tuple(field.name for field in record.fields[: len(HEAD)]) == HEAD
    at = 0
    for field in record.fields:
        assert field.offset == at
        assert field.size == (16 if field.name == "comm" else 8)
        at += field.size
    assert record.size == at
    assert len({field.name for field in record.fields}) == len(record.fields)


def test_each_fact_of_each_view_and_each_rule_has_a_field() -> None:
    names = {field.name for field in _layout(TEXT).record.fields} - set(HEAD)
    assert names == {
        "points", "start", "comm", "rss", "uid",
        # A cgroup's id stands beside what can change, so that two readings of one cgroup can be told.
        "memcg_usage", "memcg_depth", "memcg_id",
        "memcg_at_1_in_tag", "memcg_at_1_id",
        "memcg_at_2_usage", "memcg_at_2_id",
        # An event rule, a `never kill` and a walk have no number of a task.
        "rule_3", "rule_4", "rule_6", "rule_7", "rule_8", "rule_9",
    }  # fmt: skip


def test_a_policy_without_rules_has_the_kernels_score_only() -> None:
    assert [f.name for f in _layout("").record.fields] == [*HEAD, "points", "start"]


def test_the_id_of_a_cgroup_stands_there_once() -> None:
    fields = _layout("kill highest memcg.usage step 1MiB\nkill highest memcg.id").record.fields
    assert [f.name for f in fields if f.name.startswith("memcg")] == ["memcg_usage", "memcg_id"]


def test_the_c_declares_the_fields_in_their_order_and_fills_each() -> None:
    layout = _layout(TEXT)
    fields = layout.record.fields[len(HEAD) :]
    assert layout.members == tuple("u64 comm[2]" if f.name == "comm" else f"s64 {f.name}" for f in fields)
    filled = [re.match(r"record\.(\w+(?:\[\d\])?) = .+;$", line) for line in layout.reads]
    assert all(filled)
    expected = [f.name for f in fields if f.name != "comm" and not f.name.startswith("rule_")]
    assert sorted(m[1] for m in filled if m) == sorted([*expected, "comm[0]", "comm[1]"])
