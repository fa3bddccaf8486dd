"""Policies are immutable, and every misuse says what would be right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from limen.errors import Code, ConfigurationError
from limen.platform import SimClock
from limen.policy import (
    Activation,
    AdmissionPolicy,
    Batching,
    BatchingTicks,
    Deadline,
    EdgePolicy,
    ErrorAction,
    NodePolicy,
    QueueCaps,
    RetentionMode,
    Watermark,
)
from limen.types import CriticalityClass

_CAPS: Any = QueueCaps
_EDGE: Any = EdgePolicy
_BATCHING: Any = Batching
_DEADLINE: Any = Deadline
_NODE: Any = NodePolicy

_OLDEST = AdmissionPolicy.DROP_OLDEST

_MISUSES: dict[str, tuple[Callable[[], object], str, str]] = {
    "no items": (lambda: _CAPS(0), "max_items is 0", "at least 1"),
    "negative items": (lambda: _CAPS(-3), "max_items is -3", "at least 1"),
    "items as text": (lambda: _CAPS("64"), "max_items is '64'", "whole number"),
    "half an item": (lambda: _CAPS(1.5), "max_items is 1.5", "whole number"),
    "items as a truth value": (lambda: _CAPS(True), "max_items is True", "whole number"),
    "soft above hard": (lambda: _CAPS(4, 5), "soft_items 5", "lower it to 4"),
    "soft of zero": (lambda: _CAPS(4, 0), "soft_items 0", "at least 1"),
    "soft as a fraction": (lambda: _CAPS(4, 1.5), "soft_items is 1.5", "whole number"),
    "soft as a truth value": (lambda: _CAPS(4, True), "soft_items is True", "whole number"),
    "soft items with a unit": (lambda: _CAPS(4, "2B"), "soft_items is '2B'", "whole number"),
    "no bytes": (lambda: _CAPS(4, max_bytes=0), "max_bytes is 0", "at least 1 B"),
    "no bytes as text": (lambda: _CAPS(4, max_bytes="0B"), "max_bytes is 0", "at least 1 B"),
    "half a byte": (lambda: _CAPS(4, max_bytes=1.5), "max_bytes is 1.5", "64KiB"),
    "bytes as a truth value": (lambda: _CAPS(4, max_bytes=True), "max_bytes is True", "64KiB"),
    "bytes without a unit": (lambda: _CAPS(4, max_bytes="64"), "max_bytes '64'", "KiB"),
    "soft bytes alone": (lambda: _CAPS(4, soft_bytes=1), "soft_bytes without", "give max_bytes"),
    "soft bytes above hard": (
        lambda: _CAPS(4, max_bytes="1kB", soft_bytes="1KiB"),
        "soft_bytes 1024",
        "lower it to 1000",
    ),
    "soft bytes as a list": (
        lambda: _CAPS(4, max_bytes=9, soft_bytes=[1]),
        "soft_bytes is [1]",
        "whole number",
    ),
    "byte limit of caps without": (lambda: _CAPS(4).byte_limit, "no byte limit", "give max_bytes"),
    "caps as a number": (lambda: _EDGE(64), "caps is 64", "QueueCaps(max_items)"),
    "admission as text": (
        lambda: _EDGE(QueueCaps(1), "block"),
        "admission is 'block'",
        "AdmissionPolicy.BLOCK",
    ),
    "drop_oldest of nothing": (lambda: EdgePolicy.drop_oldest(0), "max_items is 0", "at least 1"),
    "drop_newest of nothing": (lambda: EdgePolicy.drop_newest(0), "max_items is 0", "at least 1"),
    "block of nothing": (lambda: EdgePolicy.block(0), "max_items is 0", "at least 1"),
    "aware with a high soft mark": (
        lambda: EdgePolicy.deadline_and_qos_aware(2, 3),
        "soft_items 3",
        "lower it to 2",
    ),
    "retention as text": (
        lambda: _EDGE(QueueCaps(1), AdmissionPolicy.DROP_OLDEST, "latch"),
        "retention is 'latch'",
        "RetentionMode.FIFO",
    ),
    "no lanes": (lambda: EdgePolicy(lanes=0), "lanes is 0", "1 lane, or 2"),
    "three lanes": (lambda: EdgePolicy(lanes=3), "lanes is 3", "1 lane, or 2"),
    "lanes as a truth value": (lambda: EdgePolicy(lanes=True), "lanes is True", "1 lane, or 2"),
    "lanes as text": (lambda: _EDGE(lanes="2"), "lanes is '2'", "1 lane, or 2"),
    "half a lane": (lambda: _EDGE(lanes=1.5), "lanes is 1.5", "1 lane, or 2"),
    **{
        f"{mode.value} {what}": (
            lambda mode=mode, caps=caps, admission=admission, lanes=lanes: EdgePolicy(
                caps, admission, mode, lanes
            ),
            f"a {mode.value} {wrong}",
            right,
        )
        for mode in (RetentionMode.MAILBOX, RetentionMode.LATCH)
        for what, caps, admission, lanes, wrong, right in (
            ("of two", QueueCaps(2), _OLDEST, 1, "of 2 items", "leave max_items out"),
            (
                "with soft items",
                QueueCaps(1, 1),
                _OLDEST,
                1,
                "with a soft mark",
                "leave soft marks",
            ),
            (
                "with soft bytes",
                QueueCaps(1, max_bytes=9, soft_bytes=5),
                _OLDEST,
                1,
                "with a soft mark",
                "leave soft marks",
            ),
            *(
                (
                    f"with {other.value}",
                    QueueCaps(1),
                    other,
                    1,
                    f"with admission {other.value}",
                    "leave admission out",
                )
                for other in AdmissionPolicy
                if other is not _OLDEST
            ),
            ("with two lanes", QueueCaps(1), _OLDEST, 2, "with 2 lanes", "one lane"),
        )
    },
    "batch of nothing": (lambda: Batching.fixed(0), "a batch of 0", "at least 1 item"),
    "batch of a fraction": (lambda: _BATCHING(1.5), "a batch of 1.5", "at least 1 item"),
    "batch as a truth value": (lambda: _BATCHING(True), "a batch of True", "at least 1 item"),
    "window of nothing": (
        lambda: Batching.fixed_and_delta_t(4, "0ms"),
        "delta_t of 0 ns",
        "positive duration",
    ),
    "window without a unit": (
        lambda: Batching.fixed_and_delta_t(4, "10"),
        "delta_t '10' has no unit",
        "ms",
    ),
    "window as text": (lambda: _BATCHING(4, "10ms"), "delta_t of '10ms'", "positive duration"),
    "window as a fraction": (lambda: _BATCHING(4, 0.5), "delta_t of 0.5", "positive duration"),
    "negative batch": (lambda: Batching.fixed(-1), "a batch of -1", "at least 1 item"),
    "batch without any limit": (lambda: Batching(None), "without a limit", "or delta_t"),
    "delta t of nothing": (lambda: Batching.delta_t("0s"), "delta_t of 0 ns", "positive duration"),
    "delta t without a unit": (lambda: Batching.delta_t("5"), "delta_t '5' has no unit", "ms"),
    "negative delta t": (lambda: Batching.delta_t("-5ms"), "delta_t '-5ms'", "200ms"),
    "window that stands still": (lambda: Batching.sliding(4, 0), "stride 0", "at least 1"),
    "window that moves back": (lambda: Batching.sliding(4, -1), "stride -1", "at least 1"),
    "window that leaps": (lambda: Batching.sliding(4, 5), "stride 5 of a window of 4", "at most"),
    "stride as a truth value": (lambda: _BATCHING(4, None, True), "stride True", "at least 1"),
    "stride as a fraction": (lambda: _BATCHING(4, None, 1.0), "stride 1.0", "at least 1"),
    "sliding of nothing": (lambda: Batching.sliding(0, 1), "a batch of 0", "at least 1 item"),
    "sliding by time alone": (lambda: Batching(None, 5, 1), "without a number", "n and stride"),
    "sliding delta t of nothing": (
        lambda: Batching.sliding(4, 2, "0ms"),
        "delta_t of 0 ns",
        "positive duration",
    ),
    "activation as text": (
        lambda: _NODE(activation="any"),
        "activation is 'any'",
        "Activation.ANY",
    ),
    "deadline as a number": (lambda: _DEADLINE(250), "deadline is 250", "200ms"),
    "deadline of no unit": (lambda: Deadline("250"), "deadline '250' has no unit", "ms"),
    "slack as a number": (lambda: _DEADLINE(None, 5), "slack is 5", "200ms"),
    "negative slack": (lambda: Deadline("5ms", "-1ms"), "slack '-1ms'", "200ms"),
    "node deadline as a number": (lambda: _NODE(deadline=250), "deadline is 250", "250ms"),
    "node deadline of words": (lambda: NodePolicy(deadline="soon"), "deadline 'soon'", "200ms"),
    "node batching as a number": (lambda: _NODE(batching=8), "batching is 8", "Batching.fixed(n)"),
    "criticality as text": (
        lambda: _NODE(criticality="operational"),
        "criticality is 'operational'",
        "CriticalityClass.OPERATIONAL",
    ),
    "error action as text": (
        lambda: _NODE(error_action="continue"),
        "error_action is 'continue'",
        "ErrorAction.CONTINUE",
    ),
    "cost as a number": (lambda: _NODE(sim_cost=5), "sim_cost is 5", "200ms"),
}


@pytest.mark.parametrize("misuse", _MISUSES)
def test_a_misuse_is_refused_and_the_text_says_what_is_right(misuse: str) -> None:
    call, wrong, right = _MISUSES[misuse]
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert wrong in caught.value.message
    assert right in caught.value.remedy


@pytest.mark.parametrize(
    "misuse", ["no items", "soft above hard", "no bytes", "mailbox of two", "latch with soft items"]
)
def test_an_impossible_capacity_has_a_code_of_its_own(misuse: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _MISUSES[misuse][0]()
    assert caught.value.code is Code.INVALID_CAPACITY


@pytest.mark.parametrize(
    "value",
    [QueueCaps(4), EdgePolicy(), Batching.fixed(2), BatchingTicks(), Deadline(), NodePolicy()],
    ids=lambda value: type(value).__name__,
)
def test_a_policy_is_immutable(value: Any) -> None:  # noqa: ANN401 - any policy
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises((AttributeError, TypeError)):
        value.another = 1
    assert hash(value) == hash(value)


def test_equal_policies_are_equal_however_their_sizes_were_written() -> None:
    assert QueueCaps(4, max_bytes="1KiB") == QueueCaps(4, max_bytes=1024)
    assert QueueCaps(4, max_bytes="9B", soft_bytes="5B") == QueueCaps(4, None, 9, 5)
    assert NodePolicy(deadline="5ms") == NodePolicy(deadline=Deadline("5ms"))


@pytest.mark.parametrize(
    ("items", "size", "mark"),
    [
        (0, 0, Watermark.BELOW_SOFT),
        (1, 9, Watermark.BELOW_SOFT),
        (2, 0, Watermark.BETWEEN_SOFT_AND_HARD),
        (1, 10, Watermark.BETWEEN_SOFT_AND_HARD),
        (3, 19, Watermark.BETWEEN_SOFT_AND_HARD),
        (4, 0, Watermark.AT_OR_ABOVE_HARD),
        (0, 20, Watermark.AT_OR_ABOVE_HARD),
    ],
)
def test_a_watermark_looks_at_items_and_bytes(items: int, size: int, mark: Watermark) -> None:
    assert QueueCaps(4, 2, max_bytes=20, soft_bytes=10).watermark(items, size) is mark


def test_without_soft_marks_a_queue_is_below_soft_until_it_is_full() -> None:
    caps = QueueCaps(2, max_bytes=8)
    assert caps.item_mark == 2
    assert caps.watermark(1, 7) is Watermark.BELOW_SOFT
    assert caps.watermark(2, 7) is Watermark.AT_OR_ABOVE_HARD


@pytest.mark.parametrize(
    ("policy", "admission"),
    [
        (EdgePolicy.drop_oldest(3), AdmissionPolicy.DROP_OLDEST),
        (EdgePolicy.drop_newest(3), AdmissionPolicy.DROP_NEWEST),
        (EdgePolicy.block(3), AdmissionPolicy.BLOCK),
        (EdgePolicy.deadline_and_qos_aware(3, 2), AdmissionPolicy.DEADLINE_AND_QOS_AWARE),
    ],
    ids=lambda value: value.kind if isinstance(value, EdgePolicy) else "",
)
def test_a_constructor_names_its_admission(policy: EdgePolicy, admission: AdmissionPolicy) -> None:
    assert (policy.admission, policy.caps.max_items) == (admission, 3)


def test_batching_is_converted_to_the_clocks_ticks_once() -> None:
    clock = SimClock(tick_rate_hz=1000)
    assert Batching.fixed_and_delta_t(4, "5.9ms").in_ticks(clock, 4) == BatchingTicks(4, 5, 4)
    assert Batching.fixed(4).in_ticks(clock, 4) == BatchingTicks(4, None, 4)
    assert Batching.sliding(4, 3).in_ticks(clock, 2) == BatchingTicks(2, None, 2)
    assert Batching.none().is_none
    assert not Batching.fixed_and_delta_t(1, "1ms").is_none


@pytest.mark.parametrize("criticality", list(CriticalityClass))
def test_the_error_action_follows_criticality_unless_it_is_given(
    criticality: CriticalityClass,
) -> None:
    safety = criticality is CriticalityClass.SAFETY_CRITICAL
    wanted = ErrorAction.HALT_GRAPH if safety else ErrorAction.CONTINUE
    assert NodePolicy(criticality=criticality).on_error is wanted
    for action in ErrorAction:
        given = NodePolicy(criticality=criticality, error_action=action)
        assert given.on_error is action


def test_a_deadline_is_kept_in_nanoseconds() -> None:
    policy = NodePolicy(deadline=Deadline("5ms", "1us"), sim_cost="2s")
    assert policy.deadline_rule.default_ns == 5_000_000
    assert policy.deadline_rule.slack_ns == 1_000
    assert policy.sim_cost_ns == 2_000_000_000
    assert NodePolicy().deadline_rule.default_ns is None


@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        (EdgePolicy.mailbox_latest(), RetentionMode.MAILBOX),
        (EdgePolicy.latch_latest(), RetentionMode.LATCH),
    ],
    ids=["mailbox", "latch"],
)
def test_a_single_value_holds_one_item_without_soft_marks_and_is_named_by_its_retention(
    policy: EdgePolicy, mode: RetentionMode
) -> None:
    assert policy == EdgePolicy(QueueCaps(1), AdmissionPolicy.DROP_OLDEST, mode)
    assert (policy.caps.max_items, policy.caps.soft_items, policy.lanes) == (1, None, 1)
    assert policy.kind == mode.value
    assert policy.is_latch is (mode is RetentionMode.LATCH)
    assert policy != EdgePolicy.drop_oldest(1)


def test_a_single_value_may_have_a_byte_cap() -> None:
    caps = QueueCaps(1, max_bytes="1KiB")
    policy = EdgePolicy(caps, AdmissionPolicy.DROP_OLDEST, RetentionMode.MAILBOX)
    assert policy.caps.byte_limit == 1024


@pytest.mark.parametrize("admission", list(AdmissionPolicy))
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_queue_is_fifo_unless_it_says_so_and_may_have_two_lanes_whatever_it_admits(
    admission: AdmissionPolicy, lanes: int
) -> None:
    policy = EdgePolicy(QueueCaps(4), admission, lanes=lanes)
    assert policy.retention is RetentionMode.FIFO
    assert policy.kind == admission.value
    assert (policy.lanes, policy.is_latch) == (lanes, False)


def test_no_policy_given_is_64_items_that_block_in_one_lane() -> None:
    assert EdgePolicy() == EdgePolicy.block(64)
    assert EdgePolicy().lanes == 1


@pytest.mark.parametrize(
    ("items", "size", "item", "fits"),
    [
        (0, 0, 8, True),
        (0, 0, 9, False),
        (1, 5, 3, True),
        (1, 5, 4, False),
        (1, 8, 0, False),
        (2, 0, 0, False),
    ],
)
def test_an_item_fits_below_both_caps_and_up_to_the_byte_cap(
    items: int, size: int, item: int, fits: bool
) -> None:
    assert QueueCaps(2, max_bytes=8).fits(items, size, item) is fits


@pytest.mark.parametrize(("item", "ever"), [(0, True), (8, True), (9, False)])
def test_what_is_larger_than_the_byte_cap_can_never_fit(item: int, ever: bool) -> None:
    assert QueueCaps(2, max_bytes=8).can_ever_fit(item) is ever
    assert QueueCaps(2).can_ever_fit(item)


@pytest.mark.parametrize(
    ("batching", "none", "slides"),
    [
        (Batching.none(), True, False),
        (Batching.fixed(1), True, False),
        (Batching.fixed(4), False, False),
        (Batching.delta_t("5ms"), False, False),
        (Batching.fixed_and_delta_t(1, "5ms"), False, False),
        (Batching.sliding(4, 4), False, False),
        (Batching.sliding(4, 3), False, True),
        (Batching.sliding(4, 1, "5ms"), False, True),
    ],
    ids=str,
)
def test_batching_knows_whether_it_waits_and_whether_it_slides(
    batching: Batching, none: bool, slides: bool
) -> None:
    assert (batching.is_none, batching.slides) == (none, slides)


@pytest.mark.parametrize(
    ("batching", "most", "ticks"),
    [
        (Batching.none(), 1, BatchingTicks(1, None, 1)),
        (Batching.delta_t("7ms"), 9, BatchingTicks(9, 7, 9)),
        (Batching.sliding(4, 2), 4, BatchingTicks(4, None, 2)),
        (Batching.sliding(4, 2, "7ms"), 4, BatchingTicks(4, 7, 2)),
        (Batching.sliding(4, 4), 3, BatchingTicks(3, None, 3)),
    ],
    ids=str,
)
def test_what_a_step_can_present_bounds_items_and_stride(
    batching: Batching, most: int, ticks: BatchingTicks
) -> None:
    assert batching.in_ticks(SimClock(tick_rate_hz=1000), most) == ticks


def test_a_delta_t_below_one_tick_is_a_tick_and_not_none() -> None:
    ticks = Batching.delta_t("1us").in_ticks(SimClock(tick_rate_hz=1000), 4)
    assert ticks == BatchingTicks(4, 1, 4)


@pytest.mark.parametrize("activation", list(Activation))
def test_a_node_states_its_activation_or_leaves_it_to_its_component(
    activation: Activation,
) -> None:
    assert NodePolicy().activation is None
    assert NodePolicy(activation=activation).activation is activation


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("all", "any"), Activation),
        (("fifo", "mailbox", "latch"), RetentionMode),
        (("drop_newest", "drop_oldest", "block", "deadline_and_qos_aware"), AdmissionPolicy),
    ],
)
def test_the_names_in_graph_files_are_those_of_the_spec(
    names: tuple[str, ...], kind: type[Activation | RetentionMode | AdmissionPolicy]
) -> None:
    assert sorted(member.value for member in kind) == sorted(names)


def test_lanes_as_a_float_are_refused_like_every_other_count() -> None:
    with pytest.raises(ConfigurationError, match=r"lanes is 2\.0"):
        _EDGE(lanes=2.0)
