import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from oomlang.diagnostics import Code, Diagnostic, Span
from oomlang.facts import Type
from oomlang.syntax import tree
from oomlang.syntax.parser import _parser, parse
from tests.strategies.blocks import policies_with_tests
from tests.strategies.layouts import tokens

# --- What statements become ---------------------------------------------------------------------------------


def read(text: str) -> tuple[tree.Statement, ...]:
    policy, diagnostics = parse(text.encode(), "policy.oom")
    assert diagnostics.items == ()
    return policy.statements


def outline(node: object) -> Any:
    """A tree in short: names, values and operators, without spans."""
    match node:
        case tree.Number(value=value, type=type):
            return value if type is Type.INT else (value, type.value)
        case tree.Text(value=value):
            return value
        case tree.Truth(value=truth):
            return truth
        case tree.Name(name=name):
            return name
        case tree.Call():
            return (node.function.name, *map(outline, node.arguments))
        case tree.Negative():
            return ("-", outline(node.operand))
        case tree.Arithmetic() | tree.Compare():
            return (node.operator, outline(node.left), outline(node.right))
        case tree.In():
            return ("in", outline(node.subject), *map(outline, node.items))
        case tree.Like():
            return ("like", outline(node.subject), outline(node.pattern))
        case tree.Under():
            return ("under", outline(node.subject), outline(node.pattern))
        case tree.AtDepth():
            return ("at depth", outline(node.operand), outline(node.depth))
        case tree.Logical():
            return (node.operator, *map(outline, node.operands))
        case tree.Not():
            return ("not", outline(node.operand))
        case tree.Conditional():
            return ("if", outline(node.condition), outline(node.then), outline(node.otherwise))
        case tree.Node():
            values = (getattr(node, f.name) for f in dataclasses.fields(node) if f.name != "span")
            return (type_name(node), *(outline(v) for v in values))
        case Span():
            return "given"
        case tuple():
            return tuple(map(outline, node))
        case _:
            return node


def type_name(node: object) -> str:
    return type(node).__name__


def expression(text: str) -> Any:
    (statement,) = read(f"let x = {text}\n")
    assert isinstance(statement, tree.Let)
    return outline(statement.value)


@pytest.mark.parametrize(
    "text,expected",
    [
        ("oomlang 1", ("Language", 1)),
        ('policy "p"', ("PolicyName", b"p")),
        ("input floor: bytes = 256MiB", ("Input", "floor", False, "bytes", (256 * 2**20, "bytes"))),
        ("input prio per memcg: int = -3", ("Input", "prio", True, "int", -3)),
        ("input on: bool = true", ("Input", "on", False, "bool", True)),
        ("let used = rss + swap", ("Let", "used", ("+", "rss", "swap"))),
        ("kernel decides when oom.global", ("KernelDecides", "oom.global")),
        ("kill nothing when oom.sysrq", ("KillNothing", "oom.sysrq")),
        ("never kill when invoker", ("NeverKill", "invoker")),
        ("kill first when invoker", ("KillFlag", True, "invoker")),
        ("kill last when invoker", ("KillFlag", False, "invoker")),
        ("kill highest rss", ("KillBy", True, "rss", None, None, None)),
        ("kill lowest rss", ("KillBy", False, "rss", None, None, None)),
        ("kill highest memcg.usage at each depth", ("KillBy", True, "memcg.usage", "given", None, None)),
        (
            "kill lowest memcg.usage at  each\tdepth step 1MiB when invoker",
            ("KillBy", False, "memcg.usage", "given", (2**20, "bytes"), "invoker"),
        ),
        ("kill highest rss step 1B", ("KillBy", True, "rss", None, (1, "bytes"), None)),
        ("kill highest rss when invoker", ("KillBy", True, "rss", None, None, "invoker")),
        ('test "t" {}', ("Test", b"t", ())),
        ('test "t" { expect none }', ("Test", b"t", (("ExpectNone",),))),
    ],
)
def test_a_statement(text: str, expected: object) -> None:
    (statement,) = read(text)
    assert outline(statement) == expected


