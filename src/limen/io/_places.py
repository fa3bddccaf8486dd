"""Where in a file each message came from."""

from __future__ import annotations

import bisect
from collections import deque

from limen.types import SequenceNumber

_REMEMBERED = 4096


class Places:
    """Places of messages in their order, in bounded memory.

    Kept is the difference of place and sequence number, once wherever it changes: a file without
    gaps takes one entry. Of more than 4096 changes the oldest are forgotten.
    """

    def __init__(self) -> None:
        self._shifts: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._count = 0

    def __len__(self) -> int:
        return len(self._shifts)

    def add(self, place: int) -> None:
        """Note the place of the next message."""
        shift = place - self._count
        if not self._shifts or self._shifts[-1][1] != shift:
            self._shifts.append((self._count, shift))
        self._count += 1

    def find(self, sequence: SequenceNumber) -> int | None:
        """Return the place of a message; None where there was none or it is forgotten."""
        if not 0 <= sequence < self._count:
            return None
        shifts = list(self._shifts)
        index = bisect.bisect_right(shifts, int(sequence), key=lambda entry: entry[0]) - 1
        return int(sequence) + shifts[index][1] if index >= 0 else None

    def clear(self) -> None:
        """Begin anew."""
        self._shifts.clear()
        self._count = 0
