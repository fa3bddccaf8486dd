"""When inputs make a node ready and when they end it: SPEC 5 and 6, SEMANTICS 5 and 7, as a table.

Every input is described in words first; the words are looked up, the flags never are.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest

from limen.policy import (
    Activation,
    ActivationRule,
    InputState,
    Periodic,
    Trigger,
    inputs_ended,
    inputs_ready,
)


class Case(NamedTuple):
    """One input in words: what it is, and how it stands."""

    kind: str
    need: str
    stand: str


# What waits and what is still to come; a latch is primed once it holds a value or one waits.
_FLOW_STANDS = {
    "a message waits": {"ready": True},
    "nothing waits yet": {},
    "closed and empty": {"closed": True},
}
_LATCH_STANDS = {
    "unprimed, nothing waits": {},
    "unprimed, closed and empty": {"closed": True},
    "primed, nothing waits": {"primed": True},
    "primed, a value waits": {"primed": True, "ready": True},
    "primed, closed and empty": {"primed": True, "closed": True},
}
_KINDS = {
    "flow": {},
    "feedback": {"feedback": True},
    "latch": {"latch": True},
    "feedback latch": {"latch": True, "feedback": True},
}
_NEEDS = {"required": {}, "optional": {"required": False}}
_CASES = [
    Case(kind, need, stand)
    for kind in _KINDS
    for need in _NEEDS
    for stand in (_LATCH_STANDS if "latch" in kind else _FLOW_STANDS)
]


def state(case: Case) -> InputState:
    """The flags that stand for the words."""
    stands = _LATCH_STANDS if "latch" in case.kind else _FLOW_STANDS
    return InputState(**_KINDS[case.kind], **_NEEDS[case.need], **stands[case.stand])


# An all-join steps when no required input holds it up and a flow has brought something.
_HOLDS_UP = {
    "nothing waits yet",
    "closed and empty",
    "unprimed, nothing waits",
    "unprimed, closed and empty",
}


def ready_by_table(activation: Activation, cases: tuple[Case, ...]) -> bool:
    brought = any("latch" not in c.kind and c.stand == "a message waits" for c in cases)
    if activation is Activation.ANY:
        return brought  # "an unprimed latch is delivered as None"
    return brought and not any(c.need == "required" and c.stand in _HOLDS_UP for c in cases)


# What ends an all-join by itself; feedback is not in the table, optional inputs are not either.
_ENDS_ALL = {
    Case("flow", "required", "closed and empty"),
    Case("latch", "required", "unprimed, closed and empty"),
}


def ended_by_table(activation: Activation, cases: tuple[Case, ...]) -> bool:
    if activation is Activation.ALL:
        return any(case in _ENDS_ALL for case in cases)
    return all(c.stand == "closed and empty" for c in cases if c.kind == "flow")


def tuples(most: int) -> list[tuple[Case, ...]]:
    """Up to so many inputs, in every combination; the order of ports is looked at apart."""
    return [
        cases
        for count in range(1, most + 1)
        for cases in itertools.combinations_with_replacement(_CASES, count)
    ]


def is_waited_for(cases: tuple[Case, ...]) -> bool:
    """Whether there is an input that an all-join waits for; a graph without one is refused."""
    return any("latch" not in case.kind and case.need == "required" for case in cases)


def has_flow(cases: tuple[Case, ...], need: str = "") -> bool:
    return any(case.kind == "flow" and need in case.need for case in cases)


@pytest.mark.parametrize("activation", list(Activation), ids=lambda a: a.value)
def test_every_combination_of_three_inputs_is_ready_as_the_sentences_say(
    activation: Activation,
) -> None:
    seen = set()
    for cases in tuples(3):
        if activation is Activation.ALL and not is_waited_for(cases):
            continue
        wanted = ready_by_table(activation, cases)
        assert inputs_ready(activation, [state(c) for c in cases]) is wanted, cases
        seen.add(wanted)
    assert seen == {False, True}


@pytest.mark.parametrize("activation", list(Activation), ids=lambda a: a.value)
def test_every_combination_of_three_inputs_ends_as_the_sentences_say(
    activation: Activation,
) -> None:
    # Without a required flow (of an all-join) or any flow (of an any-join) the sentences
    # name nothing that ends the node; those cases have tests of their own.
    need = "required" if activation is Activation.ALL else ""
    seen = set()
    for cases in tuples(3):
        if not has_flow(cases, need):
            continue
        wanted = ended_by_table(activation, cases)
        assert inputs_ended(activation, [state(c) for c in cases]) is wanted, cases
        seen.add(wanted)
    assert seen == {False, True}


@pytest.mark.parametrize("activation", list(Activation), ids=lambda a: a.value)
def test_the_order_of_the_ports_matters_neither_for_readiness_nor_for_ends(
    activation: Activation,
) -> None:
    for pair in itertools.combinations(_CASES, 2):
        forth = [state(case) for case in pair]
        back = forth[::-1]
        assert inputs_ready(activation, forth) is inputs_ready(activation, back), pair
        assert inputs_ended(activation, forth) is inputs_ended(activation, back), pair


@pytest.mark.parametrize("activation", list(Activation), ids=lambda a: a.value)
def test_what_is_ready_has_not_ended_if_each_required_flow_counts(activation: Activation) -> None:
    for cases in tuples(3):
        states = [state(case) for case in cases]
        if has_flow(cases) and inputs_ready(activation, states):
            stray = activation is Activation.ANY and not any(
                case.kind == "flow" and case.stand != "closed and empty" for case in cases
            )
            assert stray or not inputs_ended(activation, states), cases


def test_an_all_join_is_not_ready_while_a_required_input_is_missing_whatever_the_others_have() -> (
    None
):
    waits = InputState(ready=True)
    for missing in (InputState(), InputState(closed=True), InputState(latch=True)):
        assert not inputs_ready(Activation.ALL, [waits, missing, waits])
        assert inputs_ready(Activation.ANY, [waits, missing, waits])


@pytest.mark.parametrize("stand", _LATCH_STANDS)
@pytest.mark.parametrize("need", _NEEDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_latches_alone_never_make_a_node_ready(stand: str, need: str, count: int) -> None:
    states = [state(Case("latch", need, stand))] * count
    for activation in Activation:
        assert not inputs_ready(activation, states)


@pytest.mark.parametrize(
    ("activation", "ended"), [(Activation.ALL, False), (Activation.ANY, True)], ids=["all", "any"]
)
def test_one_closed_input_beside_an_open_one_ends_all_and_two_end_any(
    activation: Activation, ended: bool
) -> None:
    closed, open_ = InputState(closed=True), InputState()
    assert inputs_ended(activation, [closed, open_]) is not ended
    assert inputs_ended(activation, [closed, closed])
    assert not inputs_ended(activation, [open_, open_])


def test_an_optional_input_that_closed_does_not_end_an_all_join() -> None:
    optional = InputState(closed=True, required=False)
    assert not inputs_ended(Activation.ALL, [InputState(), optional])
    assert inputs_ready(Activation.ALL, [InputState(ready=True), optional])


def test_an_optional_input_that_is_open_keeps_an_any_join_going() -> None:
    assert not inputs_ended(Activation.ANY, [InputState(closed=True), InputState(required=False)])


@pytest.mark.parametrize("activation", list(Activation), ids=lambda a: a.value)
def test_a_feedback_input_neither_ends_a_node_nor_keeps_it_going(activation: Activation) -> None:
    loop_closed, loop_open = InputState(closed=True, feedback=True), InputState(feedback=True)
    assert not inputs_ended(activation, [InputState(), loop_closed])
    assert inputs_ended(activation, [InputState(closed=True), loop_open])


def test_a_feedback_input_without_its_token_holds_an_all_join_up() -> None:
    assert not inputs_ready(Activation.ALL, [InputState(ready=True), InputState(feedback=True)])


@pytest.mark.parametrize("primed", [False, True])
def test_a_required_latch_that_closed_ends_an_all_join_only_if_it_never_had_a_value(
    primed: bool,
) -> None:
    latch = InputState(latch=True, closed=True, primed=primed)
    assert inputs_ended(Activation.ALL, [InputState(), latch]) is not primed
    assert not inputs_ended(Activation.ANY, [InputState(), latch])


def test_an_open_latch_keeps_no_node_going() -> None:
    latch = InputState(latch=True, primed=True, ready=True)
    for activation in Activation:
        assert inputs_ended(activation, [InputState(closed=True), latch])


# ------------------------------------------------------------------ trigger and periodic


_TRIGGER, _PERIODIC = Trigger("port"), Periodic("10ms")
_BRINGS = {"a message waits", "primed, a value waits"}
_CLOSED = {"closed and empty", "unprimed, closed and empty", "primed, closed and empty"}
_UNPRIMED = {"unprimed, nothing waits", "unprimed, closed and empty"}


def triggered(most: int) -> list[tuple[Case, tuple[Case, ...]]]:
    """A trigger of every kind and stand, beside up to so many other inputs."""
    return [
        (trigger, others)
        for trigger in _CASES
        for others in ((), *tuples(most))
        if trigger.need == "required"
    ]


def states_of(trigger: Case, others: tuple[Case, ...], place: int) -> list[InputState]:
    """The flags of all inputs, the trigger's at one place among them."""
    states = [state(case) for case in others]
    states.insert(place, state(trigger)._replace(trigger=True))
    return states


