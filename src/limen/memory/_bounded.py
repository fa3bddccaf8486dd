"""Preallocated slots for tensors whose length each message decides, up to a bound."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError, PayloadMismatchError
from limen.memory._static import as_array, read_only
from limen.memory.contract import MemoryManager
from limen.types import MessageToken, TensorSpec, describe_spec


class BoundedMemoryManager(MemoryManager):
    """Tensor slots in one array, each as large as the bounds allow.

    A payload lies at the front of its slot, unpadded, and is handed out as a read-only view of its
    own shape. Slots are no neighbours: a batch of such messages is a tuple of views.

    Args:
        spec: The tensor that each slot holds; every axis with a length or a bound.
        depth: Number of slots.
    """

    def __init__(self, spec: TensorSpec, depth: int) -> None:
        super().__init__(depth)
        if not spec.is_bounded:
            raise ConfigurationError(
                f"bounded memory for {describe_spec(spec)}",
                remedy="every axis needs a length or a bound",
            )
        self.spec = spec
        self._slots: NDArray[np.generic] = np.zeros(
            (depth, math.prod(spec.max_shape)), spec.dtype.numpy_dtype()
        )
        self._read_only = read_only(self._slots)
        self._shapes: list[tuple[int, ...]] = [()] * depth

    @property
    def payload_bytes(self) -> int:
        """Bytes of the slots."""
        return int(self._slots.nbytes)

    def size_of(self, payload: object) -> int:
        """Return the bytes that a payload takes in its slot.

        Raises:
            PayloadMismatchError: It is no array.
        """
        return as_array(payload).size * self.spec.dtype.size_bytes

    def _payload(self, token: MessageToken) -> object:
        shape = self._shapes[token]
        return self._read_only[token, : math.prod(shape)].reshape(shape)

    def _payload_mut(self, token: MessageToken) -> object:
        shape = self._shapes[token]
        return self._slots[token, : math.prod(shape)].reshape(shape)

    def _put(self, token: MessageToken, payload: object) -> None:
        array = as_array(payload)
        dtype = self._slots.dtype
        if not self.spec.admits(array.shape) or not np.can_cast(array.dtype, dtype, "safe"):
            raise PayloadMismatchError(
                f"payload {array.dtype.name}{list(array.shape)} does not fit "
                f"{describe_spec(self.spec)}",
                remedy="emit what the port declares",
            )
        self._shapes[token] = array.shape
        self._slots[token, : array.size].reshape(array.shape)[...] = array
        self._copies += 1

    def _drop(self, token: MessageToken) -> None:
        """Nothing to forget: the bytes are written over by the next message."""
