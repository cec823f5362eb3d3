"""Questions about cgroups: each once, in the order of the rules, those of one `or` together."""

from oomlang.compiler import Compilation
from oomlang.facts.patterns import glob, path_pattern
from oomlang.ir import nodes as ir
from oomlang.ir.passes.paths import paths
from oomlang.ir.text import policy_text


def asked(text: str) -> ir.Policy:
    return paths(Compilation(text.encode()).ir)


def values(policy: ir.Policy) -> list[ir.Expression]:
    return [e for rule in policy.rules for e in ir.rule_expressions(rule)]


def test_each_different_question_stands_once_in_the_order_of_its_first_use() -> None:
    policy = asked(
        'let late = memcg under "/z"\n'
        'kernel decides when oom.memcg under "/b"\n'
        'kill first when memcg.name == "x"\n'
        'kill first when memcg under "/a" and swap > 1MiB\n'
        'kill last when memcg under "/b"\n'
        "kill last when late and rss > 1MiB\n"
    )
    assert policy.questions == (path_pattern(b"/b"), glob(b"x"), path_pattern(b"/a"), path_pattern(b"/z"))
    scope, name, a, b, late = values(policy)
    assert (scope, name, b) == (
        ir.Asked("oom.memcg", None, (0,)),
        ir.Asked("memcg", None, (1,)),
        ir.Asked("memcg", None, (0,)),
    )
    assert isinstance(a, ir.Logical)
    assert a.operands[0] == ir.Asked("memcg", None, (2,))
    assert isinstance(late, ir.Logical)
    assert late.operands[0] == ir.Asked("memcg", None, (3,))


def test_what_one_or_asks_about_one_cgroup_is_asked_at_once_lets_looked_into() -> None:
    policy = asked(
        'let docker = memcg under "/docker" or memcg.name like "docker-*"\n'
        'let job = docker or memcg under "/jobs"\n'
        'kill first when rss > 1MiB or job or memcg at depth 1 under "/a" or memcg.name in ("x", "y")\n'
    )
    (value,) = values(policy)
    assert value == ir.Logical(
        "or",
        (
            ir.Compare(">", ir.Fact("rss"), ir.Number(2**20)),
            ir.Asked("memcg", None, (0, 1, 2, 4, 5)),
            ir.Asked("memcg", 1, (3,)),
        ),
    )


def test_neither_nor_is_not_either() -> None:
    policy = asked(
        'kill first when not (memcg under "/a") and rss > 1MiB and not (memcg.name == "b") and memcg under "/c"\n'
    )
    (value,) = values(policy)
    assert isinstance(value, ir.Logical)
    assert value.operands[0] == ir.Not(ir.Asked("memcg", None, (0, 1)))
    assert value.operands[2:] == (ir.Asked("memcg", None, (2,)),)


def test_and_keeps_questions_apart_and_so_do_depths_and_the_scope() -> None:
    policy = asked(
        'kill first when memcg under "/a/*" and memcg.name == "b" and not (memcg at depth 1 under "/a")\n'
    )
    (value,) = values(policy)
    assert isinstance(value, ir.Logical)
    assert len(value.operands) == 3


def test_a_comm_is_no_question_about_a_cgroup() -> None:
    policy = asked('kill first when comm == "a"\n')
    assert policy.questions == ()


def test_a_let_used_at_a_depth_asks_there() -> None:
    policy = asked('let job = memcg under "/jobs/*"\nkill first when job at depth 2\nkill last when job\n')
    assert values(policy) == [ir.Asked("memcg", 2, (0,)), ir.Asked("memcg", None, (0,))]


def test_the_text_says_what_is_asked() -> None:
    policy = asked('kill first when memcg under "/a" or memcg.name at depth 2 == "b"\n')
    assert policy_text(policy).endswith("1: key ((memcg under '/a') or (memcg@2 named 'b'))\n")


def test_it_can_be_done_again() -> None:
    policy = asked('kill first when memcg under "/a" or memcg.name == "b"\n')
    assert paths(policy) == policy
