"""What the suites of memory managers share: payloads, and what is looked at in a manager."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code
from limen.memory import MemoryManager, StaticMemoryManager
from limen.message import Message, MessageHeader
from limen.testing.contracts._contract import Contract, inapplicable
from limen.testing.contracts._errors import code_raised
from limen.types import MessageToken, SequenceNumber, TensorSpec, Ticks, TraceId

Refusal = tuple[str, int, Code | str | None]


class MemorySuite(Contract):
    """Base of the suites of memory managers: what an implementation says of itself."""

    capabilities: ClassVar[Mapping[str, str]] = {
        "copies": "payloads are copied into their slots, not held by reference",
        "arrays": "payloads are NumPy arrays",
        "misfits": "there are payloads that fit no slot",
        "neighbours": "it is a StaticMemoryManager, whose slots lie side by side",
    }

    @abc.abstractmethod
    def make(self, depth: int) -> MemoryManager:
        """Return a new manager of ``depth`` slots; called for every test."""

    def payload(self, number: int) -> object:
        """Return a payload that fits, another for each number from 0 to 7.

        Not abstract: it is an array of the manager's ``spec`` where there is one, of lengths that
        differ where its axes are bounded, and an array of three float32 where there is none.
        """
        spec = self._spec
        if spec is None:
            return np.full(3, number + 1, np.float32)
        shape = tuple(
            axis if isinstance(axis, int) else 1 + number % largest
            for axis, largest in zip(spec.shape, spec.max_shape, strict=True)
        )
        return np.full(shape, number + 1).astype(spec.dtype.numpy_dtype())

    def misfits(self) -> Sequence[object]:
        """Return payloads that fit no slot.

        Not abstract: they are arrays of other shapes and of wider types where the manager has a
        ``spec``, and what is no array anyway.
        """
        spec = self._spec
        if spec is None:
            return (object(),)
        dtype, shape = spec.dtype.numpy_dtype(), spec.max_shape
        shapes = [(2, *shape), (*shape, 1), shape[1:]]
        for place, length in enumerate(shape):
            for other in sorted({0, length - 1, length + 1}):
                shapes.append((*shape[:place], other, *shape[place + 1 :]))
        arrays = [np.zeros(other, dtype) for other in shapes if not spec.admits(other)]
        wider = [np.zeros(shape, np.complex128)]
        if dtype.kind in "iuf" and dtype.itemsize < 8:
            wider.append(np.zeros(shape, np.dtype(f"{dtype.kind}{2 * dtype.itemsize}")))
        return (*arrays, *wider, object(), None, ["a", "b"], [[1.0], [2.0, 3.0]])

    def contents(self, payload: object) -> object:
        """Return what a payload holds, as a value that compares and is no view of it."""
        return payload.tolist() if isinstance(payload, np.ndarray) else payload

    def end_call(self, manager: MemoryManager) -> None:
        """Do what is to be done where the call of a node ends; nothing for most managers."""

    @functools.cached_property
    def _spec(self) -> TensorSpec | None:
        spec = getattr(self.make(1), "spec", None)
        return spec if isinstance(spec, TensorSpec) else None

    def _message(self, number: int) -> Message:
        return Message(header(number), self.payload(number))

    def _store(self, manager: MemoryManager, numbers: Sequence[int]) -> list[MessageToken]:
        return [manager.store(self._message(number)) for number in numbers]

    def _wanted(self, number: int) -> object:
        return self.contents(self.payload(number))

    def _shown(self, manager: MemoryManager, token: MessageToken) -> object:
        """What the payload of a message is, by a read of its own."""
        found = manager.begin_read(token)
        try:
            return self.contents(found.payload)
        finally:
            manager.end_read(token)

    def _state(self, manager: MemoryManager, live: Sequence[MessageToken]) -> object:
        """All that a refusal must leave as it is."""
        shown = [self._shown(manager, token) for token in live]
        return manager.available, manager.statistics(), shown

    def _bad_tokens(
        self, manager: MemoryManager
    ) -> tuple[list[MessageToken], list[MessageToken], list[MessageToken]]:
        """Return tokens that are live, that were freed and that were never given.

        All slots but one are in use: a place counted from the end would be that of a message.
        """
        live = self._store(manager, [number % 8 for number in range(manager.capacity)])
        top = max(live)
        freed = live.pop(0)
        manager.free(freed)
        foreign = (-1, -2, -manager.capacity - 1, top + 1, top + manager.capacity, 1 << 62)
        return live, [freed], [MessageToken(token) for token in foreign]

    def _refusals(self, manager: MemoryManager, calls: Mapping[str, Call]) -> Iterator[Refusal]:
        """Yield what was not refused with NOT_ALLOCATED where it was freed, else BAD_TOKEN."""
        _, freed, foreign = self._bad_tokens(manager)
        for name, call in calls.items():
            for tokens, wanted in ((freed, Code.NOT_ALLOCATED), (foreign, Code.BAD_TOKEN)):
                for token in tokens:
                    seen = code_raised(call, token)
                    if seen is not wanted:
                        yield f"{name} of a {_KINDS[wanted]} token", token, seen

    def _side_by_side(self, depth: int) -> StaticMemoryManager:
        manager = self.make(depth)
        if not isinstance(manager, StaticMemoryManager):
            inapplicable(f"a {type(manager).__qualname__} is no StaticMemoryManager")
        return manager


Call = Callable[[MessageToken], object]

_KINDS = {Code.NOT_ALLOCATED: "freed", Code.BAD_TOKEN: "foreign"}


def header(number: int) -> MessageHeader:
    """Return a header that differs from those of other numbers."""
    return MessageHeader(
        trace_id=TraceId(100 + number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(10 * number),
        origin_tick=Ticks(9 * number),
        payload_size_bytes=12,
    )


def as_array(payload: object) -> NDArray[Any]:
    """Return a payload that has to be an array."""
    assert isinstance(payload, np.ndarray), f"a {type(payload).__qualname__} where arrays are lent"
    return payload


def write_through(array: NDArray[Any], value: object) -> str | None:
    """Try to write to an array; the error in words, None where it could be written to."""
    try:
        array[...] = value
    except ValueError as error:
        return str(error)
    return None
