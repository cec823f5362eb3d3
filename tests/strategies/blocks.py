"""Test blocks for a policy, as source text: well-typed, but nothing makes what they expect true."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from oomlang.facts import FACTS, INPUT_RANGES, Interval, Scope, Type, spell
from oomlang.syntax import tree
from oomlang.syntax.parser import parse
from tests.strategies.policies import CGROUPS, COMMS, Features, policies, quoted

# A test cannot give what follows from something else in it; the parts of rss have to add up, so they are left out.
_FOLLOWS = (
    "comm",
    "badness",
    "invoker",
    "memcg",
    "memcg.name",
    "memcg.depth",
    "rss.anon",
    "rss.file",
    "rss.shmem",
    "pid",  # these have to be distinct
    "memcg.id",
)
_OF_TASK = {f.name: f for f in FACTS.values() if f.scope is Scope.TASK and f.name not in _FOLLOWS}
_OF_MEMCG = {
    f.name.removeprefix("memcg."): f
    for f in FACTS.values()
    if f.scope is Scope.MEMCG and f.name not in _FOLLOWS
}


def _literal(type: Type, range: Interval) -> SearchStrategy[str]:
    if type is Type.BOOL:
        return st.sampled_from(("false", "true"))
    if type is Type.RATIO:
        return st.integers(range.low // 100, range.high // 100).map(lambda v: f"{v}%")
    ends = [v for v in (0, 1, range.low, range.high, range.low + 1, range.high - 1) if v in range]
    return (st.sampled_from(ends) | st.integers(range.low, range.high)).map(lambda v: spell(v, type))


def _entries(draw: DrawFn, known: dict[str, tuple[Type, Interval]]) -> str:
    names = draw(st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True)) if known else []
    if not names:
        return draw(st.sampled_from(("", " {}")))
    return " { " + " ".join(f"{name} {draw(_literal(*known[name]))}" for name in names) + " }"


@st.composite
def _block(draw: DrawFn, name: str, inputs: list[tree.Input]) -> str:
    kinds = {i.name.name: Type(i.type.name) for i in inputs}
    knobs = [i.name.name for i in inputs if not i.per_memcg]
    of_task = {n: (f.type, f.range or Interval(0, 0)) for n, f in _OF_TASK.items()}
    of_memcg = {n: (f.type, f.range or Interval(0, 0)) for n, f in _OF_MEMCG.items()}
    of_memcg |= {
        i.name.name: (kinds[i.name.name], INPUT_RANGES[kinds[i.name.name]]) for i in inputs if i.per_memcg
    }

    lines = [f"memory {draw(_literal(Type.BYTES, Interval(0, 2**50)))}"]
    if draw(st.booleans()):
        lines.append(f"swap {draw(_literal(Type.BYTES, Interval(0, 2**40)))}")
    if draw(st.booleans()):
        lines.append(f"order {draw(st.integers(-1, 10))}")
    for knob in knobs:
        if draw(st.booleans()):
            lines.append(f"set {knob} = {draw(_literal(kinds[knob], INPUT_RANGES[kinds[knob]]))}")
    component = st.sampled_from(CGROUPS)
    path = st.lists(component, min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))
    cgroups = draw(st.lists(path, max_size=4, unique=True))
    lines += [f"memcg {quoted(cgroup)}{_entries(draw, of_memcg)}" for cgroup in cgroups]
    if draw(st.booleans()) and cgroups:
        lines.append(f"scope {quoted(draw(st.sampled_from(cgroups)))}")

    comms = draw(st.lists(st.sampled_from([c for c in COMMS if c]), min_size=1, max_size=4))
    ids: list[str] = []
    for number, comm in enumerate(comms):
        named = comm not in ids and draw(st.booleans())
        ids.append(comm if named else f"{comm} {number}")
        where = quoted(draw(st.sampled_from([*cgroups, "/"])))
        called = "" if named else f" as {quoted(ids[-1])}"
        lines.append(f"task {quoted(comm)}{called} in {where}{_entries(draw, of_task)}")
    if draw(st.booleans()):
        lines.append(f"invoker {quoted(draw(st.sampled_from(ids)))}")
    one = quoted(draw(st.sampled_from(ids)))
    all_of_them = ", ".join(quoted(i) for i in ids)
    lines.append(
        "expect "
        + draw(
            st.sampled_from(
                (
                    f"victim {one}",
                    f"order {all_of_them}",
                    f"safe {one}",
                    "none",
                    "kernel decides",
                    "kill nothing",
                )
            )
        )
    )
    return f"test {quoted(name)} {{\n" + "".join(f"{line}\n" for line in lines) + "}\n"


@st.composite
def _with_blocks(draw: DrawFn, features: Features | None) -> str:
    text = draw(policies(features))
    inputs = [s for s in parse(text.encode(), "<policy>")[0].statements if isinstance(s, tree.Input)]
    for number in range(draw(st.integers(0, 2))):
        text += "\n" + draw(_block(f"test {number}", inputs))
    return text


def policies_with_tests(features: Features | None = None) -> SearchStrategy[str]:
    """Policies with up to two test blocks."""
    return _with_blocks(features)
