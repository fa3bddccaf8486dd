"""Slots that hold any Python object by reference."""

from __future__ import annotations

import numpy as np

from limen.memory.contract import MemoryManager
from limen.types import MessageToken


class HeapMemoryManager(MemoryManager):
    """Bounded slots of Python objects: the number of live objects is bounded.

    Nothing is copied but array views, whose bytes belong to somebody else.
    """

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self._payloads: list[object] = [None] * depth

    @property
    def payload_bytes(self) -> int:
        """0: the objects' own memory is their maker's."""
        return 0

    def _payload(self, token: MessageToken) -> object:
        return self._payloads[token]

    def _put(self, token: MessageToken, payload: object) -> None:
        if isinstance(payload, np.ndarray) and payload.base is not None:
            # A view may lie in another manager's slot, which is written over after the call.
            payload = payload.copy()
            self._copies += 1
        self._payloads[token] = payload

    def _drop(self, token: MessageToken) -> None:
        self._payloads[token] = None
