import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from oomlang.diagnostics import Span
from oomlang.syntax import tree
from oomlang.syntax.parser import parse
from oomlang.syntax.printer import format_text
from tests.strategies.blocks import policies_with_tests
from tests.strategies.layouts import comment_everywhere, scattered

SAMPLE = Path(__file__).with_name("sample.oom").read_text(encoding="utf-8")


def test_the_sample_is_in_the_house_format() -> None:
    assert format_text(SAMPLE) == SAMPLE


@pytest.mark.parametrize(
    "text,expected",
    [
        ("", ""),
        ("\n\n  \n", ""),
        ("\ufeffkill highest rss", "kill highest rss\n"),
        ("\n\n# a\r\n\r\n\r\nkill highest rss  \r\n\n\n", "# a\n\nkill highest rss\n"),
        ("  kill\thighest   rss", "kill highest rss\n"),
        ("#a\n#\n#!x\n##\n#-\n#  b  ", "# a\n#\n#!x\n##\n#-\n#  b\n"),
        (
            "kill highest(a-b )*-3  when -x<-5 and not( y )",
            "kill highest (a - b) * -3 when -x < -5 and not (y)\n",
        ),
        ("kill highest a - - 5MiB+ -b", "kill highest a - -5MiB + -b\n"),
        ("kill highest max ( a,b ,-c,)step 5", "kill highest max(a, b, -c,) step 5\n"),
        ("kill highest highest-3", "kill highest highest - 3\n"),
        ("kill highest order-3", "kill highest order - 3\n"),
        ("kill highest a  at\tdepth  2", "kill highest a at depth 2\n"),
        ("kill highest a if b else-c", "kill highest a if b else -c\n"),
        ('kill first when comm in("a","b")', 'kill first when comm in ("a", "b")\n'),
        ('kill first when comm=="a  b"', 'kill first when comm == "a  b"\n'),
        ("input a per memcg:int=-3", "input a per memcg: int = -3\n"),
        # Indentation follows the brackets that are open.
        (
            'kill first when comm in (\n"a",#b\n"c"\n)\nand max(\na,\nmin(b,\nc)\n)>3',
            'kill first when comm in (\n  "a",  # b\n  "c"\n)\nand max(\n  a,\n  min(b,\n    c)\n) > 3\n',
        ),
        # No blank lines at the ends of a block.
        ('test "t" {\n\n\nexpect none\n\n\n}', 'test "t" {\n  expect none\n}\n'),
        ('test "t"{expect none}', 'test "t" { expect none }\n'),
        ('test "t" { }', 'test "t" {}\n'),
        # Lines below each other.
        ("let a=1\nlet abc=2 # x\n\nlet ab=3", "let a   = 1\nlet abc = 2  # x\n\nlet ab = 3\n"),
        (
            "kill highest a # x\nkill highest abc#y\nkill highest b",
            "kill highest a    # x\nkill highest abc  # y\nkill highest b\n",
        ),
        (
            'test "t" {\ntask "a" in "/" {rss 1B nice -5 }\n'
            'task "abc" as "b" in "/abc"{}\ntask "c" in "/abc"\nexpect none\n}',
            'test "t" {\n  task "a"          in "/"    { rss 1B  nice -5 }\n  task "abc" as "b" in "/abc" {}\n'
            '  task "c"          in "/abc"\n  expect none\n}\n',
        ),
        (
            'test "t" {\nmemcg "/a" {oom_group true usage 1B}\nmemcg "/abc"{\nusage 1B\n}\n}',
            'test "t" {\n  memcg "/a"   { oom_group true  usage 1B }\n  memcg "/abc" {\n    usage 1B\n  }\n}\n',
        ),
        # Nothing is moved further than it helps.
        (f"let a=1\nlet {'b' * 50}=2\n", f"let a = 1\nlet {'b' * 50} = 2\n"),
    ],
)
def test_a_layout(text: str, expected: str) -> None:
    assert format_text(text) == expected
    assert format_text(expected) == expected


@pytest.mark.parametrize(
    "text,expected",
    [
        ("kill  first when a&&b  ;", "kill first when a&&b ;\n"),
        ('kill first when comm == "a   # b ', 'kill first when comm == "a   # b\n'),
        (")) (\n x", ")) (\n  x\n"),
        ("  é  è", "é è\n"),
    ],
)
def test_what_cannot_be_read_is_left_as_it_is(text: str, expected: str) -> None:
    assert format_text(text) == expected
    assert format_text(expected) == expected


def meaning(text: str) -> Any:
    """The tree without spans, of a text that must be right."""
    policy, diagnostics = parse(text.encode(), "policy.oom")
    assert diagnostics.items == ()
    return _without_spans(policy.statements)


def _without_spans(node: object) -> Any:
    match node:
        case tree.Node():
            values = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if "span" not in f.name}
            return type(node).__name__, {name: _without_spans(value) for name, value in values.items()}
        case tuple():
            return [_without_spans(n) for n in node]
        case Span():  # `at each depth`: only whether it is there
            return True
        case _:
            return node


@given(scattered(policies_with_tests()))
def test_formatting_keeps_the_meaning_and_is_settled_after_once(text: str) -> None:
    once = format_text(text)
    assert meaning(once) == meaning(text)
    assert format_text(once) == once


@given(scattered(policies_with_tests()))
def test_formatting_changes_blanks_only(text: str) -> None:
    def lines(of: str) -> list[str]:
        return ["".join(line.split()) for line in of.split("\n") if line.split()]

    assert lines(format_text(text)) == lines(text)


@given(policies_with_tests())
def test_no_comment_is_lost_or_moved(text: str) -> None:
    marked, comments = comment_everywhere(text)
    formatted = format_text(marked)
    assert re.findall("# mark [0-9]+", formatted) == comments
    assert meaning(formatted) == meaning(text)
    # Each comment still stands behind the same token.
    squeezed = "".join(formatted.split())
    assert squeezed == "".join(marked.split())
