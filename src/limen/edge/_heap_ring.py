"""The ring that takes memory as it fills."""

from __future__ import annotations

from collections import deque

from limen.edge._ring import Entry, Ring
from limen.platform import PlatformClock
from limen.policy import QueueCaps


class HeapRing(Ring):
    """A bounded queue of entries on the heap; for one thread, where payloads are objects anyway.

    Args:
        caps: Limits that hold.
        clock: Converts push instants for admission.
    """

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps, clock)
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def _append(self, entry: Entry) -> None:
        self._entries.append(entry)

    def _pop(self) -> Entry:
        return self._entries.popleft()

    def _pop_evicted(self) -> Entry:
        return self._entries.popleft()

    def _at(self, index: int) -> Entry:
        return self._entries[index]

    def _at_eviction(self, index: int) -> Entry:
        return self._entries[index]
