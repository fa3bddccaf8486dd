"""The ring in preallocated lists."""

from __future__ import annotations

from limen.edge.contract import Edge, EdgeConsumer, EdgeOccupancy, EdgeProducer, PushResult
from limen.errors import Code, LifecycleError, QueueError
from limen.message import MessageHeader
from limen.platform import PlatformClock
from limen.policy import BatchingTicks, EdgePolicy, Item, QueueCaps
from limen.types import INVALID_TOKEN, MessageToken, Ticks


class StaticRing(Edge):
    """A circular queue whose storage is made once; for one thread.

    Args:
        caps: Limits that hold; ``max_items`` is the storage.
        clock: Converts push instants for admission.
    """

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps)
        self._clock = clock
        self._tokens = [INVALID_TOKEN] * caps.max_items
        self._headers: list[MessageHeader | None] = [None] * caps.max_items
        self._pushed = [Ticks(0)] * caps.max_items
        self._head = 0
        self._count = 0
        self._bytes = 0
        self._no_more = False

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Payload bytes that wait."""
        return self._bytes

    @property
    def closed(self) -> bool:
        """Whether nothing waits and nothing more comes."""
        return self._no_more and self._count == 0

    @property
    def ended(self) -> bool:
        """Whether nothing more comes; items may still wait."""
        return self._no_more

    def occupancy(self, policy: EdgePolicy) -> EdgeOccupancy:
        """Return how full the ring is, judged by a policy."""
        return EdgeOccupancy(
            self._count, self._bytes, policy.caps.watermark(self._count, self._bytes)
        )

    def item(self, index: int) -> Item:
        """Return what admission sees of a waiting message, oldest first."""
        header = self.header_at(index)
        pushed_ns = self._clock.ticks_to_nanos(self.push_tick_at(index))
        return Item(header.payload_size_bytes, header.qos, header.deadline_ns, pushed_ns)

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        """Append a token, or return REJECTED where a hard cap forbids it.

        Raises:
            LifecycleError: The edge has been closed.
        """
        if self._no_more:
            raise LifecycleError("push into a closed edge", code=Code.WRONG_STATE)
        if not self.caps.fits(self._count, self._bytes, header.payload_size_bytes):
            return PushResult.REJECTED
        place = (self._head + self._count) % self.caps.max_items
        self._tokens[place] = token
        self._headers[place] = header
        self._pushed[place] = now
        self._count += 1
        self._bytes += header.payload_size_bytes
        return PushResult.ENQUEUED

    def try_pop(self) -> MessageToken:
        """Take the oldest token, INVALID_TOKEN if none waits."""
        if self._count == 0:
            return INVALID_TOKEN
        place = self._head
        self._bytes -= self.header_at(0).payload_size_bytes
        self._headers[place] = None
        self._head = (place + 1) % self.caps.max_items
        self._count -= 1
        return self._tokens[place]

    def evict_oldest(self) -> MessageToken:
        """Take the oldest token back for the producer."""
        return self.try_pop()

    def try_peek_at(self, index: int) -> MessageToken:
        """Return a waiting token without taking it, INVALID_TOKEN past the end."""
        if not 0 <= index < self._count:
            return INVALID_TOKEN
        return self._tokens[(self._head + index) % self.caps.max_items]

    def push_tick_at(self, index: int) -> Ticks:
        """Return the instant at which a waiting token was pushed.

        Raises:
            QueueError: Nothing waits at that place.
        """
        return self._pushed[self._place(index)]

    def header_at(self, index: int) -> MessageHeader:
        """Return the header of a waiting token.

        Raises:
            QueueError: Nothing waits at that place.
        """
        header = self._headers[self._place(index)]
        if header is None:
            raise QueueError(f"place {index} holds no header", code=Code.QUEUE_POISONED)
        return header

    def prefix_length(self, batching: BatchingTicks) -> int:
        """Return the length of the longest prefix within both limits of the batching."""
        most = min(batching.max_items, self._count)
        if batching.delta_ticks is None or most == 0:
            return most
        limit = self.header_at(0).creation_tick + batching.delta_ticks
        for index in range(1, most):
            if self.header_at(index).creation_tick > limit:
                return index
        return most

    def close(self) -> None:
        """Say that nothing more comes; idempotent."""
        self._no_more = True

    def _place(self, index: int) -> int:
        if not 0 <= index < self._count:
            raise QueueError(f"place {index} of {self._count}", code=Code.QUEUE_EMPTY)
        return (self._head + index) % self.caps.max_items

    def _as_producer(self) -> EdgeProducer:
        return self

    def _as_consumer(self) -> EdgeConsumer:
        return self
