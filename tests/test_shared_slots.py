"""Slots that several edges share: nothing is freed early, nothing is kept, nothing comes twice."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from limen.errors import Code, ManagerError
from limen.memory import HeapMemoryManager, ReturnRing, SharedSlots
from limen.message import Message, MessageHeader
from limen.types import INVALID_TOKEN, MessageToken, SequenceNumber, Ticks, TraceId


def message(number: int = 0) -> Message:
    header = MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=1,
    )
    return Message(header, f"payload {number}")


def test_tokens_come_back_in_the_order_in_which_they_were_handed_back() -> None:
    ring = ReturnRing(3)
    taken = []
    for token in range(9):
        ring.give_back(MessageToken(token))
        if token >= 2:
            taken.append(ring.try_take())
    taken += [ring.try_take() for _ in range(len(ring))]
    assert taken == list(range(9))


def test_an_empty_return_ring_gives_the_invalid_token() -> None:
    ring = ReturnRing(1)
    assert (len(ring), ring.try_take()) == (0, INVALID_TOKEN)
    ring.give_back(MessageToken(4))
    assert (ring.try_take(), ring.try_take()) == (4, INVALID_TOKEN)


def test_a_return_ring_takes_every_slot_at_once_and_refuses_one_more() -> None:
    ring = ReturnRing(2)
    ring.give_back(MessageToken(0))
    ring.give_back(MessageToken(1))
    with pytest.raises(ManagerError):
        ring.give_back(MessageToken(1))
    assert [ring.try_take() for _ in range(3)] == [0, 1, INVALID_TOKEN]


def shared(depth: int, consumers: int) -> tuple[HeapMemoryManager, SharedSlots]:
    manager = HeapMemoryManager(depth)
    return manager, SharedSlots(manager, consumers)


def test_there_is_one_return_ring_a_consumer() -> None:
    _, slots = shared(2, 3)
    assert len(slots.returns) == 3
    assert len({id(ring) for ring in slots.returns}) == 3


@pytest.mark.parametrize(("shares", "dropped"), [(n, k) for n in (1, 2, 3) for k in range(n + 1)])
def test_a_slot_is_free_once_each_share_was_dropped_or_handed_back_and_not_before(
    shares: int, dropped: int
) -> None:
    manager, slots = shared(1, 3)
    token = manager.store(message())
    slots.lend(token, shares)
    for share in range(shares):
        assert manager.available == 0
        assert manager.peek_header(token).sequence == 0
        if share < dropped:
            slots.drop(token)
        else:
            slots.returns[share].give_back(token)
            slots.reclaim()
    assert manager.available == 1


def test_what_was_handed_back_is_free_only_after_the_producer_took_it_in() -> None:
    manager, slots = shared(1, 1)
    token = manager.store(message())
    slots.lend(token, 1)
    slots.returns[0].give_back(token)
    assert manager.available == 0
    slots.reclaim()
    assert manager.available == 1
    slots.reclaim()
    assert manager.available == 1


def test_a_share_can_be_dropped_once_only() -> None:
    manager, slots = shared(2, 2)
    token = manager.store(message())
    slots.lend(token, 1)
    slots.drop(token)
    with pytest.raises(ManagerError):
        slots.drop(token)
    assert manager.available == 2


def test_a_slot_that_was_never_lent_has_no_share_to_drop() -> None:
    manager, slots = shared(2, 1)
    token = manager.store(message())
    with pytest.raises(ManagerError):
        slots.drop(token)
    assert manager.available == 1


def test_a_slow_consumer_keeps_the_slot_that_a_fast_one_has_long_handed_back() -> None:
    manager, slots = shared(3, 2)
    tokens = [manager.store(message(n)) for n in range(3)]
    for token in tokens:
        slots.lend(token, 2)
        slots.returns[0].give_back(token)
    slots.reclaim()
    assert manager.available == 0
    with pytest.raises(ManagerError) as caught:
        manager.store(message(9))
    assert caught.value.code is Code.NO_FREE_SLOTS
    slots.returns[1].give_back(tokens[1])
    slots.reclaim()
    assert manager.available == 1
    with manager.read(tokens[0]) as kept:
        assert kept.payload == "payload 0"


def test_a_token_handed_back_twice_by_one_consumer_is_found_out() -> None:
    manager, slots = shared(2, 1)
    token = manager.store(message())
    slots.lend(token, 1)
    slots.returns[0].give_back(token)
    slots.returns[0].give_back(token)
    with pytest.raises(ManagerError):
        slots.reclaim()


class SharedSlotsMachine(RuleBasedStateMachine):
    """A set of sharers a token models the slots, a queue a consumer the return rings."""

    @initialize(depth=st.integers(1, 4), consumers=st.integers(1, 3))
    def begin(self, depth: int, consumers: int) -> None:
        self.depth, self.consumers = depth, consumers
        self.manager, self.slots = shared(depth, consumers)
        self.sharers: dict[MessageToken, set[int]] = {}
        self.under_way: list[deque[MessageToken]] = [deque() for _ in range(consumers)]
        self.numbers: dict[MessageToken, int] = {}
        self.next = 0

    @rule(data=st.data())
    def emit(self, data: st.DataObject) -> None:
        if len(self.numbers) == self.depth:
            with pytest.raises(ManagerError):
                self.manager.store(message(self.next))
            return
        token = self.manager.store(message(self.next))
        assert token not in self.numbers
        everyone = st.sets(st.integers(0, self.consumers - 1), min_size=1)
        self.sharers[token] = data.draw(everyone)
        self.numbers[token] = self.next
        self.next += 1
        self.slots.lend(token, len(self.sharers[token]))

    @precondition(lambda self: any(self.sharers.values()))
    @rule(data=st.data(), by_producer=st.booleans())
    def give_up(self, data: st.DataObject, by_producer: bool) -> None:
        held = sorted((t, c) for t, sharers in self.sharers.items() for c in sharers)
        token, consumer = data.draw(st.sampled_from(held))
        self.sharers[token].remove(consumer)
        if by_producer:
            self.slots.drop(token)
            self.forget_the_free()
        else:
            self.slots.returns[consumer].give_back(token)
            self.under_way[consumer].append(token)

    @rule()
    def reclaim(self) -> None:
        self.slots.reclaim()
        for queue in self.under_way:
            queue.clear()
        self.forget_the_free()

    def forget_the_free(self) -> None:
        for token in list(self.numbers):
            if not self.sharers[token] and not any(token in queue for queue in self.under_way):
                del self.sharers[token], self.numbers[token]

    @invariant()
    def what_is_shared_is_there_and_the_rest_is_free(self) -> None:
        if not hasattr(self, "manager"):
            return
        assert self.manager.available == self.depth - len(self.numbers)
        for token, number in self.numbers.items():
            assert self.manager.peek_header(token).sequence == number
        assert [len(ring) for ring in self.slots.returns] == [len(q) for q in self.under_way]


TestSharedSlots = SharedSlotsMachine.TestCase
TestSharedSlots.settings = settings(max_examples=60, stateful_step_count=30)
