"""Every edge of ours under the kit, and the kit under edges that break one clause each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec
import pytest

from limen.edge import (
    Edge,
    EdgeConsumer,
    EdgeOccupancy,
    EdgeProducer,
    HeapRing,
    NoQueue,
    Priority2,
    PushResult,
    StaticRing,
)
from limen.edge._ring import Entry
from limen.errors import Code, LifecycleError
from limen.message import MessageHeader
from limen.platform import PlatformClock
from limen.policy import EdgePolicy, Item, QueueCaps
from limen.testing import EdgeContract
from limen.types import INVALID_TOKEN, MessageToken, Ticks
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched

_NO_LANES: Mapping[str, str] = {"lanes": "one queue for all classes"}


class StaticRingSuite(EdgeContract):
    lacks = _NO_LANES

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return StaticRing(caps, clock)


class HeapRingSuite(EdgeContract):
    lacks = _NO_LANES

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return HeapRing(caps, clock)


class Priority2Suite(EdgeContract):
    lacks: ClassVar[Mapping[str, str]] = {"one lane": "it has two"}

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return Priority2(caps, clock)


class NoQueueSuite(EdgeContract):
    lacks: ClassVar[Mapping[str, str]] = {
        "storage": "it stands where a port has no edge",
        "lanes": "it holds nothing",
        "one lane": "it holds nothing",
    }

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return NoQueue()


@pytest.mark.parametrize(
    "suite",
    [StaticRingSuite, HeapRingSuite, Priority2Suite, NoQueueSuite],
    ids=lambda s: s.__name__,
)
def test_it_passes_without_pytest_as_well(suite: type[EdgeContract]) -> None:
    assert_holds(suite)


class Sorts(HeapRing):
    """A queue by token."""

    def _append(self, entry: Entry) -> None:
        self._entries = deque(sorted([*self._entries, entry], key=lambda e: e.token))


class ForgetsOrderAfterWrap(StaticRing):
    """Beyond ten pushes the storage is read from its start."""

    pushes = 0

    def _append(self, entry: Entry) -> None:
        self.pushes += 1
        super()._append(entry)

    def _pop(self) -> Entry:
        entry = super()._pop()
        if self.pushes > 10 and len(self) == 2:
            other = super()._pop()
            self._append(entry)
            self.pushes -= 1
            return other
        return entry


class HighLaneLast(Priority2):
    def _pop(self) -> Entry:
        return (self._low or self._high).popleft()

    def _at(self, index: int) -> Entry:
        return self._at_eviction(index)


class EvictsHighFirst(Priority2):
    def _pop_evicted(self) -> Entry:
        return (self._high or self._low).popleft()

    def _at_eviction(self, index: int) -> Entry:
        return self._at(index)


class HidesItsLanes(Priority2):
    """Says that it has one."""

    lanes = 1


class ClaimsLanes(StaticRing):
    """Says that it has two."""

    lanes = 2


class OneTooMany(HeapRing):
    """Takes one past a cap of two."""

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        if self.caps.max_items == 2 and len(self) == 2 and self.caps.max_bytes is None and now == 0:
            self.caps = QueueCaps(3)
        return super().try_push(token, header, now)


class ForgetsBytes(HeapRing):
    """Looks at what waits, not at what comes."""

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        if self.caps.max_bytes == 10 and header.payload_size_bytes + self.size_bytes > 10:
            self.caps = QueueCaps(9)
        return super().try_push(token, header, now)


class NotQuiteFull(StaticRing):
    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        if self.size_bytes + header.payload_size_bytes == self.caps.max_bytes:
            return PushResult.REJECTED
        return super().try_push(token, header, now)


class TakesEmpty(StaticRing):
    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        if header.payload_size_bytes == 0 and len(self) < self.caps.max_items:
            self._append(Entry(token, header, now))
            return PushResult.ENQUEUED
        return super().try_push(token, header, now)


class EvictsWhenFull(StaticRing):
    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        result = super().try_push(token, header, now)
        if result is PushResult.REJECTED and len(self) == 3:
            self.evict()
        return result


class LosesRoom(StaticRing):
    """A place is lost with the thirtieth pop."""

    pops = 0

    def _pop(self) -> Entry:
        entry = super()._pop()
        self.pops += 1
        return entry

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        if self.pops >= 30 and self.caps.max_bytes == 8:
            return PushResult.REJECTED
        return super().try_push(token, header, now)


class AtLeastTwo(StaticRing):
    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(QueueCaps(2) if caps.max_items == 1 else caps, clock)


class Endpoint:
    """Stands before a ring as one of its endpoints."""

    def __init__(self, ring: StaticRing) -> None:
        self.ring = ring

    def __getattr__(self, name: str) -> object:
        return getattr(self.ring, name)

    def __len__(self) -> int:
        return len(self.ring)


class CountsFull(StaticRing):
    """The producer is told of three where four wait."""

    class Miscounting(Endpoint):
        def __len__(self) -> int:
            return 3 if len(self.ring) == 4 else len(self.ring)

    def _as_producer(self) -> EdgeProducer:
        return self.Miscounting(self)  # type: ignore[return-value]  # delegates by name


class ForgetsEvictedBytes(HeapRing):
    def evict(self) -> MessageToken:
        held = self._bytes
        token = super().evict()
        if held == 37:
            self._bytes = 30
        return token


class PeekChanges(StaticRing):
    peeks = 0

    def try_peek_at(self, index: int) -> MessageToken:
        token = super().try_peek_at(index)
        self.peeks += len(self) == 5
        return MessageToken(token + 100) if self.peeks == 6 else token


class StampsAnew(StaticRing):
    """The second of three has the instant of the first."""

    def push_tick_at(self, index: int) -> Ticks:
        return super().push_tick_at(0 if index == 1 and len(self) == 3 else index)


class CopiesHeader(StaticRing):
    def header_at(self, index: int) -> MessageHeader:
        return msgspec.structs.replace(super().header_at(index), deadline_ns=None)


class ItemsBackwards(StaticRing):
    def _at_eviction(self, index: int) -> Entry:
        return self._at(len(self) - 1 - index)


class ItemInTicks(StaticRing):
    def item(self, index: int) -> Item:
        return super().item(index)._replace(pushed_ns=self.push_tick_at(index))


class OwnMarks(StaticRing):
    def occupancy(self, policy: EdgePolicy) -> EdgeOccupancy:
        return super().occupancy(EdgePolicy(self.caps))


class PopsLastAgain(StaticRing):
    last = INVALID_TOKEN

    def try_pop(self) -> MessageToken:
        token = super().try_pop()
        if token == INVALID_TOKEN:
            return self.last
        self.last = token
        return token


class EvictsLastAgain(StaticRing):
    last = INVALID_TOKEN

    def try_pop(self) -> MessageToken:
        self.last = super().try_pop()
        return self.last

    def evict(self) -> MessageToken:
        token = super().evict()
        return self.last if token == INVALID_TOKEN else token


class PeeksFromTheEnd(HeapRing):
    def try_peek_at(self, index: int) -> MessageToken:
        return self._entries[index].token if -len(self) <= index < len(self) else INVALID_TOKEN


class LooksFromTheEnd(HeapRing):
    def header_at(self, index: int) -> MessageHeader:
        return super().header_at(index % len(self) if self._entries else index)


class ManyProducers(StaticRing):
    def producer(self) -> EdgeProducer:
        return self


class ManyConsumers(StaticRing):
    def consumer(self) -> EdgeConsumer:
        return self


class EndsWhenEmpty(StaticRing):
    @property
    def ended(self) -> bool:
        return self.closed


class ClosesEarly(StaticRing):
    @property
    def closed(self) -> bool:
        return self._no_more and len(self) <= 1


class CloseForgets(StaticRing):
    def close(self) -> None:
        super().close()
        if len(self) == 3:
            self.try_pop()


class TakesAfterClose(StaticRing):
    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        return PushResult.REJECTED if self._no_more else super().try_push(token, header, now)


class ClosesOnce(StaticRing):
    def close(self) -> None:
        if self._no_more:
            raise LifecycleError("closed already", code=Code.WRONG_STATE)
        super().close()


class KeepsHeaders(StaticRing):
    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps, clock)
        self.seen: list[MessageHeader] = []

    def _append(self, entry: Entry) -> None:
        self.seen.append(entry.header)
        super()._append(entry)


class SharesBytes(StaticRing):
    """Nine bytes in one ring show in all of them."""

    heavy: ClassVar[list[int]] = []

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps, clock)
        self.heavy.clear()

    def _append(self, entry: Entry) -> None:
        if entry.header.payload_size_bytes == 9:
            self.heavy.append(9)
        super()._append(entry)

    @property
    def size_bytes(self) -> int:
        return super().size_bytes + (9 if self.heavy and not len(self) else 0)


_SABOTEURS: dict[str, tuple[Callable[[QueueCaps, PlatformClock], Edge], str]] = {
    "EDGE-1": (Sorts, "popped [3, 5, 7, 9]"),
    "EDGE-2": (ForgetsOrderAfterWrap, "pushed 0 to 19"),
    "EDGE-3": (HighLaneLast, "popped [0, 2, 4, 1, 3]"),
    "EDGE-4": (EvictsHighFirst, "evicted [1, 3, 0, 2, 4]"),
    "EDGE-5": (HidesItsLanes, "([1, 3, 0, 2, 4], [0, 2, 4, 1, 3])"),
    "EDGE-6": (OneTooMany, "gave ENQUEUED, ENQUEUED, ENQUEUED"),
    "EDGE-7": (ForgetsBytes, "3 B on top of 8 of max_bytes=10 gave ENQUEUED"),
    "EDGE-8": (NotQuiteFull, "gave ENQUEUED, REJECTED"),
    "EDGE-9": (TakesEmpty, "gave ENQUEUED"),
    "EDGE-10": (EvictsWhenFull, "REJECTED changed ([0, 1, 2], 6) into ([1, 2], 4)"),
    "EDGE-11": (LosesRoom, "gave REJECTED with 1 of 2 items"),
    "EDGE-12": (AtLeastTwo, "max_items=1"),
    "EDGE-13": (CountsFull, "(3, 4)"),
    "EDGE-14": (ForgetsEvictedBytes, "(0, 0), (42, 42), (37, 37)"),
    "EDGE-15": (PeekChanges, "made the next peek"),
    "EDGE-16": (StampsAnew, "says [22, 22, 44]"),
    "EDGE-17": (CopiesHeader, "header_at says"),
    "EDGE-18": (ItemsBackwards, "item shows [4, 3, 2, 1, 0]"),
    "EDGE-19": (ItemInTicks, "pushed_ns=5)"),
    "EDGE-20": (OwnMarks, "BELOW_SOFT"),
    "EDGE-21": (PopsLastAgain, "an empty edge popped"),
    "EDGE-22": (EvictsLastAgain, "an empty edge evicted"),
    "EDGE-23": (PeeksFromTheEnd, "place -1 of 1 shows 5"),
    "EDGE-24": (LooksFromTheEnd, "header_at(-1) of 1: None"),
    "EDGE-25": (ManyProducers, "a second producer: None"),
    "EDGE-26": (ManyConsumers, "a second consumer: None"),
    "EDGE-27": (EndsWhenEmpty, "2 items waiting: (False, False)"),
    "EDGE-28": (ClosesEarly, "[False, False, True, True]"),
    "EDGE-29": (CloseForgets, "close changed"),
    "EDGE-30": (TakesAfterClose, "a push after close: None"),
    "EDGE-31": (ClosesOnce, "the second close: "),
    "EDGE-32": (KeepsHeaders, "B were kept"),
    "EDGE-33": (SharesBytes, "using one edge changed another"),
    "EDGE-34": (ClaimsLanes, "lanes says 2, and its suite 1"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    suite = Priority2Suite if clause in ("EDGE-3", "EDGE-4") else StaticRingSuite
    assert_caught(suite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert len(_SABOTEURS) >= 25
    assert_all_have_saboteurs(EdgeContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(EdgeContract)
