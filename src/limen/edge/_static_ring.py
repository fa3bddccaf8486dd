"""The ring in preallocated lists."""

from __future__ import annotations

from limen.edge._ring import Entry, Ring
from limen.errors import Code, QueueError
from limen.platform import PlatformClock
from limen.policy import QueueCaps


class StaticRing(Ring):
    """A circular queue whose storage is made once; for one thread.

    Args:
        caps: Limits that hold; ``max_items`` is the storage.
        clock: Converts push instants for admission.
    """

    def __init__(self, caps: QueueCaps, clock: PlatformClock) -> None:
        super().__init__(caps, clock)
        self._entries: list[Entry | None] = [None] * caps.max_items
        self._head = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def _append(self, entry: Entry) -> None:
        self._entries[(self._head + self._count) % self.caps.max_items] = entry
        self._count += 1

    def _pop(self) -> Entry:
        entry = self._at(0)
        self._entries[self._head] = None
        self._head = (self._head + 1) % self.caps.max_items
        self._count -= 1
        return entry

    def _pop_evicted(self) -> Entry:
        return self._pop()

    def _at(self, index: int) -> Entry:
        entry = self._entries[(self._head + index) % self.caps.max_items]
        if entry is None:
            raise QueueError(f"place {index} holds nothing", code=Code.QUEUE_POISONED)
        return entry

    def _at_eviction(self, index: int) -> Entry:
        return self._at(index)
