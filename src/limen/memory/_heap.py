"""Slots that hold any Python object by reference."""

from __future__ import annotations

import numpy as np

from limen.errors import PayloadMismatchError
from limen.memory.contract import MemoryManager
from limen.types import MessageToken

# What an annotation with a number admits (PEP 484), and NumPy's scalars of that kind.
_NUMBERS: dict[type, tuple[type, ...]] = {
    bool: (bool, np.bool_),
    int: (int, np.integer),
    float: (float, int, np.floating, np.integer),
    complex: (complex, float, int, np.number),
}


class HeapMemoryManager(MemoryManager):
    """Bounded slots of Python objects: the number of live objects is bounded.

    Objects are held by reference. Arrays and buffers are copied: their maker may write to them
    again, and a view may lie in a slot that is used again. Arrays are handed out read-only.

    Args:
        depth: Number of slots.
        kind: The class that payloads are instances of.
    """

    def __init__(self, depth: int, kind: type = object) -> None:
        super().__init__(depth)
        self._kind: type | tuple[type, ...] = _NUMBERS.get(kind, kind)
        self._payloads: list[object] = [None] * depth

    @property
    def payload_bytes(self) -> int:
        """0: the objects' own memory is their maker's."""
        return 0

    @property
    def payloads(self) -> list[object]:
        """By slot, its payload; for another executor that stores here for a while."""
        return self._payloads

    def _payload(self, token: MessageToken) -> object:
        return self._payloads[token]

    def _payload_mut(self, token: MessageToken) -> object:
        payload = self._payloads[token]
        if not isinstance(payload, np.ndarray):
            return payload
        payload.flags.writeable = True
        writable = payload.view()
        payload.flags.writeable = False
        return writable

    def _put(self, token: MessageToken, payload: object) -> None:
        if not isinstance(payload, self._kind):
            raise PayloadMismatchError(
                f"payload is a {type(payload).__qualname__}",
                remedy="emit what the port declares",
            )
        if isinstance(payload, np.ndarray):
            payload = payload.copy()
            payload.flags.writeable = False
            self._copies += 1
        elif isinstance(payload, (bytearray, memoryview)):
            payload = bytes(payload)
            self._copies += 1
        self._payloads[token] = payload

    def _drop(self, token: MessageToken) -> None:
        self._payloads[token] = None
