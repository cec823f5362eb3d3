from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomlang.diagnostics import Code, Diagnostic, Label, Source, Span
from oomlang.diagnostics.render import render_text, summary
from oomlang.diagnostics.visible import width


def span(text: str, part: str, occurrence: int = 1) -> Span:
    """Where a part of a text stands."""
    start = -1
    for _ in range(occurrence):
        start = text.index(part, start + 1)
    return Span(start, start + len(part))


def draw(
    text: str, *items: Diagnostic, name: str = "policy.oom", encoding: str = "utf-8", columns: int = 120
) -> str:
    return render_text(
        Source(name, text), items, color=False, encoding=encoding, width=columns, with_summary=False
    )


def expected(text: str) -> str:
    return dedent(text).lstrip("\n")


MISMATCH = "\n" * 6 + "never kill when rss > 1024\n"
SAMPLE = Diagnostic(
    code=Code.UNIT_MISMATCH,
    span=span(MISMATCH, ">"),
    message="cannot compare bytes with a plain number",
    labels=(
        Label(span=span(MISMATCH, "rss"), text="bytes"),
        Label(span=span(MISMATCH, "1024"), text="int"),
    ),
    help="give the number a unit: 1024KiB, 1024MiB or 1024B",
)


def test_the_sample_of_the_design() -> None:
    assert draw(MISMATCH, SAMPLE) == expected(
        """
        error[E0204]: cannot compare bytes with a plain number
          ┌─ policy.oom:7:21
        7 │ never kill when rss > 1024
          │                 --- ^ ----
          │                 │      int
          │                 bytes
          = help: give the number a unit: 1024KiB, 1024MiB or 1024B
        """
    )


def test_ascii_where_the_stream_has_no_box_drawing() -> None:
    assert draw(MISMATCH, SAMPLE, encoding="ascii") == expected(
        """
        error[E0204]: cannot compare bytes with a plain number
          --> policy.oom:7:21
        7 | never kill when rss > 1024
          |                 --- ^ ----
          |                 |      int
          |                 bytes
          = help: give the number a unit: 1024KiB, 1024MiB or 1024B
        """
    )


def test_one_label_stands_beside_its_underline() -> None:
    text = "kill highest rrs\n"
    item = Diagnostic(
        code=Code.UNKNOWN_NAME, span=span(text, "rrs"), message="unknown name `rrs`", label="no fact"
    )
    assert draw(text, item) == expected(
        """
        error[E0201]: unknown name `rrs`
          ┌─ policy.oom:1:14
        1 │ kill highest rrs
          │              ^^^ no fact
        """
    )


def test_a_lone_label_left_of_another_underline_hangs_below() -> None:
    text = "kill last when rss < swap\n"
    item = Diagnostic(
        code=Code.UNIT_MISMATCH,
        span=span(text, "swap"),
        message="no",
        labels=(Label(span=span(text, "rss"), text="this one"),),
    )
    assert draw(text, item) == expected(
        """
        error[E0204]: no
          ┌─ policy.oom:1:22
        1 │ kill last when rss < swap
          │                ---   ^^^^
          │                this one
        """
    )


def test_three_labels_hang_from_their_underlines() -> None:
    text = "kill highest swap if uid == 0 else 0\n"
    item = Diagnostic(
        code=Code.BRANCH_MISMATCH,
        span=span(text, "swap"),
        label="the first branch",
        message="no",
        labels=(
            Label(span=span(text, "uid == 0"), text="the condition"),
            Label(span=span(text, "0", 2), text="the other branch"),
        ),
    )
    assert draw(text, item) == expected(
        """
        error[E0218]: no
          ┌─ policy.oom:1:14
        1 │ kill highest swap if uid == 0 else 0
          │              ^^^^    --------      -
          │              │       │             the other branch
          │              │       the condition
          │              the first branch
        """
    )


def test_labels_on_other_lines_bring_their_own_line_in_order() -> None:
    lines = [f"let v{i} = rss" for i in range(1, 12)]
    text = "\n".join(lines) + "\n"
    item = Diagnostic(
        code=Code.DUPLICATE,
        span=span(text, "v11"),
        message="twice",
        labels=(Label(span=span(text, "v9"), text="here"), Label(span=span(text, "v1"), text="and here")),
    )
    assert draw(text, item) == expected(
        """
        error[E0214]: twice
           ┌─ policy.oom:11:5
         1 │ let v1 = rss
           │     -- and here
           ⋮
         9 │ let v9 = rss
           │     -- here
        10 │ let v10 = rss
        11 │ let v11 = rss
           │     ^^^
        """
    )


