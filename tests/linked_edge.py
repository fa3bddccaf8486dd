"""An edge as a package might offer one: made from the contract alone, with endpoints of its own.

It shares nothing with the rings of ``limen.edge``: messages lie in a linked list, and each side has
an object of its own, which has what its contract names and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from limen.edge import Edge, EdgeConsumer, EdgeOccupancy, EdgeProducer, PushResult
from limen.errors import Code, LifecycleError, QueueError
from limen.message import MessageHeader
from limen.platform import PlatformClock
from limen.policy import EdgePolicy, Item, QueueCaps
from limen.types import INVALID_TOKEN, MessageToken, Ticks


@dataclass(slots=True)
class _Cell:
    token: MessageToken
    header: MessageHeader
    pushed: Ticks
    behind: _Cell | None = None


class _Line:
    """What both endpoints look at."""

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        self.caps = caps
        self.clock = clock
        self.front: _Cell | None = None
        self.back: _Cell | None = None
        self.ended = False

    def cells(self) -> Iterator[_Cell]:
        cell = self.front
        while cell is not None:
            yield cell
            cell = cell.behind

    def count(self) -> int:
        return sum(1 for _ in self.cells())

    def size_bytes(self) -> int:
        return sum(cell.header.payload_size_bytes for cell in self.cells())

    def at(self, index: int) -> _Cell | None:
        return next((cell for n, cell in enumerate(self.cells()) if n == index), None)

    def require(self, index: int) -> _Cell:
        cell = self.at(index)
        if cell is None:
            raise QueueError(f"place {index} of {self.count()}", code=Code.QUEUE_EMPTY)
        return cell

    def append(self, cell: _Cell) -> None:
        if self.back is None:
            self.front = cell
        else:
            self.back.behind = cell
        self.back = cell

    def remove_front(self) -> MessageToken:
        cell = self.front
        if cell is None:
            return INVALID_TOKEN
        self.front = cell.behind
        if self.front is None:
            self.back = None
        return cell.token


class _In:
    def __init__(self, line: _Line) -> None:
        self._line = line

    @property
    def size_bytes(self) -> int:
        return self._line.size_bytes()

    def __len__(self) -> int:
        return self._line.count()

    def item(self, index: int) -> Item:
        cell = self._line.require(index)
        pushed_ns = self._line.clock.ticks_to_nanos(cell.pushed)
        header = cell.header
        return Item(header.payload_size_bytes, header.qos, header.deadline_ns, pushed_ns)

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        line = self._line
        if line.ended:
            raise LifecycleError("push into a closed edge", code=Code.WRONG_STATE)
        if not line.caps.fits(line.count(), line.size_bytes(), header.payload_size_bytes):
            return PushResult.REJECTED
        line.append(_Cell(token, header, now))
        return PushResult.ENQUEUED

    def evict(self) -> MessageToken:
        return self._line.remove_front()

    def close(self) -> None:
        self._line.ended = True


class _Out:
    def __init__(self, line: _Line) -> None:
        self._line = line

    @property
    def size_bytes(self) -> int:
        return self._line.size_bytes()

    def __len__(self) -> int:
        return self._line.count()

    def try_pop(self) -> MessageToken:
        return self._line.remove_front()

    def try_peek_at(self, index: int) -> MessageToken:
        cell = self._line.at(index)
        return INVALID_TOKEN if cell is None else cell.token

    def push_tick_at(self, index: int) -> Ticks:
        return self._line.require(index).pushed

    def header_at(self, index: int) -> MessageHeader:
        return self._line.require(index).header

    @property
    def ended(self) -> bool:
        return self._line.ended

    @property
    def closed(self) -> bool:
        return self._line.ended and self._line.front is None


class LinkedEdge(Edge):
    """A queue in a linked list."""

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps)
        self._line = _Line(caps, clock)

    def occupancy(self, policy: EdgePolicy) -> EdgeOccupancy:
        count, size_bytes = self._line.count(), self._line.size_bytes()
        return EdgeOccupancy(count, size_bytes, policy.caps.watermark(count, size_bytes))

    def _as_producer(self) -> EdgeProducer:
        return _In(self._line)

    def _as_consumer(self) -> EdgeConsumer:
        return _Out(self._line)


class _Moody:
    """An endpoint that turns one push of every so many away, whatever the caps allow."""

    def __init__(self, real: EdgeProducer, every: int) -> None:
        self._real = real
        self._every = every
        self._asked = 0

    @property
    def size_bytes(self) -> int:
        return self._real.size_bytes

    def __len__(self) -> int:
        return len(self._real)

    def item(self, index: int) -> Item:
        return self._real.item(index)

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        self._asked += 1
        if self._asked % self._every == 0:
            return PushResult.REJECTED
        return self._real.try_push(token, header, now)

    def evict(self) -> MessageToken:
        return self._real.evict()

    def close(self) -> None:
        self._real.close()


class MoodyEdge(LinkedEdge):
    """Breaks its contract: it rejects every second message, though it fits."""

    def _as_producer(self) -> EdgeProducer:
        return _Moody(super()._as_producer(), 2)


class ShutEdge(LinkedEdge):
    """Breaks its contract: it rejects every message."""

    def _as_producer(self) -> EdgeProducer:
        return _Moody(super()._as_producer(), 1)


class Deaf(LinkedEdge):
    """Hands out a producer that cannot take anything."""

    def _as_producer(self) -> EdgeProducer:
        return object()  # type: ignore[return-value]  # the mistake of this double


def seven(caps: QueueCaps, clock: PlatformClock) -> Edge:
    """Make something that is no edge."""
    return 7  # type: ignore[return-value]  # likewise


def dear(caps: QueueCaps, clock: PlatformClock) -> Edge:
    """Fail as a package does whose device is missing."""
    raise OSError("no such device")


def exiting(caps: QueueCaps, clock: PlatformClock) -> Edge:
    """End the process, as a script does that was meant to be run."""
    raise SystemExit(0)


_ONE: list[Edge] = []


def always_one(caps: QueueCaps, clock: PlatformClock) -> Edge:
    """Make one edge for all that ask."""
    if not _ONE:
        _ONE.append(LinkedEdge(caps, clock))
        _ONE[0].producer()
    return _ONE[0]


class ManyLanes(LinkedEdge):
    """Has more lanes than there are classes that overtake."""

    lanes = 3


def without_clock(caps: QueueCaps) -> Edge:
    """Take other arguments than are given."""
    raise AssertionError("never called")


NUMBER = 7
