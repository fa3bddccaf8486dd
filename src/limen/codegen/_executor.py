"""The executor of a Program: it takes the turns, the reference everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from limen.codegen._bound import BoundCalls, CallContext
from limen.codegen._lower import root_of
from limen.codegen._program import Memory, Program, Queue, Why
from limen.codegen._turns import Entry, Left, Slots, Turns, World, lasting_variables
from limen.errors import NodeError
from limen.memory import HeapMemoryManager, StaticMemoryManager
from limen.message import MessageHeader
from limen.node import CallForm, DirectCall, NodeKind
from limen.platform import MonotonicClock, PlatformClock
from limen.policy import AdmissionPolicy, Refusal, RetentionMode
from limen.runtime import (
    Before,
    Handled,
    Link,
    NodeContext,
    OutputPort,
    PathCounters,
    RuntimeStopHandle,
    SingleThreadRuntime,
)
from limen.scheduling import Plan
from limen.telemetry import (
    POWERS_OF_TEN,
    DecisionLog,
    Histogram,
    PolicyEvent,
    RunStatistics,
    Telemetry,
)
from limen.types import MessageToken, NodeIndex, ObjectSpec, TensorSpec, Ticks

_NEVER = (1 << 63) - 1
# Turns that cost the reference more than handing state over, and the most decisions to go without.
_WORTH_IT = 3
_LONGEST_REST = 64


class _StopHandle(RuntimeStopHandle):
    """Has a request noticed by turns in progress."""

    def __init__(self, clock: PlatformClock, attention: list[bool]) -> None:
        super().__init__(clock)
        self._attention = attention

    def request_stop(self) -> None:
        """End the sources and let what is under way drain; idempotent."""
        super().request_stop()
        self._attention.append(True)


class ProgramRuntime(SingleThreadRuntime):
    """Runs a Plan as a Program wherever that holds what is decided, else as the reference does.

    The Program owns the queues of its edges while it takes turns; at every exit they go back, and
    the reference makes the next decision on the same state. So the decisions are the reference's
    own, or those of the Program's blocks, which must be equal.

    Args:
        plan: What to run.
        clock: The graph's clock.
        program: Lowered from the plan.
        turns: Binds the Program's text to its world.
        drain_ns: How long a stop may drain before the rest is given up.
        log: Where its decisions are recorded.
        on_event: Told of every violation of a constraint as it happens.
        telemetry: Told of events and given the accounting; where it listens to more than the
            accounting at the end, the reference decides throughout.

    Attributes:
        turns_taken: Decisions that the Program made.
    """

    def __init__(
        self,
        plan: Plan,
        clock: PlatformClock,
        program: Program,
        turns: Callable[[World], Turns],
        *,
        drain_ns: int = 10_000_000_000,
        log: DecisionLog | None = None,
        on_event: Callable[[PolicyEvent], None] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(
            plan, clock, drain_ns=drain_ns, log=log, on_event=on_event, telemetry=telemetry
        )
        self.program = program
        self.turns_taken = 0
        self._attention: list[bool] = []
        # For how many decisions the Program was, and is still, left alone.
        self._rest = 0
        self._left_alone = 0
        self._stop_handle = _StopHandle(clock, self._attention)
        self._places = {var.name: i for i, var in enumerate(lasting_variables(program))}
        self._hot = [
            context
            for context, block in zip(self._contexts, program.blocks, strict=True)
            if context.plan.name not in dict(program.cold)
        ]
        self._owned = {queue.edge for queue in program.queues}
        self._timed = [
            context
            for context in self._contexts
            if context.plan.kind is NodeKind.SOURCE and context not in self._hot
        ]
        hooks = self._journal.hooks
        listened = hooks.event is not None or hooks.sample is not None or self._observer.hands_over
        self._enters = bool(self._hot) and not listened
        self._bound_calls: list[tuple[NodeContext, BoundCalls]] = []
        self._turns = turns(self._world(clock))

    def step(self) -> bool:
        """Make one decision: step a node or wait for the next instant; False once all ended."""
        return self._take_turns(most=1) or super().step()

    def advance(self) -> bool:
        """Make decisions until the graph waits, or ``pause`` is called; False once all ended."""
        self._take_turns()
        return super().step()

    def pause(self) -> None:
        """Have ``advance`` return soon; from any thread."""
        self._attention.append(True)

    def run(self) -> RunStatistics:
        """Start, step until all nodes have ended, stop, and return the accounting."""
        self.start()
        try:
            while self.advance():
                pass
        finally:
            self.stop()
        return self.statistics()

    def statistics(self) -> RunStatistics:
        """Return the accounting so far; exact between steps."""
        self._turns.settle()
        return super().statistics()

    def _take_turns(self, most: int | None = None) -> bool:
        """Let the Program take turns where it can; whether it stepped a node.

        Args:
            most: 1 to have it step one node at most; None for as many as it can.
        """
        # Whoever asks for the reference behind this line is heard: a stop is looked at next.
        self._attention.clear()
        if not self._enters or self._rests(most) or not self._has_turn():
            return False
        due = self._due()
        if not self._may_enter(due):
            return False
        steps = self.turns_taken
        if most is not None:
            self._attention.append(True)
        for context, calls in self._bound_calls:
            calls.refresh(context.counters.swaps)
        state = self._load(due)
        self._turns.state = state
        try:
            left = self._turns.take((self._last + 1) % len(self._contexts))
        except BaseException:
            # An interrupt inside a call: what it was given is given up when the run is stopped.
            self._unload(self._turns.interrupted())
            raise
        stepped = self._unload(left)
        if most is None:
            few = self.turns_taken - steps < _WORTH_IT
            self._rest = min(2 * self._rest or 1, _LONGEST_REST) if few else 0
            self._left_alone = self._rest
        return stepped

    def _rests(self, most: int | None) -> bool:
        """Whether the last turns were too few to be worth handing state over so soon again."""
        if most is not None or not self._left_alone:
            return False
        self._left_alone -= 1
        return True

    def _has_turn(self) -> bool:
        """Whether a node of the Program's can be stepped before the turn is the reference's.

        Handing state over costs about what the reference takes for one step.
        """
        turn = self._last + 1
        for context in (*self._contexts[turn:], *self._contexts[:turn]):
            if context not in self._hot:
                if self._is_idle(context) and not any(link.waiting for link in context.links):
                    continue
                return False
            if context.links:
                ready = context.links[0].waiting > 0
            else:
                ready = not (self._judge.ended[context.plan.index] or context.produced_nothing)
            if ready and all(_has_room(link) for link in context.out_links):
                return True
        return False

    def _is_idle(self, context: NodeContext) -> bool:
        """Whether there is nothing for a node of the reference's, but for what the Program emits.

        Looking at such a node changes nothing, and does not make it ready.
        """
        if self._judge.ended[context.plan.index]:
            return not any(link.staged for link in context.out_links)
        if any(link.staged or link.consumer_ended for link in context.out_links):
            return False
        if context.plan.kind is NodeKind.SOURCE:
            return context.next_due() is not None
        if context.plan.period_ticks is not None or context.asleep_until > self._journal.tick:
            return False
        return not any(
            link.hold
            or link.consumer.ended
            or (link.waiting and link.plan.index not in self._owned)
            for link in context.links
        )

    def _due(self) -> int:
        """Return the first instant that is not the Program's to act on."""
        ended = self._judge.ended
        due: list[int] = self._liveness.due(ended)
        for context in self._timed:
            if not ended[context.plan.index] and not context.produced_nothing:
                tick = context.next_due()
                if tick is not None:
                    due.append(tick)
        return min(due, default=_NEVER)

    def _may_enter(self, due: int) -> bool:
        """Whether all that the Program's blocks leave out is not the case now."""
        now = self._journal.tick
        if self._outcome != "running" or self._stop_handle.is_stopping or due <= now:
            return False
        if any(context.failures.halted for context in self._contexts):
            return False
        ended = self._judge.ended
        for context in self._hot:
            if not ended[context.plan.index] and context.asleep_until > now:
                return False
        for queue in self.program.queues:
            link = self._links[queue.edge]
            producer = link.plan.producer.node
            if link.staged or (link.consumer_ended and not ended[producer]):
                return False
            headers = [link.consumer.header_at(index) for index in range(link.waiting)]
            if any(h.deadline_ns is not None or h.max_age_ns is not None for h in headers):
                return False
        return True

    def _load(self, due: int) -> list[int]:
        """Hand the state over."""
        state = [0] * len(self._places)
        state[self._places["now"]] = self._journal.tick
        state[self._places["due"]] = due
        state[self._places["last"]] = self._last
        for context in self._contexts:
            if context not in self._hot:
                idle = f"n{context.plan.index}_idle"
                state[self._places[idle]] = self._is_idle(context)
        for context in self._hot:
            name, index = f"n{context.plan.index}", context.plan.index
            if context.plan.kind is NodeKind.SOURCE:
                off = self._judge.ended[index] or context.produced_nothing
                state[self._places[f"{name}_off"]] = off
                state[self._places[f"{name}_made"]] = context.made_by_port[0]
                if f"{name}_held" in self._places:
                    state[self._places[f"{name}_held"]] = self._judge.held_back[index]
        for queue in self.program.queues:
            self._port(self._links[queue.edge]).slots.reclaim()
        for memory in self.program.memories:
            free = self._output(memory).manager.lend_free()
            if not memory.in_turn:
                free.reverse()
            self._turns.lend(memory.name, free)
            state[self._places[f"{memory.name}_least"]] = len(free)
        for queue in self.program.queues:
            link = self._links[queue.edge]
            ended = self._judge.ended[link.plan.consumer.node]
            waiting = link.lend(in_slots=queue.memory is not None)
            self._turns.fill(queue.edge, waiting)
            for suffix, value in (
                ("length", len(waiting)),
                ("peak", link.peak),
                ("lost", _lost(link)),
                ("closed", link.consumer.ended and not ended),
                ("pressed", link.pressed),
            ):
                if f"{queue.name}_{suffix}" in self._places:
                    state[self._places[f"{queue.name}_{suffix}"]] = int(value)
        return state

    def _unload(self, left: Left) -> bool:
        """Take the state back and go on behind a call that is left; whether a node was stepped."""
        state = self._turns.state
        at = self._places
        self._journal.tick = Ticks(state[at["now"]])
        if self.program.is_lazy:
            self._journal.sample()
        self._last = NodeIndex(state[at["last"]])
        open_node = -1 if left.why is Why.DECIDE else left.node
        steps = {c.plan.index: state[at[f"n{c.plan.index}_steps"]] for c in self._hot}
        emitted: dict[NodeIndex, int] = {}
        for context in self._hot:
            index, name = context.plan.index, f"n{context.plan.index}"
            count = steps[index]
            done = count - (index == open_node)
            context.counters.steps += count
            context.counters.calls += count
            if context.plan.kind is NodeKind.SOURCE:
                emitted[index] = state[at[f"{name}_made"]] - context.made_by_port[0]
                context.made_by_port[0] += emitted[index]
                self._judge.held_back[index] = bool(state[at[f"{name}_held"]])
                if emitted[index]:
                    self._idle_polls = 0
            elif context.plan.outputs:
                nothing = f"{name}_nothing"
                emitted[index] = done - (state[at[nothing]] if nothing in at else 0)
            else:
                context.counters.paths[self._roots[index]].count += done
        for context in self._hot:
            for port in context.outputs:
                port.emitted += emitted[context.plan.index]
        waits = {
            queue.edge: self._turns.drain(queue.edge, self._journal.tick)
            for queue in self.program.queues
        }
        for memory in self.program.memories:
            self._take_back_slots(memory, left, waits, emitted)
        for queue in self.program.queues:
            self._take_back(queue, waits[queue.edge], left, steps, emitted, open_node)
        total = sum(steps.values())
        self.turns_taken += total
        self._points += total
        if not self.program.logs:
            self._journal.steps += total
        if left.why in (Why.FAILED, Why.UNUSUAL):
            self._go_on(left)
        return total > 0

    def _take_back(
        self,
        queue: Queue,
        waiting: list[Entry],
        left: Left,
        steps: Mapping[NodeIndex, int],
        emitted: Mapping[NodeIndex, int],
        open_node: int,
    ) -> None:
        link, state, at = self._links[queue.edge], self._turns.state, self._places
        producer, consumer = link.plan.producer.node, link.plan.consumer.node
        in_slots = queue.memory is not None
        in_flight = consumer == open_node
        if in_flight and left.header is not None:
            payload = left.slot if in_slots else left.payload
            waiting.insert(0, (left.header, payload, left.pushed))
        lost, pressed = 0, link.pressed
        if f"{queue.name}_lost" in at:
            lost = state[at[f"{queue.name}_lost"]] - _lost(link)
            pressed = bool(state[at[f"{queue.name}_pressed"]])
        elif steps.get(consumer):
            pressed = False
        refuses = link.plan.policy.admission is AdmissionPolicy.DROP_NEWEST
        done = Handled(
            offered=emitted.get(producer, 0),
            refused=lost if refuses else 0,
            evicted=0 if refuses else lost,
            eviction=_eviction(link),
            taken=steps.get(consumer, 0),
            in_flight=int(in_flight),
            peak=state[at[f"{queue.name}_peak"]],
            pressed=pressed,
        )
        port = self._port(link)
        described = [
            (port.described(header, _payload_at(port, place) if in_slots else place), place, at)
            for header, place, at in waiting
        ]
        link.take_back(described, done, in_slots=in_slots)

    def _take_back_slots(
        self,
        memory: Memory,
        left: Left,
        waits: Mapping[int, Sequence[Entry]],
        emitted: Mapping[NodeIndex, int],
    ) -> None:
        """Take back the free slots of an output, and count what was stored in others."""
        state, at, port = self._turns.state, self._places, self._output(memory)
        free = self._turns.give_back(memory.name)
        if not memory.in_turn:
            free.reverse()
        if left.why is Why.INTERRUPTED:
            # It may have been broken off between a claim and a push.
            free += self._lost_slots(memory, left, free, waits)
        copies = f"{memory.name}_copies"
        port.manager.take_back_free(
            free,
            stored=emitted.get(NodeIndex(memory.node), 0),
            copies=state[at[copies]] if copies in at else 0,
        )
        port.manager.raise_peak(memory.depth - state[at[f"{memory.name}_least"]])

    def _lost_slots(
        self,
        memory: Memory,
        left: Left,
        free: Sequence[MessageToken],
        waits: Mapping[int, Sequence[Entry]],
    ) -> list[MessageToken]:
        """Return the slots that nobody holds any more and that are not free either."""
        kept: set[object] = {left.slot, *free}
        for link in self._output(memory).links:
            kept.update(place for _, place, _ in waits.get(link.plan.index, ()))
            kept.update(link.consumer.try_peek_at(index) for index in range(link.waiting))
            kept.update(held.token for held in link.hold)
            kept.update(link.staged)
        return [MessageToken(slot) for slot in range(memory.depth) if slot not in kept]

    def _go_on(self, left: Left) -> None:
        """Do what follows a call that failed, or gave what the Program does not take as it is."""
        context = self._contexts[left.node]
        is_source = context.plan.kind is NodeKind.SOURCE
        taken = context.taken - (not is_source)
        before = Before(taken, context.made, context.counters.errors)
        for port in context.outputs:
            port.begin_step()
        failure = left.failure
        if is_source and left.why is Why.FAILED and isinstance(failure, Exception):
            result = context.produce_failed(failure, None)
        elif is_source:
            result = context.produced(0, failure, None)
        else:
            result = context.go_on(lambda: self._answer(left))
        self._finish_step(context, result, before, taken)

    def _answer(self, left: Left) -> object:
        if left.why is Why.FAILED and isinstance(left.failure, Exception):
            raise left.failure
        call = self._contexts[left.node].plan.node.direct_call()
        if call is None:
            raise NodeError(f"{self._contexts[left.node].plan.name} is stepped by the reference")
        return left.failure if call.answer is None else call.answer(left.failure)

    def _output(self, memory: Memory) -> OutputPort:
        return self._contexts[memory.node].outputs[memory.port]

    def _port(self, link: Link) -> OutputPort:
        producer = link.plan.producer
        return self._contexts[producer.node].outputs[producer.port]

    # What a Program is bound to.

    def _world(self, clock: PlatformClock) -> World:
        calls: dict[int, Callable[..., object]] = {}
        kinds: dict[int, type] = {}
        tensors: dict[int, tuple[np.dtype[np.generic], tuple[int, ...]]] = {}
        pauses: dict[int, Callable[[], bool]] = {}
        histograms: dict[str, list[Histogram]] = {}
        self._roots: dict[NodeIndex, NodeIndex] = {}
        for context in self._hot:
            plan, counters = context.plan, context.counters
            call = plan.node.direct_call()
            if call is not None:
                calls[int(plan.index)] = self._callable(context, call)
            if call is not None and call.pauses is not None:
                pauses[int(plan.index)] = call.pauses
            spec = plan.outputs[0].spec if plan.outputs else None
            if isinstance(spec, ObjectSpec):
                kinds[int(plan.index)] = spec.type
            elif isinstance(spec, TensorSpec):
                tensors[int(plan.index)] = (spec.dtype.numpy_dtype(), spec.fixed_shape)
            ages, lateness = [counters.age], [counters.lateness]
            if not plan.outputs:
                root = root_of(self.plan, plan)
                self._roots[plan.index] = root
                path = counters.paths.setdefault(
                    root, PathCounters(histograms=self._journal.switches.histograms)
                )
                ages.append(path.age)
                lateness.append(path.lateness)
            for what, kept in (
                ("wait", [counters.wait]),
                ("latency", [counters.latency]),
                ("age", ages),
                ("lateness", lateness),
            ):
                histograms[f"n{plan.index}_{what}"] = [h for h in kept if h is not None]
        return World(
            calls=calls,
            kinds=kinds,
            tensors=tensors,
            slots={memory.name: self._slots(memory) for memory in self.program.memories},
            pauses=pauses,
            contexts={c.plan.index: CallContext(c) for c in self._hot},
            histograms=histograms,
            sample=self._sample,
            epoch=clock.epoch_ns if isinstance(clock, MonotonicClock) else 0,
            domain=clock.domain,
            note=self._note,
            lost=self._tell_loss,
            missed=self._missed,
            described=self._described,
            attention=self._attention,
        )

    def _sample(self, cost_ticks: int) -> Ticks:
        self._clock.charge(cost_ticks)
        self._journal.sample()
        return self._journal.tick

    def _note(self, now: Ticks, place: str, action: str, sequence: int, reason: str) -> None:
        self._journal.tick = now
        self._journal.steps += action == "step"
        self._journal.note(place, action, sequence, reason)

    def _tell_loss(self, edge: int, count: int, what: str, reason: str) -> None:
        if count in POWERS_OF_TEN:
            self._links[edge].warn(count, reason, what)

    def _missed(self, node: int, now: Ticks, header: MessageHeader, late: int) -> None:
        self._journal.tick = now
        context = self._contexts[node]
        context.note_miss(header.sequence, late)
        if not context.outputs:
            context.counters.paths[self._roots[context.plan.index]].misses += 1

    def _described(self, node: int, header: MessageHeader, payload: object) -> MessageHeader:
        return self._contexts[node].outputs[0].described(header, payload)

    def _slots(self, memory: Memory) -> Slots:
        port = self._output(memory)
        match port.manager:
            case StaticMemoryManager(views=views, rooms=rooms):
                return Slots(views, rooms, port.slots.shares)
            case HeapMemoryManager(payloads=payloads):
                return Slots(payloads, (), port.slots.shares)
            case other:
                raise NodeError(f"{port.name}: slots of {type(other).__qualname__} are its own")

    def _callable(self, context: NodeContext, call: DirectCall) -> Callable[..., object]:
        if call.form is not CallForm.INFER:
            return call.function
        into, out = context.links[0].manager, context.outputs[0].manager
        if not (isinstance(into, StaticMemoryManager) and isinstance(out, StaticMemoryManager)):
            raise NodeError(f"{context.plan.name}: a model is bound to slots of tensors")
        calls = BoundCalls(call.function, into.batches_of_one, out.rooms_for_one)
        self._bound_calls.append((context, calls))
        return calls


def _has_room(link: Link) -> bool:
    return not link.blocks or link.waiting < link.plan.policy.caps.max_items


def _payload_at(port: OutputPort, place: object) -> object:
    """Return what lies in a slot; None for tensors, whose size nobody has to ask for."""
    if isinstance(port.manager, HeapMemoryManager) and isinstance(place, int):
        return port.manager.payloads[place]
    return None


def _lost(link: Link) -> int:
    """Return how many messages an edge has lost for want of room."""
    if link.plan.policy.admission is AdmissionPolicy.DROP_NEWEST:
        return link.refused[Refusal.FULL]
    return link.evicted[_eviction(link)]


def _eviction(link: Link) -> Refusal:
    latest = link.plan.policy.retention is RetentionMode.MAILBOX
    return Refusal.SUPERSEDED if latest else Refusal.CAPACITY