@pytest.mark.parametrize(
    "text,expected",
    [
        ("memory 8GiB", ("TestMemory", (8 * 2**30, "bytes"))),
        ("swap 1GiB", ("TestSwap", (2**30, "bytes"))),
        ("order -1", ("TestOrder", -1)),
        ('scope "/a"', ("TestScope", b"/a")),
        ('invoker "t"', ("TestInvoker", b"t")),
        ("set floor = 1MiB", ("TestSet", "floor", (2**20, "bytes"))),
        ('memcg "/a"', ("TestMemcg", b"/a", ())),
        (
            'memcg "/a" { usage 1B oom_group true }',
            ("TestMemcg", b"/a", (("Entry", "usage", (1, "bytes")), ("Entry", "oom_group", True))),
        ),
        ('task "a" in "/b" { nice -5 }', ("TestTask", b"a", None, b"/b", (("Entry", "nice", -5),))),
        ('task "a" as "c" in "/b" {}', ("TestTask", b"a", b"c", b"/b", ())),
        (
            'task "a" in "/b" {\n rss 1B # resident\n\n swap 2B\n}',
            (
                "TestTask",
                b"a",
                None,
                b"/b",
                (("Entry", "rss", (1, "bytes")), ("Entry", "swap", (2, "bytes"))),
            ),
        ),
        ('expect victim "a"', ("ExpectVictim", b"a")),
        ('expect order "a", "b"', ("ExpectOrder", (b"a", b"b"))),
        ('expect safe "a"', ("ExpectSafe", b"a")),
        ("expect none", ("ExpectNone",)),
        ("expect kernel decides", ("ExpectKernel",)),
        ("expect kill nothing", ("ExpectNothing",)),
    ],
)
@pytest.mark.parametrize("beside", ["", "never kill rss\n"], ids=["alone", "beside a broken statement"])
def test_a_statement_of_a_test(text: str, expected: object, beside: str) -> None:
    # A broken statement elsewhere makes the parser take the file apart: it must read the test as before.
    policy, diagnostics = parse(f'{beside}test "t" {{\n  {text}\n}}\n'.encode(), "policy.oom")
    assert len(diagnostics.items) == (1 if beside else 0)
    assert outline(policy.statements[-1]) == ("Test", b"t", (expected,))


@pytest.mark.parametrize(
    "text,expected",
    [
        ("1 + 2 * 3", ("+", 1, ("*", 2, 3))),
        ("1 - 2 - 3", ("-", ("-", 1, 2), 3)),
        ("(1 - 2) / 3", ("/", ("-", 1, 2), 3)),
        ("-a * b", ("*", ("-", "a"), "b")),
        ("- -5", ("-", -5)),
        ("a - -5MiB", ("-", "a", (-5 * 2**20, "bytes"))),
        ("a and b or not c and d", ("or", ("and", "a", "b"), ("and", ("not", "c"), "d"))),
        ("a or b or c", ("or", "a", "b", "c")),
        ("not a == b", ("not", ("==", "a", "b"))),
        ("a - b at depth 2 > 3", (">", ("at depth", ("-", "a", "b"), 2), 3)),
        ("a if b else c if d else e", ("if", "b", "a", ("if", "d", "c", "e"))),
        ("a or b if c or d else e", ("if", ("or", "c", "d"), ("or", "a", "b"), "e")),
        ('comm in ("a", "b*",)', ("in", "comm", b"a", b"b*")),
        ("comm in ()", ("in", "comm")),
        ("uid in (\n  0, # root\n  1\n)", ("in", "uid", 0, 1)),
        ('comm like "a*"', ("like", "comm", b"a*")),
        ('memcg under "/a/b"', ("under", "memcg", b"/a/b")),
        ("min(a, max(b, c),)", ("min", "a", ("max", "b", "c"))),
        ("killer + rss.anon", ("+", "killer", "rss.anon")),
        ("90%", (9000, "ratio")),
        ("30s", (30_000, "duration")),
        ("1_000", 1000),
        (r'comm == "\"\\\n\t\x41é"', ("==", "comm", '"\\\n\tAé'.encode())),
    ],
)
def test_an_expression(text: str, expected: object) -> None:
    assert expression(text) == expected


def test_spans_are_the_text_of_their_node() -> None:
    text = "kill highest (a + b) * c step 5 when (c or (d)) # e\n"
    (statement,) = read(text)
    assert isinstance(statement, tree.KillBy)
    assert [
        text[n.span.start : n.span.end]
        for n in (statement, statement.value, statement.step, statement.when)
        if n
    ] == [
        "kill highest (a + b) * c step 5 when (c or (d))",
        "(a + b) * c",
        "5",
        "(c or (d))",
    ]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", " \t\n\r\n", "\ufeff", "#"])
def test_an_empty_policy_is_one(text: str) -> None:
    assert read(text) == ()


def test_line_ends_of_other_systems() -> None:
    assert len(read("let a = 1\r\nlet b = max(\r\n  a,\r\n  2\r\n)\r\n")) == 2


# --- Recovery -----------------------------------------------------------------------------------------------


def errors(text: str | bytes) -> tuple[Diagnostic, ...]:
    return parse(text if isinstance(text, bytes) else text.encode(), "policy.oom")[1].items


