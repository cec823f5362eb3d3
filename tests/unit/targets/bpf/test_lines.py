from __future__ import annotations

from oomlang.targets.bpf.escape import c_comment, c_string
from oomlang.targets.bpf.lines import MARK, lay_out


def test_marks_are_taken_out_and_say_whose_the_lines_are() -> None:
    rendered = f"a\n\n{MARK}rule_1\nb\nc\n{MARK}\n\nd\n{MARK}let_x\ne\n{MARK}rule_1\nf\n{MARK}\n"
    assert lay_out(rendered) == ("a\n\nb\nc\n\nd\ne\nf\n", {"rule_1": [(3, 4), (8, 8)], "let_x": [(7, 7)]})


def test_empty_lines_before_a_mark_move_no_range() -> None:
    assert lay_out(f"a \n\n\n \n{MARK}rule_1\n\nb\n{MARK}\n\n\n") == ("a\n\nb\n", {"rule_1": [(3, 3)]})


def test_no_mark_gets_into_c_from_a_policy() -> None:
    assert MARK not in c_comment(f"x\n{MARK}rule_9\ny")
    assert MARK not in c_string(MARK.encode())
