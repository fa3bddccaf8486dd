"""The clauses of the edge contract, EDGE-1 to EDGE-8, and the Δt prefix."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from limen.edge import NoQueue, PushResult, StaticRing
from limen.errors import Code, LifecycleError, QueueError
from limen.message import MessageHeader
from limen.platform import NoopClock, SimClock
from limen.policy import BatchingTicks, EdgePolicy, Item, QueueCaps, Watermark, measure
from limen.types import (
    INVALID_TOKEN,
    DeadlineNs,
    MessageToken,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)


def header(size: int = 1, creation: int = 0) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(0),
        sequence=SequenceNumber(0),
        creation_tick=Ticks(creation),
        origin_tick=Ticks(creation),
        payload_size_bytes=size,
    )


def ring(max_items: int = 3, max_bytes: int | None = None) -> StaticRing:
    return StaticRing(QueueCaps(max_items, max_bytes=max_bytes), NoopClock())


def push(edge: StaticRing, token: int, size: int = 1, now: int = 0) -> PushResult:
    return edge.try_push(MessageToken(token), header(size), Ticks(now))


def waiting(edge: StaticRing) -> list[int]:
    return [edge.try_peek_at(index) for index in range(len(edge))]


def test_edge_1_items_leave_in_the_order_they_entered_also_past_the_wrap() -> None:
    edge = ring(3)
    left = []
    for token in range(10):
        assert push(edge, token) is PushResult.ENQUEUED
        if token >= 2:
            left.append(edge.try_pop())
    left += [edge.try_pop() for _ in range(len(edge))]
    assert left == list(range(10))


def test_edge_2_a_push_at_the_item_cap_is_rejected_and_changes_nothing() -> None:
    edge = ring(2)
    push(edge, 1)
    push(edge, 2)
    assert push(edge, 3) is PushResult.REJECTED
    assert (waiting(edge), edge.size_bytes) == ([1, 2], 2)


@pytest.mark.parametrize("size", [3, 4, 100])
def test_edge_2_a_push_past_the_byte_cap_is_rejected_and_changes_nothing(size: int) -> None:
    edge = ring(9, max_bytes=10)
    push(edge, 1, size=8)
    assert push(edge, 2, size=size) is PushResult.REJECTED
    assert (waiting(edge), edge.size_bytes) == ([1], 8)


def test_edge_2_a_push_up_to_the_byte_cap_is_taken_and_an_empty_one_at_it_is_not() -> None:
    edge = ring(9, max_bytes=10)
    push(edge, 1, size=8)
    assert push(edge, 2, size=2) is PushResult.ENQUEUED
    assert push(edge, 3, size=0) is PushResult.REJECTED


def test_edge_3_a_rejected_token_never_comes_out() -> None:
    edge = ring(1)
    push(edge, 1)
    push(edge, 2)
    assert [edge.try_pop(), edge.try_pop()] == [1, INVALID_TOKEN]


@pytest.mark.parametrize("edge", [ring(), NoQueue()], ids=["ring", "none"])
def test_edge_4_each_endpoint_is_handed_out_once(edge: StaticRing) -> None:
    assert edge.producer() is not None
    assert edge.consumer() is not None
    for again in (edge.producer, edge.consumer):
        with pytest.raises(LifecycleError, match="already") as caught:
            again()
        assert caught.value.code is Code.WRONG_STATE


def test_edge_5_an_edge_is_closed_only_after_its_last_item() -> None:
    edge = ring()
    push(edge, 1)
    edge.close()
    edge.close()
    assert not edge.closed
    assert edge.try_pop() == 1
    assert edge.closed


def test_edge_5_an_empty_edge_is_not_closed_before_it_is_told() -> None:
    assert not ring().closed


@pytest.mark.parametrize("filled", [False, True])
def test_edge_6_a_push_after_close_raises_and_changes_nothing(filled: bool) -> None:
    edge = ring()
    if filled:
        push(edge, 1)
    edge.close()
    with pytest.raises(LifecycleError, match="closed") as caught:
        push(edge, 2)
    assert caught.value.code is Code.WRONG_STATE
    assert waiting(edge) == [1] * filled


def test_edge_7_the_push_instant_stays_with_its_item() -> None:
    edge = ring(3)
    for token in range(3):
        push(edge, token, now=10 + token)
    edge.try_pop()
    push(edge, 3, now=99)
    assert [edge.push_tick_at(i) for i in range(3)] == [11, 12, 99]


def test_edge_7_admission_sees_the_push_instant_in_nanoseconds() -> None:
    edge = StaticRing(QueueCaps(2), SimClock(tick_rate_hz=1000))
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


@pytest.mark.parametrize("edge", [ring(), NoQueue()], ids=["ring", "none"])
def test_edge_8_an_empty_edge_gives_the_invalid_token(edge: StaticRing) -> None:
    assert edge.try_pop() == edge.evict() == edge.try_peek_at(0) == INVALID_TOKEN
    assert (len(edge), edge.size_bytes) == (0, 0)


@pytest.mark.parametrize("index", [-1, 1, 3])
def test_edge_8_a_look_past_either_end_gives_nothing(index: int) -> None:
    edge = ring()
    push(edge, 1)
    assert edge.try_peek_at(index) == INVALID_TOKEN
    for look in (edge.push_tick_at, edge.header_at, edge.item):
        with pytest.raises(QueueError) as caught:
            look(index)
        assert caught.value.code is Code.QUEUE_EMPTY


def test_no_queue_refuses_every_push_and_is_closed() -> None:
    edge = NoQueue()
    assert push(edge, 1) is PushResult.REJECTED
    assert edge.closed
    assert len(edge) == 0


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
def test_occupancy_is_judged_by_the_policy(items: int, mark: Watermark) -> None:
    edge = ring(4)
    for token in range(items):
        push(edge, token, size=2)
    assert edge.occupancy(EdgePolicy(QueueCaps(4, 2))) == (items, 2 * items, mark)


class Waiting:
    """A ring as batching sees it."""

    def __init__(self, edge: StaticRing) -> None:
        self.edge = edge
        self.held = 0
        self.waiting = len(edge)

    def creation_tick(self, index: int) -> int:
        return self.edge.header_at(index).creation_tick

    def push_tick(self, index: int) -> int:
        return self.edge.push_tick_at(index)


def prefix_length(edge: StaticRing, batching: BatchingTicks) -> int:
    return measure(batching, Waiting(edge)).length


def naive_prefix(creations: list[int], most: int, delta: int | None) -> int:
    """Try every length, longest first."""
    for length in range(min(most, len(creations)), 0, -1):
        if delta is None or all(c - creations[0] <= delta for c in creations[:length]):
            return length
    return 0


@given(st.lists(st.integers(0, 12), max_size=6), st.integers(1, 7), st.none() | st.integers(0, 12))
def test_the_prefix_is_the_longest_within_both_limits(
    creations: list[int], most: int, delta: int | None
) -> None:
    edge = ring(6)
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


class EdgeMachine(RuleBasedStateMachine):
    """A deque of (token, size, instant) models a ring."""

    @initialize(most=st.integers(1, 4), limit=st.none() | st.integers(1, 12))
    def begin(self, most: int, limit: int | None) -> None:
        self.edge = ring(most, limit)
        self.model: deque[tuple[int, int, int]] = deque()
        self.most, self.limit, self.ended, self.next = most, limit, False, 0

    @rule(size=st.integers(0, 8), now=st.integers(0, 100))
    def push(self, size: int, now: int) -> None:
        self.next += 1
        if self.ended:
            with pytest.raises(LifecycleError):
                push(self.edge, self.next, size, now)
            return
        held = sum(entry[1] for entry in self.model)
        room = len(self.model) < self.most and (
            self.limit is None or (held < self.limit and held + size <= self.limit)
        )
        wanted = PushResult.ENQUEUED if room else PushResult.REJECTED
        assert push(self.edge, self.next, size, now) is wanted
        if room:
            self.model.append((self.next, size, now))

    @rule(evict=st.booleans())
    def take(self, evict: bool) -> None:
        wanted = self.model.popleft()[0] if self.model else INVALID_TOKEN
        assert (self.edge.evict() if evict else self.edge.try_pop()) == wanted

    @rule()
    def close(self) -> None:
        self.edge.close()
        self.ended = True

    @invariant()
    def the_ring_holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "model"):
            return
        assert waiting(self.edge) == [entry[0] for entry in self.model]
        assert self.edge.size_bytes == sum(entry[1] for entry in self.model)
        assert [self.edge.push_tick_at(i) for i in range(len(self.edge))] == [
            entry[2] for entry in self.model
        ]
        assert self.edge.closed == (self.ended and not self.model)


TestEdgeMachine = EdgeMachine.TestCase
