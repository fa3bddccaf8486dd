"""The step context of the single-thread runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from limen.edge import EdgeOccupancy
from limen.errors import LimenError, NodeError, SensorError
from limen.message import BatchView, Message, MessageHeader, joined_header, window_header
from limen.node import Produced, PushOutcome, SourceSignal, StepResult
from limen.platform import PlatformClock
from limen.policy import Activation
from limen.runtime._link import Link
from limen.runtime._state import FailedCallError, NodeState
from limen.types import (
    DeadlineNs,
    NodeIndex,
    PortIndex,
    QoSClass,
    SequenceNumber,
    Ticks,
    make_trace_id,
    require_type,
    require_whole,
)

_T = TypeVar("_T")


class NodeContext(NodeState):
    """Implements ``StepContext`` for one node."""

    def begin_step(self) -> None:
        """Open a step: latches move what is newer into their registers."""
        for port in self.outputs:
            port.begin_step()
        for link in self.links:
            if link.is_latch and link.refresh():
                self._note_wait(link.hold[0])

    def in_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how full an input's edge is."""
        link = self._input(port)
        return link.ring.occupancy(link.plan.policy)

    def out_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how full an output's edge is; of several, the one with the least room."""
        occupancies = [
            link.ring.occupancy(link.plan.policy) for link in self.outputs[self._output(port)].links
        ]
        return max(occupancies, key=lambda o: (o.watermark, o.items))

    def in_peek_header(self, port: str) -> MessageHeader | None:
        """Return the header of the message that would be taken next, None if none waits."""
        link = self._input(port)
        return link.consumer.header_at(0) if link.waiting else None

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Return the slot that the next output will lie in; None on the heap."""
        return self.outputs[self._output(port)].next_slot()

    def push_output(self, port: str, message: Message) -> PushOutcome:
        """Offer a message to the edges of an output.

        Raises:
            NodeError: More than the node's ``max_emit`` allows.
            ManagerError: The payload does not fit the port.
        """
        return self.outputs[self._output(port)].emit(message.header, message.payload)

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        """Take the batch prefix of an input and hand the messages over one by one."""
        link = self._flow(port)
        latches = self._latch_headers()

        def call(message: Message) -> tuple[object, MessageHeader]:
            header = message.header
            return process(message), joined_header((header,), latches) if latches else header

        return self._one_by_one(link, call)

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        """Take from several inputs and hand the messages over together."""
        if self.plan.activation is Activation.ALL:
            return self._join(process)
        link = self._selected()
        if link is None:
            return StepResult.NO_INPUT
        place = link.plan.consumer.port
        latches = self._latch_headers()

        def call(message: Message) -> tuple[object, MessageHeader]:
            values = self._latched()
            values[place] = message
            return process(tuple(values)), joined_header((message.header,), latches)

        return self._one_by_one(link, call)

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call for one result."""
        link = self._flow(port)
        link.take_prefix()
        if len(link.hold) == link.presented:
            return StepResult.NO_INPUT
        fresh = link.hold[link.presented :]
        for held in fresh:
            self._note_wait(held)
        batch = BatchView(
            tuple(held.header for held in link.hold), self._batch_payloads(link, link.hold)
        )
        header = window_header(batch.headers)
        begun = self._journal.tick
        try:
            dropped = self._finish_call(process, batch, header, begun)
        except FailedCallError:
            while link.hold:
                link.drop("error")
            return StepResult.MADE_PROGRESS
        if dropped is None:
            for held in fresh:
                self._note_miss(held.header.sequence, [(link, held)])
        link.presented = len(link.hold)
        for _ in range(min(link.into.batching.stride, len(link.hold))):
            if dropped is None:
                link.consume()
            else:
                link.drop(dropped)
        self._note_age(header)
        return StepResult.MADE_PROGRESS

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call, for a result an item."""
        link = self._flow(port)
        link.take_prefix()
        taken = tuple(link.hold)
        if not taken:
            return StepResult.NO_INPUT
        for held in taken:
            self._note_wait(held)
        count = len(taken)
        size = self.plan.node.fixed_batch or count
        payloads = self._batch_payloads(link, taken)
        if not isinstance(payloads, np.ndarray) or self._scatter is None:
            raise NodeError(f"{self.plan.name}: batches need tensors on both sides")
        batch = BatchView(tuple(held.header for held in taken), payloads)
        slots = self.outputs[0].reserve(count) if size == count else None
        out = self._scatter[:size] if slots is None else slots
        begun = self._journal.tick
        try:
            process(batch, out)
        except Exception as error:
            self._after_call(begun)
            self._fail(error, taken[-1].header)
            while link.hold:
                link.drop("error")
            return StepResult.MADE_PROGRESS
        self._after_call(begun)
        self.counters.padded += size - count
        for index, held in enumerate(taken):
            # Claimed in order and offered after: a refused result must not shift its neighbours.
            payload: object = out[index, ...]
            self.outputs[0].emit(held.header, payload, in_place=slots is not None)
            self._note_miss(held.header.sequence, [(link, held)])
            self._note_age(held.header)
            link.consume()
        return StepResult.MADE_PROGRESS

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        """Call a source once and push what it made."""
        begun = self._journal.tick
        index = self._output(port)
        due = self.plan.node.next_due()
        try:
            made = try_produce(begun)
        except Exception as error:
            self._after_call(begun)
            self._fail(error, None)
            if isinstance(error, StopIteration):
                return StepResult.TERMINAL
            # A source that fails without having moved on must not spin.
            stays = self.plan.node.next_due() == due if due is not None else self.failed_last
            self.failed_last = True
            self.produced_nothing = stays or not isinstance(error, SensorError)
            return StepResult.MADE_PROGRESS
        self._after_call(begun)
        self.failed_last = False
        if made is SourceSignal.END_OF_STREAM:
            self.ended_stream = True
            return StepResult.TERMINAL
        if made is SourceSignal.NOTHING_NOW:
            self.produced_nothing = True
            return StepResult.NO_INPUT
        if not isinstance(made, Produced):
            self._fail(
                NodeError(
                    f"try_produce returned {type(made).__qualname__}; the source is ended",
                    remedy="return Produced(payload), SourceSignal.NOTHING_NOW or "
                    "SourceSignal.END_OF_STREAM",
                ),
                None,
            )
            return StepResult.TERMINAL
        try:
            header = self._source_header(index, made)
            self.outputs[index].emit(header, made.payload)
        except LimenError as error:
            self._fail(error, None)
            return StepResult.MADE_PROGRESS
        self.made_by_port[index] += 1
        self._note_age(header)
        return StepResult.MADE_PROGRESS

    def step_failed(self, error: Exception, taken_before: int) -> None:
        """Account for a step that raised outside the functions it handed over."""
        self._fail(error, None)
        if self.taken == taken_before:
            # What it would have taken is lost, or it would fail on it for ever.
            for link in self.flows:
                if link.waiting:
                    link.take_prefix()
        for link in self.flows:
            while link.hold:
                link.drop("error")
        # A source that raises must not spin; the others have lost what they raised on.
        self.produced_nothing = not self.links

    def step_contradicts(self, result: StepResult) -> None:
        """Account for a step that took messages and said it had none, or no room."""
        self._fail(
            NodeError(
                f"step took messages and returned {result.name}",
                remedy="return MADE_PROGRESS once something was taken",
            ),
            None,
        )

    # Taking and calling.

    def _one_by_one(
        self, link: Link, call: Callable[[Message], tuple[object, MessageHeader]]
    ) -> StepResult:
        link.take_prefix()
        if not link.hold:
            return StepResult.NO_INPUT
        for held in link.hold:
            self._note_wait(held)
        while link.hold and not self.halted:
            held = link.hold[0]
            begun = self._journal.tick
            manager = link.manager
            try:
                with manager.read(held.token) as message:
                    dropped, header = self._call_one(call, self._own(message), begun)
            except FailedCallError:
                link.drop("error")
                continue
            if dropped is None:
                self._note_miss(held.header.sequence, [(link, held)])
                self._note_age(header)
                link.consume()
            else:
                link.drop(dropped)
        while link.hold:
            link.drop("consumer_ended")
        return StepResult.MADE_PROGRESS

    def _call_one(
        self,
        call: Callable[[Message], tuple[object, MessageHeader]],
        message: Message,
        begun: Ticks,
    ) -> tuple[str | None, MessageHeader]:
        try:
            result, header = call(message)
        except Exception as error:
            self._after_call(begun)
            self._fail(error, message.header)
            raise FailedCallError from error
        self._after_call(begun)
        return self._settle_or_fail(result, header, message.header), header

    def _join(self, process: Callable[[tuple[Message | None, ...]], object]) -> StepResult:
        flows = self.flows
        if any(link.into.required and not link.waiting for link in flows):
            return StepResult.NO_INPUT
        latches = self._latch_headers()
        taken = [(link, link.take()) for link in flows if link.waiting]
        for _, held in taken:
            self._note_wait(held)
        # What a loop brings back is state: its creation and deadline would else never move on.
        forward = [(link, held) for link, held in taken if not link.plan.is_feedback]
        state = [held.header for link, held in taken if link.plan.is_feedback]
        header = joined_header([held.header for _, held in forward], [*latches, *state])
        begun = self._journal.tick
        values = self._latched()
        for link, held in taken:
            message = link.manager.begin_read(held.token)
            values[link.plan.consumer.port] = self._own(message)
        dropped: str | None = "error"
        try:
            dropped = self._finish_call(process, tuple(values), header, begun)
        except FailedCallError:
            pass
        finally:
            for link, held in taken:
                link.manager.end_read(held.token)
        if dropped is None:
            self._note_miss(header.sequence, forward)
            self._note_age(header)
        for link, _ in taken:
            if dropped is None:
                link.consume()
            else:
                link.drop(dropped)
        return StepResult.MADE_PROGRESS

    def _finish_call(
        self, process: Callable[[_T], object], given: _T, header: MessageHeader, begun: Ticks
    ) -> str | None:
        """Call, sample, push; the reason if the input counts as dropped."""
        try:
            result = process(given)
        except Exception as error:
            self._after_call(begun)
            self._fail(error, header)
            raise FailedCallError from error
        self._after_call(begun)
        return self._settle_or_fail(result, header, header)

    def _source_header(self, index: int, made: Produced) -> MessageHeader:
        """Make the header of a source's message; what the source states is checked first."""
        sequence = SequenceNumber(self.made_by_port[index])
        tick = self._journal.tick
        if made.creation_tick is not None:
            tick = Ticks(require_whole("creation_tick", made.creation_tick, 0))
        deadline_ns: DeadlineNs | None = None
        if made.deadline_ns is not None:
            deadline_ns = DeadlineNs(require_whole("deadline_ns", made.deadline_ns, 0))
        require_type("qos", made.qos, QoSClass, "give a QoSClass")
        return MessageHeader(
            trace_id=make_trace_id(self.plan.index, PortIndex(index), sequence),
            sequence=sequence,
            creation_tick=tick,
            origin_tick=tick,
            payload_size_bytes=0,
            deadline_ns=deadline_ns,
            qos=made.qos,
            clock_domain=self.clock.domain,
        )


def initial_header(
    node: NodeIndex, port: PortIndex, sequence: int, tick: Ticks, clock: PlatformClock
) -> MessageHeader:
    """Return the header of an initial token of a feedback edge."""
    number = SequenceNumber(sequence)
    return MessageHeader(
        trace_id=make_trace_id(node, port, number),
        sequence=number,
        creation_tick=tick,
        origin_tick=tick,
        payload_size_bytes=0,
        clock_domain=clock.domain,
    )