def test_a_span_over_a_few_lines_is_shown_whole_and_labelled_at_its_end() -> None:
    text = 'never kill when comm in (\n    "a",\n\n)\n'
    item = Diagnostic(code=Code.SYNTAX, span=Span(16, len(text)), message="no", label="this list")
    assert draw(text, item) == expected(
        """
        error[E0102]: no
          ┌─ policy.oom:1:17
        1 │ never kill when comm in (
          │                 ^^^^^^^^^
          ⋮
        4 │ )
          │ ^ this list
        """
    )
    short = 'never kill when comm in (\n    "a")\n'
    item = Diagnostic(code=Code.SYNTAX, span=Span(16, len(short) - 1), message="no", label="this list")
    assert draw(short, item) == expected(
        """
        error[E0102]: no
          ┌─ policy.oom:1:17
        1 │ never kill when comm in (
          │                 ^^^^^^^^^
        2 │     "a")
          │     ^^^^ this list
        """
    )


def test_the_end_of_the_text_can_be_pointed_at() -> None:
    item = Diagnostic(code=Code.SYNTAX, span=Span(9, 9), message="no", label="here")
    assert draw("kill last", item) == expected(
        """
        error[E0102]: no
          ┌─ policy.oom:1:10
        1 │ kill last
          │          ^ here
        """
    )
    assert draw("", Diagnostic(code=Code.SYNTAX, span=Span(0, 0), message="no")) == expected(
        """
        error[E0102]: no
          ┌─ policy.oom:1:1
        1 │
          │ ^
        """
    )


@pytest.mark.parametrize("before", ["\t", " \t", "日本", "e\u0301\u0301x", "\x1b[31m", "\u202e", "a\u00a0"])
def test_underlines_stand_below_what_they_mean(before: str) -> None:
    text = f"{before}rss > 1\n"
    lines = draw(text, Diagnostic(code=Code.SYNTAX, span=span(text, "rss"), message="no")).splitlines()
    source, marks = lines[2], lines[3]
    assert width(source[: source.index("rss")]) == width(marks[: marks.index("^^^")])
    assert marks.endswith(" ^^^") or marks.endswith("│ ^^^")


def test_a_mark_on_a_combining_character_stands_below_its_base() -> None:
    item = Diagnostic(code=Code.SYNTAX, span=Span(2, 3), message="no")
    assert draw("xe\u0301y\n", item).splitlines()[3] == "  │  ^"


def test_a_short_span_inside_a_long_one_stays_to_be_seen() -> None:
    text = "kill last when rss > 1\n"
    whole, part = span(text, "rss > 1"), span(text, ">")
    outer = Diagnostic(code=Code.SYNTAX, span=whole, message="no", labels=(Label(span=part, text="this"),))
    assert draw(text, outer).splitlines()[3] == "  │                ^^^^-^^"
    inner = Diagnostic(code=Code.SYNTAX, span=part, message="no", labels=(Label(span=whole, text="in this"),))
    assert draw(text, inner).splitlines()[3] == "  │                ----^-- in this"
    same = Diagnostic(code=Code.SYNTAX, span=part, message="no", labels=(Label(span=part, text=""),))
    assert draw(text, same).splitlines()[3] == "  │                    ^"


def test_no_escape_sequence_of_a_policy_reaches_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    text = f"kill last when {evil}\n"
    item = Diagnostic(
        code=Code.SYNTAX,
        span=Span(15, 16),
        message=f"unexpected `{evil}`",
        label=evil,
        labels=(Label(span=Span(17, 18), text=evil),),
        help=f"remove {evil}\nerror: forged\r{evil}",
    )
    for encoding in ("utf-8", "ascii"):
        plain = render_text(Source(f"{evil}\n.oom", text), [item], color=False, encoding=encoding)
        assert [c for c in plain if c != "\n" and not c.isprintable()] == []
        assert not any(line.startswith("error: forged") for line in plain.splitlines())
        colored = render_text(Source(f"{evil}\n.oom", text), [item], color=True, encoding=encoding)
        assert "\x1b]" not in colored
        assert {c for c in colored if c != "\n" and not c.isprintable()} == {"\x1b"}


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_long_lines_are_cut_around_what_is_marked(columns: int, encoding: str) -> None:
    text = "kill first when " + " and ".join(f"rss > {i}MiB" for i in range(200)) + "\n"
    for i in (0, 100, 199):
        item = Diagnostic(code=Code.SYNTAX, span=span(text, f"> {i}MiB"), message="no", label="here")
        lines = draw(text, item, encoding=encoding, columns=columns).splitlines()
        source, marks = lines[2], lines[3]
        assert width(source) <= columns
        start = marks.index("^")
        assert source[start : marks.rindex("^") + 1] == f"> {i}MiB"
        cut = "…" if encoding == "utf-8" else "..."
        assert source.endswith(cut) == (i != 199)
        assert source[4:].startswith(cut) == (i != 0)


