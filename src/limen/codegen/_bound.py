"""What a generated text reads its names from, and how messages lie in its queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from limen.codegen._expressions import Column
from limen.codegen._turns import Entry, World
from limen.errors import NodeError
from limen.memory import StaticMemoryManager
from limen.message import Message, MessageFlags, MessageHeader, window_header
from limen.node import Consumed, LookingContext, Output, Produced
from limen.node.contract import StepContext
from limen.types import MemoryClass, QoSClass, Ticks


class Bound:
    """The names that a text of any target may read; see ``World`` for those of a run."""

    def __init__(self, world: World) -> None:
        self.attention = world.attention
        self.epoch = world.epoch
        self.sample = world.sample
        self.note = world.note
        self.lost = world.lost
        self.missed = world.missed
        self.described = world.described
        self.pauses = world.pauses
        self.contexts = world.contexts
        self.output = Output
        self.consumed = Consumed
        self.aged = _aged
        self.dues = world.dues
        self.windows = world.windows
        self.window_header = window_header
        self.slots = world.slots
        self.tensors = world.tensors
        self.array = np.ndarray
        self.domain = world.domain
        self.calls = world.calls
        self.kinds = world.kinds
        self.message = Message
        self.new_header = MessageHeader
        self.produced = Produced
        self.usual_qos = QoSClass.BEST_EFFORT
        # What a source's header says beside identity, times and size.
        self.usual_head = (
            *(None, None, QoSClass.BEST_EFFORT),
            *(MessageFlags.NONE, MemoryClass.HOST, world.domain),
        )


class CallContext(LookingContext):
    """What a MESSAGE function is given beside the message: no more than it may use.

    Attributes:
        now: The instant of the step.
        room: The slot that its output will lie in; None where that is on the heap.
    """

    def __init__(self, ctx: StepContext) -> None:
        super().__init__(ctx)
        self.now = Ticks(0)
        self.room: NDArray[np.generic] | None = None

    @property
    def now_ticks(self) -> Ticks:
        """The instant of the step."""
        return self.now

    @property
    def now_nanos(self) -> int:
        """The same in nanoseconds."""
        return self.clock.ticks_to_nanos(self.now)

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Return the slot that the output will lie in; None on the heap."""
        return self.room


def _aged(header: MessageHeader, origin: Ticks) -> MessageHeader:
    """Return a header with the oldest creation of all that went into a message."""
    return header if origin == header.origin_tick else header.with_origin(origin)


class Bindings:
    """Calls of a model that have been bound, for as long as it runs.

    Args:
        bind: Binds the model to two arrays.
    """

    def __init__(self, bind: Callable[..., object]) -> None:
        self._bind = bind
        self._calls: dict[tuple[int, int], Callable[[], object]] = {}
        self._swaps = 0

    def refresh(self, swaps: int) -> None:
        """Forget what is bound to a model that does not run any more.

        Args:
            swaps: How often another model has been taken over so far.
        """
        if swaps != self._swaps:
            self._swaps = swaps
            self._calls.clear()

    def _bound(
        self, key: tuple[int, int], inp: NDArray[np.generic], out: NDArray[np.generic]
    ) -> Callable[[], object]:
        call = _called(self._bind(inp, out))
        if len(self._calls) >= _MOST_CALLS:
            self._calls.clear()
        self._calls[key] = call
        return call


class BoundCalls(Bindings):
    """Calls of a model, bound to a slot of its input and one of its output each.

    Args:
        bind: Binds the model to two arrays.
        inputs: By slot of the input, what the model reads.
        outputs: By slot of the output, what it writes.
    """

    def __init__(
        self,
        bind: Callable[..., object],
        inputs: Sequence[NDArray[np.generic]],
        outputs: Sequence[NDArray[np.generic]],
    ) -> None:
        super().__init__(bind)
        self._inputs = inputs
        self._outputs = outputs

    def __call__(self, into: int, out: int) -> None:
        """Run the model from one slot to another."""
        call = self._calls.get((into, out))
        if call is None:
            call = self._bound((into, out), self._inputs[into], self._outputs[out])
        call()


