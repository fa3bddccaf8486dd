"""The contract of an edge: a bounded queue of tokens, one producer, one consumer."""

from __future__ import annotations

import abc
import enum
from typing import NamedTuple, Protocol

from limen.errors import Code, LifecycleError
from limen.message import MessageHeader
from limen.policy import EdgePolicy, Item, QueueCaps, Watermark
from limen.types import MessageToken, Ticks


class PushResult(enum.Enum):
    """What became of an offer to the ring."""

    ENQUEUED = "enqueued"
    REJECTED = "rejected"


class EdgeOccupancy(NamedTuple):
    """How full an edge is.

    Attributes:
        items: Messages that wait.
        size_bytes: Their payload bytes.
        watermark: Both against the policy's caps.
    """

    items: int
    size_bytes: int
    watermark: Watermark


class EdgeProducer(Protocol):
    """The producer's endpoint."""

    @property
    def size_bytes(self) -> int:
        """Payload bytes that wait."""

    def __len__(self) -> int: ...

    def item(self, index: int) -> Item:
        """Return what admission sees of a waiting message, in the order of eviction."""

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        """Append a token, or return REJECTED where a hard cap forbids it."""

    def evict(self) -> MessageToken:
        """Take back the token that is evicted first, INVALID_TOKEN if none waits."""

    def close(self) -> None:
        """Say that nothing more comes; idempotent."""


class EdgeConsumer(Protocol):
    """The consumer's endpoint; places count from the front, in the order of ``try_pop``."""

    @property
    def size_bytes(self) -> int:
        """Payload bytes that wait."""

    def __len__(self) -> int: ...

    def try_pop(self) -> MessageToken:
        """Take the token in front, INVALID_TOKEN if none waits."""

    def try_peek_at(self, index: int) -> MessageToken:
        """Return a waiting token without taking it, INVALID_TOKEN past the end."""

    def push_tick_at(self, index: int) -> Ticks:
        """Return the instant at which a waiting token was pushed."""

    def header_at(self, index: int) -> MessageHeader:
        """Return the header of a waiting token."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes; items may still wait."""

    @property
    def closed(self) -> bool:
        """Whether nothing waits and nothing more comes."""


class Edge(abc.ABC):
    """A bounded queue of tokens with exactly one producer and one consumer.

    The step context decides admission; the edge only enforces its hard caps.

    - EDGE-1: Items leave in the order they entered; where there are lanes, within each lane.
    - EDGE-2: ``try_push`` returns REJECTED at a hard cap and changes nothing; it never evicts.
    - EDGE-3: Only ENQUEUED transfers ownership of the token to the edge.
    - EDGE-4: ``producer()`` and ``consumer()`` each succeed once.
    - EDGE-5: ``closed`` shows only after the last item has been taken.
    - EDGE-6: A push after ``close`` raises WRONG_STATE.
    - EDGE-7: Each item's push instant is kept until it leaves.
    - EDGE-8: Where nothing waits, ``try_pop``, ``try_peek_at`` and ``evict`` return INVALID_TOKEN.

    Args:
        caps: Limits that hold.
    """

    def __init__(self, caps: QueueCaps) -> None:
        self.caps = caps
        self._producer_out = False
        self._consumer_out = False

    def producer(self) -> EdgeProducer:
        """Hand out the producer's endpoint, once.

        Raises:
            LifecycleError: It was handed out already.
        """
        if self._producer_out:
            raise LifecycleError("this edge has a producer already", code=Code.WRONG_STATE)
        self._producer_out = True
        return self._as_producer()

    def consumer(self) -> EdgeConsumer:
        """Hand out the consumer's endpoint, once.

        Raises:
            LifecycleError: It was handed out already.
        """
        if self._consumer_out:
            raise LifecycleError("this edge has a consumer already", code=Code.WRONG_STATE)
        self._consumer_out = True
        return self._as_consumer()

    @abc.abstractmethod
    def occupancy(self, policy: EdgePolicy) -> EdgeOccupancy:
        """Return how full the edge is, judged by a policy; anyone may ask."""

    @abc.abstractmethod
    def _as_producer(self) -> EdgeProducer: ...

    @abc.abstractmethod
    def _as_consumer(self) -> EdgeConsumer: ...