def test_labels_outside_of_a_cut_line_point_at_the_ellipsis() -> None:
    text = "kill first when " + " and ".join(["rss > 1MiB"] * 30) + "\n"
    item = Diagnostic(
        code=Code.SYNTAX,
        span=Span(0, 4),
        message="no",
        label="here",
        labels=(Label(span=Span(300, 303), text="there"),),
    )
    lines = draw(text, item, columns=60).splitlines()
    assert lines[2][-1] == "…"
    assert lines[3] == "  │ ^^^^" + " " * 51 + "-"
    assert lines[4].endswith(" there")


def test_one_very_long_line_with_many_errors_does_not_take_long() -> None:
    text = "kill first when " + "rss > 1X or " * 100_000
    items = [
        Diagnostic(code=Code.UNKNOWN_UNIT, span=Span(i, i + 2), message="no")
        for i in range(22, len(text) - 2, 12)
    ]
    drawn = render_text(Source("policy.oom", text), items, color=False)
    assert len(drawn) < 100_000
    assert drawn.endswith(f"\n\nand {len(items) - 100} more\n\n{len(items)} errors\n")


def test_long_helps_are_wrapped_between_their_quoted_parts() -> None:
    help = "the statements are " + ", ".join(["`kill nothing when`"] * 6)
    item = Diagnostic(code=Code.SYNTAX, span=Span(0, 1), message="no", help=help)
    assert draw("a\n", item, columns=60).splitlines()[4:] == [
        "  = help: the statements are `kill nothing when`,",
        "          `kill nothing when`, `kill nothing when`,",
        "          `kill nothing when`, `kill nothing when`,",
        "          `kill nothing when`",
    ]


def test_colors_are_only_added() -> None:
    import re

    plain = draw(MISMATCH, SAMPLE)
    colored = render_text(Source("policy.oom", MISMATCH), [SAMPLE], color=True, with_summary=False)
    assert re.sub("\x1b\\[[0-9;]*m", "", colored) == plain
    assert colored.startswith("\x1b[1;31merror[E0204]\x1b[0m")


@pytest.mark.parametrize(
    "codes, line",
    [
        ([], ""),
        (["E0102"], "1 error"),
        (["E0102", "E0204", "W0601"], "2 errors, 1 warning"),
        (["W0601", "W0602"], "2 warnings"),
    ],
)
def test_summary_counts_by_severity(codes: list[str], line: str) -> None:
    assert summary([Diagnostic(code=Code(c), span=Span(0, 0), message="no") for c in codes]) == line


def test_diagnostics_are_separated_by_an_empty_line_and_followed_by_the_summary() -> None:
    text = "a\n"
    items = [
        Diagnostic(code=Code.SYNTAX, span=Span(0, 1), message="one", help="first\nsecond"),
        Diagnostic(code=Code.UNUSED, span=Span(0, 1), message="two"),
    ]
    assert render_text(Source("p", text), items, color=False) == expected(
        """
        error[E0102]: one
          ┌─ p:1:1
        1 │ a
          │ ^
          = help: first
                  second

        warning[W0602]: two
          ┌─ p:1:1
        1 │ a
          │ ^

        1 error, 1 warning
        """
    )
    assert render_text(Source("p", text), [], color=False) == ""


POLICY_TEXT = st.text(st.sampled_from("ab \t\n\r日e\u0301\x1b\u202e\U0001f600"), max_size=300)


@given(st.data(), POLICY_TEXT, st.sampled_from(["utf-8", "ascii", "latin-1"]), st.integers(1, 140))
def test_any_spans_in_any_text_can_be_drawn(
    data: st.DataObject, text: str, encoding: str, columns: int
) -> None:
    def any_span() -> Span:
        start = data.draw(st.integers(0, len(text)))
        return Span(start, data.draw(st.integers(start, len(text))))

    labels = tuple(
        Label(span=any_span(), text=data.draw(st.text(max_size=9)))
        for _ in range(data.draw(st.integers(0, 3)))
    )
    item = Diagnostic(
        code=Code.SYNTAX, span=any_span(), message="no", label=data.draw(st.text(max_size=5)), labels=labels
    )
    drawn = draw(text, item, encoding=encoding, columns=columns)
    drawn.encode(encoding)
    assert "^" in drawn
    for label in labels:
        assert label.text == "" or label.text.isspace() or drawn.count("\n") >= 4
    assert [line for line in drawn.split("\n") if line != line.rstrip(" ")] == []
