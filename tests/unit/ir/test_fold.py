"""The one walk over expressions: depths, lets, and shapes as deep as a policy can have them."""

from oomlang.compiler import Compilation
from oomlang.facts import Interval, Type
from oomlang.facts.patterns import glob, path_pattern
from oomlang.ir import nodes as ir
from oomlang.ir.fold import Lets, Summary, fold, lets_in
from oomlang.ir.levels import Level, levels
from oomlang.ir.reads import reads
from oomlang.operations import ADD

WIDE = (Interval(0, 2**50), Interval(0, 2**50))


def let(name: str, value: ir.Expression) -> ir.LetDeclaration:
    return ir.LetDeclaration(
        name=name, type=Type.INT, interval=Interval(0, 2**50), value=value, line=1, column=1, text=""
    )


def add(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    return ir.Apply(ADD, (left, right), WIDE)


class Leaves(Summary[tuple[ir.Leaf, ...]]):
    """The leaves from left to right; counts the leaves that it is shown."""

    def __init__(self) -> None:
        self.count = 0

    def leaf(self, node: ir.Leaf) -> tuple[ir.Leaf, ...]:
        self.count += 1
        return (node,)

    def join(self, node: ir.Expression, parts: tuple[tuple[ir.Leaf, ...], ...]) -> tuple[ir.Leaf, ...]:
        return tuple(leaf for part in parts for leaf in part)


def test_a_walk_goes_from_left_to_right_through_every_kind_of_node() -> None:
    a, b, c, d, e = (ir.Fact(name) for name in ("rss", "swap", "vm", "uid", "nice"))
    node = ir.Select(
        ir.Logical("and", (ir.Compare("<", a, b), ir.Not(ir.OneOf(c, (1, 2))))), add(d, ir.Number(1)), e
    )
    assert fold(node, Leaves()) == (a, b, c, d, ir.Number(1), e)


def test_only_what_depends_on_the_cgroup_takes_the_depth_of_the_walk_and_none_loses_its_own() -> None:
    pattern, name = path_pattern(b"/a"), (glob(b"x"),)
    node = ir.Logical(
        "and",
        (
            ir.Compare("<", ir.Fact("memcg.usage"), ir.Fact("memcg.usage", 1)),
            ir.Compare("<", ir.Fact("rss"), ir.Fact("oom.total")),
            ir.Compare("<", ir.Input("tag", per_memcg=True), ir.Input("knob")),
            ir.Under("memcg", None, pattern),
            ir.Under("oom.memcg", None, pattern),
            ir.Match("memcg.name", None, name),
            ir.Match("comm", None, name),
            ir.Asked("memcg", None, (0,)),
            ir.Asked("oom.memcg", None, (0,)),
            ir.Let("busy"),
        ),
    )
    assert fold(node, Leaves(), 3) == (
        ir.Fact("memcg.usage", 3),
        ir.Fact("memcg.usage", 1),
        ir.Fact("rss"),
        ir.Fact("oom.total"),
        ir.Input("tag", 3, per_memcg=True),
        ir.Input("knob"),
        ir.Under("memcg", 3, pattern),
        ir.Under("oom.memcg", None, pattern),
        ir.Match("memcg.name", 3, name),
        ir.Match("comm", None, name),
        ir.Asked("memcg", 3, (0,)),
        ir.Asked("oom.memcg", None, (0,)),
        ir.Let("busy", 3),
    )


def test_lets_are_looked_into_at_the_depth_that_they_are_used_at() -> None:
    lets = (let("inner", ir.Fact("memcg.usage")), let("outer", add(ir.Let("inner"), ir.Fact("rss"))))
    outer = Lets(lets, Leaves()).fold(add(ir.Let("outer"), ir.Let("outer", 2)))
    assert outer == (ir.Fact("memcg.usage"), ir.Fact("rss"), ir.Fact("memcg.usage", 2), ir.Fact("rss"))


def test_a_chain_of_lets_that_doubles_at_each_step_is_folded_once_a_let() -> None:
    class Size(Summary[int]):
        calls = 0

        def leaf(self, node: ir.Leaf) -> int:
            return 1

        def join(self, node: ir.Expression, parts: tuple[int, ...]) -> int:
            self.calls += 1
            return sum(parts)

    lets = [let("l0", ir.Fact("rss"))]
    lets += [let(f"l{i}", add(ir.Let(f"l{i - 1}"), ir.Let(f"l{i - 1}"))) for i in range(1, 1024)]
    size = Size()
    assert Lets(lets, size).fold(ir.Let("l1023")) == 2**1023
    assert size.calls == 1023
    assert levels(lets).fold(ir.Let("l1023")) is Level.TASK
    policy = ir.Policy(name="p", inputs=(), lets=tuple(lets), rules=())
    assert reads([ir.Let("l1023")], policy) == (("rss", None),)


def test_the_widest_and_deepest_expressions_of_a_policy_are_folded() -> None:
    conditions = " and ".join(f"rss != {n}B" for n in range(2000))
    least = f"min({', '.join(['rss'] * 32)})"
    nested = "-" * 120 + "rss"
    text = f"kill first when {conditions}\nkill highest {least}\nkill lowest {nested}\n"
    policy = Compilation(text.encode()).ir
    sizes = [len(fold(e, Leaves())) for rule in policy.rules for e in ir.rule_expressions(rule)]
    assert sizes == [4000, 32, 1]


def test_the_lets_of_an_expression_come_with_their_depths_each_once() -> None:
    node = add(add(ir.Let("a"), ir.Let("b", 2)), add(ir.Let("a", 1), ir.Let("a")))
    assert lets_in(node) == (ir.Let("a"), ir.Let("b", 2), ir.Let("a", 1))


def test_the_level_of_an_expression_is_that_of_the_finest_thing_in_it() -> None:
    lets = (let("cgroup", ir.Fact("memcg.usage")), let("event", ir.Fact("oom.total")))
    level = levels(lets).fold
    event, cgroup = ir.Let("event"), ir.Let("cgroup")
    assert level(add(event, ir.Number(1))) is Level.EVENT
    assert level(ir.Let("event", 3)) is Level.EVENT
    assert level(ir.Input("knob")) is Level.EVENT
    assert level(add(event, cgroup)) is Level.MEMCG
    assert level(ir.Input("tag", per_memcg=True)) is Level.MEMCG
    assert level(add(cgroup, ir.Fact("rss"))) is Level.TASK
    assert level(ir.Let("cgroup", 2)) is Level.TASK