def test_every_broken_statement_has_its_own_error() -> None:
    text = (
        "let = 1\nkill first when invoker\nkill last\ninput floor bytes = 1\n"
        'test "t" {\n  memory\n  expect nothing\n}\nfoo\n'
    )
    policy, diagnostics = parse(text.encode(), "policy.oom")
    assert [policy.source.position(d.span.start)[0] for d in diagnostics.items] == [1, 3, 4, 6, 7, 9]
    assert [type_name(s) for s in policy.statements] == [
        "Broken",
        "KillFlag",
        "Broken",
        "Broken",
        "Test",
        "Broken",
    ]


def test_a_broken_declaration_still_declares_its_name() -> None:
    policy, _ = parse(b"let used = rss +\ninput floor = 3\nkill highest used\n", "policy.oom")
    assert [s.declares for s in policy.statements if isinstance(s, tree.Broken)] == ["used", "floor"]


@pytest.mark.parametrize(
    "text",
    [
        "kill first when (invoker\nkill last when invoker\n",
        'kill first when comm in ("a",\n  "b"\n\nkill last when invoker\n',
        'test "t" {\n  expect none\nkill last when invoker\n',
    ],
)
def test_an_unclosed_bracket_does_not_hide_the_next_statement(text: str) -> None:
    policy, diagnostics = parse(text.encode(), "policy.oom")
    assert [d.code for d in diagnostics.items] == [Code.UNCLOSED]
    assert type_name(policy.statements[-1]) == "KillFlag"


def test_an_unclosed_bracket_inside_a_test_does_not_hide_the_rest_of_it() -> None:
    text = (
        'test "t" {\n  memcg "/a" { usage 1GiB\n  task "b" in "/a" { rss 1GiB }\n  expect victim "b"\n}\n'
        "kill highest rss\n"
    )
    policy, diagnostics = parse(text.encode(), "policy.oom")
    assert [(d.code, policy.source.position(d.span.start)) for d in diagnostics.items] == [
        (Code.UNCLOSED, (2, 14))
    ]
    test, rule = policy.statements
    assert isinstance(test, tree.Test)
    assert [type_name(s) for s in test.statements] == ["Broken", "TestTask", "ExpectVictim"]
    assert isinstance(rule, tree.KillBy)


def test_what_stands_behind_a_test_on_its_line_is_an_error() -> None:
    (error,) = errors('test "t" { expect none } # fine\ntest "u" { expect none } never')
    assert (error.code, error.span) == (Code.SYNTAX, Span(57, 62))


def test_white_space_that_the_language_does_not_know_is_an_error_everywhere() -> None:
    for blank in "\u00a0\u2028\u2029\x0b\x0c\x85":
        for text in (f"{blank}\nkill highest rss\n", f"kill highest rss{blank}", f"kill {blank}highest rss"):
            assert len(errors(text)) == 1, repr(text)


def test_a_carriage_return_alone_ends_no_line() -> None:
    (error,) = errors("oomlang 1\rkill highest rss\r")
    assert "U+000D" in error.message


