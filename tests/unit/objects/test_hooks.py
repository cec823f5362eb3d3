from __future__ import annotations

import pytest

from oomlang.objects.hooks import hook_of


@pytest.mark.parametrize(
    "section, words, decides",
    [
        ("fmod_ret/bpf_oom_evaluate_task", "function bpf_oom_evaluate_task", True),
        ("fmod_ret.s/may_sleep", "function may_sleep", True),
        ("fentry/out_of_memory", "function out_of_memory", False),
        ("fexit/oom_badness", "function oom_badness", False),
        ("tp_btf/mark_victim", "tracepoint mark_victim", False),
        ("iter/task", "BPF iterator over task", False),
    ],
)
def test_a_section_names_its_hook(section: str, words: str, decides: bool) -> None:
    hook = hook_of(section)
    assert hook is not None
    assert (str(hook), hook.decides) == (words, decides)


@pytest.mark.parametrize("section", ["", ".text", "fentry", "kprobe/out_of_memory", "license"])
def test_other_sections_name_none(section: str) -> None:
    assert hook_of(section) is None
