"""What no policy needs is refused before it costs memory, with the limit in the message."""

import tracemalloc

import pytest

from oomlang.diagnostics import Code
from oomlang.facts.types import MAX_NAME, MAX_NESTING, MAX_STATEMENT
from oomlang.syntax.parser import parse

SIZE = 3_000_000


def found(text: str) -> list[tuple[Code, str]]:
    return [(d.code, d.message) for d in parse(text.encode(), "policy.oom")[1].items]


@pytest.mark.parametrize(
    "text",
    [
        f'policy "{"a" * SIZE}"',
        'policy "' + r"\x41" * (SIZE // 4) + '"',
        f"let {'a' * SIZE} = rss",
        f"kill highest rss + {'1' * SIZE}",
        f"kill first when {'(' * (SIZE // 2)}invoker{')' * (SIZE // 2)}",
        f"kill first when ({'not' + chr(10)}" * 10 + "(not\n" * (SIZE // 5),
        "kill first when (" + " or\n".join(["uid == 0"] * (SIZE // 12)) + ")",
        'test "t" {\n  task "' + "a" * SIZE + '" in "/a"\n}',
    ],
    ids=lambda text: str(text)[:24],
)
def test_a_huge_statement_is_named_and_costs_no_memory(text: str) -> None:
    tracemalloc.start()
    try:
        items = found(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert Code.TOO_MANY in [code for code, _ in items]
    assert f"the limit is {MAX_STATEMENT}" in str(items)
    assert peak < 8 * len(text)


def test_a_statement_may_have_as_many_characters_as_the_limit_says() -> None:
    def policy(size: int) -> str:
        head, tail = 'policy "', '"'
        return f"{head}{'a' * (size - len(head) - len(tail))}{tail}"

    assert found(policy(MAX_STATEMENT)) == []
    assert len(found(policy(MAX_STATEMENT + 1))) == 1


def test_only_the_huge_statement_is_refused() -> None:
    policy, diagnostics = parse(
        f'let a = rss\npolicy "{"a" * MAX_STATEMENT}"\nkill highest a\n'.encode(), "x"
    )
    assert len(diagnostics.items) == 1
    assert [type(s).__name__ for s in policy.statements] == ["Let", "Broken", "KillBy"]


def test_a_long_file_of_short_statements_is_no_long_statement() -> None:
    assert found("kill highest rss\n" * (MAX_STATEMENT // 10)) == []
    task = '  task "a" in "/a" { rss 1GiB }\n'
    assert found(f'test "t" {{\n{task * (MAX_STATEMENT // 20)}}}\n') == []


def test_comments_may_be_of_any_length() -> None:
    assert found(f"# {'a' * SIZE}\nkill highest rss # {'b' * SIZE}\n") == []


def test_brackets_may_nest_as_deep_as_expressions() -> None:
    def policy(depth: int) -> str:
        return f"kill first when {'(' * depth}invoker{')' * depth}\n"

    assert found(policy(MAX_NESTING)) == []
    message = f"the brackets of this statement nest more than {MAX_NESTING} levels deep"
    assert found(policy(MAX_NESTING + 1)) == [(Code.TOO_DEEP, message)]
    assert found(policy(10_000)) == [(Code.TOO_DEEP, message)]


def test_brackets_that_are_never_closed_do_not_add_up() -> None:
    codes = [code for code, _ in found("kill first when (\n" * (MAX_NESTING + 10))]
    assert set(codes) == {Code.UNCLOSED}


def test_a_name_has_a_limit() -> None:
    assert found(f"let {'a' * MAX_NAME} = rss\n") == []
    message = f"this name has {MAX_NAME + 1} characters; the limit is {MAX_NAME}"
    assert found(f"let {'a' * (MAX_NAME + 1)} = rss\n") == [(Code.TOO_MANY, message)]


@pytest.mark.parametrize("number", ["1" * 100_000, "1.5" * 30_000, "1" + "x" * 100_000])
def test_a_huge_number_is_not_repeated_in_its_message(number: str) -> None:
    assert found(f"kill highest rss + {number}\n") == [
        (Code.BAD_NUMBER, "this number does not fit into 64 bits")
    ]
