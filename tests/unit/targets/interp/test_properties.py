"""The interpreter against a second implementation, on generated policies and machines."""

from hypothesis import assume, given
from hypothesis import strategies as st

from oomlang.compiler import Compilation
from oomlang.ir import nodes as ir
from oomlang.targets.interp import STOCK, Decision, Machine, Verdict, decide
from tests.strategies.policies import policies
from tests.unit.targets.interp.machines import blinded, machines
from tests.unit.targets.interp.reference import Reference, kernel_order


def meaning(text: str) -> ir.Policy:
    compilation = Compilation(text.encode())
    assume(not any(d.severity == "error" for d in compilation.diagnostics))
    return compilation.ir


def pids(decision: Decision) -> list[int]:
    return [c.pid for c in decision.ranking]


@given(st.data())
def test_it_agrees_with_the_reference(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    machine = data.draw(machines(policy))
    decision, reference = decide(policy, machine), Reference(policy, machine)
    assert [c.pid for c in reference.order()] == pids(decision)
    assert reference.verdict() is decision.verdict
    assert {decision.verdict} == decision.possible
    assert decision.certain
    assert decision.unevaluated == ()


@given(st.data())
def test_every_pair_has_a_reason_that_holds(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    machine = data.draw(machines(policy))
    decision, reference = decide(policy, machine), Reference(policy, machine)
    keys = {k.origin.number: k for k in policy.keys}
    for place, a in enumerate(decision.ranking):
        for b in decision.ranking[place + 1 :]:
            found = decision.compare(b, a)
            assert (found.first, found.second, found.certain, found.undecided) == (a, b, True, ())
            if isinstance(found.cause, ir.Origin):
                earlier = [k for k in policy.keys if k.origin.number < found.cause.number]
                assert reference.compare_by(keys[found.cause.number], a, b) > 0
            else:
                earlier = list(policy.keys)
            assert all(reference.compare_by(k, a, b) == 0 for k in earlier)


@given(st.data())
def test_the_order_is_total_and_does_not_depend_on_the_order_of_the_candidates(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    machine = data.draw(machines(policy))
    shuffled = list(machine.candidates)
    data.draw(st.randoms(use_true_random=False)).shuffle(shuffled)
    other = Machine(event=machine.event, candidates=shuffled, knobs=machine.knobs)
    assert decide(policy, machine).ranking == decide(policy, other).ranking


@given(st.data())
def test_removing_a_candidate_never_changes_the_order_of_the_rest(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    machine = data.draw(machines(policy))
    assume(machine.candidates)
    gone = data.draw(st.sampled_from(list(machine.candidates)))
    rest = [c for c in machine.candidates if c is not gone]
    other = Machine(event=machine.event, candidates=rest, knobs=machine.knobs)
    assert [c for c in decide(policy, machine).ranking if c is not gone] == list(
        decide(policy, other).ranking
    )


@given(machines(dying=False))
def test_the_empty_policy_is_the_stock_kernel(machine: Machine) -> None:
    sane = [
        c
        for c in machine.candidates
        if all(0 <= c.facts[n] <= 2**50 for n in ("rss", "swap", "pgtables"))
        and -1000 <= c.facts["oom_score_adj"] <= 1000
        and 0 <= (machine.event.total or 0) <= 2**51
    ]
    scope = machine.event.scope
    inside = [c for c in sane if scope is None or (c.memcg is not None and scope in c.memcg.chain)]
    decision = decide(STOCK, Machine(event=machine.event, candidates=sane))
    assert list(decision.ranking) == kernel_order(Machine(event=machine.event, candidates=inside))


@given(st.data())
def test_what_is_called_certain_holds_whatever_is_unobservable(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    whole = data.draw(machines(policy))
    truth = decide(policy, whole)
    partial, seen = data.draw(blinded(whole))
    decision = decide(policy, partial)
    assert truth.verdict in decision.possible
    if truth.victim is not None:
        assert truth.victim.pid in [c.pid for c in decision.contenders] or (
            decision.others and truth.victim.pid not in seen
        )
    if decision.certain:
        assert decision.verdict is truth.verdict
        assert [decision.victim and decision.victim.pid] == [truth.victim and truth.victim.pid]
    place = {c.pid: i for i, c in enumerate(truth.ranking)}
    ranked = pids(decision)
    certainly_excluded = {e.candidate.pid for e in decision.exclusions}
    assert not certainly_excluded & place.keys()
    for i, a in enumerate(ranked):
        for b in ranked[i + 1 :]:
            found = decision.compare(seen[a], seen[b])
            assert found.first.pid == a  # the order never contradicts what is certain
            if found.certain and b in place:
                assert place[a] < place[b]


@given(st.data())
def test_nothing_is_uncertain_where_all_that_the_policy_reads_is_known(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    machine = data.draw(machines(policy))
    partial, _ = data.draw(blinded(machine))
    decision = decide(policy, partial)
    if decision.certain:
        return
    # Something must be named as the reason.
    named = decision.unevaluated or any(decision.assess(c).maybe_excluded for c in decision.candidates)
    assert named or decision.others or Verdict.ABORTED in decision.possible


@given(st.data())
def test_an_explanation_can_be_given_of_anything(data: st.DataObject) -> None:
    policy = meaning(data.draw(policies()))
    partial, _ = data.draw(blinded(data.draw(machines(policy))))
    decision = decide(policy, partial)
    for candidate in decision.candidates:
        assessment = decision.assess(candidate)
        assert (assessment.place is None) == (assessment.exclusion is not None)
    list(decision.neighbours())
    assert len(decision.ranking) + len(decision.exclusions) == len(decision.candidates)
    for unevaluated in decision.unevaluated:
        assert unevaluated.missing
