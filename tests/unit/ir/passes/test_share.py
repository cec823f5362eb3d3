"""What is needed more than once becomes a let, and nothing else is one."""

from dataclasses import replace

from oomlang.compiler import Compilation
from oomlang.ir import nodes as ir
from oomlang.ir.passes.share import share
from oomlang.ir.text import expression_text


def shared(text: str) -> ir.Policy:
    return share(Compilation(text.encode()).ir)


def lets(policy: ir.Policy) -> dict[str, str]:
    assert all(let.shared for let in policy.lets)
    return {let.name: expression_text(let.value) for let in policy.lets}


def rules(policy: ir.Policy) -> list[str]:
    return [expression_text(e) for rule in policy.rules for e in ir.rule_expressions(rule)]


def test_a_let_used_twice_stays_and_one_used_once_is_written_out() -> None:
    policy = shared("let a = rss + swap\nlet b = rss - swap\nkill highest a when a > 1MiB\nkill highest b\n")
    assert lets(policy) == {"a": "(rss + swap)"}
    assert rules(policy) == ["a", "(a > 1048576)", "(rss - swap)"]


def test_a_let_that_is_used_once_in_one_that_is_used_twice_is_used_once() -> None:
    policy = shared("let a = rss + swap\nlet b = a * 2\nkill highest b when b > 1MiB\n")
    assert lets(policy) == {"b": "((rss + swap) * 2)"}


def test_a_term_that_is_used_twice_is_found_without_a_let_under_the_name_of_one_if_there_is_one() -> None:
    policy = shared(
        "let total = rss + swap\nkill highest total\nkill first when rss + swap > 2MiB\n"
        "kill last when vm - rss > 1MiB\nkill lowest vm - rss\n"
    )
    assert lets(policy) == {"total": "(rss + swap)", "shared_1": "(vm - rss)"}
    assert rules(policy) == ["total", "(total > 2097152)", "(shared_1 > 1048576)", "shared_1"]


def test_a_made_name_is_never_one_of_the_policy() -> None:
    policy = shared(
        "let shared_1 = uid + nice\nkill highest shared_1\nkill last when shared_1 > 2\n"
        "kill last when vm - rss > 1MiB\nkill lowest vm - rss\n"
    )
    assert lets(policy) == {"shared_1": "(uid + nice)", "shared_2": "(vm - rss)"}


def test_what_costs_no_more_than_a_read_is_no_let() -> None:
    policy = shared(
        "let mine = not invoker\nlet poor = nice > 5\nlet size = rss\n"
        "kill first when mine and poor\nkill last when mine and oom.global\n"
        "kill highest size when poor\nkill lowest swap when size > 5MiB\n"
    )
    assert lets(policy) == {}


def test_a_long_list_used_often_is_there_once() -> None:
    numbers = ", ".join(str(7 * n) for n in range(200))
    policy = shared("".join(f"kill first when uid in ({numbers}) and nice == {n}\n" for n in range(20)))
    (let,) = policy.lets
    assert isinstance(let.value, ir.OneOf)
    assert let.type.value == "bool"
    assert rules(policy)[0] == "(shared_1 and (nice == 0))"


def test_a_let_at_a_depth_is_another_term() -> None:
    policy = shared(
        "let over = memcg.usage - memcg.low\nkill highest over\nkill first when over > 1MiB\n"
        "kill last when over at depth 2 > 1MiB\nkill lowest over at depth 2\n"
    )
    assert lets(policy) == {
        "over": "(memcg.usage - memcg.low)",
        "shared_1": "(memcg.usage@2 - memcg.low@2)",
    }


def test_a_made_let_says_where_it_comes_from_and_what_it_can_be() -> None:
    policy = shared(
        "kill highest uid\nkill first when uid + nice > 5\nkill lowest nice + uid when uid + nice > 9\n"
    )
    (let,) = policy.lets
    assert (let.line, let.text) == (2, "kill first when uid + nice > 5")
    assert (let.interval.low, let.interval.high) == (-20, 2**32 - 1 + 19)


def test_what_is_the_same_for_the_event_is_not_computed_for_every_candidate() -> None:
    policy = shared(
        "kernel decides when oom.total * 30% > 1GiB\n"
        "kill first when rss > oom.total * 50%\n"
        "kill last when memcg.usage > oom.total / 4 - 1MiB\n"
        "kill highest swap when oom.total > 1GiB\n"
    )
    assert lets(policy) == {"shared_1": "share(oom.total, 5000)", "shared_2": "((oom.total / 4) - 1048576)"}
    assert rules(policy) == [
        "(share(oom.total, 3000) > 1073741824)",
        "(rss > shared_1)",
        "(memcg.usage > shared_2)",
        "swap",
        "(oom.total > 1073741824)",
    ]


def test_a_question_about_a_cgroup_is_a_let_only_if_its_answers_lie_in_many_words() -> None:
    policy = Compilation(b"kill first when invoker\nkill last when invoker and uid == 0\n").ir
    first, last = policy.rules
    assert isinstance(first, ir.FlagKey)
    assert isinstance(last, ir.FlagKey)

    def asked_twice(*questions: int) -> list[str]:
        asked = ir.Asked("memcg", None, questions)
        both = ir.Logical("and", (asked, ir.Fact("invoker")))
        rules = (replace(first, condition=asked), replace(last, condition=both))
        return [let.name for let in share(replace(policy, rules=rules)).lets]

    assert asked_twice(*range(256)) == []
    assert asked_twice(0, 64, 128, 192) == []
    assert asked_twice(0, 64, 128, 192, 256) == ["shared_1"]