# --- Messages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text,code,marked,message,help",
    [
        (
            "kill",
            Code.SYNTAX,
            "l",
            "the line ends too early: expected `first`, `highest`, `last`, `lowest` or `nothing`",
            "",
        ),
        (
            'kill "abc"',
            Code.SYNTAX,
            '"abc"',
            'unexpected `"abc"`: expected `first`, `highest`, `last`, `lowest` or `nothing`',
            "",
        ),
        ("kill highest", Code.SYNTAX, "t", "the line ends too early: expected a value", ""),
        (
            "kill highest a b",
            Code.SYNTAX,
            "b",
            "unexpected `b`: expected an operator, `at each depth`, `step`, `when` or the end of the line",
            "",
        ),
        (
            "kill highest a step 3 wen b",
            Code.SYNTAX,
            "wen",
            "unexpected `wen`: expected an operator, `when` or the end of the line",
            "did you mean `when`?",
        ),
        ("kill highest a at each", Code.SYNTAX, "at", None, "write `at depth 2` or `at each depth`"),
        ("kill highest a at depth b", Code.SYNTAX, "b", "unexpected `b`: expected a number", ""),
        ("kill first when a = 3", Code.SYNTAX, "=", None, "write `==` to compare"),
        ("kill first when a && b", Code.SYNTAX, None, None, "write `and`"),
        ("kill first when a || b", Code.SYNTAX, None, None, "write `or`"),
        ("kill first when !a", Code.SYNTAX, "!", "unexpected character `!`: expected a value", "write `not`"),
        ("kill first when a;", Code.SYNTAX, ";", None, "one statement a line: no `;` is needed"),
        ("kill first when a // b", Code.SYNTAX, None, None, "a comment begins with #"),
        ("kill first when comm == 'a'", Code.SYNTAX, "'", None, 'texts stand in double quotes: "…"'),
        (
            'kill first when comm == "a',
            Code.BAD_STRING,
            '"',
            "this text has no closing quote",
            'end it with " on the same line',
        ),
        (
            'kill first when comm in "a"',
            Code.SYNTAX,
            '"a"',
            'unexpected `"a"`: expected `(`',
            'put the list in parentheses: ("a")',
        ),
        (
            "kill first when 1 < a < 3",
            Code.CHAINED,
            "<",
            "comparisons cannot be chained",
            "write `a < b and b < c`, with `and` between them",
        ),
        ("kill first when (a", Code.UNCLOSED, "(", "this `(` is never closed", ""),
        ("kill first when a)", Code.SYNTAX, ")", None, None),
        ("}", Code.SYNTAX, "}", "this `}` closes nothing", "remove it"),
        (
            "prefer a",
            Code.UNKNOWN_STATEMENT,
            "prefer",
            "no statement begins with `prefer`",
            "write `kill first when …`, or `kill last when …` for those to keep",
        ),
        (
            "kill first when \x00",
            Code.SYNTAX,
            "\x00",
            "unexpected character `U+0000`: expected a value",
            None,
        ),
        (
            "kill first when \u2028",
            Code.SYNTAX,
            "\u2028",
            "unexpected character `U+2028`: expected a value",
            None,
        ),
        ("kill highest +a", Code.SYNTAX, "+", "there is no unary `+`", "leave it out"),
        (
            "kill highest a step 64MB",
            Code.UNKNOWN_UNIT,
            "64MB",
            "unknown unit `MB`",
            "write `64MiB`, or `64000000B` if you mean exactly that many bytes",
        ),
        (
            "kill highest a step 1.5GiB",
            Code.BAD_NUMBER,
            "1.5GiB",
            "`1.5GiB` has a fraction; numbers are whole",
            "write `1536MiB`",
        ),
        (
            "kill highest a step 9999999TiB",
            Code.BAD_NUMBER,
            "9999999TiB",
            "`9999999TiB` does not fit into 64 bits",
            "",
        ),
        (
            "kill highest " + "9" * 5000,
            Code.BAD_NUMBER,
            "9" * 5000,
            "this number does not fit into 64 bits",
            "",
        ),
        (r'policy "a\q"', Code.BAD_STRING, r"\q", r"unknown escape `\q`", None),
        (r'policy "a\x00"', Code.BAD_STRING, r'"a\x00"', "a text cannot hold a NUL byte", "remove it"),
    ],
)
def test_a_message(text: str, code: Code, marked: str | None, message: str | None, help: str | None) -> None:
    (error,) = errors(text)
    found = (error.code, text[error.span.start : error.span.end], error.message, error.help)
    expected = (code, marked, message, help)
    assert found == tuple(f if e is None else e for f, e in zip(found, expected, strict=True))


def test_a_value_in_a_test_stands_right_behind_its_fact() -> None:
    (error,) = errors('test "t" { task "a" in "/" { rss = 5MiB } }')
    assert error.message == "unexpected `=`: expected a value"
    assert error.help == "the value stands right behind its fact: rss 5GiB"


def test_a_file_that_is_not_utf_8_says_where() -> None:
    (error,) = errors("# é\n".encode() + b"\xff")
    assert (error.code, error.span) == (Code.NOT_TEXT, Span(4, 5))
    assert "0xff at offset 5" in error.message


def test_an_expression_that_nests_too_deep_has_one_error() -> None:
    (error,) = errors(f"kill first when {'not ' * 10_000}invoker\n")
    assert error.code is Code.TOO_DEEP


@given(text=policies_with_tests(), choose=st.data())
def test_no_message_shows_the_name_of_a_terminal(text: str, choose: st.DataObject) -> None:
    words = tokens(text)
    at = choose.draw(st.integers(0, max(0, len(words) - 1)))
    words[at : at + choose.draw(st.integers(0, 2))] = choose.draw(
        st.lists(st.sampled_from(words or ["a"]), max_size=2)
    )
    terminals = {t.name for t in _parser().terminals} | {"$END"}
    for error in errors(" ".join(words)):
        said = f"{error.message} {error.label} {error.help}"
        assert not terminals & set(said.replace("`", " ").replace(",", " ").split()) - set(words)
        assert not any(f"__{t}" in said or f"{t}_" in said for t in ("ANON", "_NL"))


@given(
    st.one_of(policies_with_tests(), st.text(st.sampled_from('a1"{}()\n\r #\t=+when kill test\u2028\x00')))
)
def test_a_text_without_errors_is_one_that_the_grammar_takes(text: str) -> None:
    try:
        _parser().parse(text, start="policy")
        taken = True
    except UnexpectedInput:
        taken = False
    errors_ = [e for e in errors(text) if e.code is not Code.BAD_NUMBER]
    assert taken or errors_
