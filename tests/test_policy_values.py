"""What policies say word for word, what they are where nothing is given, and what they convert to.

The tables of the other tests ask what is decided; these ask what a reader sees. What is asked
about is made within the test, where ``mutation.py`` can change how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError
from limen.platform import SimClock
from limen.policy import (
    Activation,
    ActivationRule,
    AdmissionDecision,
    AdmissionPolicy,
    AdmissionVerdict,
    Batching,
    BatchingTicks,
    Budget,
    Deadline,
    DefaultOnTimeout,
    Degrade,
    DegradeState,
    EdgePolicy,
    EmitFailsafe,
    ErrorAction,
    Freshness,
    FreshnessTicks,
    InputPolicy,
    InputState,
    Item,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudgetAction,
    Periodic,
    QueueCaps,
    Refusal,
    Restart,
    RetentionMode,
    Switch,
    Trigger,
    Unfit,
    Watermark,
    after_full,
    after_infeasible,
    after_variant,
    decide,
    full_form,
    inputs_ended,
    inputs_ready,
    is_stale,
    why_unfit,
)
from limen.types import CriticalityClass, QoSClass

# Wrong types are what these tables are about.
_ACTIVATION: Any = Trigger
_BATCHING: Any = Batching
_BUDGET: Any = Budget
_CAPS: Any = QueueCaps
_DEADLINE: Any = Deadline
_DEFAULT: Any = DefaultOnTimeout
_DEGRADE: Any = Degrade
_EDGE: Any = EdgePolicy
_FAILSAFE: Any = EmitFailsafe
_FRESHNESS: Any = Freshness
_INPUT: Any = InputPolicy
_LIVENESS: Any = Liveness
_NODE: Any = NodePolicy
_PERIODIC: Any = Periodic
_RESTART: Any = Restart

_OLDEST, _LATCH = AdmissionPolicy.DROP_OLDEST, RetentionMode.LATCH

_UNIT = 'write it as in "200ms"'
_POSITIVE = "give a positive duration"
_AT_LEAST_ONE = "give a whole number of at least 1"
_SOFT = "give a whole number"
_ITEMS = "give a whole number of items"
_BYTES = 'give a whole number of bytes, or text as in "64KiB"'
_BATCH = "give a whole number: a batch holds at least 1 item"
_DELTA = "give a positive duration in whole ns"
_STRIDE = "a window moves by at least 1 and at most its own length"
_LANES = "an edge has 1 lane, or 2"
_RING = "name an installed one as text, or leave it out"
_INPUTS = 'write inputs={"port": InputPolicy(…)}'
_FRESH = 'write it as in "100ms", or use Freshness(…)'
_NOT_FRESH = "nothing is that fresh: give a positive duration"
_OVER = (
    "use OverBudgetAction.DROP, OverBudgetAction.SKIP_STAGE, DefaultOnTimeout(payload) or Degrade()"
)
_NO_UNIT = "a number without a unit"

_TEXTS: dict[str, tuple[Callable[[], object], str, str]] = {
    # Activation
    "trigger as a number": (lambda: _ACTIVATION(5), "port is 5", "name an input of the node"),
    "trigger of nothing": (lambda: Trigger(""), "port is empty", "name an input of the node"),
    "period of nothing": (lambda: Periodic("0ms"), "a period of 0", _POSITIVE),
    "period as a number": (lambda: _PERIODIC(5), f"period is 5, {_NO_UNIT}", _UNIT),
    # Batching
    "no items a batch": (lambda: Batching.fixed(0), "a batch of 0", _BATCH),
    "no delta_t": (lambda: Batching(1, 0), "delta_t of 0 ns", _DELTA),
    "no limit": (
        lambda: Batching(None),
        "a batch without a limit",
        "give a number of items, or delta_t, or both",
    ),
    "stride alone": (
        lambda: Batching(None, 5, 1),
        "a sliding window without a number of items",
        "give both, n and stride",
    ),
    "stride of nothing": (lambda: Batching.sliding(4, 0), "stride 0 of a window of 4", _STRIDE),
    "stride too long": (lambda: Batching.sliding(4, 5), "stride 5 of a window of 4", _STRIDE),
    "fixed_and_delta_t without n": (
        lambda: _BATCHING.fixed_and_delta_t(None, "5ms"),
        "n is None",
        _AT_LEAST_ONE,
    ),
    "sliding without stride": (
        lambda: _BATCHING.sliding(4, None),
        "stride is None",
        _AT_LEAST_ONE,
    ),
    "delta_t as a number": (lambda: _BATCHING.delta_t(5), f"delta_t is 5, {_NO_UNIT}", _UNIT),
    "fixed_and_delta_t of a number": (
        lambda: _BATCHING.fixed_and_delta_t(4, 5),
        f"delta_t is 5, {_NO_UNIT}",
        _UNIT,
    ),
    "sliding of a number": (
        lambda: _BATCHING.sliding(4, 2, 5),
        f"delta_t is 5, {_NO_UNIT}",
        _UNIT,
    ),
    # Budget
    "default on a port that is a number": (
        lambda: _DEFAULT(1, 5),
        "port is 5",
        "name an output of the node",
    ),
    "default on no port": (
        lambda: DefaultOnTimeout(1, ""),
        "port is empty",
        "name an output of the node",
    ),
    "degrade after nothing": (lambda: Degrade(0), "degrade_after is 0", _AT_LEAST_ONE),
    "recover after nothing": (lambda: Degrade(1, 0), "recover_after is 0", _AT_LEAST_ONE),
    "degraded cost as a number": (
        lambda: _DEGRADE(sim_cost=5),
        f"sim_cost is 5, {_NO_UNIT}",
        _UNIT,
    ),
    "budget of nothing": (lambda: Budget("0ms"), "tick_budget of 0", _POSITIVE),
    "budget as a number": (lambda: _BUDGET(5), f"tick_budget is 5, {_NO_UNIT}", _UNIT),
    "watchdog of nothing": (lambda: Budget(None, "0ms"), "watchdog of 0", _POSITIVE),
    "watchdog as a number": (lambda: _BUDGET(None, 5), f"watchdog is 5, {_NO_UNIT}", _UNIT),
    "watchdog too short": (
        lambda: Budget("5ms", "4ms"),
        "watchdog 4 ms is below tick_budget 5 ms",
        "a watchdog is the longer of the two",
    ),
    "action as text": (lambda: _BUDGET("5ms", None, "drop"), "action is a str", _OVER),
    "action without a budget": (
        lambda: Budget(action=OverBudgetAction.DROP),
        "an action without tick_budget",
        "say when a call is over its budget",
    ),
    # Deadline
    "deadline as a number": (lambda: _DEADLINE(5), f"deadline is 5, {_NO_UNIT}", _UNIT),
    "slack as a number": (lambda: _DEADLINE(slack=5), f"slack is 5, {_NO_UNIT}", _UNIT),
    "require as a number": (
        lambda: _DEADLINE(require=1),
        "require is 1",
        "write True or False",
    ),
    "on_miss as text": (
        lambda: _DEADLINE(on_miss="drop"),
        "on_miss is 'drop'",
        "use OnMiss.PROCESS or OnMiss.DROP",
    ),
    # Edges
    "items as text": (lambda: _CAPS("4"), "max_items is '4'", _ITEMS),
    "no items": (lambda: QueueCaps(0), "capacity max_items is 0", "a queue needs at least 1"),
    "soft items as text": (lambda: _CAPS(4, "2"), "soft_items is '2'", _SOFT),
    "soft items too many": (
        lambda: QueueCaps(4, 5),
        "soft_items 5 is not within 1 … max_items 4",
        "a soft mark lies within its cap: lower it to 4 or raise max_items",
    ),
    "no soft items": (
        lambda: QueueCaps(4, 0),
        "soft_items 0 is not within 1 … max_items 4",
        "a soft mark is at least 1",
    ),
    "bytes without a unit": (
        lambda: QueueCaps(4, max_bytes="9"),
        "max_bytes '9' has no unit",
        "use one of B, kB, MB, GB, KiB, MiB, GiB",
    ),
    "soft bytes without a unit": (
        lambda: QueueCaps(4, max_bytes=9, soft_bytes="9"),
        "soft_bytes '9' has no unit",
        "use one of B, kB, MB, GB, KiB, MiB, GiB",
    ),
    "half a byte": (lambda: _CAPS(4, max_bytes=1.5), "max_bytes is 1.5", _BYTES),
    "no bytes": (
        lambda: QueueCaps(4, max_bytes=0),
        "capacity max_bytes is 0",
        "a queue needs at least 1 B",
    ),
    "soft bytes alone": (
        lambda: QueueCaps(4, soft_bytes=1),
        "soft_bytes without max_bytes",
        "give max_bytes as well",
    ),
    "soft bytes too many": (
        lambda: QueueCaps(4, max_bytes=9, soft_bytes=10),
        "soft_bytes 10 is not within 1 … max_bytes 9",
        "a soft mark lies within its cap: lower it to 9 or raise max_bytes",
    ),
    "limit that is not there": (
        lambda: QueueCaps(4).byte_limit,
        "these caps have no byte limit",
        "give max_bytes",
    ),
    "caps as a number": (lambda: _EDGE(4), "caps is 4", "use QueueCaps(max_items)"),
    "admission as text": (
        lambda: _EDGE(admission="block"),
        "admission is 'block'",
        "use AdmissionPolicy.BLOCK or a sibling",
    ),
    "retention as text": (
        lambda: _EDGE(retention="fifo"),
        "retention is 'fifo'",
        "use RetentionMode.FIFO or a sibling",
    ),
    "no lanes": (lambda: EdgePolicy(lanes=0), "lanes is 0", _LANES),
    "three lanes": (lambda: EdgePolicy(lanes=3), "lanes is 3", _LANES),
    "ring as a number": (lambda: _EDGE(ring=5), "ring is 5", _RING),
    "ring without a name": (lambda: EdgePolicy(ring=""), "ring is ''", _RING),
    "latch of two": (
        lambda: EdgePolicy(QueueCaps(2), _OLDEST, _LATCH),
        "a latch of 2 items",
        "it holds one value: leave max_items out",
    ),
    "latch with a soft mark": (
        lambda: EdgePolicy(QueueCaps(1, 1), _OLDEST, _LATCH),
        "a latch with a soft mark",
        "it is never under pressure: leave soft marks out",
    ),
    "latch that blocks": (
        lambda: EdgePolicy(QueueCaps(1), AdmissionPolicy.BLOCK, _LATCH),
        "a latch with admission block",
        "a newer value supersedes the older one: leave admission out",
    ),
    "latch with two lanes": (
        lambda: EdgePolicy(QueueCaps(1), _OLDEST, _LATCH, 2),
        "a latch with 2 lanes",
        "one value needs one lane",
    ),
    # Failures
    "failsafe on a port that is a number": (
        lambda: _FAILSAFE(1, 5),
        "port is 5",
        "name an output of the node",
    ),
    "failsafe on no port": (
        lambda: EmitFailsafe(1, ""),
        "port is empty",
        "name an output of the node",
    ),
    "quiesce as a number": (
        lambda: _FAILSAFE(1, quiesce=1),
        "quiesce is 1",
        "write True or False",
    ),
    "no restarts": (lambda: Restart(0), "max restarts is 0", _AT_LEAST_ONE),
    "restarts per nothing": (lambda: Restart(1, "0s"), "restarts per 0", _POSITIVE),
    "restarts per number": (lambda: _RESTART(1, 5), f"per is 5, {_NO_UNIT}", _UNIT),
    "backoff as a number": (
        lambda: _RESTART(1, backoff=5),
        f"backoff is 5, {_NO_UNIT}",
        _UNIT,
    ),
    # Freshness, liveness
    "max_age of nothing": (lambda: Freshness("0ms"), "max_age of 0", _NOT_FRESH),
    "max_age as a number": (lambda: _FRESHNESS(5), f"max_age is 5, {_NO_UNIT}", _UNIT),
    "span of nothing": (lambda: Freshness(None, "0ms"), "max_span_age of 0", _NOT_FRESH),
    "span as a number": (lambda: _FRESHNESS(None, 5), f"max_span_age is 5, {_NO_UNIT}", _UNIT),
    "on_stale as text": (
        lambda: _FRESHNESS(on_stale="drop"),
        "on_stale is 'drop'",
        "use OnStale.DROP or OnStale.DELIVER",
    ),
    "max_gap of nothing": (lambda: Liveness("0ms"), "max_gap of 0", _POSITIVE),
    "max_gap as a number": (lambda: _LIVENESS(5), f"max_gap is 5, {_NO_UNIT}", _UNIT),
    "step gap of nothing": (lambda: Liveness(None, "0ms"), "max_step_gap of 0", _POSITIVE),
    "step gap as a number": (lambda: _LIVENESS(None, 5), f"max_step_gap is 5, {_NO_UNIT}", _UNIT),
    # Inputs and nodes
    "freshness of an input as a number": (lambda: _INPUT(5), "freshness is 5", _FRESH),
    "gap of an input of nothing": (lambda: InputPolicy(max_gap="0s"), "max_gap of 0", _POSITIVE),
    "needs as a number": (
        lambda: _INPUT(needs_degrade_allowed=1),
        "needs_degrade_allowed is 1",
        "write True or False",
    ),
    "deadline of a node as a number": (
        lambda: _NODE(deadline=5),
        "deadline is 5",
        'write it as in "250ms"',
    ),
    "batching as a number": (
        lambda: _NODE(batching=8),
        "batching is 8",
        "use Batching.fixed(n) and its siblings",
    ),
    "criticality as text": (
        lambda: _NODE(criticality="operational"),
        "criticality is 'operational'",
        "use CriticalityClass.OPERATIONAL or a sibling",
    ),
    "error action as text": (
        lambda: _NODE(error_action="continue"),
        "error_action is 'continue'",
        "use ErrorAction.CONTINUE or a sibling, EmitFailsafe(payload) or Restart(max)",
    ),
    "cost as a number": (lambda: _NODE(sim_cost=5), f"sim_cost is 5, {_NO_UNIT}", _UNIT),
    "activation as text": (
        lambda: _NODE(activation="any"),
        "activation is 'any'",
        'use Activation.ALL, Activation.ANY, Trigger("port") or Periodic("10ms")',
    ),
    "budget of a node as a number": (
        lambda: _NODE(budget=5),
        "budget is 5",
        'write it as in "20ms", or use Budget(…)',
    ),
    "freshness of a node as a number": (lambda: _NODE(freshness=5), "freshness is 5", _FRESH),
    "liveness as a number": (
        lambda: _NODE(liveness=5),
        "liveness is 5",
        'write it as in "40ms", or use Liveness(…)',
    ),
    "interval of nothing": (lambda: NodePolicy(interval="0s"), "interval of 0", _POSITIVE),
    "interval as a number": (lambda: _NODE(interval=5), f"interval is 5, {_NO_UNIT}", _UNIT),
    "inputs as a list": (lambda: _NODE(inputs=[]), "inputs is []", _INPUTS),
    "input that is a number": (
        lambda: _NODE(inputs={5: InputPolicy()}),
        "the name of an input is 5",
        _INPUTS,
    ),
    "input without a name": (
        lambda: NodePolicy(inputs={"": InputPolicy()}),
        "the name of an input is empty",
        _INPUTS,
    ),
    "input with a number": (
        lambda: _NODE(inputs={"x": 5}),
        "the policy of input 'x' is 5",
        _INPUTS,
    ),
}

_IMPOSSIBLE = (
    "no items",
    "soft items too many",
    "no soft items",
    "no bytes",
    "soft bytes too many",
    "latch of two",
    "latch with a soft mark",
)


@pytest.mark.parametrize("case", _TEXTS)
def test_a_refusal_says_word_for_word_what_is_wrong_and_what_would_be_right(case: str) -> None:
    call, message, remedy = _TEXTS[case]
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert (caught.value.message, caught.value.remedy) == (message, remedy)
    wanted = Code.INVALID_CAPACITY if case in _IMPOSSIBLE else Code.CONFIGURATION
    assert caught.value.code is wanted


# ------------------------------------------------------------------ what holds if nothing is given

_DEFAULTS: dict[str, tuple[object, object]] = {
    "caps": (QueueCaps(4), QueueCaps(4, None, None, None)),
    "edge": (
        EdgePolicy(),
        EdgePolicy(QueueCaps(64), AdmissionPolicy.BLOCK, RetentionMode.FIFO, 1, None),
    ),
    "decision": (
        AdmissionDecision(AdmissionVerdict.ADMIT),
        AdmissionDecision(AdmissionVerdict.ADMIT, None, ()),
    ),
    "batching": (Batching(), Batching(1, None, None)),
    "batching in ticks": (BatchingTicks(), BatchingTicks(1, None, 1)),
    "degrade": (Degrade(), Degrade(1, 10, "0ns")),
    "budget": (Budget(), Budget(None, None, None)),
    "deadline": (Deadline(), Deadline(None, "0ns", False, OnMiss.PROCESS)),
    "restart": (Restart(3), Restart(3, "60s", "0ns")),
    "freshness": (Freshness(), Freshness(None, None, OnStale.DROP)),
    "freshness in ticks": (FreshnessTicks(), FreshnessTicks(None, None, False)),
    "liveness": (Liveness(), Liveness(None, None)),
    "input": (InputPolicy(), InputPolicy(None, None, False)),
    "input state": (InputState(), InputState(False, False, False, False, True, False, False)),
    "node": (
        NodePolicy(),
        NodePolicy(
            batching=Batching.none(),
            deadline=Deadline(),
            criticality=CriticalityClass.OPERATIONAL,
            error_action=None,
            sim_cost="0ns",
            activation=None,
            budget=Budget(),
            freshness=Freshness(),
            liveness=Liveness(),
            inputs={},
            interval=None,
        ),
    ),
}


@pytest.mark.parametrize("case", _DEFAULTS)
def test_what_is_not_given_is_as_the_page_says(case: str) -> None:
    short, full = _DEFAULTS[case]
    assert short == full


def test_a_ring_is_kept_as_it_is_named() -> None:
    assert EdgePolicy(ring="heap").ring == "heap"


def test_a_declared_payload_goes_to_the_only_port_and_a_failsafe_does_not_end_its_node() -> None:
    assert DefaultOnTimeout(1).port is None
    assert (EmitFailsafe(1).port, EmitFailsafe(1).quiesce) == (None, False)
    assert (EmitFailsafe(1, "out", True).port, EmitFailsafe(1, "out", True).quiesce) == (
        "out",
        True,
    )


# ------------------------------------------------------------------ how values may be written


@pytest.mark.parametrize(
    ("short", "full"),
    [
        (lambda: NodePolicy(deadline="5ms"), NodePolicy(deadline=Deadline("5ms"))),
        (lambda: NodePolicy(budget="5ms"), NodePolicy(budget=Budget("5ms"))),
        (lambda: NodePolicy(freshness="5ms"), NodePolicy(freshness=Freshness("5ms"))),
        (lambda: NodePolicy(liveness="5ms"), NodePolicy(liveness=Liveness("5ms"))),
        (lambda: InputPolicy("5ms"), InputPolicy(Freshness("5ms"))),
    ],
    ids=["deadline", "budget", "freshness", "liveness", "input"],
)
def test_a_duration_alone_stands_for_the_first_part_of_a_record(
    short: Callable[[], object], full: object
) -> None:
    assert short() == full


@pytest.mark.parametrize(
    "written",
    [[np.int64(n) for n in (4, 2, 9, 5)], [4, 2, "9B", "5B"]],
    ids=["numpy", "text"],
)
def test_caps_are_plain_numbers_however_they_were_written(written: list[Any]) -> None:
    given = QueueCaps(*written)
    assert given == QueueCaps(4, 2, 9, 5)
    values = (given.max_items, given.soft_items, given.max_bytes, given.soft_bytes)
    assert [type(value) for value in values] == [int] * 4


def test_other_counts_are_plain_numbers_too() -> None:
    batching = Batching(np.int64(4), np.int64(5), np.int64(2))
    assert batching == Batching(4, 5, 2)
    assert type(batching.max_items) is type(batching.delta_t_ns) is type(batching.stride) is int
    degrade = Degrade(np.int64(2), np.int64(3))
    assert type(degrade.degrade_after) is type(degrade.recover_after) is int
    assert type(Restart(np.int64(2)).max) is int
    lanes: Any = np.int64(2)
    assert type(EdgePolicy(lanes=lanes).lanes) is int


def test_the_least_that_is_allowed_is_accepted() -> None:
    caps = QueueCaps(1, 1, 1, 1)
    assert (caps.item_mark, caps.byte_limit) == (1, 1)
    assert QueueCaps(4, 4, 9, 9).item_mark == 4
    assert Batching(1, 1, 1).delta_t_ns == 1
    assert Batching.sliding(4, 4).stride == 4
    assert Periodic("1ns").period_ns == 1
    assert (Budget("1ns", "1ns").tick_budget_ns, Budget("1ns", "1ns").watchdog_ns) == (1, 1)
    assert Budget("5ms", "6ms").watchdog_ns == 6_000_000
    assert Degrade(1, 1).recover_after == 1
    assert Restart(1, "1ns").per_ns == 1
    assert Freshness("1ns", "1ns").max_age == "1ns"
    policy = NodePolicy(liveness=Liveness("1ns", "1ns"), interval="1ns")
    assert (policy.max_gap_ns_of("x"), policy.max_step_gap_ns, policy.interval_ns) == (1, 1, 1)


@pytest.mark.parametrize(
    "action", [OverBudgetAction.SKIP_STAGE, DefaultOnTimeout(1), Degrade()], ids=repr
)
def test_a_budget_takes_each_kind_of_action(action: Any) -> None:  # noqa: ANN401 - a union
    assert Budget("5ms", action=action).action is action


@pytest.mark.parametrize(
    "action", [ErrorAction.QUIESCE, EmitFailsafe(1), Restart(2)], ids=lambda a: type(a).__name__
)
def test_a_node_takes_each_kind_of_error_action(action: Any) -> None:  # noqa: ANN401 - a union
    assert NodePolicy(error_action=action).on_error is action


# ------------------------------------------------------------------ conversions


@pytest.mark.parametrize(
    ("most", "backoff", "rest"),
    [
        (1, "3ms", 3_000_000),
        (3, "1ms", 7_000_000),
        (3, "0ns", 0),
        (64, "1ns", (1 << 64) - 1),
        (65, "1ns", (1 << 64) - 1),
    ],
)
def test_all_rests_together_are_the_sum_of_the_doubled_ones_up_to_64(
    most: int, backoff: str, rest: int
) -> None:
    assert Restart(most, backoff=backoff).rest_ns == rest


def test_a_restart_counts_within_its_window() -> None:
    assert (Restart(1).per_ns, Restart(1, "2ms").per_ns) == (60_000_000_000, 2_000_000)


@pytest.mark.parametrize(
    ("freshness", "ticks"),
    [
        (Freshness(), (None, None, False)),
        (Freshness("5ms"), (5, None, False)),
        (Freshness(None, "7ms", OnStale.DELIVER), (None, 7, True)),
        (Freshness("5ms", "7ms"), (5, 7, False)),
    ],
    ids=str,
)
def test_each_limit_of_freshness_keeps_its_place_in_ticks(
    freshness: Freshness, ticks: tuple[int | None, int | None, bool]
) -> None:
    assert freshness.in_ticks(SimClock(tick_rate_hz=1000)) == FreshnessTicks(*ticks)


@pytest.mark.parametrize(
    ("ticks", "none"),
    [((None, None), True), ((1, None), False), ((None, 1), False), ((1, 1), False)],
    ids=str,
)
def test_freshness_without_any_limit_is_none(
    ticks: tuple[int | None, int | None], none: bool
) -> None:
    assert FreshnessTicks(*ticks).is_none is none


def test_batching_in_ticks_is_none_for_one_message_without_waiting() -> None:
    assert BatchingTicks(1, None, 1).is_none
    assert not BatchingTicks(2, None, 2).is_none
    assert not BatchingTicks(1, 5, 1).is_none


# ------------------------------------------------------------------ what holds for one input


def both() -> NodePolicy:
    return NodePolicy(
        freshness="5ms",
        liveness=Liveness("6ms", "7ms"),
        inputs={"own": InputPolicy("1ms", "2ms", True), "silent": InputPolicy()},
    )


@pytest.mark.parametrize(
    ("port", "age", "gap", "needs"),
    [
        ("own", "1ms", 2_000_000, True),
        ("silent", "5ms", 6_000_000, False),
        ("other", "5ms", 6_000_000, False),
    ],
)
def test_what_an_input_says_holds_there_and_what_it_leaves_out_is_the_nodes(
    port: str, age: str, gap: int, needs: bool
) -> None:
    policy = both()
    assert policy.freshness_of(port) == Freshness(age)
    assert policy.max_gap_ns_of(port) == gap
    assert policy.needs_degrade_allowed(port) is needs


def test_what_a_node_says_is_converted() -> None:
    policy = NodePolicy(
        deadline="1ms",
        budget="2ms",
        sim_cost="3ms",
        liveness=Liveness("4ms", "5ms"),
        interval="6ms",
    )
    assert policy.deadline_rule == Deadline("1ms")
    assert policy.budget_rule == Budget("2ms")
    assert policy.sim_cost_ns == 3_000_000
    assert policy.max_step_gap_ns == 5_000_000
    assert policy.interval_ns == 6_000_000
    assert both().max_step_gap_ns == 7_000_000
    bare = NodePolicy()
    assert (bare.max_step_gap_ns, bare.interval_ns, bare.max_gap_ns_of("x")) == (None, None, None)
    assert (bare.sim_cost_ns, Budget().tick_budget_ns, Budget().watchdog_ns) == (0, None, None)


def test_the_inputs_of_a_policy_are_a_copy_that_nobody_can_change() -> None:
    mine = {"x": InputPolicy("1ms")}
    policy = NodePolicy(inputs=mine)
    mine["y"] = InputPolicy()
    assert dict(policy.inputs) == {"x": InputPolicy("1ms")}
    theirs: Any = policy.inputs
    with pytest.raises(TypeError):
        theirs["z"] = InputPolicy()


# ------------------------------------------------------------------ short forms of the constructors


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (lambda: EdgePolicy.drop_oldest(3), EdgePolicy(QueueCaps(3), AdmissionPolicy.DROP_OLDEST)),
        (lambda: EdgePolicy.drop_newest(3), EdgePolicy(QueueCaps(3), AdmissionPolicy.DROP_NEWEST)),
        (lambda: EdgePolicy.block(3), EdgePolicy(QueueCaps(3), AdmissionPolicy.BLOCK)),
        (
            lambda: EdgePolicy.deadline_and_qos_aware(3),
            EdgePolicy(QueueCaps(3), AdmissionPolicy.DEADLINE_AND_QOS_AWARE),
        ),
        (
            lambda: EdgePolicy.deadline_and_qos_aware(3, 2),
            EdgePolicy(QueueCaps(3, 2), AdmissionPolicy.DEADLINE_AND_QOS_AWARE),
        ),
        (
            lambda: EdgePolicy.mailbox_latest(),
            EdgePolicy(QueueCaps(1), _OLDEST, RetentionMode.MAILBOX),
        ),
        (lambda: EdgePolicy.latch_latest(), EdgePolicy(QueueCaps(1), _OLDEST, RetentionMode.LATCH)),
        (lambda: Batching.none(), Batching(1)),
        (lambda: Batching.fixed(4), Batching(4)),
        (lambda: Batching.delta_t("5ns"), Batching(None, 5)),
        (lambda: Batching.fixed_and_delta_t(4, "5ns"), Batching(4, 5)),
        (lambda: Batching.sliding(4, 2), Batching(4, None, 2)),
        (lambda: Batching.sliding(4, 2, "5ns"), Batching(4, 5, 2)),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_a_short_form_is_what_it_stands_for(made: Callable[[], object], written: object) -> None:
    assert made() == written


# ------------------------------------------------------------------ edges of what is decided


@pytest.mark.parametrize(
    ("caps", "items", "size", "mark"),
    [
        (QueueCaps(4, 4, 9, 9), 3, 8, Watermark.BELOW_SOFT),
        (QueueCaps(4, 4, 9, 9), 3, 9, Watermark.AT_OR_ABOVE_HARD),
        (QueueCaps(4, 2, 9, 5), 1, 5, Watermark.BETWEEN_SOFT_AND_HARD),
        (QueueCaps(4, 2, 9), 1, 8, Watermark.BELOW_SOFT),
        (QueueCaps(4, 2), 1, 10**9, Watermark.BELOW_SOFT),
        (QueueCaps(4, 2), 2, 0, Watermark.BETWEEN_SOFT_AND_HARD),
    ],
    ids=str,
)
def test_a_mark_is_reached_at_its_own_value(
    caps: QueueCaps, items: int, size: int, mark: Watermark
) -> None:
    assert caps.watermark(items, size) is mark


def test_no_rule_that_is_none_of_them_is_answered() -> None:
    stranger: Any = "all"
    for question in (inputs_ready, inputs_ended):
        with pytest.raises(AssertionError, match="'all'"):
            question(stranger, [InputState()])


@pytest.mark.parametrize(
    "rule", [Activation.ALL, Activation.ANY, Trigger("x")], ids=lambda rule: str(rule)
)
def test_without_inputs_a_node_is_never_ready_and_never_ends(rule: ActivationRule) -> None:
    assert not inputs_ready(rule, [])
    assert not inputs_ended(rule, [])


def test_a_periodic_node_without_inputs_steps_and_never_ends() -> None:
    assert inputs_ready(Periodic("1ms"), [])
    assert not inputs_ended(Periodic("1ms"), [])


def test_a_message_without_limits_is_never_stale_and_never_unfit() -> None:
    assert not is_stale(FreshnessTicks(), 10**12, 10**12)
    assert not is_stale(FreshnessTicks(), 0, 0, header_max_ns=0)
    assert is_stale(FreshnessTicks(), 0, 0, 1, 0)
    assert why_unfit(stale=False, deadline_ns=None, now_ns=0) is None
    assert why_unfit(stale=False, deadline_ns=5, now_ns=5, drops_late=True) is None
    assert why_unfit(stale=False, deadline_ns=5, now_ns=6, drops_late=True) is Unfit.EXPIRED


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (
            (
                "too_large expired background full stopped consumer_ended capacity superseded"
                " lower_qos"
            ),
            Refusal,
        ),
        ("stale no_deadline expired infeasible", Unfit),
        ("admit drop_newest reject evict block", AdmissionVerdict),
        ("process drop", OnMiss),
        ("drop deliver", OnStale),
        ("drop skip_stage", OverBudgetAction),
        ("halt_graph quiesce continue", ErrorAction),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_words_of_logs_and_graph_files_are_these(names: str, kind: Any) -> None:  # noqa: ANN401 - enums
    assert [member.value for member in kind] == names.split()


class EmptyRing:
    """A ring in which nothing waits."""

    size_bytes = 0

    def __len__(self) -> int:
        return 0

    def item(self, index: int) -> Item:
        raise IndexError(index)


def test_no_admission_that_is_none_of_them_is_decided() -> None:
    class Full(EmptyRing):
        def __len__(self) -> int:
            return 4

    policy = EdgePolicy(QueueCaps(4))
    object.__setattr__(policy, "admission", "sometimes")
    with pytest.raises(AssertionError, match="'sometimes'"):
        decide(policy, Full(), Item(1, QoSClass.BEST_EFFORT, None, 0), 0)
    empty = decide(policy, EmptyRing(), Item(1, QoSClass.BEST_EFFORT, None, 0), 0)
    assert empty.verdict is AdmissionVerdict.ADMIT


def test_every_switch_starts_all_counts_anew() -> None:
    rule = Degrade(2, 3)
    assert full_form(rule) == DegradeState(False, 0, 0, 3)
    once = DegradeState(False, 1, 0, 3)
    assert after_full(rule, full_form(rule), overran=True) == (once, None)
    assert after_full(rule, once, overran=False) == (full_form(rule), None)
    degraded = DegradeState(True, 0, 0, 3)
    assert after_full(rule, once, overran=True) == (degraded, Switch.VARIANT)
    assert after_infeasible(rule, once) == (degraded, Switch.VARIANT)
    assert after_infeasible(rule, degraded) == (degraded, None)
    due = DegradeState(True, 0, 3, 3)
    assert (due.probes, degraded.probes, full_form(rule).probes) == (True, False, False)
    assert after_full(rule, due, overran=False) == (full_form(rule), Switch.FULL)
    assert after_full(rule, due, overran=True) == (DegradeState(True, 0, 0, 6), Switch.VARIANT)
    longest = DegradeState(True, 0, 20, 20)
    assert after_full(rule, longest, overran=True)[0] == DegradeState(True, 0, 0, 24)
    assert after_variant(DegradeState(True, 0, 2, 3), overran=False) == due
    assert after_variant(DegradeState(True, 0, 2, 3), overran=True) == degraded
    assert after_variant(due, overran=True) == due
    assert after_variant(once, overran=True) == once
