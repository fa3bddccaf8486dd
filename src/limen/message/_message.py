"""Header and payload together, as nodes see them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec
import numpy as np

from limen.message._header import MessageHeader


def payload_size_bytes(payload: object) -> int:
    """Return the bytes a payload counts for at byte caps: its buffer, or its own object size."""
    if isinstance(payload, np.ndarray):
        return payload.nbytes
    if isinstance(payload, memoryview):
        return payload.nbytes
    if isinstance(payload, (bytes, bytearray)):
        return len(payload)
    return sys.getsizeof(payload)


class Message(msgspec.Struct, frozen=True):
    """One message. The payload is a view that is valid during the call it is handed to.

    Attributes:
        header: Identity, times and classes.
        payload: A read-only array, or the object that the producer emitted.
    """

    header: MessageHeader
    payload: object

    def with_payload(self, payload: object) -> Message:
        """Return a message with this header, its size adjusted, and another payload."""
        return Message(self.header.resized(payload_size_bytes(payload)), payload)

    def map_payload(self, function: Callable[[object], object]) -> Message:
        """Return a message whose payload is the function's result."""
        return self.with_payload(function(self.payload))

    def into_parts(self) -> tuple[MessageHeader, object]:
        """Return header and payload."""
        return self.header, self.payload
