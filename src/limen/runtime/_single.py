"""The reference executor: one thread, a deterministic function of its inputs."""

from __future__ import annotations

import enum
import logging
from typing import Final

from limen.errors import LifecycleError, LimenError, NodeError
from limen.message import MessageHeader
from limen.node import NodeKind, StepResult
from limen.platform import PlatformClock
from limen.policy import Refusal, Watermark
from limen.runtime._context import NodeContext, Now
from limen.runtime._counters import describe_error
from limen.runtime._link import Link
from limen.runtime.contract import LimenRuntime, RuntimeStopHandle
from limen.scheduling import NodeSummary, Plan, Readiness, make_policy
from limen.telemetry import RunStatistics, account
from limen.types import NodeIndex, Ticks, format_bytes, split_trace_id

_log = logging.getLogger("limen")

IDLE_POLL_NS: Final = (1_000_000, 20_000_000)
"""How long an idle graph waits before it asks a source without a schedule again: at first, at most.

The wait doubles while nothing comes, so that waiting costs next to nothing.
"""


class _State(enum.Enum):
    NEW = "new"
    RUNNING = "running"
    STOPPED = "stopped"


class SingleThreadRuntime(LimenRuntime):
    """Runs a Plan in the calling thread, through the public contracts; the oracle of all executors.

    SEMANTICS 1 is the procedure: at each decision point limits, timed sources, judging in the
    scheduler's order, one step; when nothing is ready it sleeps to the earliest due instant.

    Args:
        plan: What to run; lowered for a clock of the same tick rate.
        clock: The graph's clock.
        drain_ns: How long a stop may drain before the rest is given up.
    """

    def __init__(self, plan: Plan, clock: PlatformClock, *, drain_ns: int = 10_000_000_000) -> None:
        if clock.tick_rate_hz != plan.tick_rate_hz:
            raise LifecycleError(
                f"the plan was made for {plan.tick_rate_hz} ticks/s, the clock has "
                f"{clock.tick_rate_hz}",
                remedy="lower the graph with this clock",
            )
        self.plan = plan
        self._clock = clock
        self._now = Now(clock)
        self._drain_ticks = clock.nanos_to_ticks(drain_ns)
        self._policy = make_policy(plan.scheduler)
        self._stop_handle = RuntimeStopHandle(clock)
        try:
            self._contexts = [NodeContext(node, self._now, self._locate) for node in plan.nodes]
        except (MemoryError, OverflowError, ValueError) as error:
            raise LifecycleError(
                f"graph {plan.name!r} needs {format_bytes(plan.memory_bound_bytes)} of slots, "
                f"which cannot be reserved: {error}",
                remedy="lower max_items, batches or window sizes",
            ) from error
        self._links: list[Link] = []
        for edge in plan.edges:
            producer = self._contexts[edge.producer.node]
            consumer = self._contexts[edge.consumer.node]
            link = Link(edge, producer.managers[edge.producer.port], clock)
            producer.outputs[edge.producer.port].append(link)
            consumer.inputs.append(link)
            self._links.append(link)
        count = len(plan.nodes)
        self._ended = [False] * count
        self._held_back = [False] * count
        self._last = count - 1
        self._state = _State.NEW
        self._started: list[NodeContext] = []
        self._begin = Ticks(0)
        self._drain_until: int | None = None
        self._outcome = "running"
        self._notes: list[str] = []
        self._idle_polls = 0

    @property
    def stop_handle(self) -> RuntimeStopHandle:
        """The handle that ends this run."""
        return self._stop_handle

    def start(self) -> None:
        """Initialise and start every node, in index order."""
        self._require(_State.NEW, "start")
        self._now.sample()
        self._begin = self._now.tick
        self._state = _State.RUNNING
        failing = ""
        try:
            for context in self._contexts:
                failing = context.plan.name
                self._started.append(context)
                context.plan.node.initialize(self._clock, context.plan.ports)
                context.plan.node.start(self._now.tick)
        except Exception as error:
            self._outcome = "failed"
            self._release()
            if isinstance(error, LimenError):
                raise
            raise NodeError(f"{failing} cannot start: {describe_error(error)}") from error
        except BaseException:
            self._release()
            raise
        self._now.sample()

    def run(self) -> RunStatistics:
        """Start, step until all nodes have ended, stop, and return the accounting."""
        self.start()
        try:
            while self.step():
                pass
        finally:
            self.stop()
        return self.statistics()

    def step(self) -> bool:
        """Make one decision: step a node or wait for the next instant; False once all ended."""
        self._require(_State.RUNNING, "step")
        if self._outcome != "running":
            return False
        if self._limits():
            return False
        chosen = self._choose()
        if all(self._ended):
            self._outcome = "stopped" if self._drain_until is not None else "completed"
            return False
        if chosen is None:
            return self._wait()
        self._step_node(chosen)
        return True

    def stop(self) -> None:
        """End what has not ended and release every node; idempotent."""
        if self._state is not _State.RUNNING:
            return
        left = sum(len(link.ring) + len(link.staged) for link in self._links)
        if left:
            noun = "message was" if left == 1 else "messages were"
            self._notes.append(f"{left} {noun} left and given up")
        for context in self._contexts:
            self._give_up(context)
        if self._outcome == "running":
            self._outcome = "stopped"
        self._release()

    def statistics(self) -> RunStatistics:
        """Return the accounting so far; exact between steps."""
        edges = tuple(link.statistics() for link in self._links)
        inputs = tuple(s for c in self._contexts for s in c.input_statistics())
        outputs = tuple(s for c in self._contexts for s in c.output_statistics())
        return RunStatistics(
            graph=self.plan.name,
            outcome=self._outcome,
            duration_ns=self._clock.ticks_to_nanos(self._now.tick - self._begin),
            nodes=tuple(context.node_statistics() for context in self._contexts),
            edges=edges,
            inputs=inputs,
            outputs=outputs,
            identities=account(edges, inputs, outputs),
            memory_bound_bytes=self.plan.memory_bound_bytes,
            profile=self.plan.profile,
            notes=(*self.plan.warnings, *self._notes),
        )

    def _limits(self) -> bool:
        """Act on a stop request; whether the run is over."""
        if any(context.halted for context in self._contexts):
            names = ", ".join(c.plan.name for c in self._contexts if c.halted)
            self._outcome = "halted"
            self._notes.append(f"halted by a failure of {names}")
            return True
        if not self._stop_handle.is_stopping:
            return False
        if self._drain_until is None:
            self._drain_until = self._now.tick + self._drain_ticks
            for context in self._contexts:
                if context.plan.kind is NodeKind.SOURCE:
                    self._end(context)
        if self._now.tick > self._drain_until:
            self._notes.append("the drain timeout passed")
            self._outcome = "stopped"
            return True
        return False

    def _choose(self) -> NodeIndex | None:
        timed = self._due_source()
        if timed is not None:
            return timed
        while True:
            changed, candidates = self._judge_in_turn()
            if candidates:
                # A timed source takes no turn: one that is always due would else starve whoever
                # does not come right behind it.
                self._last = self._policy.select_next(candidates).index
                return self._last
            if not changed:
                return None

    def _due_source(self) -> NodeIndex | None:
        """Return the timed source whose instant came first, if it can be stepped."""
        due: list[tuple[Ticks, NodeIndex]] = []
        for context in self._contexts:
            if context.plan.kind is not NodeKind.SOURCE or context.produced_nothing:
                continue
            if not self._ended[context.plan.index]:
                tick = context.plan.node.next_due()
                if tick is not None and tick <= self._now.tick:
                    due.append((tick, context.plan.index))
        for _, index in sorted(due):
            if self._judge(self._contexts[index], timed=True)[1] is not Readiness.NOT_READY:
                return index
        return None

    def _judge_in_turn(self) -> tuple[bool, list[NodeSummary]]:
        changed = False
        candidates: list[NodeSummary] = []
        count = len(self._contexts)
        first = 0 if self._policy.judges_all else self._last + 1
        for offset in range(count):
            context = self._contexts[(first + offset) % count]
            moved, readiness = self._judge(context, timed=False)
            changed = changed or moved
            if readiness is Readiness.NOT_READY:
                continue
            candidates.append(self._summary(context, readiness))
            if not self._policy.judges_all:
                break
        return changed, candidates

    def _judge(self, context: NodeContext, *, timed: bool) -> tuple[bool, Readiness]:
        """Judge one node; whether that changed state, and whether it can be stepped."""
        plan = context.plan
        links = [link for port in context.outputs for link in port]
        changed = False
        if not self._ended[plan.index] and links and all(link.consumer_ended for link in links):
            self._end(context)
            changed = True
        for link in links:
            changed = link.flush(self._now.tick) or changed
            changed = link.close_if_done() or changed
        if self._ended[plan.index]:
            return changed, Readiness.NOT_READY
        if any(link.staged for link in links):
            if plan.kind is NodeKind.SOURCE and self._inputs_ready(context, timed=timed):
                self._held_back[plan.index] = True
            return changed, Readiness.NOT_READY
        if context.inputs and all(link.consumer.closed for link in context.inputs):
            self._end(context)
            return True, Readiness.NOT_READY
        if not self._inputs_ready(context, timed=timed):
            return changed, Readiness.NOT_READY
        if not all(link.has_room for link in links):
            self._held_back[plan.index] = True
            return changed, Readiness.NOT_READY
        marks = (link.ring.occupancy(link.plan.policy).watermark for link in links)
        if any(mark is not Watermark.BELOW_SOFT for mark in marks):
            return changed, Readiness.READY_UNDER_PRESSURE
        return changed, Readiness.READY

    def _inputs_ready(self, context: NodeContext, *, timed: bool) -> bool:
        if context.plan.kind is NodeKind.SOURCE:
            return timed or (context.plan.node.next_due() is None and not context.produced_nothing)
        return not context.produced_nothing and all(
            self._batch_ready(context, link) for link in context.inputs
        )

    def _batch_ready(self, context: NodeContext, link: Link) -> bool:
        """Whether the prefix is full, or its window is closed."""
        waiting = len(link.ring)
        if waiting == 0:
            return False
        batching = context.plan.batching
        prefix = link.consumer.prefix_length(batching)
        if prefix == batching.max_items or prefix < waiting:
            return True
        if link.consumer.ended or link.cannot_grow:
            return True
        closes = self._closing_tick(context, link)
        return closes is not None and self._now.tick >= closes

    def _closing_tick(self, context: NodeContext, link: Link) -> int | None:
        delta = context.plan.batching.delta_ticks
        if delta is None or len(link.ring) == 0:
            return None
        return link.consumer.push_tick_at(0) + delta

    def _summary(self, context: NodeContext, readiness: Readiness) -> NodeSummary:
        deadlines = [
            deadline
            for link in context.inputs
            if (deadline := link.front_deadline_ns()) is not None
        ]
        sequence = context.made
        if context.inputs and len(context.inputs[0].ring):
            sequence = context.inputs[0].ring.header_at(0).sequence
        return NodeSummary(
            index=context.plan.index,
            earliest_deadline_ns=min(deadlines, default=None),
            readiness=readiness,
            criticality=context.plan.criticality,
            sequence=sequence,
        )

    def _step_node(self, index: NodeIndex) -> None:
        context = self._contexts[index]
        context.counters.steps += 1
        taken, made = context.taken, context.made
        try:
            if self._held_back[index]:
                self._held_back[index] = False
                context.plan.node.resumed(self._now.tick)
            result = context.plan.node.step(context)
        except Exception as error:
            context.step_failed(error, taken)
            return
        if context.made > made:
            self._idle_polls = 0
        if context.inputs and context.taken == taken:
            # It was ready and took nothing: asked again at once, it would spin.
            context.produced_nothing = True
        if result is StepResult.TERMINAL:
            self._end(context)

    def _end(self, context: NodeContext) -> None:
        """End a node: what waits for it is dropped, its outputs close once nothing is staged."""
        index = context.plan.index
        if self._ended[index]:
            return
        self._ended[index] = True
        for link in context.inputs:
            link.consumer_ended = True
            link.give_up_staged(Refusal.CONSUMER_ENDED)
        context.drop_inputs("consumer_ended")
        for port in context.outputs:
            for link in port:
                link.producer_ended = True
                link.close_if_done()

    def _give_up(self, context: NodeContext) -> None:
        """End a node at a stop that cannot wait: what is left of its input is dropped{stopped}."""
        self._ended[context.plan.index] = True
        context.drop_inputs("stopped")
        for port in context.outputs:
            for link in port:
                link.give_up_staged(Refusal.STOPPED)
                link.producer_ended = True
                link.close_if_done()

    def _wait(self) -> bool:
        """Sleep to the earliest due instant; False where there is none: a deadlock."""
        due: list[int] = []
        polls = False
        for context in self._contexts:
            if self._ended[context.plan.index]:
                continue
            if context.plan.kind is NodeKind.SOURCE:
                tick = context.plan.node.next_due()
                if tick is not None and tick > self._now.tick:
                    due.append(tick)
                elif context.produced_nothing:
                    polls = True
            for link in context.inputs:
                closes = self._closing_tick(context, link)
                if closes is not None and closes > self._now.tick:
                    due.append(closes)
        if polls:
            first, most = IDLE_POLL_NS
            wait_ns = min(first << min(self._idle_polls, 16), most)
            due.append(self._now.tick + self._clock.duration_to_ticks(wait_ns))
            self._idle_polls += 1
        if not due:
            self._outcome = "deadlocked"
            self._notes.append(
                f"deadlock: nothing can be stepped and nothing is due: {self._who_waits()}"
            )
            return False
        if self._drain_until is not None:
            due.append(self._drain_until + 1)
        if self._clock.stands_still:
            raise LifecycleError(
                f"the graph waits for an instant and {type(self._clock).__name__} stands still",
                remedy="run it on MonotonicClock or SimClock",
            )
        self._clock.wait_until(Ticks(min(due)))
        self._now.sample()
        for context in self._contexts:
            context.produced_nothing = False
        return True

    def _who_waits(self) -> str:
        waits = []
        for context in self._contexts:
            if self._ended[context.plan.index]:
                continue
            full = [
                link.plan.name
                for port in context.outputs
                for link in port
                if not link.has_room or link.staged
            ]
            what = "room on " + ", ".join(full) if full else "its input"
            waits.append(f"{context.plan.name} waits for {what}")
        return "; ".join(waits)

    def _release(self) -> None:
        """Stop every started node, also when one of them fails to."""
        self._state = _State.STOPPED
        for context in self._started:
            try:
                context.plan.node.stop()
                context.plan.node.reset()
            except Exception as error:
                text = f"{context.plan.name} failed to stop: {describe_error(error)}"
                self._notes.append(text)
                _log.warning("%s", text)
        self._started.clear()

    def _locate(self, header: MessageHeader) -> str:
        """Say where a message came from, in the words of its source."""
        index, _, sequence = split_trace_id(header.trace_id)
        source = self.plan.nodes[index]
        place = source.node.locate(sequence)
        return f"message {sequence} of {source.name}" + (f", {place}" if place else "")

    def _require(self, state: _State, what: str) -> None:
        if self._state is not state:
            raise LifecycleError(
                f"{what} on a runtime that is {self._state.value}",
                remedy="a runtime runs once: make a new one for another run",
            )
