"""Each let says what its value depends on."""

import pytest

from oomlang.compiler import Compilation
from oomlang.ir.levels import Level
from oomlang.ir.passes.levels import levels

HEAD = "input knob: bytes = 1MiB\ninput tag per memcg: int = 0\nlet usage = memcg.usage\n"
REST = "kill highest usage\nkill first when oom.total > knob and tag > 1\n"


@pytest.mark.parametrize(
    "value, level",
    [
        ("oom.total / 2", Level.EVENT),
        ("knob * 2", Level.EVENT),
        ('oom.memcg under "/a"', Level.EVENT),
        ("memcg.usage + oom.total", Level.MEMCG),
        ("tag * 2", Level.MEMCG),
        ('memcg under "/a"', Level.MEMCG),
        ('memcg.name == "a"', Level.MEMCG),
        ("usage + knob", Level.MEMCG),
        ("usage at depth 2", Level.TASK),
        ("tag at depth 1", Level.TASK),
        ("usage + rss", Level.TASK),
        ('comm == "a"', Level.TASK),
        ("invoker", Level.TASK),
    ],
)
def test_a_let_has_the_level_of_what_it_reads(value: str, level: Level) -> None:
    compilation = Compilation(f"{HEAD}let it = {value}\n{REST}kill last when it == it\n".encode())
    lowered = compilation._lowered[0]  # the last rule only uses the let
    assert lowered is not None, compilation.diagnostics
    assert {let.name: let.level for let in levels(lowered).lets}["it"] is level