def test_a_trigger_alone_makes_its_node_ready_whatever_the_others_hold() -> None:
    # SPEC 6: a latch makes a node ready "only if declared its trigger, once per replacement".
    seen = set()
    for trigger, others in triggered(2):
        wanted = trigger.stand in _BRINGS
        for place in range(len(others) + 1):
            states = states_of(trigger, others, place)
            assert inputs_ready(_TRIGGER, states) is wanted, (trigger, others)
        seen.add(("latch" in trigger.kind, wanted))
    assert len(seen) == 4


def test_a_trigger_alone_ends_its_node_whatever_the_others_hold() -> None:
    # SEMANTICS 7: "Trigger activation ends with its trigger … feedback edges count neither".
    seen = set()
    for trigger, others in triggered(2):
        wanted = "feedback" not in trigger.kind and trigger.stand in _CLOSED
        for place in range(len(others) + 1):
            states = states_of(trigger, others, place)
            assert inputs_ended(_TRIGGER, states) is wanted, (trigger, others)
        seen.add((trigger.kind, wanted))
    assert len(seen) == 6


def test_what_a_trigger_makes_ready_has_not_ended() -> None:
    for trigger, others in triggered(1):
        states = states_of(trigger, others, 0)
        assert not (inputs_ready(_TRIGGER, states) and inputs_ended(_TRIGGER, states))


