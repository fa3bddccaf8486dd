"""What the single-thread runtime keeps for one node: its ports, its counts, its failures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code, LimenError, NodeError
from limen.memory import BorrowLedger, LentBuffer, Misuse, StaticMemoryManager
from limen.message import Message, MessageFlags, MessageHeader
from limen.node import Consumed, NodeKind, Output, Outputs, Skip, StepResult, YieldUntil
from limen.platform import PlatformClock
from limen.policy import next_period
from limen.runtime._budget import BudgetKeeper
from limen.runtime._counters import NodeCounters, describe_error
from limen.runtime._failures import FailureKeeper
from limen.runtime._journal import Journal
from limen.runtime._link import Held, Link
from limen.runtime._output import OutputPort
from limen.scheduling import MessagePlan, NodePlan, gather_items
from limen.telemetry import (
    InputStatistics,
    NodeStatistics,
    NodeTelemetry,
    RuntimeEventKind,
    ViolationKind,
)
from limen.types import (
    NodeIndex,
    PayloadSpec,
    PortIndex,
    SequenceNumber,
    TensorSpec,
    Ticks,
    make_trace_id,
)

_INVALID_DATA: Final = (Code.SENSOR_READ, Code.PAYLOAD_MISMATCH)


class FailedCallError(Exception):
    """Leaves a call that failed and has been accounted for."""


class NodeState:
    """Ports, counts and failures of one node in a run; what its step context builds on.

    Args:
        plan: The node.
        journal: The run's instant and log.
        locate: Says where a failed message came from.
        ledger: Where misuse of memory is noted; None to check nothing.
    """

    def __init__(
        self,
        plan: NodePlan,
        journal: Journal,
        locate: Callable[[MessageHeader], str],
        ledger: BorrowLedger | None = None,
    ) -> None:
        self.plan = plan
        self.clock = journal.clock
        self.outputs = [OutputPort(f"{plan.name}.{p.name}", p, ledger) for p in plan.outputs]
        # By port; None where an optional input is not connected.
        self.inputs: list[Link | None] = [None] * len(plan.inputs)
        # Connected inputs in port order; those whose messages are taken; edges that begin here.
        self.links: list[Link] = []
        self.flows: list[Link] = []
        self.out_links: list[Link] = []
        self.ended_stream = False
        self.produced_nothing = False
        # What the call in progress has pushed: port, header, payload. None outside of calls.
        self.pushed: list[tuple[int, MessageHeader, object]] | None = None
        self.asleep_until = Ticks(0)
        self.counters = NodeCounters(plan, histograms=journal.switches.histograms)
        self.telemetry = NodeTelemetry(
            plan.name, plan.index, journal.hooks, lambda: self._journal.now_ns
        )
        # Whether the last call of a source failed, and the last loading of a model.
        self._source_fails = False
        self._model_fails = False
        self.budget = BudgetKeeper(plan, self.counters, journal)
        self.failures = FailureKeeper(plan, self.counters, journal)
        # Of a periodic node, the earliest instant of its grid that is not used yet.
        self.period_due = Ticks(0)
        self.last_step = Ticks(0)
        # What a call of the variant came to, where that is more than progress.
        self.variant_came_to: StepResult | YieldUntil | None = None
        self._journal = journal
        self._locate = locate
        self.made_by_port = [0] * len(plan.outputs)
        self._made_alone = 0
        items = 0
        if plan.inputs:
            items = gather_items(plan.node, plan.inputs[0].batching.max_items)
        self.gather = _buffer(plan.inputs[0].spec, items) if items else None
        # Of a model, whose arrays stay bound, nothing is tracked.
        self._lent_gather: LentBuffer | None = None
        if ledger is not None and self.gather is not None and plan.kind is not NodeKind.MODEL:
            self._lent_gather = LentBuffer(self.gather, f"a batch of {plan.name}", ledger)
        is_model = plan.kind is NodeKind.MODEL
        self._scatter = _buffer(plan.outputs[0].spec, items) if items and is_model else None

    def wired(self) -> None:
        """Gather the edges in lists, once all are in place."""
        self.links = [link for link in self.inputs if link is not None]
        self.flows = [link for link in self.links if not link.is_latch]
        self.out_links = [link for port in self.outputs for link in port.links]

    @property
    def taken(self) -> int:
        """Messages taken so far."""
        return sum(link.taken for link in self.links)

    @property
    def made(self) -> int:
        """Messages that a source has made."""
        return sum(self.made_by_port)

    @property
    def emitted(self) -> int:
        """Messages emitted so far."""
        return sum(port.emitted for port in self.outputs)

    @property
    def now_ticks(self) -> Ticks:
        """The instant that decisions use now."""
        return self._journal.tick

    @property
    def now_nanos(self) -> int:
        """The same in nanoseconds."""
        return self._journal.now_ns

    def next_due(self) -> Ticks | None:
        """Return the next instant of a timed source, as it states it.

        Raises:
            NodeError: It fails to, or states none; the schedule of the graph is not known then.
        """
        try:
            due = self.plan.node.next_due()
            return None if due is None else Ticks(operator.index(due))
        except LimenError:
            raise
        except Exception as error:
            raise NodeError(
                f"{self.plan.name}: next_due failed: {describe_error(error)}",
                remedy="return an instant in whole ticks, or None",
            ) from error

    def ready_inputs(self) -> list[Link]:
        """Return the inputs that an ANY node could take from, the front pushed first ahead."""
        ready = [link for link in self.flows if link.is_ready]
        ready.sort(key=lambda link: (link.consumer.push_tick_at(0), link.plan.consumer.port))
        return ready

    def node_statistics(self) -> NodeStatistics:
        """Return the node's counts so far."""
        used = sum(link.consumed for link in self.links)
        return self.counters.statistics(used if self.plan.inputs else self.made)

    def input_statistics(self) -> tuple[InputStatistics, ...]:
        """Return the counts of the connected inputs."""
        return tuple(link.input_statistics() for link in self.links)

    def begin(self, now: Ticks) -> None:
        """Start the grid of periods and the gaps of liveness at an instant."""
        self.last_step = now
        self.period_due = Ticks(now + (self.plan.period_ticks or 0))

    @property
    def period_has_come(self) -> bool:
        """Whether the node is periodic and an instant of its grid is due."""
        return self.plan.period_ticks is not None and self.period_due <= self._journal.tick

    def use_period(self, *, missed: bool = False) -> None:
        """Move to the next instant of the grid; those that no step used are counted.

        Args:
            missed: Whether no step uses the first of them either.
        """
        if self.plan.period_ticks is None:
            return
        now = self._journal.tick
        passed, due = next_period(self.period_due, self.plan.period_ticks, now)
        count = passed if missed else passed - 1
        self.period_due = Ticks(due)
        if count:
            self.counters.missed_periods += count
            self._journal.note(self.plan.name, "missed_periods", count)
            self._journal.violated(ViolationKind.MISSED_PERIODS, self.plan.name, times=count)

    def _settle_or_fail(
        self, result: object, header: MessageHeader, blamed: MessageHeader
    ) -> str | None:
        try:
            return self._settle(result, header)
        except Exception as error:
            self._fail(error, blamed)
            raise FailedCallError from error

    def _settle(self, result: object, header: MessageHeader) -> str | None:
        """Emit what a call pushed and returned; the reason if its input counts as dropped."""
        made, self.pushed = self.pushed or [], None
        dropped: str | None = None
        match result:
            case Output(payload=payload, origin_tick=origin):
                if not self.outputs:
                    raise NodeError("a node without outputs returned one")
                made.append((0, _aged(header, origin), payload))
            case Outputs(messages=messages, origin_tick=origin):
                header = _aged(header, origin)
                made += [(self._output(name), header, payload) for name, payload in messages]
            case Consumed():
                pass
            case Skip():
                dropped = "skipped"
            case _:
                raise NodeError(
                    f"process_message returned {type(result).__qualname__}",
                    remedy="return Output(payload), Outputs(…), Consumed() or Skip()",
                )
        self._check_emitted(made)
        for index, own, payload in sorted(made, key=lambda one: one[0]):
            self.outputs[index].emit(own, payload)
        return dropped

    def _take_pushed(self, blamed: MessageHeader) -> list[tuple[int, MessageHeader, object]]:
        """Return what a call pushed beside its results.

        Raises:
            FailedCallError: There is more than declared; it has been accounted for.
        """
        made, self.pushed = self.pushed or [], None
        try:
            self._check_emitted(made)
        except NodeError as error:
            self._fail(error, blamed)
            raise FailedCallError from error
        return made

    def _check_emitted(self, made: Sequence[tuple[int, MessageHeader, object]]) -> None:
        """Refuse more messages of one call than were declared, before any is emitted."""
        for index, port in enumerate(self.outputs):
            count = sum(place == index for place, _, _ in made)
            if count > port.plan.max_emit:
                raise NodeError(
                    f"{port.name}: {count} messages emitted in a call, {port.plan.max_emit} "
                    f"declared",
                    remedy="declare max_emit",
                )

    def _selected(self) -> Link | None:
        """Return the input that this step takes from, where any will do; the node may choose."""
        ready = self.ready_inputs()
        if not ready:
            return None
        names = [link.into.name for link in ready]
        name = self.plan.node.select_input(names)
        if name not in names:
            raise NodeError(
                f"select_input returned {name!r}", remedy=f"return one of {', '.join(names)}"
            )
        return ready[names.index(name)]

    def _latched(self) -> list[Message | None]:
        """Return a place an input, filled where a latch has a value."""
        values: list[Message | None] = [None] * len(self.inputs)
        for place, link in enumerate(self.inputs):
            if link is not None and link.is_latch and link.hold:
                message = link.message(link.hold[0])
                values[place] = self._own(message)
                link.manager.end_read(link.hold[0].token)
        return values

    def _latch_headers(self, *, triggers: bool | None = None) -> list[MessageHeader]:
        """Return the headers of latched values: all, or of triggers, or of all others."""
        return [
            link.hold[0].header
            for link in self.links
            if link.is_latch and link.hold and triggers in (None, link.into.is_trigger)
        ]

    def _held_by_latches(self) -> list[tuple[Link, Held]]:
        """Return the values of latches, as they are handed over beside what a step takes."""
        return [(link, link.hold[0]) for link in self.links if link.is_latch and link.hold]

    def _own_header(self) -> MessageHeader:
        """Return the header of a result that nothing went into."""
        number = SequenceNumber(self._made_alone)
        self._made_alone += 1
        return new_header(self.plan.index, PortIndex(0), number, self._journal.tick, self.clock)

    def _own(self, message: Message) -> Message:
        """Copy a tensor for a node that makes objects, which may keep a view of it."""
        if self.plan.owns_input and isinstance(message.payload, np.ndarray):
            self.counters.input_copies += 1
            return Message(message.header, message.payload.copy())
        return message

    def _batch_payloads(
        self, link: Link, taken: Sequence[Held]
    ) -> NDArray[np.generic] | tuple[object, ...]:
        """Return the payloads side by side: over the slots if possible, else gathered."""
        manager, tokens = link.manager, [held.token for held in taken]
        if not isinstance(manager, StaticMemoryManager):
            payloads = []
            for token in tokens:
                with manager.read(token) as message:
                    payloads.append(message.payload)
            return tuple(payloads)
        size = self.plan.node.fixed_batch or len(tokens)
        view = manager.neighbours(tokens) if size == len(tokens) else None
        if view is None:
            if self.gather is None:
                raise NodeError(f"{self.plan.name} takes no batches")
            self.counters.gathers += len(tokens) > 1
            manager.gather(tokens, self.gather)
            self.gather[len(tokens) : size] = 0
            if self._lent_gather is not None:
                view = self._lent_gather.lend(size)
            else:
                view = self.gather[:size]
                view.flags.writeable = False
        if self.plan.owns_input:
            self.counters.input_copies += 1
            view = view.copy()
        return view

    # Headers and counts.

    def _after_call(self, begun: Ticks, cost_ticks: int) -> None:
        self.clock.charge(cost_ticks)
        self._journal.sample()
        self.counters.calls += 1
        latency = self.counters.latency
        if latency is not None:
            latency.record(self.clock.ticks_to_nanos(self._journal.tick - begun))

    def _note_wait(self, held: Held) -> None:
        wait = self.counters.wait
        if wait is not None:
            wait.record(self.clock.ticks_to_nanos(self._journal.tick - held.pushed))

    def _note_age(self, header: MessageHeader) -> None:
        age = self.counters.age
        if age is not None:
            age.record(self.clock.ticks_to_nanos(self._journal.tick - header.creation_tick))

    def _note_result(
        self, header: MessageHeader, presented: Sequence[tuple[Link, Held]], *, used: bool = True
    ) -> None:
        """Count a result: its age, and its lateness by what was presented for the first time.

        Of a window, each message counts; of a joined tuple, the earliest deadline.
        """
        self._note_age(header)
        late = [(link, held.header.sequence, link.lateness_ns(held)) for link, held in presented]
        known = [(link, number, ns) for link, number, ns in late if ns is not None]
        worst_ns = max((ns for _, _, ns in known), default=None)
        missed = [(number, ns) for link, number, ns in known if ns > link.plan.slack_ns]
        if missed and not self.plan.node.takes_windows:
            missed = [(header.sequence, max(ns for _, ns in missed))]
        for number, ns in missed:
            self.note_miss(number, ns)
        lateness = self.counters.lateness
        if worst_ns is not None and lateness is not None:
            lateness.record(worst_ns)
        if used and not self.plan.outputs:
            self.counters.note_path(
                header, self._journal.now_ns, self.clock, worst_ns, missed=bool(missed)
            )

    def note_miss(self, sequence: int, lateness_ns: int) -> None:
        """Count a result that came after its deadline, and tell of it."""
        self.counters.misses += 1
        self._journal.note(self.plan.name, "miss", sequence)
        kind = ViolationKind.DEADLINE_MISS
        self._journal.violated(kind, self.plan.name, sequence, amount_ns=lateness_ns)

    def _fail(self, error: Exception, header: MessageHeader | None) -> None:
        """Count a failed call, keep it in words, and decide what it leads to."""
        self.failures.fail(error, header, "" if header is None else self._locate(header))
        if self.plan.kind is NodeKind.SOURCE:
            self._source_failed(error)

    def _source_failed(self, error: Exception) -> None:
        """Tell of data that cannot be read or used, and of the first failure after a success."""
        text = describe_error(error)
        if isinstance(error, LimenError) and error.code in _INVALID_DATA:
            self._journal.happened(RuntimeEventKind.INVALID_DATA, self.plan.name, text)
        if not self._source_fails:
            self._source_fails = True
            self._journal.happened(RuntimeEventKind.SENSOR_DISCONNECTED, self.plan.name, text)

    def _source_succeeded(self) -> None:
        """Tell of the first message after a failure."""
        if self._source_fails:
            self._source_fails = False
            self._journal.happened(RuntimeEventKind.SENSOR_RECOVERED, self.plan.name)

    def tell_load_failures(self) -> None:
        """Tell of models that could not be taken over since this was asked last."""
        for part in self.plan.parts:
            failure = part.load_failure()
            if failure is not None:
                self._model_fails = True
                name = self.plan.name
                self._journal.happened(RuntimeEventKind.MODEL_LOAD_FAILED, name, failure)

    def _recover(self, header: MessageHeader | None) -> None:
        """Do what a failed call leads to, once what it lost has been dropped.

        Args:
            header: As its result would have had; None where there was no input.
        """
        failsafe = self.failures.failsafe()
        if failsafe is None:
            return
        if header is None and self.plan.kind is NodeKind.SOURCE:
            number = SequenceNumber(self.made_by_port[failsafe.port])
            self.made_by_port[failsafe.port] += 1
            tick = self._journal.tick
            header = new_header(self.plan.index, failsafe.port, number, tick, self.clock)
        self._emit_declared(failsafe, self._own_header() if header is None else header)

    def _emit_declared(self, declared: MessagePlan, header: MessageHeader) -> None:
        """Emit a declared message, flagged."""
        flagged = header.with_flags(header.flags | MessageFlags.DEFAULTED)
        try:
            self.outputs[declared.port].emit(flagged, declared.payload, declared=True)
        except LimenError as error:
            self.counters.fail(error, "a declared message")

    def misused(self, misuse: Misuse) -> None:
        """Account for a misuse of memory that was noticed after the node's call."""
        self._fail(misuse.error, misuse.header)
        self._recover(misuse.header)

    def restart(self) -> None:
        """Restart the node, and let it rest as long as its policy says."""
        self.asleep_until = self.failures.restart()
        self.ended_stream = False

    def _input(self, port: str) -> Link:
        for plan, link in zip(self.plan.inputs, self.inputs, strict=True):
            if plan.name == port and link is not None:
                return link
        raise NodeError(f"{self.plan.name} has no input {port!r}", code=Code.NODE_NO_INPUT)

    def _flow(self, port: str) -> Link:
        link = self._input(port)
        if link.is_latch:
            raise NodeError(
                f"{self.plan.name}.{port} is a latch: it is presented, not taken",
                remedy="use pop_joined_and_process",
            )
        return link

    def _output(self, port: str) -> int:
        for index, plan in enumerate(self.plan.outputs):
            if plan.name == port:
                return index
        raise NodeError(f"{self.plan.name} has no output {port!r}", code=Code.NODE_EXECUTION_FAILED)


def new_header(
    node: NodeIndex, port: PortIndex, sequence: SequenceNumber, tick: Ticks, clock: PlatformClock
) -> MessageHeader:
    """Return the header of a message that begins here and now, without a class or limits."""
    return MessageHeader(
        trace_id=make_trace_id(node, port, sequence),
        sequence=sequence,
        creation_tick=tick,
        origin_tick=tick,
        payload_size_bytes=0,
        clock_domain=clock.domain,
    )


def _aged(header: MessageHeader, origin: Ticks | None) -> MessageHeader:
    return header if origin is None or origin == header.origin_tick else header.with_origin(origin)


def _buffer(spec: PayloadSpec, items: int) -> NDArray[np.generic] | None:
    if not (isinstance(spec, TensorSpec) and spec.is_fixed):
        return None
    return np.zeros((items, *spec.fixed_shape), dtype=spec.dtype.numpy_dtype())
