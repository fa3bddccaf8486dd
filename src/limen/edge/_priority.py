"""Two lanes by class."""

from __future__ import annotations

from collections import deque

from limen.edge._ring import Entry, Ring
from limen.platform import PlatformClock
from limen.policy import QueueCaps
from limen.types import QoSClass


class Priority2(Ring):
    """A bounded queue in which what is LATENCY_CRITICAL overtakes the rest; for one thread.

    Pops, peeks and prefixes see the high lane first, then the low one; eviction takes the front of
    the low lane, then of the high one. Caps hold over both lanes together.

    Args:
        caps: Limits that hold.
        clock: Converts push instants for admission.
    """

    lanes = 2

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps, clock)
        self._high: deque[Entry] = deque()
        self._low: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._high) + len(self._low)

    def _append(self, entry: Entry) -> None:
        urgent = entry.header.qos is QoSClass.LATENCY_CRITICAL
        (self._high if urgent else self._low).append(entry)

    def _pop(self) -> Entry:
        return (self._high or self._low).popleft()

    def _pop_evicted(self) -> Entry:
        return (self._low or self._high).popleft()

    def _at(self, index: int) -> Entry:
        return _nth(self._high, self._low, index)

    def _at_eviction(self, index: int) -> Entry:
        return _nth(self._low, self._high, index)


def _nth(first: deque[Entry], second: deque[Entry], index: int) -> Entry:
    return first[index] if index < len(first) else second[index - len(first)]