def test_a_period_can_be_used_unless_a_required_latch_has_no_value() -> None:
    # SEMANTICS 5: "steps whether or not items are there … a required latch not primed → the
    # period is missed".
    seen = set()
    for cases in tuples(3):
        missed = any(
            "latch" in c.kind and c.need == "required" and c.stand in _UNPRIMED for c in cases
        )
        assert inputs_ready(_PERIODIC, [state(c) for c in cases]) is not missed, cases
        seen.add(missed)
    assert seen == {False, True}


def test_a_periodic_node_ends_with_all_its_flows_or_else_with_all_its_latches() -> None:
    # SEMANTICS 7: "periodic when all flow inputs (else all latches) are closed and empty"; decision
    # 0016: and when a required latch without a value is, as every period would be missed then.
    seen = set()
    for cases in tuples(3):
        stands = {kind: [c.stand for c in cases if c.kind == kind] for kind in ("flow", "latch")}
        decisive = stands["flow"] or stands["latch"]
        if not decisive:
            continue  # what loops bring back alone is no graph
        starved = any(
            (c.kind, c.need, c.stand) == ("latch", "required", "unprimed, closed and empty")
            for c in cases
        )
        wanted = starved or _CLOSED.issuperset(decisive)
        assert inputs_ended(_PERIODIC, [state(c) for c in cases]) is wanted, cases
        seen.add((bool(stands["flow"]), wanted))
    assert len(seen) == 4


@pytest.mark.parametrize("rule", [_TRIGGER, _PERIODIC], ids=["trigger", "periodic"])
def test_the_order_of_the_ports_matters_for_neither_of_the_two(rule: ActivationRule) -> None:
    for first, second in itertools.combinations(_CASES, 2):
        forth = [state(first)._replace(trigger=True), state(second)]
        back = forth[::-1]
        assert inputs_ready(rule, forth) is inputs_ready(rule, back), (first, second)
        assert inputs_ended(rule, forth) is inputs_ended(rule, back), (first, second)


@pytest.mark.parametrize("need", _NEEDS)
def test_an_optional_flow_counts_for_the_end_of_a_periodic_node_like_any_other(need: str) -> None:
    open_, closed = (
        state(Case("flow", need, s)) for s in ("nothing waits yet", "closed and empty")
    )
    assert not inputs_ended(_PERIODIC, [closed, open_])
    assert inputs_ended(_PERIODIC, [closed, closed])


@pytest.mark.parametrize("stand", _LATCH_STANDS)
def test_an_optional_latch_never_costs_a_period(stand: str) -> None:
    assert inputs_ready(_PERIODIC, [state(Case("latch", "optional", stand))])


def test_a_period_needs_nothing_to_have_come() -> None:
    assert inputs_ready(_PERIODIC, [InputState()])
    assert inputs_ready(_PERIODIC, [InputState(), InputState(latch=True, primed=True)])
    assert not inputs_ready(_PERIODIC, [InputState(ready=True), InputState(latch=True)])


@pytest.mark.parametrize("others", [(), (InputState(ready=True),), (InputState(closed=True),)])
def test_a_latch_as_the_trigger_steps_once_for_a_newer_value_and_not_for_the_one_it_keeps(
    others: tuple[InputState, ...],
) -> None:
    kept = InputState(latch=True, primed=True, trigger=True)
    assert not inputs_ready(_TRIGGER, [kept, *others])
    assert inputs_ready(_TRIGGER, [kept._replace(ready=True), *others])
    assert inputs_ended(_TRIGGER, [kept._replace(closed=True), *others])


def test_a_trigger_waits_for_no_latch_without_a_value() -> None:
    # SEMANTICS 5: "Under any / trigger an unprimed latch is delivered as None."
    assert inputs_ready(_TRIGGER, [InputState(ready=True, trigger=True), InputState(latch=True)])
