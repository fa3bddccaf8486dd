"""A step context without a runtime, which notes what a node asks of it and what it gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from limen.edge import EdgeOccupancy
from limen.message import BatchView, Message, MessageHeader, joined_header, window_header
from limen.node import (
    Node,
    NodePorts,
    Output,
    Outputs,
    Produced,
    PushOutcome,
    SourceSignal,
    StepResult,
)
from limen.platform import SimClock
from limen.policy import Activation, EdgePolicy, Watermark
from limen.telemetry import Hooks, NodeTelemetry
from limen.testing.contracts._node_records import Call, Sent, Step, lent, own, ruin, side_by_side
from limen.testing.contracts._payload_checks import kept, same
from limen.types import (
    DataType,
    PayloadSpec,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
    error_text,
)

TICK: Final = 1_000_000
_POLICY: Final = EdgePolicy.block(64)


class BenchContext:
    """Is the context of a node's steps; nothing it does ever raises.

    It answers as a runtime's would, notes what it is asked, and counts on nothing of the node.

    Args:
        node: A prepared node.
        arriving: What arrives, by input.
        group: Most messages that a step takes from an input.
        slots: Whether outputs have slots.
        fill: The byte that slots hold before they are written.
        ruins: Whether arrays are written over once the call that they were given to is over.
        clock: Simulated time of its own if not given.
    """

    def __init__(
        self,
        node: Node,
        arriving: Mapping[str, PayloadSpec],
        *,
        group: int,
        slots: bool,
        fill: int,
        ruins: bool,
        clock: SimClock | None = None,
    ) -> None:
        self.node = node
        self.kind, self.activation = node.kind, node.activation
        self.takes_windows = node.takes_windows
        self.fixed_batch = node.fixed_batch
        self.group = min(n for n in (group, node.max_batch, node.fixed_batch) if n is not None)
        self.ports: NodePorts = node.resolve(dict(arriving))
        self.clock = SimClock(start=1_000 * TICK) if clock is None else clock
        self.steps: list[Step] = []
        self.calls: list[Call] = []
        self.unknown: list[str] = []
        self.ended = False
        self.made = 0
        self.telemetry = NodeTelemetry("node", 0, Hooks(), lambda: self.now_nanos)
        self._has_slots, self._fill, self._ruins = slots, fill, ruins
        self._slots: dict[str, NDArray[np.generic]] = {}
        self._buffers: dict[tuple[str, int], NDArray[np.generic]] = {}
        self._pushed: list[tuple[str, Message]] | None = None
        self._step = Step(0)
        self._waiting: dict[str, deque[tuple[int, Message]]] = {
            port.name: deque() for port in self.ports.inputs
        }
        self._outputs = {port.name: port.spec for port in self.ports.outputs}

    # What the node asks.

    @property
    def now_ticks(self) -> Ticks:
        """The instant of the clock."""
        return self.clock.now_ticks()

    @property
    def now_nanos(self) -> int:
        """The same in nanoseconds."""
        return self.clock.ticks_to_nanos(self.clock.now_ticks())

    def in_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how many messages wait."""
        return EdgeOccupancy(len(self._queue(port)), 0, Watermark.BELOW_SOFT)

    def out_occupancy(self, port: str) -> EdgeOccupancy:
        """Return that nothing waits behind."""
        self._spec(port)
        return EdgeOccupancy(0, 0, Watermark.BELOW_SOFT)

    def in_peek_header(self, port: str) -> MessageHeader | None:
        """Return the header of the first message that waits."""
        queue = self._queue(port)
        return queue[0][1].header if queue else None

    def in_peek_deadline(self, port: str) -> int | None:
        """Return that no deadline holds."""
        self._queue(port)
        return None

    def in_has_batch(self, port: str) -> bool:
        """Whether anything waits."""
        return bool(self._queue(port))

    def in_policy(self, port: str) -> EdgePolicy:
        """Return a policy of much room."""
        self._queue(port)
        return _POLICY

    def out_policies(self, port: str) -> tuple[EdgePolicy, ...]:
        """Return one of much room."""
        self._spec(port)
        return (_POLICY,)

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Return the slot of the next output, where outputs have slots."""
        spec = self._spec(port)
        if not (self._has_slots and isinstance(spec, TensorSpec) and spec.is_fixed):
            return None
        if port not in self._slots:
            self._slots[port] = self._filled(spec, spec.fixed_shape)
        return self._slots[port]

    def push_output(self, port: str, message: Message) -> PushOutcome:
        """Keep what is pushed until the call is over."""
        if self._pushed is None:
            call = Call([])
            self.calls.append(call)
            call.sent.append(Sent(port, message.header, kept(message.payload), pushed=True))
        else:
            self._pushed.append((port, message))
        return PushOutcome.ENQUEUED

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        """Hand over what is taken of an input, one by one."""
        taken = self._take("pop_and_process", port)
        for message in taken:
            self._call(process, message, [(port, message)], message.header)
        return _came_to(taken)

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        """Hand over a message of every input, or those of one, one by one."""
        self._step.takes.append("pop_joined_and_process")
        names = list(self._waiting)
        ready = sorted(
            (name for name in names if self._waiting[name]), key=lambda n: self._waiting[n][0][0]
        )
        if self.activation is Activation.ANY:
            if not ready:
                return StepResult.NO_INPUT
            chosen = self.node.select_input(ready)
            for message in self._pop(chosen if chosen in ready else ready[0], self.group):
                port = chosen if chosen in ready else ready[0]
                places = tuple(message if name == port else None for name in names)
                self._call(process, places, [(port, message)], message.header)
            return StepResult.MADE_PROGRESS
        missing = [p.name for p in self.ports.inputs if not p.optional and p.name not in ready]
        if missing or not ready:
            return StepResult.NO_INPUT
        front = {name: self._pop(name, 1)[0] for name in names if name in ready}
        joined = tuple(front.get(name) for name in names)
        header = joined_header([message.header for message in front.values()])
        self._call(process, joined, list(front.items()), header)
        return StepResult.MADE_PROGRESS

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        """Hand over what is taken of an input, together."""
        taken = self._take("pop_window_and_process", port)
        if taken:
            batch = BatchView(tuple(m.header for m in taken), side_by_side(taken))
            given = [(port, message) for message in taken]
            self._call(process, batch, given, window_header(batch.headers))
        return _came_to(taken)

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        """Hand over what is taken of an input, together, and an array for the results."""
        taken = self._take("pop_batch_and_process", port)
        out_port = self.ports.outputs[0]
        if taken and isinstance(out_port.spec, TensorSpec):
            size = self.fixed_batch or len(taken)
            payloads = self._gathered(side_by_side(taken), size)
            out = self._filled(out_port.spec, (size, *out_port.spec.fixed_shape))
            if not self._ruins:
                buffer = self._buffers.setdefault(("out", size), out)
                buffer[...] = out
                out = buffer
            batch = BatchView(tuple(m.header for m in taken), payloads)
            call = self._batch_call(process, batch, out, port, taken)
            if call.error is None:
                call.sent += [
                    Sent(out_port.name, message.header, out[place].copy())
                    for place, message in enumerate(taken)
                ]
        return _came_to(taken)

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        """Ask a source once."""
        self._step.takes.append("produce")
        self._spec(port)
        call = Call([])
        self.calls.append(call)
        try:
            call.answer = made = try_produce(self.clock.now_ticks())
        except Exception as error:
            call.error = error_text(error)
            return StepResult.MADE_PROGRESS
        if isinstance(made, Produced):
            self._step.taken += 1
            call.sent.append(Sent(port, self._header(0, self.made), kept(made.payload)))
            self.made += 1
            return StepResult.MADE_PROGRESS
        if made is SourceSignal.END_OF_STREAM:
            self.ended = True
            return StepResult.TERMINAL
        return StepResult.NO_INPUT

    # Taking and calling.

    def _queue(self, port: str) -> deque[tuple[int, Message]]:
        if port not in self._waiting:
            self.unknown.append(port)
        return self._waiting.get(port, deque())

    def _spec(self, port: str) -> PayloadSpec | None:
        if port not in self._outputs:
            self.unknown.append(port)
        return self._outputs.get(port)

    def _take(self, how: str, port: str) -> list[Message]:
        self._step.takes.append(how)
        self._queue(port)
        return self._pop(port, self.group)

    def _pop(self, port: str, most: int) -> list[Message]:
        queue = self._waiting.get(port, deque())
        taken = [queue.popleft()[1] for _ in range(min(most, len(queue)))]
        self._step.taken += len(taken)
        return taken

    def _gathered(
        self, payloads: NDArray[np.generic] | tuple[object, ...], size: int
    ) -> NDArray[np.generic] | tuple[object, ...]:
        """Return payloads in an array of so many places, the same one each time, as a runtime does.

        What is ruined is given once.
        """
        if not isinstance(payloads, np.ndarray):
            return payloads
        given = np.zeros((size, *payloads.shape[1:]), payloads.dtype)
        if not self._ruins:
            given = self._buffers.setdefault(("in", size), given)
        given[: len(payloads)] = payloads
        return given

    def _filled(self, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray[np.generic]:
        array = np.zeros(shape, spec.dtype.numpy_dtype())
        if spec.dtype is DataType.BOOLEAN:
            array[...] = bool(self._fill)
        else:
            array.reshape(-1).view(np.uint8)[:] = self._fill
        return array

    def _call(
        self,
        process: Callable[..., object],
        given: object,
        taken: Sequence[tuple[str, Message]],
        header: MessageHeader,
    ) -> None:
        call = Call([(port, message.header) for port, message in taken])
        self.calls.append(call)
        watched = lent(given, taken)
        before = [own(payload) for _, payload in watched]
        self._pushed = []
        try:
            call.answer = process(given)
            call.sent += self._pushed_by(self._pushed)
            call.sent += self._sent_with(call.answer, header)
        except Exception as error:
            call.error = error_text(error)
        self._pushed = None
        self._look_back(call, watched, before)

    def _batch_call(
        self,
        process: Callable[[BatchView, NDArray[np.generic]], None],
        batch: BatchView,
        out: NDArray[np.generic],
        port: str,
        taken: Sequence[Message],
    ) -> Call:
        call = Call([(port, message.header) for message in taken])
        self.calls.append(call)
        before = own(batch.payloads)
        self._pushed = []
        try:
            process(batch, out)
            call.sent += self._pushed_by(self._pushed)
        except Exception as error:
            call.error = error_text(error)
        self._pushed = None
        kept_out = out.copy()
        self._look_back(call, [(port, batch.payloads)], [before])
        out[...] = kept_out
        return call

    def _pushed_by(self, pushed: Sequence[tuple[str, Message]]) -> list[Sent]:
        return [self._one(port, m.header, m.payload, None, pushed=True) for port, m in pushed]

    def _sent_with(self, answer: object, header: MessageHeader) -> list[Sent]:
        match answer:
            case Output(payload=payload, origin_tick=origin) if self.ports.outputs:
                return [self._one(self.ports.outputs[0].name, header, payload, origin)]
            case Outputs(messages=messages, origin_tick=origin):
                return [self._one(port, header, payload, origin) for port, payload in messages]
        return []

    def _one(
        self,
        port: str,
        header: MessageHeader,
        payload: object,
        origin: Ticks | None,
        *,
        pushed: bool = False,
    ) -> Sent:
        slot = self._slots.pop(port, None)
        spec = self._outputs.get(port)
        in_slot: bool | None = None
        if self._has_slots and isinstance(spec, TensorSpec) and spec.is_fixed:
            in_slot = slot is not None and payload is slot
        by_reference = not isinstance(spec, TensorSpec) and not isinstance(payload, np.ndarray)
        lent_on = payload if by_reference else None
        return Sent(port, header, kept(payload), origin, in_slot, pushed, lent_on)

    def _look_back(
        self, call: Call, watched: Sequence[tuple[str, object]], before: Sequence[object]
    ) -> None:
        """See whether what was given is what it was, and ruin it."""
        for (port, payload), was in zip(watched, before, strict=True):
            if not same(payload, was) and port not in call.changed:
                call.changed.append(port)
            if self._ruins and isinstance(payload, np.ndarray):
                ruin(payload)

    def _header(self, place: int, number: int) -> MessageHeader:
        now = self.clock.now_ticks()
        return MessageHeader(
            trace_id=TraceId((place + 1) * 1_000_000 + number),
            sequence=SequenceNumber(number),
            creation_tick=now,
            origin_tick=Ticks(now - 17 * (place + 1)),
            payload_size_bytes=0,
        )


def _came_to(taken: Sequence[Message]) -> StepResult:
    return StepResult.MADE_PROGRESS if taken else StepResult.NO_INPUT
