"""The contract of an edge: a bounded queue of tokens, one producer, one consumer."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from limen.errors import Code, LifecycleError
from limen.message import MessageHeader
from limen.platform import PlatformClock
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


@runtime_checkable
class EdgeProducer(Protocol):
    """The producer's endpoint: all that a runtime uses to put messages in.

    Only the context of the node in front of the edge calls it.
    """

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


@runtime_checkable
class EdgeConsumer(Protocol):
    """The consumer's endpoint: all that a runtime uses to take messages out.

    Only the context of the node behind the edge calls it, and between steps the runtime, for its
    accounts. Places count from the front, in the order of ``try_pop``.
    """

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

    The step context decides admission; the edge only enforces its hard caps. Where it returns
    REJECTED for what was admitted, the message is staged on a BLOCK edge and refused as ``full`` on
    the others.

    A runtime makes an edge, takes both endpoints before the graph starts, and uses nothing but
    these and ``occupancy`` from then on. A ring that a graph names is made once more when the graph
    is verified, and that one is dropped unused: making an edge has no effect that outlasts it.

    Order
    - EDGE-1: Items of one class leave in the order in which they entered.
    - EDGE-2: That order holds however often the storage has come round.
    - EDGE-3: Where there are lanes, what is LATENCY_CRITICAL leaves before the rest.
    - EDGE-4: Where there are lanes, eviction takes what is not LATENCY_CRITICAL first.
    - EDGE-5: Where there are none, classes change nothing.

    Caps
    - EDGE-6: ``try_push`` returns REJECTED where ``max_items`` wait.
    - EDGE-7: It returns REJECTED for what would take the bytes past ``max_bytes``.
    - EDGE-8: It takes what fills the bytes up to ``max_bytes`` exactly.
    - EDGE-9: With ``max_bytes`` full it returns REJECTED for an empty payload, too.
    - EDGE-10: REJECTED changes nothing: nothing is evicted, the token stays its owner's.
    - EDGE-11: What was popped or evicted makes room, over and over.
    - EDGE-12: Caps of one item hold.

    Looking
    - EDGE-13: ``len`` is the number of items that wait, at both endpoints.
    - EDGE-14: ``size_bytes`` is the sum of their payload bytes, at both endpoints.
    - EDGE-15: ``try_peek_at(i)`` is what the pop after ``i`` others returns, and takes nothing.
    - EDGE-16: ``push_tick_at(i)`` is the instant of that item's push, whatever came after it.
    - EDGE-17: ``header_at(i)`` is the header that it was pushed with.
    - EDGE-18: ``item(i)`` is about what the eviction after ``i`` others returns.
    - EDGE-19: It states bytes, class, deadline and the push instant in ns of the edge's clock.
    - EDGE-20: ``occupancy`` counts what waits, and takes the watermark from the policy it is given.

    Where nothing is
    - EDGE-21: ``try_pop`` returns INVALID_TOKEN where nothing waits.
    - EDGE-22: ``evict`` returns INVALID_TOKEN where nothing waits.
    - EDGE-23: ``try_peek_at`` returns INVALID_TOKEN before the front and past the end.
    - EDGE-24: ``push_tick_at``, ``header_at`` and ``item`` raise QUEUE_EMPTY there.

    Ends
    - EDGE-25: ``producer`` succeeds once, and raises WRONG_STATE then.
    - EDGE-26: ``consumer`` succeeds once, and raises WRONG_STATE then.
    - EDGE-27: ``ended`` shows from ``close`` on, also while items wait.
    - EDGE-28: ``closed`` shows once the edge has been closed and the last item has been taken.
    - EDGE-29: ``close`` loses nothing: what waits can still be looked at and popped.
    - EDGE-30: A push after ``close`` raises WRONG_STATE.
    - EDGE-31: Closing twice is as closing once.

    Resources
    - EDGE-32: Nothing that ``try_push`` and ``try_pop`` allocate is kept once an item has left.
    - EDGE-33: Edges share no state.

    What it says of itself
    - EDGE-34: ``lanes`` is 2 where what is LATENCY_CRITICAL overtakes the rest, else 1.

    Args:
        caps: Limits that hold.

    Attributes:
        lanes: How many lanes it has; a graph's edge whose policy asks for others is refused.
    """

    lanes: int = 1

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


EdgeFactory = Callable[[QueueCaps, PlatformClock], Edge]
"""Makes an edge of these caps, in a graph that lives by this clock; what ``limen.edges`` names."""
