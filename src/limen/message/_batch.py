"""Several messages presented in one call, or kept together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError
from limen.message._header import MessageFlags, MessageHeader
from limen.message._message import Message

_MARKS = MessageFlags.FIRST_IN_BATCH | MessageFlags.LAST_IN_BATCH


def batch_flags(flags: MessageFlags, index: int, count: int) -> MessageFlags:
    """Return flags with the batch marks of that place among ``count``, and no others."""
    flags = flags.without(_MARKS)
    if index == 0:
        flags |= MessageFlags.FIRST_IN_BATCH
    if index == count - 1:
        flags |= MessageFlags.LAST_IN_BATCH
    return flags


class BatchView(msgspec.Struct, frozen=True):
    """A read-only batch, oldest first; valid during the call it is handed to.

    ``view[0]`` and iteration give its messages, marked by their place: the first carries
    FIRST_IN_BATCH, the last LAST_IN_BATCH, one alone both.

    Attributes:
        headers: Each item's own header, as it came.
        payloads: Array of shape (items, …) over the slots, or over the gather buffer where the
            slots are not neighbours; a tuple where the payloads are objects. Where a node states
            ``fixed_batch`` the array is that long, and zero past the items.
    """

    headers: tuple[MessageHeader, ...]
    payloads: NDArray[np.generic] | tuple[object, ...]

    def __len__(self) -> int:
        return len(self.headers)

    def __getitem__(self, index: int) -> Message:
        place = range(len(self.headers))[index]
        header = self.headers[place].with_flags(self.flags(place))
        payloads = self.payloads
        if isinstance(payloads, np.ndarray):
            return Message(header, payloads[place, ...])
        return Message(header, payloads[place])

    def __iter__(self) -> Iterator[Message]:
        return (self[index] for index in range(len(self.headers)))

    def flags(self, index: int) -> MessageFlags:
        """Return an item's flags with the batch marks that its place gives it."""
        place = range(len(self.headers))[index]
        return batch_flags(self.headers[place].flags, place, len(self.headers))

    def to_batch(self) -> Batch:
        """Return a batch that may be kept: arrays copied, objects by reference."""
        return Batch.of([Message(m.header, _own(m.payload)) for m in self])


def _own(payload: object) -> object:
    return payload.copy() if isinstance(payload, np.ndarray) else payload


class Batch(msgspec.Struct, frozen=True):
    """Messages kept together, oldest first, marked by their place; made by ``of``.

    Attributes:
        messages: At least one.
    """

    messages: tuple[Message, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Batch:
        """Put messages together, and mark first and last.

        Raises:
            ConfigurationError: There are none.
        """
        count = len(messages)
        if count == 0:
            raise ConfigurationError("a batch of no messages", remedy="give at least one")
        return cls(
            tuple(
                Message(m.header.with_flags(batch_flags(m.header.flags, i, count)), m.payload)
                for i, m in enumerate(messages)
            )
        )

    def __len__(self) -> int:
        return len(self.messages)

    def view(self) -> BatchView:
        """Return what a call would be handed: arrays of one type and shape put side by side."""
        headers = tuple(message.header for message in self.messages)
        payloads = tuple(message.payload for message in self.messages)
        arrays = [payload for payload in payloads if isinstance(payload, np.ndarray)]
        if len(arrays) < len(payloads) or len({(a.dtype, a.shape) for a in arrays}) > 1:
            return BatchView(headers, payloads)
        stacked: NDArray[np.generic] = np.stack(arrays)
        stacked.flags.writeable = False
        return BatchView(headers, stacked)
