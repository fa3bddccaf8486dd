"""What rings of one thread share: caps, byte count, end of stream."""

from __future__ import annotations

import abc
from typing import NamedTuple

from limen.edge.contract import Edge, EdgeConsumer, EdgeOccupancy, EdgeProducer, PushResult
from limen.errors import Code, LifecycleError, QueueError
from limen.message import MessageHeader
from limen.platform import PlatformClock
from limen.policy import EdgePolicy, Item, QueueCaps
from limen.types import INVALID_TOKEN, MessageToken, Ticks


class Entry(NamedTuple):
    """A waiting token with what decisions look at."""

    token: MessageToken
    header: MessageHeader
    pushed: Ticks


class Ring(Edge):
    """An edge for one thread over some storage of entries, which subclasses provide.

    Args:
        caps: Limits that hold.
        clock: Converts push instants for admission.
    """

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps)
        self._clock = clock
        self._bytes = 0
        self._no_more = False

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def _append(self, entry: Entry) -> None: ...

    @abc.abstractmethod
    def _pop(self) -> Entry:
        """Remove the front; there is one."""

    @abc.abstractmethod
    def _pop_evicted(self) -> Entry:
        """Remove what is evicted first; there is something."""

    @abc.abstractmethod
    def _at(self, index: int) -> Entry:
        """Return an entry from the front on; it exists."""

    @abc.abstractmethod
    def _at_eviction(self, index: int) -> Entry:
        """Return an entry in the order of eviction; it exists."""

    @property
    def size_bytes(self) -> int:
        """Payload bytes that wait."""
        return self._bytes

    @property
    def closed(self) -> bool:
        """Whether nothing waits and nothing more comes."""
        return self._no_more and len(self) == 0

    @property
    def ended(self) -> bool:
        """Whether nothing more comes; items may still wait."""
        return self._no_more

    def occupancy(self, policy: EdgePolicy) -> EdgeOccupancy:
        """Return how full the ring is, judged by a policy."""
        count = len(self)
        return EdgeOccupancy(count, self._bytes, policy.caps.watermark(count, self._bytes))

    def item(self, index: int) -> Item:
        """Return what admission sees of a waiting message, in the order of eviction."""
        self._require(index)
        _, header, pushed = self._at_eviction(index)
        pushed_ns = self._clock.ticks_to_nanos(pushed)
        return Item(header.payload_size_bytes, header.qos, header.deadline_ns, pushed_ns)

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        """Append a token, or return REJECTED where a hard cap forbids it.

        Raises:
            LifecycleError: The edge has been closed.
        """
        if self._no_more:
            raise LifecycleError("push into a closed edge", code=Code.WRONG_STATE)
        if not self.caps.fits(len(self), self._bytes, header.payload_size_bytes):
            return PushResult.REJECTED
        self._append(Entry(token, header, now))
        self._bytes += header.payload_size_bytes
        return PushResult.ENQUEUED

    def put_back(self, token: MessageToken, header: MessageHeader, pushed: Ticks) -> None:
        """Append what waited here before and was taken out for a while; closed or not."""
        self._append(Entry(token, header, pushed))
        self._bytes += header.payload_size_bytes

    def try_pop(self) -> MessageToken:
        """Take the token in front, INVALID_TOKEN if none waits."""
        if len(self) == 0:
            return INVALID_TOKEN
        entry = self._pop()
        self._bytes -= entry.header.payload_size_bytes
        return entry.token

    def evict(self) -> MessageToken:
        """Take back the token that is evicted first, INVALID_TOKEN if none waits."""
        if len(self) == 0:
            return INVALID_TOKEN
        entry = self._pop_evicted()
        self._bytes -= entry.header.payload_size_bytes
        return entry.token

    def try_peek_at(self, index: int) -> MessageToken:
        """Return a waiting token without taking it, INVALID_TOKEN past the end."""
        return self._at(index).token if 0 <= index < len(self) else INVALID_TOKEN

    def push_tick_at(self, index: int) -> Ticks:
        """Return the instant at which a waiting token was pushed.

        Raises:
            QueueError: Nothing waits at that place.
        """
        self._require(index)
        return self._at(index).pushed

    def header_at(self, index: int) -> MessageHeader:
        """Return the header of a waiting token.

        Raises:
            QueueError: Nothing waits at that place.
        """
        self._require(index)
        return self._at(index).header

    def close(self) -> None:
        """Say that nothing more comes; idempotent."""
        self._no_more = True

    def _require(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise QueueError(f"place {index} of {len(self)}", code=Code.QUEUE_EMPTY)

    def _as_producer(self) -> EdgeProducer:
        return self

    def _as_consumer(self) -> EdgeConsumer:
        return self
