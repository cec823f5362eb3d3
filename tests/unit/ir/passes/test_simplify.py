"""What `simplify` makes of expressions, one case a line."""

from dataclasses import replace

import pytest

from oomlang.compiler import Compilation
from oomlang.facts.patterns import glob, path_pattern
from oomlang.ir import nodes as ir
from oomlang.ir.passes.simplify import simplify
from oomlang.ir.text import expression_text
from oomlang.operations import ADD

HEAD = (
    "input knob: int = 1\ninput flag: bool = false\nlet four = 2 * 2\nlet used = rss\nlet both = rss + swap\n"
)
REST = "kill first when knob > 1 and flag and four > knob and used > 1MiB and both > 1MiB\n"


def simplified(rule: str) -> str:
    """The expression of a rule."""
    lowered = Compilation((HEAD + rule + REST).encode())._lowered[
        0
    ]  # whatever is said of rules without effect
    assert lowered is not None
    return expression_text(ir.rule_expressions(simplify(lowered).rules[0])[0])


def of(node: ir.Expression) -> str:
    """A condition that no policy can say."""
    policy = Compilation(b"kill first when invoker\n").ir
    rule = policy.rules[0]
    assert isinstance(rule, ir.FlagKey)
    policy = replace(policy, rules=(replace(rule, condition=node),))
    return expression_text(ir.rule_expressions(simplify(policy).rules[0])[0])


@pytest.mark.parametrize(
    "text, expected",
    [
        ("rss + 0B", "rss"),
        ("rss * 1", "rss"),
        ("1 * rss", "rss"),
        ("rss / 1", "rss"),
        ("rss - 0B", "rss"),
        ("rss * 100%", "rss"),
        ("rss * 0", "0"),
        ("rss * 50%", "share(rss, 5000)"),
        ("--rss", "rss"),
        ("abs(rss)", "rss"),
        ("abs(nice)", "|nice|"),
        ("min(rss, 8388608GiB)", "rss"),
        ("max(rss, 0B)", "rss"),
        ("max(nice, 0)", "maximum(nice, 0)"),
        ("clamp(nice, -100, 100)", "nice"),
        ("clamp(nice, -100, 5)", "clamp(nice, -100, 5)"),
        ("nice * four", "(nice * 4)"),
        ("used + swap", "(rss + swap)"),
        ("both", "both"),
        ("rss if true else swap", "rss"),
        ("rss if not flag else swap", "(swap if flag else rss)"),
        ("rss if flag else rss", "rss"),
        ("used if flag else rss", "rss"),
        ("1 if flag else 0", "flag"),
        ("0 if flag else 1", "not flag"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert simplified(f"kill highest {text}\n") == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("not not flag", "flag"),
        ("not (rss > 5MiB)", "(rss <= 5242880)"),
        ("5MiB < rss", "(rss > 5242880)"),
        ("flag == true", "flag"),
        ("flag != true", "not flag"),
        ("flag == false", "not flag"),
        ("(rss > swap) == true", "(rss > swap)"),
        ("uid in (3)", "(uid == 3)"),
        ("uid == 1 or uid in (3, 2) or flag", "((uid in {1, 2, 3}) or flag)"),
        ("flag and flag and uid == 0", "(flag and (uid == 0))"),
        ("flag and (uid == 0 and (flag and invoker))", "(flag and (uid == 0) and invoker)"),
        ("flag or not flag", "1"),
        ("flag and not flag", "0"),
        ("flag and true", "flag"),
        ("flag or true", "1"),
        ('comm == "a" or comm in ("b", "a")', "(comm matches 'a', 'b')"),
        ('comm == "a" or memcg.name == "a"', "((comm matches 'a') or (memcg.name matches 'a'))"),
        ("(flag if oom.global else true) and invoker", "((flag if oom.global else 1) and invoker)"),
    ],
)
def test_conditions(text: str, expected: str) -> None:
    assert simplified(f"kill first when {text}\n") == expected


RSS, FLAG, ZERO, ONE = ir.Fact("rss"), ir.Fact("oom.global"), ir.Number(0), ir.Number(1)


@pytest.mark.parametrize(
    "node, expected",
    [
        (ir.OneOf(FLAG, (0, 1)), "1"),
        (ir.OneOf(FLAG, (5, 6)), "0"),
        (ir.OneOf(ir.Number(5), (5, 6)), "1"),
        (ir.Compare("<", RSS, ZERO), "0"),
        (ir.Compare("<", ZERO, ONE), "1"),
        (ir.Compare(">=", RSS, RSS), "1"),
        (ir.Compare("!=", RSS, RSS), "0"),
        (ir.Logical("or", (FLAG, ir.Compare(">=", RSS, ZERO))), "1"),
        (ir.Logical("and", (FLAG, ir.Compare(">=", RSS, ZERO))), "oom.global"),
        (ir.Not(ir.Compare("<", RSS, ZERO)), "1"),
        (ir.Select(ir.Compare("<", RSS, ZERO), ZERO, FLAG), "oom.global"),
        (ir.Match("comm", None, (glob(b"a"), glob(b"*"))), "1"),
        (ir.Under("memcg", None, path_pattern(b"/")), "1"),
    ],
)
def test_what_the_checker_would_refuse(node: ir.Expression, expected: str) -> None:
    assert of(node) == expected


def test_an_interval_decides_what_the_checker_leaves() -> None:
    # A sum of two lets: the checker looks at single comparisons only.
    policy = Compilation(b"let a = 5\nlet b = a + 1\nkill highest uid * b\n").ir
    (rule,) = simplify(policy).rules
    assert expression_text(ir.rule_expressions(rule)[0]) == "(uid * 6)"


def test_ranges_follow_what_became_of_the_operands() -> None:
    policy = Compilation(b"let a = 5 + 1\nkill highest uid + a\n").ir
    (rule,) = simplify(policy).rules
    (value,) = ir.rule_expressions(rule)
    assert isinstance(value, ir.Apply)
    assert value.operation is ADD
    assert value.ranges[1].low == value.ranges[1].high == 6


def test_a_when_that_always_holds_is_none() -> None:
    compilation = Compilation(b"kill highest rss when oom.global or not oom.global\n")
    lowered = compilation._lowered[0]
    assert lowered is not None
    (rule,) = simplify(lowered).rules
    assert isinstance(rule, ir.ValueKey)
    assert rule.when is None
