"""What a payload counts for at byte caps: its data, not the interpreter's objects."""

from __future__ import annotations

import collections
import dataclasses
import enum
import sys
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec
import numpy as np

from limen.errors import PayloadMismatchError
from limen.types import MemoryClass, require_type, require_whole


class BufferDescriptor(msgspec.Struct, frozen=True, gc=False):
    """How many bytes a payload has, and where they lie.

    Attributes:
        bytes: What it counts for at byte caps.
        memory_class: Where they lie.
    """

    bytes: int
    memory_class: MemoryClass = MemoryClass.HOST

    def __post_init__(self) -> None:
        require_whole("bytes", self.bytes, 0)
        require_type("memory_class", self.memory_class, MemoryClass, "give a MemoryClass")


class Payload(Protocol):
    """A payload that says itself how large it is; called once for each message, when it is stored.

    It is believed. The answer must not change while the message is under way.
    """

    def buffer_descriptor(self) -> BufferDescriptor:
        """Return size and place of the data."""


_NUMBER: Final = 8
_EXACT: Final[dict[type, int]] = {
    float: _NUMBER,
    int: _NUMBER,
    bool: 1,
    complex: 2 * _NUMBER,
    type(None): 0,
}
_BUFFERS: Final = (bytes, bytearray, memoryview, np.ndarray, np.generic)
_CONTAINERS: Final = (list, tuple, set, frozenset, collections.deque)


def buffer_descriptor(payload: object) -> BufferDescriptor:
    """Return size and place of a payload: what it declares, else its data on the host.

    Raises:
        PayloadMismatchError: What it declares is no descriptor.
    """
    if not hasattr(type(payload), "buffer_descriptor"):
        return BufferDescriptor(_bytes_of(payload))
    made = payload.buffer_descriptor()  # type: ignore[attr-defined] # asked for above
    if not isinstance(made, BufferDescriptor):
        raise PayloadMismatchError(
            f"{type(payload).__qualname__}.buffer_descriptor() is {made!r}",
            remedy="return a BufferDescriptor",
        )
    return made


def payload_size_bytes(payload: object) -> int:
    """Return the bytes a payload counts for at byte caps.

    Arrays, NumPy scalars and buffers count their elements, text its UTF-8, numbers 8 each, truth
    values 1, None nothing; a view counts what it shows, not what lies behind it. Records
    (dataclasses, ``msgspec.Struct``) count their fields, containers their items, dictionaries keys
    and values; what is referred to twice counts once. An object of any other class counts what
    ``sys.getsizeof`` says of it alone, without what it refers to.

    Raises:
        PayloadMismatchError: What it declares is no descriptor.
    """
    if isinstance(payload, np.ndarray) and payload.dtype.kind != "O":
        return payload.nbytes
    if isinstance(payload, bytes):
        return len(payload)
    return buffer_descriptor(payload).bytes


def counts_data(kind: type) -> bool:
    """Whether payloads of a class are counted by their data, or declare their size."""
    known = (*_BUFFERS, *_CONTAINERS, *_EXACT, str, dict, enum.Enum, msgspec.Struct)
    return (
        issubclass(kind, known)
        or dataclasses.is_dataclass(kind)
        or hasattr(kind, "buffer_descriptor")
    )


def _bytes_of(payload: object) -> int:
    """Add up what a payload holds; without recursion, for payloads may be nested deeply."""
    size = 0
    seen: dict[int, object] = {}
    left = [payload]
    while left:
        item = left.pop()
        exact = _EXACT.get(type(item))
        if exact is not None:
            size += exact
            continue
        if isinstance(item, str):
            size += len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
            continue
        if id(item) in seen:
            continue
        seen[id(item)] = item
        inner = _inner(item)
        if inner is None:
            size += _alone(item)
        else:
            left.extend(inner)
    return size


def _inner(item: object) -> Iterable[object] | None:
    """Return what an item is made of; None for what counts by itself."""
    if isinstance(item, np.ndarray):
        return item.ravel().tolist() if item.dtype.kind == "O" else None
    if hasattr(type(item), "buffer_descriptor"):
        return None
    if isinstance(item, _CONTAINERS):
        return item
    if isinstance(item, dict):
        return (*item.keys(), *item.values())
    if isinstance(item, msgspec.Struct):
        return [getattr(item, name, None) for name in item.__struct_fields__]
    if dataclasses.is_dataclass(item):
        return [getattr(item, field.name, None) for field in dataclasses.fields(item)]
    return None


def _alone(item: object) -> int:
    if isinstance(item, (np.ndarray, np.generic, memoryview)):
        return item.nbytes
    if isinstance(item, (bytes, bytearray)):
        return len(item)
    if hasattr(type(item), "buffer_descriptor"):
        return buffer_descriptor(item).bytes
    if isinstance(item, (int, float, enum.Enum)):
        return _NUMBER
    return sys.getsizeof(item)
