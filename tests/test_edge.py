"""The clauses of the edge contract, EDGE-1 to EDGE-8, on every ring, and the Δt prefix."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limen.edge import Edge, HeapRing, NoQueue, Priority2, PushResult, Ring, StaticRing
from limen.errors import Code, LifecycleError, QueueError
from limen.message import MessageHeader
from limen.platform import NoopClock, PlatformClock, SimClock
from limen.policy import BatchingTicks, EdgePolicy, Item, QueueCaps, Watermark, measure
from limen.testing.machines import EdgeMachine
from limen.types import (
    INVALID_TOKEN,
    DeadlineNs,
    MessageToken,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)

_RINGS: tuple[type[Ring], ...] = (StaticRing, HeapRing, Priority2)
_LOW, _MID, _HIGH = QoSClass.BACKGROUND, QoSClass.BEST_EFFORT, QoSClass.LATENCY_CRITICAL

every_ring = pytest.mark.parametrize("kind", _RINGS, ids=lambda kind: kind.__name__)


def header(size: int = 1, creation: int = 0, qos: QoSClass = _MID) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(0),
        sequence=SequenceNumber(0),
        creation_tick=Ticks(creation),
        origin_tick=Ticks(creation),
        payload_size_bytes=size,
        qos=qos,
    )


def ring(max_items: int = 3, max_bytes: int | None = None, kind: type[Ring] = StaticRing) -> Ring:
    return kind(QueueCaps(max_items, max_bytes=max_bytes), NoopClock())


def push(edge: Ring, token: int, size: int = 1, now: int = 0, qos: QoSClass = _MID) -> PushResult:
    return edge.try_push(MessageToken(token), header(size, qos=qos), Ticks(now))


def waiting(edge: Ring) -> list[int]:
    return [edge.try_peek_at(index) for index in range(len(edge))]


@every_ring
@pytest.mark.parametrize("qos", list(QoSClass))
def test_edge_1_items_of_one_class_leave_in_the_order_they_entered_also_past_the_wrap(
    kind: type[Ring], qos: QoSClass
) -> None:
    edge = ring(3, kind=kind)
    left = []
    for token in range(10):
        assert push(edge, token, qos=qos) is PushResult.ENQUEUED
        if token >= 2:
            left.append(edge.try_pop())
    left += [edge.try_pop() for _ in range(len(edge))]
    assert left == list(range(10))


_MIXED = ((0, _LOW), (1, _HIGH), (2, _MID), (3, _HIGH), (4, _LOW))


def mixed(kind: type[Ring]) -> Ring:
    edge = ring(9, kind=kind)
    for token, qos in _MIXED:
        push(edge, token, size=token + 1, now=10 * token, qos=qos)
    return edge


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        (StaticRing, [0, 1, 2, 3, 4]),
        (HeapRing, [0, 1, 2, 3, 4]),
        (Priority2, [1, 3, 0, 2, 4]),
    ],
)
def test_edge_1_pops_peeks_and_looks_see_the_same_order_lane_by_lane(
    kind: type[Ring], order: list[int]
) -> None:
    edge = mixed(kind)
    assert waiting(edge) == order
    assert [edge.push_tick_at(i) for i in range(5)] == [10 * token for token in order]
    assert [edge.header_at(i).payload_size_bytes for i in range(5)] == [t + 1 for t in order]
    assert [edge.try_pop() for _ in range(6)] == [*order, INVALID_TOKEN]


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        (StaticRing, [0, 1, 2, 3, 4]),
        (HeapRing, [0, 1, 2, 3, 4]),
        (Priority2, [0, 2, 4, 1, 3]),
    ],
)
def test_edge_1_eviction_takes_the_low_lane_first_and_admission_sees_that_order(
    kind: type[Ring], order: list[int]
) -> None:
    edge = mixed(kind)
    for place, token in enumerate(order):
        assert edge.item(place) == Item(token + 1, dict(_MIXED)[token], None, 10 * token)
    assert [edge.evict() for _ in range(6)] == [*order, INVALID_TOKEN]
    assert (len(edge), edge.size_bytes) == (0, 0)


def test_edge_1_eviction_from_one_lane_leaves_the_order_of_the_other() -> None:
    edge = mixed(Priority2)
    assert (edge.evict(), edge.try_pop(), edge.evict()) == (0, 1, 2)
    push(edge, 5, qos=_HIGH)
    assert waiting(edge) == [3, 5, 4]


@every_ring
def test_edge_2_a_push_at_the_item_cap_is_rejected_and_changes_nothing(kind: type[Ring]) -> None:
    edge = ring(2, kind=kind)
    push(edge, 1)
    push(edge, 2)
    assert push(edge, 3) is PushResult.REJECTED
    assert (waiting(edge), edge.size_bytes) == ([1, 2], 2)


@every_ring
@pytest.mark.parametrize("size", [3, 4, 100])
def test_edge_2_a_push_past_the_byte_cap_is_rejected_and_changes_nothing(
    kind: type[Ring], size: int
) -> None:
    edge = ring(9, 10, kind)
    push(edge, 1, size=8)
    assert push(edge, 2, size=size) is PushResult.REJECTED
    assert (waiting(edge), edge.size_bytes) == ([1], 8)


@every_ring
def test_edge_2_a_push_up_to_the_byte_cap_is_taken_and_an_empty_one_at_it_is_not(
    kind: type[Ring],
) -> None:
    edge = ring(9, 10, kind)
    push(edge, 1, size=8)
    assert push(edge, 2, size=2) is PushResult.ENQUEUED
    assert push(edge, 3, size=0) is PushResult.REJECTED


def test_edge_2_the_caps_hold_over_both_lanes_together() -> None:
    edge = ring(2, kind=Priority2)
    push(edge, 1, qos=_HIGH)
    push(edge, 2, qos=_LOW)
    for qos in QoSClass:
        assert push(edge, 3, qos=qos) is PushResult.REJECTED
    narrow = ring(9, 4, Priority2)
    push(narrow, 1, size=3, qos=_LOW)
    assert push(narrow, 2, size=2, qos=_HIGH) is PushResult.REJECTED
    assert push(narrow, 3, size=1, qos=_HIGH) is PushResult.ENQUEUED


@every_ring
def test_edge_3_a_rejected_token_never_comes_out(kind: type[Ring]) -> None:
    edge = ring(1, kind=kind)
    push(edge, 1)
    push(edge, 2, qos=_HIGH)
    assert [edge.try_pop(), edge.try_pop()] == [1, INVALID_TOKEN]


@pytest.mark.parametrize("kind", [*_RINGS, NoQueue], ids=lambda kind: kind.__name__)
def test_edge_4_each_endpoint_is_handed_out_once(kind: type[Ring]) -> None:
    edge = NoQueue() if kind is NoQueue else ring(kind=kind)
    assert edge.producer() is not None
    assert edge.consumer() is not None
    for again in (edge.producer, edge.consumer):
        with pytest.raises(LifecycleError, match="already") as caught:
            again()
        assert caught.value.code is Code.WRONG_STATE


@every_ring
def test_edge_4_what_goes_in_at_one_endpoint_comes_out_at_the_other(kind: type[Ring]) -> None:
    edge = ring(kind=kind)
    producer, consumer = edge.producer(), edge.consumer()
    assert producer.try_push(MessageToken(7), header(5), Ticks(3)) is PushResult.ENQUEUED
    assert (len(producer), producer.size_bytes) == (len(consumer), consumer.size_bytes) == (1, 5)
    producer.close()
    assert consumer.ended
    assert not consumer.closed
    assert consumer.try_pop() == 7
    assert consumer.closed


@every_ring
@pytest.mark.parametrize("evicted", [False, True])
def test_edge_5_an_edge_is_closed_only_after_its_last_item(kind: type[Ring], evicted: bool) -> None:
    edge = ring(kind=kind)
    push(edge, 1)
    push(edge, 2, qos=_HIGH)
    edge.close()
    edge.close()
    for _ in range(2):
        assert edge.ended
        assert not edge.closed
        assert (edge.evict() if evicted else edge.try_pop()) != INVALID_TOKEN
    assert edge.closed


@every_ring
def test_edge_5_an_empty_edge_is_not_closed_before_it_is_told(kind: type[Ring]) -> None:
    edge = ring(kind=kind)
    assert not edge.closed
    assert not edge.ended
    edge.close()
    assert edge.closed


@every_ring
@pytest.mark.parametrize("filled", [False, True])
def test_edge_6_a_push_after_close_raises_and_changes_nothing(
    kind: type[Ring], filled: bool
) -> None:
    edge = ring(kind=kind)
    if filled:
        push(edge, 1)
    edge.close()
    with pytest.raises(LifecycleError, match="closed") as caught:
        push(edge, 2)
    assert caught.value.code is Code.WRONG_STATE
    assert waiting(edge) == [1] * filled


@every_ring
def test_edge_7_the_push_instant_stays_with_its_item(kind: type[Ring]) -> None:
    edge = ring(3, kind=kind)
    for token in range(3):
        push(edge, token, now=10 + token)
    edge.try_pop()
    push(edge, 3, now=99)
    assert [edge.push_tick_at(i) for i in range(3)] == [11, 12, 99]


@every_ring
def test_edge_7_admission_sees_the_push_instant_in_nanoseconds(kind: type[Ring]) -> None:
    edge = kind(QueueCaps(2), SimClock(tick_rate_hz=1000))
    full = MessageHeader(
        trace_id=TraceId(0),
        sequence=SequenceNumber(0),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=6,
        deadline_ns=DeadlineNs(77),
        qos=QoSClass.BACKGROUND,
    )
    edge.try_push(MessageToken(1), full, Ticks(5))
    assert edge.item(0) == Item(6, QoSClass.BACKGROUND, 77, 5_000_000)


@pytest.mark.parametrize("kind", [*_RINGS, NoQueue], ids=lambda kind: kind.__name__)
def test_edge_8_an_empty_edge_gives_the_invalid_token(kind: type[Ring]) -> None:
    edge = NoQueue() if kind is NoQueue else ring(kind=kind)
    assert edge.try_pop() == edge.evict() == edge.try_peek_at(0) == INVALID_TOKEN
    assert (len(edge), edge.size_bytes) == (0, 0)


@every_ring
@pytest.mark.parametrize("index", [-1, 1, 3])
def test_edge_8_a_look_past_either_end_gives_nothing(kind: type[Ring], index: int) -> None:
    edge = ring(kind=kind)
    push(edge, 1)
    assert edge.try_peek_at(index) == INVALID_TOKEN
    for look in (edge.push_tick_at, edge.header_at, edge.item):
        with pytest.raises(QueueError) as caught:
            look(index)
        assert caught.value.code is Code.QUEUE_EMPTY


@every_ring
def test_edge_8_an_edge_that_was_emptied_is_like_a_new_one(kind: type[Ring]) -> None:
    edge = ring(2, kind=kind)
    for token in range(6):
        push(edge, token, qos=_HIGH if token % 2 else _LOW)
        assert (edge.evict() if token % 3 else edge.try_pop()) == token
        assert edge.try_pop() == edge.evict() == edge.try_peek_at(0) == INVALID_TOKEN
        assert edge.size_bytes == 0


def test_no_queue_refuses_every_push_and_is_closed() -> None:
    edge = NoQueue()
    assert push(edge, 1) is PushResult.REJECTED
    assert edge.closed
    assert len(edge) == 0


@every_ring
@pytest.mark.parametrize(
    ("items", "mark"),
    [
        (0, Watermark.BELOW_SOFT),
        (1, Watermark.BELOW_SOFT),
        (2, Watermark.BETWEEN_SOFT_AND_HARD),
        (3, Watermark.BETWEEN_SOFT_AND_HARD),
        (4, Watermark.AT_OR_ABOVE_HARD),
    ],
)
def test_occupancy_is_judged_by_the_policy(kind: type[Ring], items: int, mark: Watermark) -> None:
    edge = ring(4, kind=kind)
    for token in range(items):
        push(edge, token, size=2, qos=_HIGH if token % 2 else _LOW)
    assert edge.occupancy(EdgePolicy(QueueCaps(4, 2))) == (items, 2 * items, mark)


class Waiting:
    """A ring as batching sees it."""

    def __init__(self, edge: Ring) -> None:
        self.edge = edge
        self.held = 0
        self.waiting = len(edge)

    def creation_tick(self, index: int) -> int:
        return self.edge.header_at(index).creation_tick

    def push_tick(self, index: int) -> int:
        return self.edge.push_tick_at(index)


def prefix_length(edge: Ring, batching: BatchingTicks) -> int:
    return measure(batching, Waiting(edge)).length


def naive_prefix(creations: list[int], most: int, delta: int | None) -> int:
    """Try every length, longest first."""
    for length in range(min(most, len(creations)), 0, -1):
        if delta is None or all(c - creations[0] <= delta for c in creations[:length]):
            return length
    return 0


@given(
    st.sampled_from(_RINGS),
    st.lists(st.integers(0, 12), max_size=6),
    st.integers(1, 7),
    st.none() | st.integers(1, 12),
)
def test_the_prefix_is_the_longest_within_both_limits(
    kind: type[Ring], creations: list[int], most: int, delta: int | None
) -> None:
    edge = ring(6, kind=kind)
    for token, creation in enumerate(creations):
        edge.try_push(MessageToken(token), header(creation=creation), Ticks(0))
    assert prefix_length(edge, BatchingTicks(most, delta)) == naive_prefix(creations, most, delta)


@pytest.mark.parametrize(("last", "length"), [(14, 2), (15, 2), (16, 1)])
def test_an_item_exactly_delta_t_after_the_first_belongs_to_its_batch(
    last: int, length: int
) -> None:
    edge = ring(2)
    for token, creation in enumerate((10, last)):
        edge.try_push(MessageToken(token), header(creation=creation), Ticks(500))
    assert prefix_length(edge, BatchingTicks(2, delta_ticks=5)) == length


def test_a_prefix_goes_on_from_the_high_lane_into_the_low_one() -> None:
    edge = ring(3, kind=Priority2)
    for token, (creation, qos) in enumerate(((10, _LOW), (14, _HIGH), (20, _LOW))):
        edge.try_push(MessageToken(token), header(1, creation, qos), Ticks(0))
    assert waiting(edge) == [1, 0, 2]
    assert prefix_length(edge, BatchingTicks(3)) == 3
    assert prefix_length(edge, BatchingTicks(3, delta_ticks=5)) == 2


class StaticRingMachine(EdgeMachine):
    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return StaticRing(caps, clock)


class HeapRingMachine(EdgeMachine):
    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return HeapRing(caps, clock)


class Priority2Machine(EdgeMachine):
    lanes = True

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return Priority2(caps, clock)


_BRIEF = settings(max_examples=60, stateful_step_count=30)
TestStaticRing = StaticRingMachine.TestCase
TestHeapRing = HeapRingMachine.TestCase
TestPriority2 = Priority2Machine.TestCase
TestStaticRing.settings = TestHeapRing.settings = TestPriority2.settings = _BRIEF