class Windows:
    """Payloads of a window side by side: over their slots where those are neighbours, else copied.

    Args:
        into: Whose slots they lie in.
        gather: Where they are copied together.
        gathered: Told that they were.
    """

    def __init__(
        self,
        into: StaticMemoryManager,
        gather: NDArray[np.generic],
        gathered: Callable[[], None],
    ) -> None:
        self._views = into.views
        self._runs = _runs(into, len(gather), into.run_to_read)
        self._gather = gather
        self._gathered = gathered

    def __call__(self, slots: tuple[int, ...]) -> NDArray[np.generic]:
        """Return the payloads of some slots, in order."""
        found = self._runs.get(slots)
        if found is not None:
            return found
        self._gathered()
        for place, slot in enumerate(slots):
            self._gather[place] = self._views[slot]
        return self._gather


class BatchCalls(Bindings):
    """Calls of a model on full batches, bound to where those lie.

    Args:
        bind: Binds the model to two arrays.
        into: Whose slots it reads.
        out: Whose slots it writes.
        count: Items in a batch.
        gathered: Told of a batch that did not lie side by side.
    """

    def __init__(
        self,
        bind: Callable[..., object],
        into: StaticMemoryManager,
        out: StaticMemoryManager,
        count: int,
        gathered: Callable[[], None],
    ) -> None:
        super().__init__(bind)
        gather = np.zeros((count, *into.spec.fixed_shape), into.spec.dtype.numpy_dtype())
        self._inputs = Windows(into, gather, gathered)
        self._outputs = _runs(out, count, out.run_to_write)
        self._scatter = np.zeros((count, *out.spec.fixed_shape), out.spec.dtype.numpy_dtype())

    def __call__(
        self, slots: tuple[int, ...], rooms: tuple[int, ...]
    ) -> NDArray[np.generic] | None:
        """Run the model on a batch; its results, None where they lie in their slots already."""
        inp, out = self._inputs(slots), self._outputs.get(rooms)
        wanted = self._scatter if out is None else out
        # All of them are kept: an identity stays that of its array.
        call = self._calls.get((id(inp), id(wanted)))
        if call is None:
            call = self._bound((id(inp), id(wanted)), inp, wanted)
        call()
        return wanted if out is None else None


def _runs(
    manager: StaticMemoryManager, count: int, array: Callable[[int, int], NDArray[np.generic]]
) -> dict[tuple[int, ...], NDArray[np.generic]]:
    """Return every run of neighbouring slots as one array, which is the same object each time."""
    firsts = range(manager.capacity - count + 1)
    return {tuple(range(first, first + count)): array(first, count) for first in firsts}


def _called(call: object) -> Callable[[], object]:
    if not callable(call):
        raise NodeError(f"bind returned {call!r}", remedy="return a call without arguments")
    return call


_MOST_CALLS = 1024
"""Pairs of slots that a model is bound to at a time: each costs its engine some memory."""


def entry_values(columns: Sequence[Column], waiting: Iterable[Entry]) -> list[tuple[object, ...]]:
    """Return messages as a queue of these columns holds them."""
    return [tuple(_value(column, entry) for column in columns) for entry in waiting]


def waiting_of(
    columns: Sequence[Column], entries: Iterable[tuple[object, ...]], now: Ticks
) -> list[Entry]:
    """Return what a queue held as messages; ``now`` stands for instants that it did not keep."""
    kept = columns.index(Column.PUSHED) if Column.PUSHED in columns else None
    waiting: list[Entry] = []
    for entry in entries:
        header, pushed = entry[0], now if kept is None else entry[kept]
        if isinstance(header, MessageHeader) and isinstance(pushed, int):
            waiting.append((header, entry[1], Ticks(pushed)))
    return waiting


def _value(column: Column, entry: Entry) -> object:
    header, payload, pushed = entry
    match column:
        case Column.HEADER:
            return header
        case Column.PAYLOAD | Column.SLOT:
            return payload
        case Column.PUSHED:
            return pushed
        case Column.CREATION:
            return header.creation_tick
        case unreachable:
            assert_never(unreachable)
