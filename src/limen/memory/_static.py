"""One preallocated array of slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError, PayloadMismatchError
from limen.memory.contract import MemoryManager
from limen.message import MessageHeader
from limen.types import MessageToken, TensorSpec, describe_spec

_ALIGNMENT = 64


class StaticMemoryManager(MemoryManager):
    """Tensor slots side by side in one array: base 64-byte aligned, strides unpadded.

    Payloads are handed out as prebuilt read-only views, valid during the call. Neighbouring slots
    form one view, so that a batch of consecutive messages is not copied. A batch of one is the same
    object whenever its slot comes round, and so is the room for one: a model knows it again.

    Args:
        spec: The tensor that each slot holds; every axis known.
        depth: Number of slots.
        in_turn: Whether slots go round; without it few slots are in use, over and over.
    """

    def __init__(self, spec: TensorSpec, depth: int, *, in_turn: bool = True) -> None:
        super().__init__(depth, in_turn=in_turn)
        if not spec.is_fixed:
            raise ConfigurationError(
                f"static memory for {describe_spec(spec)}", remedy="every axis needs a length"
            )
        self.spec = spec
        self.slot_bytes = spec.size_bytes
        self._array = _aligned(spec, depth)
        frozen = read_only(self._array)
        self._read_only = frozen
        # [i, ...] keeps a view for scalars too, where [i] would be a copied value.
        self._views: list[NDArray[np.generic]] = [frozen[i, ...] for i in range(depth)]
        self._slots: list[NDArray[np.generic]] = [self._array[i, ...] for i in range(depth)]
        self._batches_of_one = [frozen[i : i + 1] for i in range(depth)]
        self._rooms_for_one = [self._array[i : i + 1] for i in range(depth)]

    @property
    def payload_bytes(self) -> int:
        """Bytes of the slots."""
        return int(self._array.nbytes)

    def reserve(self, count: int) -> NDArray[np.generic] | None:
        """Return the next ``count`` free slots as one writable array, for a node to write in place.

        Returns None where those slots are not neighbours. Nothing is claimed: ``commit`` claims,
        and until then only the caller may store here.
        """
        if count > self._available:
            return None
        first = self._free_ring[self._free_head]
        if count == 1:
            return self._rooms_for_one[first]
        for offset in range(1, count):
            if self._free_ring[(self._free_head + offset) % self.capacity] != first + offset:
                return None
        return self._array[first : first + count]

    def next_slot(self) -> NDArray[np.generic]:
        """Return the writable view of the slot that is claimed next."""
        return self._slots[self._free_ring[self._free_head]]

    def commit(self, header: MessageHeader) -> MessageToken:
        """Claim the next reserved slot, whose payload has been written in place."""
        token = self._claim()
        self._keep(token, header)
        return token

    def neighbours(self, tokens: Sequence[MessageToken]) -> NDArray[np.generic] | None:
        """Return the payloads of consecutive slots as one read-only array, else None.

        Raises:
            ManagerError: A token is not live here.
        """
        first = tokens[0]
        if len(tokens) == 1:
            self._header_at(first)
            return self._batches_of_one[first]
        for offset, token in enumerate(tokens):
            self._header_at(token)
            if token != first + offset:
                return None
        return self._read_only[first : first + len(tokens)]

    def gather(self, tokens: Sequence[MessageToken], out: NDArray[np.generic]) -> None:
        """Copy the payloads of the slots into the front of ``out``, in order.

        Raises:
            ManagerError: A token is not live here.
        """
        for index, token in enumerate(tokens):
            self._header_at(token)
            out[index] = self._views[token]

    # What another executor keeps of it for a while.

    @property
    def views(self) -> Sequence[NDArray[np.generic]]:
        """By slot, its payload to be read."""
        return self._views

    @property
    def rooms(self) -> Sequence[NDArray[np.generic]]:
        """By slot, its payload to be written."""
        return self._slots

    @property
    def batches_of_one(self) -> Sequence[NDArray[np.generic]]:
        """By slot, its payload as a batch to be read."""
        return self._batches_of_one

    @property
    def rooms_for_one(self) -> Sequence[NDArray[np.generic]]:
        """By slot, its payload as a batch to be written."""
        return self._rooms_for_one

    def run_to_read(self, first: int, count: int) -> NDArray[np.generic]:
        """Return neighbouring slots as one batch to be read."""
        return self._read_only[first : first + count]

    def run_to_write(self, first: int, count: int) -> NDArray[np.generic]:
        """Return neighbouring slots as one batch to be written."""
        return self._array[first : first + count]

    def _payload(self, token: MessageToken) -> object:
        return self._views[token]

    def _payload_mut(self, token: MessageToken) -> object:
        return self._slots[token]

    def _put(self, token: MessageToken, payload: object) -> None:
        slot = self._slots[token]
        payload = as_array(payload)
        if payload.shape != slot.shape or not np.can_cast(payload.dtype, slot.dtype, "safe"):
            raise PayloadMismatchError(
                f"payload {payload.dtype.name}{list(payload.shape)} does not fit "
                f"{describe_spec(self.spec)}",
                remedy="emit what the port declares",
            )
        slot[...] = payload
        self._copies += 1

    def _drop(self, token: MessageToken) -> None:
        """Nothing to forget: the bytes are written over by the next message."""


def as_array(payload: object) -> NDArray[np.generic]:
    """Return a payload as an array; itself where it is one.

    Raises:
        PayloadMismatchError: It is none.
    """
    try:
        return np.asarray(payload)
    except ValueError as error:
        raise PayloadMismatchError(
            f"payload of type {type(payload).__qualname__} is not an array: {error}",
            remedy="emit what the port declares",
        ) from error


def read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the same bytes as an array that nobody can make writable again."""
    frozen = memoryview(array.reshape(-1).view(np.uint8).data).toreadonly()
    return np.frombuffer(frozen, dtype=np.uint8).view(array.dtype).reshape(array.shape)


def _aligned(spec: TensorSpec, depth: int) -> NDArray[np.generic]:
    dtype = spec.dtype.numpy_dtype()
    size = spec.size_bytes * depth
    raw = np.zeros(size + _ALIGNMENT, dtype=np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT
    return raw[offset : offset + size].view(dtype).reshape((depth, *spec.fixed_shape))
