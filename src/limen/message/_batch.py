"""Several messages presented in one call."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from limen.message._header import MessageFlags, MessageHeader


class BatchView(msgspec.Struct, frozen=True):
    """A read-only batch, oldest first; valid during the call it is handed to.

    Attributes:
        headers: Each item's own header.
        payloads: Array of shape (items, …) over the slots, or over the gather buffer where the
            slots are not neighbours; a tuple where the payloads are objects.
    """

    headers: tuple[MessageHeader, ...]
    payloads: NDArray[np.generic] | tuple[object, ...]

    def __len__(self) -> int:
        return len(self.headers)

    def flags(self, index: int) -> MessageFlags:
        """Return an item's flags with the batch marks that its place gives it."""
        flags = self.headers[index].flags.without(
            MessageFlags.FIRST_IN_BATCH | MessageFlags.LAST_IN_BATCH
        )
        if index == 0:
            flags |= MessageFlags.FIRST_IN_BATCH
        if index == len(self.headers) - 1:
            flags |= MessageFlags.LAST_IN_BATCH
        return flags
