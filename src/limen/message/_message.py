"""Header and payload together, as nodes see them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from limen.message._header import MessageHeader
from limen.message._sizes import buffer_descriptor


class Message(msgspec.Struct, frozen=True):
    """One message. The payload is a view that is valid during the call it is handed to.

    Attributes:
        header: Identity, times and classes.
        payload: A read-only array, or the object that the producer emitted.
    """

    header: MessageHeader
    payload: object

    def with_payload(self, payload: object) -> Message:
        """Return a message with another payload, whose size and place its header says."""
        made = buffer_descriptor(payload)
        return Message(self.header.resized(made.bytes, made.memory_class), payload)

    def map_payload(self, function: Callable[[object], object]) -> Message:
        """Return a message whose payload is the function's result."""
        return self.with_payload(function(self.payload))

    def into_parts(self) -> tuple[MessageHeader, object]:
        """Return header and payload."""
        return self.header, self.payload
