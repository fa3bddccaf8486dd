"""The step context of the single-thread runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from limen.edge import EdgeOccupancy
from limen.errors import Code, LimenError, NodeError, SensorError
from limen.memory import HeapMemoryManager, MemoryManager, StaticMemoryManager
from limen.message import BatchView, Message, MessageHeader, payload_size_bytes
from limen.node import (
    Consumed,
    NodeKind,
    Output,
    Produced,
    PushOutcome,
    Skip,
    SourceSignal,
    StepResult,
)
from limen.platform import PlatformClock
from limen.policy import ErrorAction
from limen.runtime._counters import NodeCounters
from limen.runtime._link import Link
from limen.scheduling import NodePlan, staging
from limen.telemetry import InputStatistics, NodeStatistics, OutputStatistics
from limen.types import (
    DeadlineNs,
    MessageToken,
    PortIndex,
    QoSClass,
    SequenceNumber,
    TensorSpec,
    Ticks,
    make_trace_id,
    require_type,
    require_whole,
)


class Now:
    """The instant that all decisions use until the next sample; shared by all contexts of a run."""

    __slots__ = ("clock", "tick")

    def __init__(self, clock: PlatformClock) -> None:
        self.clock = clock
        self.tick = Ticks(0)

    def sample(self) -> None:
        """Read the clock."""
        self.tick = self.clock.now_ticks()


class NodeContext:
    """Implements ``StepContext`` for one node, and keeps that node's counts.

    Args:
        plan: The node.
        now: The run's instant.
        locate: Says where a failed message came from.
    """

    def __init__(self, plan: NodePlan, now: Now, locate: Callable[[MessageHeader], str]) -> None:
        self.plan = plan
        self.clock = now.clock
        self._now = now
        self._locate = locate
        self.managers: list[MemoryManager] = [
            StaticMemoryManager(port.spec, port.depth)
            if isinstance(port.spec, TensorSpec)
            else HeapMemoryManager(port.depth, port.spec.type)
            for port in plan.outputs
        ]
        self.inputs: list[Link] = []
        self.outputs: list[list[Link]] = [[] for _ in plan.outputs]
        self.halted = False
        self.produced_nothing = False
        self.made = 0
        self._failed_last = False
        self._emitted = [0] * len(plan.outputs)
        self._most_emitted = staging(plan.node, plan.batching.max_items)
        self._pushed_at: list[Ticks] = []
        self._gather, self._scatter = _batch_buffers(plan)
        self.counters = NodeCounters(plan)

    @property
    def now_ticks(self) -> Ticks:
        """The instant that decisions use now."""
        return self._now.tick

    @property
    def now_nanos(self) -> int:
        """The same in nanoseconds."""
        return self.clock.ticks_to_nanos(self._now.tick)

    def in_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how full an input's edge is."""
        link = self._input(port)
        return link.ring.occupancy(link.plan.policy)

    def out_occupancy(self, port: str) -> EdgeOccupancy:
        """Return how full an output's edge is."""
        link = self.outputs[self._output(port)][0]
        return link.ring.occupancy(link.plan.policy)

    def in_peek_header(self, port: str) -> MessageHeader | None:
        """Return the header of the message that would be taken next, None if none waits."""
        link = self._input(port)
        return link.ring.header_at(0) if len(link.ring) else None

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Return the slot that the next output will lie in; None on the heap."""
        manager = self.managers[self._output(port)]
        return manager.next_slot() if isinstance(manager, StaticMemoryManager) else None

    def push_output(self, port: str, message: Message) -> PushOutcome:
        """Offer a message to the edge of an output.

        Raises:
            ManagerError: The payload does not fit the port.
        """
        index = self._output(port)
        if len(self.outputs[index][0].staged) >= self._most_emitted:
            raise NodeError(
                f"more than {self._most_emitted} messages emitted in a step",
                remedy="declare max_emit",
            )
        return self._emit(index, message.header, message.payload)

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        """Take the batch prefix of an input and hand the messages over one by one."""
        link = self._input(port)
        self._take_prefix(link)
        if not link.hold:
            return StepResult.NO_INPUT
        while link.hold and not self.halted:
            self._process_one(link, link.hold[0], process)
        while link.hold:
            link.finish("consumer_ended")
        return StepResult.MADE_PROGRESS

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call."""
        link = self._input(port)
        pushed = self._take_prefix(link)
        tokens = link.hold
        if not tokens:
            return StepResult.NO_INPUT
        headers = tuple(link.manager.peek_header(token) for token in tokens)
        source, target = link.manager, self.managers[0]
        if not (
            isinstance(source, StaticMemoryManager) and isinstance(target, StaticMemoryManager)
        ):
            raise NodeError(f"{self.plan.name}: batches need tensors on both sides")
        batch = BatchView(headers, self._batch_payloads(source, tokens))
        slots = target.reserve(len(tokens))
        out = self._scatter[: len(tokens)] if slots is None else slots
        begun = self._now.tick
        try:
            process(batch, out)
        except Exception as error:
            self._after_call(begun)
            self._fail(error, headers[-1])
            while tokens:
                link.finish("error")
            return StepResult.MADE_PROGRESS
        self._after_call(begun)
        for index, header in enumerate(headers):
            self._note_result(link, header, pushed[index])
            # Claimed in order and offered after: a refused result must not shift its neighbours.
            payload: object = out[index, ...]
            self._emit(0, header, payload, in_place=slots is not None)
            link.finish(None)
        return StepResult.MADE_PROGRESS

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        """Call a source once and push what it made."""
        begun = self._now.tick
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
            stays = self.plan.node.next_due() == due if due is not None else self._failed_last
            self._failed_last = True
            self.produced_nothing = stays or not isinstance(error, SensorError)
            return StepResult.MADE_PROGRESS
        self._after_call(begun)
        self._failed_last = False
        if made is SourceSignal.END_OF_STREAM:
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
            self._emit(index, header, made.payload)
        except LimenError as error:
            self._fail(error, None)
            return StepResult.MADE_PROGRESS
        self.made += 1
        self.counters.age.record(self.clock.ticks_to_nanos(self._now.tick - header.creation_tick))
        return StepResult.MADE_PROGRESS

    def _source_header(self, index: int, made: Produced) -> MessageHeader:
        """Make the header of a source's message; what the source states is checked first."""
        sequence = SequenceNumber(self.made)
        tick = self._now.tick
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

    def step_failed(self, error: Exception, taken_before: int) -> None:
        """Account for a step that raised outside the functions it handed over."""
        self._fail(error, None)
        for link in self.inputs:
            if not link.hold and self.taken == taken_before:
                # What it would have taken is lost, or it would fail on it for ever.
                self._take_prefix(link)
            while link.hold:
                link.finish("error")
        # A source that raises must not spin; the others have lost what they raised on.
        self.produced_nothing = not self.inputs

    @property
    def taken(self) -> int:
        """Messages taken so far."""
        return sum(link.taken for link in self.inputs)

    def drop_inputs(self, reason: str) -> None:
        """Take and drop all that waits on the inputs, when the node ends."""
        for link in self.inputs:
            # A hold is left only where an interrupt broke off a call.
            while link.hold:
                link.finish(reason)
            while len(link.ring):
                link.take()
                link.finish(reason)

    def _process_one(
        self, link: Link, token: MessageToken, process: Callable[[Message], object]
    ) -> None:
        header = link.manager.peek_header(token)
        pushed = self._pushed_at.pop(0)
        begun = self._now.tick
        dropped: str | None = None
        called = False
        try:
            with link.manager.read(token) as message:
                if self.plan.owns_input and isinstance(message.payload, np.ndarray):
                    message = Message(header, message.payload.copy())
                    self.counters.input_copies += 1
                result = process(message)
                self._after_call(begun)
                called = True
                dropped = self._settle(result, header)
        except Exception as error:
            if not called:
                self._after_call(begun)
            self._fail(error, header)
            dropped = "error"
        else:
            self._note_result(link, header, pushed)
        link.finish(dropped)

    def _settle(self, result: object, header: MessageHeader) -> str | None:
        """Push what a call returned; the reason if its input counts as dropped."""
        match result:
            case Output(payload=payload, origin_tick=origin):
                if not self.plan.outputs:
                    raise NodeError("a node without outputs returned one")
                if origin is not None and origin != header.origin_tick:
                    header = header.with_origin(origin)
                self._emit(0, header, payload)
                return None
            case Consumed():
                return None
            case Skip():
                return "skipped"
            case _:
                raise NodeError(
                    f"process_message returned {type(result).__qualname__}",
                    remedy="return Output(payload), Consumed() or Skip()",
                )

    def _take_prefix(self, link: Link) -> list[Ticks]:
        length = link.consumer.prefix_length(self.plan.batching)
        self._pushed_at = [link.consumer.push_tick_at(index) for index in range(length)]
        for pushed in self._pushed_at:
            link.take()
            self.counters.wait.record(self.clock.ticks_to_nanos(self._now.tick - pushed))
        return self._pushed_at

    def _after_call(self, begun: Ticks) -> None:
        self.clock.charge(self.plan.sim_cost_ticks)
        self._now.sample()
        self.counters.calls += 1
        self.counters.latency.record(self.clock.ticks_to_nanos(self._now.tick - begun))

    def _note_result(self, link: Link, header: MessageHeader, pushed: Ticks) -> None:
        """Count age and deadline of a result, at the instant after the call."""
        now_ns = self.now_nanos
        self.counters.age.record(now_ns - self.clock.ticks_to_nanos(header.creation_tick))
        deadline_ns: int | None = header.deadline_ns
        if deadline_ns is None and link.plan.default_ns is not None:
            deadline_ns = self.clock.ticks_to_nanos(pushed) + link.plan.default_ns
        if deadline_ns is not None and deadline_ns + link.plan.slack_ns < now_ns:
            self.counters.misses += 1

    def _batch_payloads(
        self, manager: StaticMemoryManager, tokens: list[MessageToken]
    ) -> NDArray[np.generic]:
        view = manager.neighbours(tokens)
        if view is not None:
            return view
        self.counters.gathers += 1
        manager.gather(tokens, self._gather)
        view = self._gather[: len(tokens)]
        view.flags.writeable = False
        return view

    def _emit(
        self, index: int, header: MessageHeader, payload: object, *, in_place: bool = False
    ) -> PushOutcome:
        manager = self.managers[index]
        if isinstance(manager, StaticMemoryManager) and (
            in_place or payload is manager.next_slot()
        ):
            token = manager.commit(header.resized(manager.slot_bytes))
        else:
            size = payload_size_bytes(payload)
            if isinstance(manager, StaticMemoryManager):
                size = manager.slot_bytes
            token = manager.store(Message(header.resized(size), payload))
        self._emitted[index] += 1
        return self.outputs[index][0].offer(token, self._now.tick)

    def _fail(self, error: Exception, header: MessageHeader | None) -> None:
        """Count a failed call, keep it in words, and act as the policy says."""
        self.counters.fail(error, "" if header is None else self._locate(header))
        if self.plan.on_error is ErrorAction.HALT_GRAPH:
            self.halted = True

    def _input(self, port: str) -> Link:
        for plan, link in zip(self.plan.inputs, self.inputs, strict=True):
            if plan.name == port:
                return link
        raise NodeError(f"{self.plan.name} has no input {port!r}", code=Code.NODE_NO_INPUT)

    def _output(self, port: str) -> int:
        for index, plan in enumerate(self.plan.outputs):
            if plan.name == port:
                return index
        raise NodeError(f"{self.plan.name} has no output {port!r}", code=Code.NODE_EXECUTION_FAILED)

    def node_statistics(self) -> NodeStatistics:
        """Return the node's counts so far."""
        used = sum(link.consumed for link in self.inputs)
        return self.counters.statistics(used if self.plan.inputs else self.made)

    def input_statistics(self) -> tuple[InputStatistics, ...]:
        """Return the counts of the inputs."""
        return tuple(
            InputStatistics(
                name=f"{self.plan.name}.{plan.name}",
                taken=link.taken,
                consumed=link.consumed,
                dropped=dict(sorted(link.dropped.items())),
                held=len(link.hold),
            )
            for plan, link in zip(self.plan.inputs, self.inputs, strict=True)
        )

    def output_statistics(self) -> tuple[OutputStatistics, ...]:
        """Return the counts of the outputs and their slots."""
        found = []
        for index, plan in enumerate(self.plan.outputs):
            links, record = self.outputs[index], self.managers[index].statistics()
            live = sum(len(link.ring) + len(link.staged) + len(link.hold) for link in links)
            found.append(
                OutputStatistics(
                    name=f"{self.plan.name}.{plan.name}",
                    emitted=self._emitted[index],
                    fan_out=len(links),
                    offered=sum(link.offered for link in links),
                    capacity=record.capacity,
                    available=record.available,
                    live=live,
                    peak_used=record.peak_used,
                    copies=record.copies,
                    memory_bytes=record.payload_bytes,
                )
            )
        return tuple(found)


def _batch_buffers(plan: NodePlan) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Preallocate the buffers for batches whose slots are not neighbours."""
    buffers = []
    for ports in (plan.inputs, plan.outputs):
        spec = ports[0].spec if ports else None
        if plan.kind is NodeKind.MODEL and isinstance(spec, TensorSpec):
            shape = (plan.batching.max_items, *spec.fixed_shape)
            buffers.append(np.zeros(shape, dtype=spec.dtype.numpy_dtype()))
        else:
            buffers.append(np.zeros(0, dtype=np.uint8))
    return buffers[0], buffers[1]
