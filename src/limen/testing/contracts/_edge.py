"""The suite that every edge passes."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterable, Mapping
from typing import ClassVar

from limen.edge import Edge, EdgeConsumer, EdgeProducer, PushResult
from limen.errors import Code
from limen.message import MessageHeader
from limen.platform import NoopClock, PlatformClock, SimClock
from limen.policy import EdgePolicy, Item, QueueCaps, Watermark
from limen.testing.contracts._contract import Contract, inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept
from limen.types import (
    INVALID_TOKEN,
    DeadlineNs,
    MessageToken,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)

_LOW, _MID, _HIGH = QoSClass.BACKGROUND, QoSClass.BEST_EFFORT, QoSClass.LATENCY_CRITICAL
_CYCLES = 2_000


class EdgeContract(Contract):
    """Holds an edge to EDGE-1 … EDGE-34; write ``make``."""

    subjects = (Edge,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "storage": "it holds what it was given",
        "lanes": "what is LATENCY_CRITICAL overtakes the rest",
        "one lane": "all classes wait in one line",
    }

    @abc.abstractmethod
    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        """Return a new edge; called for every test, with caps of one item upwards."""

    @needs("storage")
    def test_edge_1_items_of_one_class_leave_in_the_order_they_entered(self) -> None:
        for qos in QoSClass:
            ends = self._ends(4)
            ends.fill((token, 1, qos) for token in (7, 3, 9, 5))
            left = ends.drain()
            assert left == [7, 3, 9, 5], f"{qos.name}: pushed 7, 3, 9, 5 and popped {left}"

    @needs("storage")
    def test_edge_2_order_holds_round_and_round(self) -> None:
        ends = self._ends(3)
        left: list[int] = []
        for token in range(20):
            ends.fill([(token, 1, _MID)])
            if token >= 2:
                left.append(ends.consumer.try_pop())
        left += ends.drain()
        assert left == list(range(20)), f"pushed 0 to 19, two waiting all along, and popped {left}"

    @needs("lanes")
    def test_edge_3_the_high_lane_leaves_first(self) -> None:
        ends = self._ends(5)
        ends.fill(_MIXED)
        left = ends.drain()
        wanted = [1, 3, 0, 2, 4]
        assert left == wanted, f"of {_MIXED_TEXT} popped {left}, not {wanted}"

    @needs("lanes")
    def test_edge_4_the_low_lane_is_evicted_first(self) -> None:
        ends = self._ends(5)
        ends.fill(_MIXED)
        left = ends.drain_by_eviction()
        wanted = [0, 2, 4, 1, 3]
        assert left == wanted, f"of {_MIXED_TEXT} evicted {left}, not {wanted}"

    @needs("one lane")
    def test_edge_5_classes_change_nothing(self) -> None:
        popped, evicted = self._ends(5), self._ends(5)
        popped.fill(_MIXED)
        evicted.fill(_MIXED)
        left = popped.drain(), evicted.drain_by_eviction()
        wanted = [0, 1, 2, 3, 4]
        assert left == (wanted, wanted), f"of {_MIXED_TEXT} popped and evicted {left}, not {wanted}"

    @needs("storage")
    def test_edge_6_a_push_at_the_item_cap_is_rejected(self) -> None:
        ends = self._ends(2)
        results = [ends.push(token) for token in range(3)]
        wanted = [PushResult.ENQUEUED, PushResult.ENQUEUED, PushResult.REJECTED]
        assert results == wanted, f"three pushes into max_items=2 gave {_names(results)}"

    @needs("storage")
    def test_edge_7_a_push_past_the_byte_cap_is_rejected(self) -> None:
        for size in (3, 4, 100):
            ends = self._ends(9, max_bytes=10)
            ends.fill([(1, 8, _MID)])
            result = ends.push(2, size)
            assert result is PushResult.REJECTED, (
                f"{size} B on top of 8 of max_bytes=10 gave {result.name}"
            )

    @needs("storage")
    def test_edge_8_a_push_up_to_the_byte_cap_is_taken(self) -> None:
        ends = self._ends(9, max_bytes=10)
        results = [ends.push(1, 8), ends.push(2, 2)]
        assert results == [PushResult.ENQUEUED] * 2, (
            f"8 B and 2 B into max_bytes=10 gave {_names(results)}"
        )

    @needs("storage")
    def test_edge_9_an_empty_payload_is_rejected_where_the_bytes_are_full(self) -> None:
        ends = self._ends(9, max_bytes=10)
        ends.fill([(1, 6, _MID)])
        if ends.push(2, 4) is not PushResult.ENQUEUED:
            inapplicable("the bytes cannot be filled: see EDGE-8")
        result = ends.push(3, 0)
        assert result is PushResult.REJECTED, f"0 B on top of 10 of max_bytes=10 gave {result.name}"

    @needs("storage")
    def test_edge_10_rejected_changes_nothing(self) -> None:
        for max_bytes in (None, 6):
            ends = self._ends(3, max_bytes=max_bytes)
            taken = []
            for token in range(6):
                before = ends.state()
                if ends.push(token, 2) is PushResult.ENQUEUED:
                    taken.append(token)
                else:
                    after = ends.state()
                    assert after == before, f"REJECTED changed {before} into {after}"
            left = ends.drain()
            assert left == taken, f"ENQUEUED were {taken}, popped were {left}"

    @needs("storage")
    def test_edge_11_what_left_makes_room(self) -> None:
        for evict in (False, True):
            ends = self._ends(2, max_bytes=8)
            ends.fill([(0, 4, _MID), (1, 3, _MID)])
            for token in range(2, 40):
                gone = ends.producer.evict() if evict else ends.consumer.try_pop()
                size = 4 if token % 2 == 0 else 3
                result = ends.push(token, size)
                assert result is PushResult.ENQUEUED, (
                    f"after {'evicting' if evict else 'popping'} {gone}, push {token} of {size} B "
                    f"gave {result.name} with {len(ends.producer)} of 2 items and "
                    f"{ends.producer.size_bytes} of 8 B waiting"
                )

    @needs("storage")
    def test_edge_12_one_item_is_a_capacity(self) -> None:
        ends = self._ends(1)
        seen = []
        for token in range(3):
            seen.append((ends.push(token), ends.push(99), ends.consumer.try_pop()))
        wanted = [(PushResult.ENQUEUED, PushResult.REJECTED, token) for token in range(3)]
        assert seen == wanted, f"push, push, pop in turns with max_items=1 gave {seen}"

    @needs("storage")
    def test_edge_13_len_counts_what_waits(self) -> None:
        ends = self._ends(4)
        seen = [ends.lengths()]
        ends.fill((token, 1, _MID) for token in range(4))
        seen.append(ends.lengths())
        ends.consumer.try_pop()
        seen.append(ends.lengths())
        ends.producer.evict()
        seen.append(ends.lengths())
        wanted = [(0, 0), (4, 4), (3, 3), (2, 2)]
        assert seen == wanted, (
            f"len of producer and consumer after nothing, 4 pushes, a pop, an eviction: {seen}"
        )

    @needs("storage")
    def test_edge_14_size_bytes_sums_what_waits(self) -> None:
        ends = self._ends(4)
        seen = [ends.sizes()]
        ends.fill([(0, 5, _MID), (1, 0, _MID), (2, 30, _MID), (3, 7, _MID)])
        seen.append(ends.sizes())
        ends.consumer.try_pop()
        seen.append(ends.sizes())
        ends.producer.evict()
        ends.producer.evict()
        seen.append(ends.sizes())
        ends.consumer.try_pop()
        seen.append(ends.sizes())
        wanted = [(0, 0), (42, 42), (37, 37), (7, 7), (0, 0)]
        assert seen == wanted, (
            "size_bytes of producer and consumer after nothing, pushes of 5, 0, 30 and 7 B, "
            f"a pop, two evictions, a pop: {seen}"
        )

    @needs("storage")
    def test_edge_15_a_peek_shows_what_pops_return(self) -> None:
        ends = self._ends(5)
        ends.fill([(9, 1, _LOW)])
        ends.consumer.try_pop()
        ends.fill(_MIXED)
        for taken in range(5):
            peeked = [ends.consumer.try_peek_at(place) for place in range(5 - taken)]
            again = [ends.consumer.try_peek_at(place) for place in range(5 - taken)]
            assert peeked == again, f"peeking {peeked} made the next peek {again}"
            left = ends.consumer.try_pop()
            assert peeked[0] == left, f"peeked {peeked} in front, and popped {left}"
        assert len(ends.consumer) == 0, "peeking took nothing, and yet something is left"

    @needs("storage")
    def test_edge_16_push_instants_are_kept(self) -> None:
        ends = self._ends(3)
        for token, now in ((4, 11), (5, 22), (6, 33)):
            ends.push(token, now=now)
        ends.consumer.try_pop()
        ends.push(7, now=44)
        seen = [ends.consumer.push_tick_at(place) for place in range(3)]
        assert seen == [22, 33, 44], f"pushed at 22, 33 and 44, and push_tick_at says {seen}"

    @needs("storage")
    def test_edge_17_headers_are_kept(self) -> None:
        ends = self._ends(3)
        headers = [_header(size, deadline_ns=1000 + size) for size in (3, 1, 2)]
        for token, header in enumerate(headers):
            ends.producer.try_push(MessageToken(token), header, Ticks(0))
        seen = [ends.consumer.header_at(place) for place in range(3)]
        assert seen == headers, f"pushed {headers}, and header_at says {seen}"

    @needs("storage")
    def test_edge_18_items_come_in_the_order_of_eviction(self) -> None:
        ends = self._ends(5)
        ends.fill((token, 10 + token, qos) for token, _, qos in _MIXED)
        shown = [ends.producer.item(place).size_bytes - 10 for place in range(5)]
        left = ends.drain_by_eviction()
        assert shown == left, f"item shows {shown}, and evicted were {left}"

    @needs("storage")
    def test_edge_19_an_item_is_what_admission_needs(self) -> None:
        clock = SimClock(1000)
        edge = self.make(QueueCaps(2), clock)
        producer = edge.producer()
        header = _header(12, qos=_LOW, deadline_ns=777)
        producer.try_push(MessageToken(3), header, Ticks(5))
        seen = producer.item(0)
        wanted = Item(12, _LOW, 777, 5_000_000)
        assert seen == wanted, (
            f"12 B of BACKGROUND, deadline 777 ns, pushed at tick 5 of 1000 Hz: item says {seen}"
        )

    @needs("storage")
    def test_edge_20_occupancy_is_judged_by_the_policy_given(self) -> None:
        edge = self.make(QueueCaps(8), NoopClock())
        producer = edge.producer()
        for token in range(3):
            producer.try_push(MessageToken(token), _header(10), Ticks(0))
        for caps, mark in (
            (QueueCaps(8), Watermark.BELOW_SOFT),
            (QueueCaps(8, soft_items=3), Watermark.BETWEEN_SOFT_AND_HARD),
            (QueueCaps(8, max_bytes=40, soft_bytes=30), Watermark.BETWEEN_SOFT_AND_HARD),
            (QueueCaps(3), Watermark.AT_OR_ABOVE_HARD),
            (QueueCaps(8, max_bytes=30), Watermark.AT_OR_ABOVE_HARD),
        ):
            seen = edge.occupancy(EdgePolicy(caps))
            assert seen == (3, 30, mark), f"three items of 10 B under {caps}: {seen}"

    def test_edge_21_a_pop_where_nothing_waits_is_invalid(self) -> None:
        for ends in self._emptied():
            seen = ends.consumer.try_pop()
            assert seen == INVALID_TOKEN, f"an empty edge popped {seen}"

    def test_edge_22_an_eviction_where_nothing_waits_is_invalid(self) -> None:
        for ends in self._emptied():
            seen = ends.producer.evict()
            assert seen == INVALID_TOKEN, f"an empty edge evicted {seen}"

    def test_edge_23_a_peek_where_nothing_is_is_invalid(self) -> None:
        for ends in self._emptied():
            ends.push(5)
            count = len(ends.consumer)
            for place in (-1, -2, count, count + 1, count + 7):
                seen = ends.consumer.try_peek_at(place)
                assert seen == INVALID_TOKEN, f"place {place} of {count} shows {seen}"

    def test_edge_24_looking_where_nothing_is_raises(self) -> None:
        for ends in self._emptied():
            ends.push(5)
            count = len(ends.consumer)
            for place in (-1, count, count + 3):
                for what, look in (
                    ("push_tick_at", ends.consumer.push_tick_at),
                    ("header_at", ends.consumer.header_at),
                    ("item", ends.producer.item),
                ):
                    seen = code_raised(look, place)
                    assert seen is Code.QUEUE_EMPTY, f"{what}({place}) of {count}: {seen}"

    def test_edge_25_there_is_one_producer(self) -> None:
        edge = self.make(QueueCaps(2), NoopClock())
        edge.consumer()
        edge.producer()
        seen = code_raised(edge.producer)
        assert seen is Code.WRONG_STATE, f"asked for a second producer: {seen}"

    def test_edge_26_there_is_one_consumer(self) -> None:
        edge = self.make(QueueCaps(2), NoopClock())
        edge.producer()
        edge.consumer()
        seen = code_raised(edge.consumer)
        assert seen is Code.WRONG_STATE, f"asked for a second consumer: {seen}"

    @needs("storage")
    def test_edge_27_ended_shows_from_close_on(self) -> None:
        for waiting in (0, 2):
            ends = self._ends(3)
            ends.fill((token, 1, _MID) for token in range(waiting))
            before = ends.consumer.ended
            ends.producer.close()
            seen = before, ends.consumer.ended
            assert seen == (False, True), (
                f"ended before and after close, {waiting} items waiting: {seen}"
            )

    @needs("storage")
    def test_edge_28_closed_shows_after_the_last_item(self) -> None:
        ends = self._ends(3)
        seen = [ends.consumer.closed]
        ends.fill([(1, 1, _LOW), (2, 1, _HIGH)])
        ends.producer.close()
        seen.append(ends.consumer.closed)
        ends.consumer.try_pop()
        seen.append(ends.consumer.closed)
        ends.consumer.try_pop()
        seen.append(ends.consumer.closed)
        assert seen == [False, False, False, True], (
            f"closed of a new edge, closed with two items, after one pop, after both: {seen}"
        )

    @needs("storage")
    def test_edge_29_close_loses_nothing(self) -> None:
        ends = self._ends(3)
        ends.fill((token, token, _MID) for token in (4, 5, 6))
        before = ends.state()
        ends.producer.close()
        after = ends.state()
        assert after == before, f"close changed {before} into {after}"
        left = ends.drain()
        assert left == [4, 5, 6], f"4, 5 and 6 waited, and popped were {left}"

    @needs("storage")
    def test_edge_30_a_push_after_close_raises(self) -> None:
        ends = self._ends(3)
        ends.fill([(1, 1, _MID)])
        ends.producer.close()
        seen = code_raised(ends.push, 2)
        assert seen is Code.WRONG_STATE, f"a push after close: {seen}"

    def test_edge_31_closing_twice_is_as_closing_once(self) -> None:
        ends = self._ends(3)
        ends.producer.close()
        once = ends.consumer.ended, ends.consumer.closed
        seen = code_raised(ends.producer.close)
        assert seen is None, f"the second close: {seen}"
        twice = ends.consumer.ended, ends.consumer.closed
        assert twice == once, f"ended and closed are {once} once closed, {twice} after the second"

    @needs("storage")
    def test_edge_32_nothing_is_kept_of_what_left(self) -> None:
        ends = self._ends(2)

        numbers = itertools.count()

        def cycles() -> None:
            for _ in range(_CYCLES):
                number = next(numbers)
                ends.push(number % 2, 1, now=1_000_000 + number, deadline_ns=5_000_000 + number)
                ends.consumer.try_pop()

        kept = bytes_kept(cycles)
        assert kept < SLACK_BYTES, f"{_CYCLES} items went through and {kept} B were kept"

    @needs("storage")
    def test_edge_33_edges_share_no_state(self) -> None:
        first, other = self._ends(3), self._ends(3)
        before = other.state(), other.consumer.ended
        first.fill([(1, 9, _MID)])
        first.producer.close()
        after = other.state(), other.consumer.ended
        assert after == before, f"using one edge changed another from {before} to {after}"

    @needs("storage")
    def test_edge_34_it_says_how_many_lanes_it_has(self) -> None:
        said = self.make(QueueCaps(2), NoopClock()).lanes
        wanted = 1 if "lanes" in self.lacks else 2
        assert said == wanted, f"lanes says {said}, and its suite {wanted}"

    def _ends(self, max_items: int, max_bytes: int | None = None) -> _Ends:
        return _Ends(self.make(QueueCaps(max_items, max_bytes=max_bytes), NoopClock()))

    def _emptied(self) -> Iterable[_Ends]:
        """An edge that never held anything, and one that did."""
        yield self._ends(3)
        if "storage" not in self.lacks:
            used = self._ends(3)
            used.fill([(1, 1, _LOW), (2, 1, _HIGH)])
            used.drain()
            yield used


class _Ends:
    """Both endpoints of an edge, and what tests do with them."""

    def __init__(self, edge: Edge) -> None:
        self.producer: EdgeProducer = edge.producer()
        self.consumer: EdgeConsumer = edge.consumer()

    def push(
        self,
        token: int,
        size: int = 1,
        qos: QoSClass = _MID,
        now: int = 0,
        deadline_ns: int | None = None,
    ) -> PushResult:
        header = _header(size, qos=qos, deadline_ns=deadline_ns)
        return self.producer.try_push(MessageToken(token), header, Ticks(now))

    def fill(self, items: Iterable[tuple[int, int, QoSClass]]) -> None:
        """Push (token, bytes, class), each of which fits."""
        for token, size, qos in items:
            result = self.push(token, size, qos)
            assert result is PushResult.ENQUEUED, (
                f"push of {token}, {size} B, {qos.name} gave {result.name}, and there was room"
            )

    def drain(self) -> list[int]:
        return [self.consumer.try_pop() for _ in range(len(self.consumer))]

    def drain_by_eviction(self) -> list[int]:
        return [self.producer.evict() for _ in range(len(self.consumer))]

    def lengths(self) -> tuple[int, int]:
        return len(self.producer), len(self.consumer)

    def sizes(self) -> tuple[int, int]:
        return self.producer.size_bytes, self.consumer.size_bytes

    def state(self) -> tuple[list[int], int]:
        """What waits, in the order of pops, and how many bytes it is."""
        places = range(len(self.consumer))
        return [self.consumer.try_peek_at(place) for place in places], self.consumer.size_bytes


_MIXED = ((0, 1, _LOW), (1, 1, _HIGH), (2, 1, _MID), (3, 1, _HIGH), (4, 1, _LOW))
_MIXED_TEXT = ", ".join(f"{token} {qos.name}" for token, _, qos in _MIXED)


def _header(size: int, *, qos: QoSClass = _MID, deadline_ns: int | None = None) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(0),
        sequence=SequenceNumber(0),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=size,
        deadline_ns=None if deadline_ns is None else DeadlineNs(deadline_ns),
        qos=qos,
    )


def _names(results: Iterable[PushResult]) -> str:
    return ", ".join(result.name for result in results)
