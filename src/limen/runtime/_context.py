"""The step context of the single-thread runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from limen.edge import EdgeOccupancy
from limen.errors import LimenError, NodeError
from limen.message import (
    BatchView,
    Message,
    MessageFlags,
    MessageHeader,
    joined_header,
    window_header,
)
from limen.node import Node, NodeKind, Produced, PushOutcome, SourceSignal, StepResult, YieldUntil
from limen.policy import Activation, EdgePolicy
from limen.runtime._budget import Form
from limen.runtime._calls import NodeCalls
from limen.runtime._link import Held, Link
from limen.runtime._state import FailedCallError
from limen.runtime._variant import call_variant
from limen.telemetry import RuntimeEventKind
from limen.types import (
    DeadlineNs,
    PortIndex,
    QoSClass,
    SequenceNumber,
    Ticks,
    make_trace_id,
    require_type,
    require_whole,
)


class NodeContext(NodeCalls):
    """Implements ``StepContext`` for one node."""

    def begin_step(self) -> None:
        """Open a step: a period is used, latches move what is newer into their registers."""
        self.last_step = self._journal.tick
        self.variant_came_to = None
        self.use_period()
        for port in self.outputs:
            port.begin_step()
        if self.plan.kind is NodeKind.MODEL:
            self._adopt()
        for link in self.links:
            if link.is_latch and link.refresh():
                self._note_wait(link.hold[0])

    def _adopt(self) -> None:
        if self._journal.hooks.event is not None:
            self.tell_load_failures()
        for part in self.plan.parts:
            adopted = part.adopt()
            if adopted is None:
                continue
            self.counters.swaps += 1
            self._journal.note(self.plan.name, "swap", self.counters.swaps, adopted)
            if adopted == "swapped" and self._model_fails:
                self._model_fails = False
                self._journal.happened(RuntimeEventKind.MODEL_RECOVERED, self.plan.name)

    def in_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how full an input's edge is."""
        return self._input(port).occupancy

    def out_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how full an output's edge is; of several, the one with the least room."""
        occupancies = [link.occupancy for link in self.outputs[self._output(port)].links]
        return max(occupancies, key=lambda o: (o.watermark, o.items))

    def in_peek_header(self, port: str) -> MessageHeader | None:
        """Return the header of the message that would be taken next, None if none waits."""
        link = self._input(port)
        return link.consumer.header_at(0) if link.waiting else None

    def in_peek_deadline(self, port: str) -> int | None:
        """Return the deadline in ns that holds here for that message, None if none does."""
        return self._input(port).front_deadline_ns()

    def in_has_batch(self, port: str) -> bool:
        """Whether an input's batch is full, or closed: a step could present it."""
        return self._input(port).is_ready

    def in_policy(self, port: str) -> EdgePolicy:
        """Return the policy of an input's edge."""
        return self._input(port).plan.policy

    def out_policies(self, port: str) -> tuple[EdgePolicy, ...]:
        """Return the policies of an output's edges, as connected."""
        return tuple(link.plan.policy for link in self.outputs[self._output(port)].links)

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Return the slot that the next output will lie in; None on the heap."""
        return self.outputs[self._output(port)].next_slot()

    def push_output(self, port: str, message: Message) -> PushOutcome:
        """Offer a message to the edges of an output; during a call, once the call is over.

        Raises:
            NodeError: More than the node's ``max_emit`` allows.
            ManagerError: The payload does not fit the port.
        """
        index = self._output(port)
        if self.pushed is None:
            return self.outputs[index].emit(message.header, message.payload)
        self.pushed.append((index, message.header, message.payload))
        return PushOutcome.ENQUEUED

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        """Take the batch prefix of an input and hand the messages over one by one."""
        link = self._flow(port)
        latches = self._latch_headers()

        def given(message: Message) -> tuple[object, ...]:
            return (message,)

        return self._one_by_one(link, process, given, latches)

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        """Take from several inputs and hand the messages over together."""
        if self.plan.activation is not Activation.ANY:
            return self._join(process)
        link = self._selected()
        if link is None:
            return StepResult.NO_INPUT
        place = link.plan.consumer.port

        def given(message: Message) -> tuple[object, ...]:
            values = self._latched()
            values[place] = message
            return (tuple(values),)

        return self._one_by_one(link, process, given, self._latch_headers())

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call for one result."""
        link = self._flow(port)
        found = link.taken
        link.take_prefix()
        if len(link.hold) == link.presented:
            return _found_unfit(link, found)
        fresh = link.hold[link.presented :]
        for held in fresh:
            self._note_wait(held)
        batch = BatchView(
            tuple(held.header for held in link.hold), self._batch_payloads(link, link.hold)
        )
        header = window_header(batch.headers)
        presented = [(link, held) for held in fresh]
        overlap = [(link, held) for held in link.hold[: link.presented]]
        try:
            dropped = self._perform(process, (batch,), header, presented, overlap)
        except FailedCallError:
            while link.hold:
                link.drop("error")
            self._recover(header)
            return StepResult.MADE_PROGRESS
        link.presented = len(link.hold)
        for _ in range(min(link.into.batching.stride, len(link.hold))):
            if dropped is None:
                link.consume()
            else:
                link.drop(dropped)
        return StepResult.MADE_PROGRESS

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call, for a result an item."""
        link = self._flow(port)
        found = link.taken
        link.take_prefix()
        taken = tuple(link.hold)
        if not taken:
            return _found_unfit(link, found)
        for held in taken:
            self._note_wait(held)
        presented = [(link, held) for held in taken]
        newest = taken[-1].header
        form = self._choose_form(newest.sequence, presented)
        if form in (Form.FULL, Form.VARIANT):
            self._infer(link, taken, process, form)
            return StepResult.MADE_PROGRESS
        for held in taken:
            self._emit_instead(form, link, held, held.header)
            if form is Form.DISCARD:
                link.drop("infeasible")
            else:
                link.consume()
        return StepResult.MADE_PROGRESS

    def _infer(
        self,
        link: Link,
        taken: tuple[Held, ...],
        process: Callable[[BatchView, NDArray[np.generic]], None],
        form: Form,
    ) -> None:
        """Call a node that gives a result an item, and emit the results, or what replaces them."""
        count = len(taken)
        size = self.plan.node.fixed_batch or count
        payloads = self._batch_payloads(link, taken)
        if not isinstance(payloads, np.ndarray) or self._scatter is None:
            raise NodeError(f"{self.plan.name}: batches need tensors on both sides")
        batch = BatchView(tuple(held.header for held in taken), payloads)
        slots = self.outputs[0].reserve(count) if size == count else None
        out = self._scatter[:size] if slots is None else slots
        header = window_header(batch.headers)
        try:
            _, instead = self._call(process, (batch, out), header, form, count)
            pushed = [] if instead is not None else self._take_pushed(header)
        except FailedCallError:
            while link.hold:
                link.drop("error")
            self._recover(header)
            return
        self.pushed = None
        self.counters.padded += size - count
        for index, held in enumerate(taken):
            header = self._degraded(held.header, form)
            if instead is None:
                # Claimed in order, offered after: what is refused must not shift its neighbours.
                payload: object = out[index, ...]
                self.outputs[0].emit(header, payload, in_place=slots is not None)
            else:
                self._emit_instead(instead, link, held, header)
            self._note_result(held.header, [(link, held)])
            link.consume()
        # Behind the results, whose slots were the next ones before the call.
        for index, own, pushed_payload in pushed if instead is None else ():
            self.outputs[index].emit(own, pushed_payload)

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        """Call a source once and push what it made."""
        begun = self._journal.tick
        index = self._output(port)
        number = self.made_by_port[index]
        due = self.next_due()
        try:
            made = try_produce(begun)
        except Exception as error:
            self._source_called(number, begun, succeeded=False)
            return self.produce_failed(error, due)
        self._source_called(number, begun, succeeded=True)
        return self.produced(index, made, due)

    def produce_failed(self, error: Exception, due: Ticks | None) -> StepResult:
        """Account for a call of a source that raised.

        Args:
            error: What it raised.
            due: Its next instant before the call.
        """
        self._fail(error, None)
        self._recover(None)
        if isinstance(error, StopIteration):
            return StepResult.TERMINAL
        # Not asked again before the next wake-up, unless its next instant has moved on.
        self.produced_nothing = self.next_due() == due
        return StepResult.MADE_PROGRESS

    def produced(self, index: int, made: object, due: Ticks | None) -> StepResult:
        """Account for what a source returned, and push what it made.

        Args:
            index: Of the output.
            made: What it returned.
            due: Its next instant before the call.
        """
        if made is SourceSignal.END_OF_STREAM:
            self.ended_stream = True
            return StepResult.TERMINAL
        if made is SourceSignal.NOTHING_NOW:
            self.produced_nothing = self.next_due() == due
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
            self._recover(None)
            return StepResult.TERMINAL
        try:
            header = self._source_header(index, made)
            self.outputs[index].emit(header, made.payload)
        except LimenError as error:
            self._fail(error, None)
            self._recover(None)
            return StepResult.MADE_PROGRESS
        self.made_by_port[index] += 1
        self._source_succeeded()
        self._note_age(header)
        return StepResult.MADE_PROGRESS

    def go_on(self, answer: Callable[[], object]) -> StepResult:
        """Go on behind a call that another executor made of the one message in the hold.

        Args:
            answer: Returns the ``ProcessResult`` of the call, or raises what it raised.
        """
        link = self.links[0]
        held = link.hold[0]
        header = held.header
        self.pushed = []
        try:
            dropped = self._settle_answer(answer, header)
            self._note_result(header, [(link, held)], used=dropped is None)
        except FailedCallError:
            dropped = "error"
        if dropped is None:
            link.consume()
        else:
            link.drop(dropped)
        if dropped == "error":
            self._recover(header)
        return StepResult.MADE_PROGRESS

    def go_on_window(self, answer: Callable[[], object]) -> StepResult:
        """Go on behind a call that another executor made of the whole hold, as one window.

        Args:
            answer: Returns the ``ProcessResult`` of the call, or raises what it raised.
        """
        link = self.links[0]
        held = tuple(link.hold)
        header = window_header([one.header for one in held])
        self.pushed = []
        try:
            dropped = self._settle_answer(answer, header)
            self._note_result(header, [(link, one) for one in held], used=dropped is None)
        except FailedCallError:
            while link.hold:
                link.drop("error")
            self._recover(header)
            return StepResult.MADE_PROGRESS
        for _ in held:
            if dropped is None:
                link.consume()
            else:
                link.drop(dropped)
        return StepResult.MADE_PROGRESS

    def infer_failed(self, error: Exception) -> StepResult:
        """Account for a call of a model that raised, made by another executor on the hold.

        Args:
            error: What it raised.
        """
        link = self.links[0]
        header = window_header([held.header for held in link.hold])
        self._fail(error, header)
        while link.hold:
            link.drop("error")
        self._recover(header)
        return StepResult.MADE_PROGRESS

    def _settle_answer(self, answer: Callable[[], object], header: MessageHeader) -> str | None:
        try:
            result = answer()
        except Exception as error:
            self.pushed = None
            self._fail(error, header)
            raise FailedCallError from error
        return self._settle_or_fail(result, header, header)

    def _source_called(self, number: int, begun: Ticks, *, succeeded: bool) -> None:
        self._after_call(begun, self.plan.sim_cost_ticks)
        elapsed = self._journal.tick - begun
        self.budget.after_call(self.plan.node, Form.FULL, number, elapsed, results=int(succeeded))

    def step_failed(self, error: Exception, taken_before: int) -> None:
        """Account for a step that raised outside the functions it handed over."""
        self._fail(error, None)
        self.pushed = None
        if self.taken == taken_before:
            # What it would have taken is lost, or it would fail on it for ever.
            any_one = self.plan.activation is Activation.ANY
            for link in self.ready_inputs()[:1] if any_one else self.flows:
                if link.waiting:
                    link.take_prefix()
        for link in self.flows:
            while link.hold:
                link.drop("error")
        self._recover(None)
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
        self._recover(None)

    def step_returned(self, result: object) -> None:
        """Account for a step that returned what is no result of a step."""
        self._fail(
            NodeError(
                f"step returned {result!r}",
                remedy="return a StepResult, or YieldUntil with a tick",
            ),
            None,
        )
        self._recover(None)

    def _ask_variant(
        self, variant: Node, given: tuple[object, ...]
    ) -> tuple[object, StepResult | YieldUntil]:
        return call_variant(variant, self, given)

    # Taking and calling.

    def _one_by_one(
        self,
        link: Link,
        process: Callable[..., object],
        given: Callable[[Message], tuple[object, ...]],
        latches: list[MessageHeader],
    ) -> StepResult:
        found = link.taken
        link.take_prefix()
        if not link.hold:
            return self._without_input(link, process, found)
        beside = self._held_by_latches()
        for held in link.hold:
            self._note_wait(held)
        while link.hold and not self.failures.breaks_off:
            held = link.hold[0]
            header = joined_header((held.header,), latches) if latches else held.header
            message = self._own(link.message(held))
            try:
                dropped = self._perform(process, given(message), header, [(link, held)], beside)
            except FailedCallError:
                dropped = "error"
            finally:
                link.manager.end_read(held.token)
            if dropped is None:
                link.consume()
            else:
                link.drop(dropped)
            if dropped == "error":
                self._recover(header)
        while link.hold:
            link.drop(self.failures.rest_reason)
        return StepResult.MADE_PROGRESS

    def _without_input(self, link: Link, process: Callable[..., object], found: int) -> StepResult:
        """Call a periodic node that can do without its only input, at a period without any."""
        if self.plan.period_ticks is None or link.into.required:
            return _found_unfit(link, found)
        header = self._own_header()
        try:
            self._perform(process, (Message(header, None),), header, ())
        except FailedCallError:
            self._recover(header)
        return StepResult.MADE_PROGRESS

    def _join(self, process: Callable[[tuple[Message | None, ...]], object]) -> StepResult:
        flows = self.flows
        joins = self.plan.activation is Activation.ALL
        if joins and any(link.into.required and not link.waiting for link in flows):
            return StepResult.NO_INPUT
        for link in flows:
            if not joins:
                # A flush behind the purge may have brought what is unfit to the front.
                link.purge()
        taken = [(link, link.take_marked()) for link in flows if link.waiting]
        for _, held in taken:
            self._note_wait(held)
        # What a loop brings back is state: its creation and deadline would else never move on.
        forward = [(link, held) for link, held in taken if not link.plan.is_feedback]
        beside = [(link, held) for link, held in taken if link.plan.is_feedback]
        beside += self._held_by_latches()
        header = self._joined(taken, forward)
        values = self._latched()
        for link, held in taken:
            values[link.plan.consumer.port] = self._own(link.message(held))
        dropped: str | None = "error"
        try:
            dropped = self._perform(process, (tuple(values),), header, forward, beside)
        except FailedCallError:
            pass
        finally:
            for link, held in taken:
                link.manager.end_read(held.token)
        for link, _ in taken:
            if dropped is None:
                link.consume()
            else:
                link.drop(dropped)
        if dropped == "error":
            self._recover(header)
        return StepResult.MADE_PROGRESS

    def _joined(
        self, taken: Sequence[tuple[Link, Held]], forward: Sequence[tuple[Link, Held]]
    ) -> MessageHeader:
        """Return the header of what is made of messages taken together, the trigger's first."""
        first = [held.header for link, held in forward if link.into.is_trigger]
        first += self._latch_headers(triggers=True)
        flows = first + [held.header for link, held in forward if not link.into.is_trigger]
        state = self._latch_headers(triggers=False)
        state += [held.header for link, held in taken if link.plan.is_feedback]
        return joined_header(flows, state) if flows or state else self._own_header()

    def _source_header(self, index: int, made: Produced) -> MessageHeader:
        """Make the header of a source's message; what the source states is checked first."""
        sequence = SequenceNumber(self.made_by_port[index])
        tick = self._journal.tick
        if made.creation_tick is not None:
            stated = require_whole("creation_tick", made.creation_tick, 0)
            tick = Ticks(stated + self.plan.clock_offset_ticks)
        deadline_ns: DeadlineNs | None = None
        if made.deadline_ns is not None:
            stated = require_whole("deadline_ns", made.deadline_ns, 0)
            deadline_ns = DeadlineNs(stated + self.plan.clock_offset_ns)
        if made.max_age_ns is not None:
            require_whole("max_age_ns", made.max_age_ns, 0)
        require_type("qos", made.qos, QoSClass, "give a QoSClass")
        return MessageHeader(
            trace_id=make_trace_id(self.plan.index, PortIndex(index), sequence),
            sequence=sequence,
            creation_tick=tick,
            origin_tick=tick,
            payload_size_bytes=0,
            deadline_ns=deadline_ns,
            qos=made.qos,
            flags=MessageFlags.DEGRADE_ALLOWED if made.degrade_allowed else MessageFlags.NONE,
            max_age_ns=made.max_age_ns,
            clock_domain=self.clock.domain,
        )


def _found_unfit(link: Link, found: int) -> StepResult:
    """Return what a step comes to that has nothing to present: what it took may all be unfit."""
    return StepResult.NO_INPUT if link.taken == found else StepResult.MADE_PROGRESS
