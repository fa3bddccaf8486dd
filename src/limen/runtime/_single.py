"""The reference executor: one thread, a deterministic function of its inputs."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from limen.errors import LifecycleError, LimenError, ManagerError, NodeError
from limen.memory import BorrowLedger
from limen.message import MessageHeader
from limen.node import NodeKind, StepResult, YieldUntil
from limen.platform import PlatformClock
from limen.runtime._context import NodeContext
from limen.runtime._counters import describe_error
from limen.runtime._deadlock import chain, is_stuck, who_waits
from limen.runtime._journal import Journal
from limen.runtime._judge import Judge
from limen.runtime._link import Link
from limen.runtime._liveness import LivenessMonitor
from limen.runtime._observer import Observer
from limen.runtime._state import new_header
from limen.runtime.contract import LimenRuntime, RuntimeStopHandle
from limen.scheduling import NodeSummary, Plan, Readiness, make_policy
from limen.telemetry import (
    DecisionLog,
    Hooks,
    PolicyEvent,
    RunStatistics,
    Telemetry,
    ViolationTally,
    Waiting,
    account,
)
from limen.types import NodeIndex, SequenceNumber, Ticks, format_bytes, split_trace_id

_log = logging.getLogger("limen")

IDLE_POLL_NS: Final = (1_000_000, 20_000_000)
"""How long an idle graph waits before it asks a source without a schedule again: at first, at most.

The wait doubles while nothing comes, so that waiting costs next to nothing.
"""


class _State(enum.Enum):
    NEW = "new"
    RUNNING = "running"
    STOPPED = "stopped"


class Before(NamedTuple):
    """Counts of a node ahead of a step.

    Attributes:
        taken: Messages taken.
        made: Messages that a source has made.
        errors: Failures.
    """

    taken: int
    made: int
    errors: int

    @classmethod
    def of(cls, context: NodeContext) -> Before:
        """Read them."""
        return cls(context.taken, context.made, context.counters.errors)


class SingleThreadRuntime(LimenRuntime):
    """Runs a Plan in the calling thread, through the public contracts; the oracle of all executors.

    SEMANTICS 1 is the procedure: at each decision point limits, timed sources, judging in the
    scheduler's order, one step; when nothing is ready it sleeps to the earliest due instant.

    Args:
        plan: What to run; lowered for a clock of the same tick rate.
        clock: The graph's clock.
        drain_ns: How long a stop may drain before the rest is given up.
        log: Where its decisions are recorded; None to keep no log.
        on_event: Told of every violation of a constraint as it happens.
        telemetry: Told of events and given the accounting, as the plan's switches allow.
        checked: Whether memory finds out who misuses it, at a cost in time.
    """

    def __init__(
        self,
        plan: Plan,
        clock: PlatformClock,
        *,
        drain_ns: int = 10_000_000_000,
        log: DecisionLog | None = None,
        on_event: Callable[[PolicyEvent], None] | None = None,
        telemetry: Telemetry | None = None,
        checked: bool = False,
    ) -> None:
        if clock.tick_rate_hz != plan.tick_rate_hz:
            raise LifecycleError(
                f"the plan was made for {plan.tick_rate_hz} ticks/s, the clock has "
                f"{clock.tick_rate_hz}",
                remedy="lower the graph with this clock",
            )
        self.plan = plan
        self._clock = clock
        hooks = Hooks(telemetry, plan.switches)
        self._journal = Journal(clock, log, ViolationTally(on_event), hooks, plan.switches)
        self._drain_ticks = clock.nanos_to_ticks(drain_ns)
        self._policy = make_policy(plan.scheduler)
        self._stop_handle = RuntimeStopHandle(clock)
        self._ledger = BorrowLedger() if checked else None
        try:
            self._contexts = [
                NodeContext(node, self._journal, self._locate, self._ledger) for node in plan.nodes
            ]
        except (MemoryError, OverflowError, ValueError) as error:
            raise LifecycleError(
                f"graph {plan.name!r} needs {format_bytes(plan.memory_bound_bytes)} of slots, "
                f"which cannot be reserved: {error}",
                remedy="lower max_items, batches or window sizes",
            ) from error
        self._links: list[Link] = []
        self._wire()
        self._judge = Judge(self._contexts, self._journal)
        self._liveness = LivenessMonitor(self._contexts, self._journal)
        self._observer = Observer(
            plan.name, self._journal, self._contexts, self._links, self.statistics
        )
        self._step_one = self._observer.observed(self._step_node)
        self._last = len(plan.nodes) - 1
        self._state = _State.NEW
        self._started: list[NodeContext] = []
        self._begin = Ticks(0)
        self._drain_until: int | None = None
        self._outcome = "running"
        self._notes: list[str] = []
        self._waiting: tuple[Waiting, ...] = ()
        self._misuses: list[str] = []
        self._idle_polls = 0
        self._points = 0
        self._stopped_at: int | None = None
        # What ended the run before its time.
        self._why = ""

    def _wire(self) -> None:
        """Make a link an edge, between an output's slots and an input."""
        for edge in self.plan.edges:
            port = self._contexts[edge.producer.node].outputs[edge.producer.port]
            into = self.plan.nodes[edge.consumer.node].inputs[edge.consumer.port]
            back = port.slots.returns[len(port.links)]
            consumer = self._contexts[edge.consumer.node]
            name = f"{consumer.plan.name}.{into.name}"
            link = Link(edge, into, name, port.slots, back, self._journal)
            port.connect(link, consumer.plan.name)
            consumer.inputs[edge.consumer.port] = link
            self._links.append(link)
        for context in self._contexts:
            context.wired()

    @property
    def stop_handle(self) -> RuntimeStopHandle:
        """The handle that ends this run."""
        return self._stop_handle

    @property
    def stopped_at(self) -> int | None:
        """The decision point, counted from 0, that first saw a stop; None if none did."""
        return self._stopped_at

    @property
    def misuses(self) -> tuple[str, ...]:
        """What checked memory found so far: who did what, in words."""
        return tuple(self._misuses)

    def start(self) -> None:
        """Initialise and start every node, in index order."""
        self._require(_State.NEW, "start")
        self._journal.sample()
        self._begin = self._journal.tick
        self._state = _State.RUNNING
        failing = ""
        try:
            for context in self._contexts:
                failing = context.plan.name
                self._started.append(context)
                for part in context.plan.parts:
                    part.initialize(self._clock, context.plan.ports)
                    part.start(self._journal.tick)
        except Exception as error:
            self._outcome = "failed"
            self._release()
            text = f"{failing} cannot start: {describe_error(error)}"
            self._observer.ended(self._outcome, text)
            if isinstance(error, LimenError):
                raise
            raise NodeError(text) from error
        except BaseException:
            self._release()
            raise
        self._journal.sample()
        for context in self._contexts:
            context.begin(self._journal.tick)
        self._liveness.start(self._journal.tick)
        self._observer.started()
        self._begin_feedback()

    def _begin_feedback(self) -> None:
        for link in self._links:
            edge = link.plan
            port = self._contexts[edge.producer.node].outputs[edge.producer.port]
            for number, payload in enumerate(edge.initial):
                sequence = SequenceNumber(number)
                header = new_header(*edge.producer, sequence, self._journal.tick, self._clock)
                port.begin(link, header, payload)

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
        if self._observer.hands_over:
            self._observer.hand_over()
        if self._ledger is None:
            return self._decide()
        try:
            return self._decide()
        except ManagerError as error:
            self._halt(error)
            self._settle_memory(self._ledger)
            return False

    def _decide(self) -> bool:
        stopped = self._limits()
        self._points += 1
        if stopped:
            return False
        self._liveness.check(self._judge.ended)
        chosen = self._choose()
        if self._judge.all_ended:
            self._outcome = "stopped" if self._drain_until is not None else "completed"
            return False
        if chosen is None:
            return self._wait()
        self._step_one(chosen)
        if self._ledger is not None:
            self._settle_memory(self._ledger)
        return True

    def _settle_memory(self, ledger: BorrowLedger) -> None:
        """Count what was noticed of misused memory as failures of who did it."""
        names = {context.plan.name: context for context in self._contexts}
        for misuse in ledger.settle():
            context = names.get(misuse.node)
            if context is None:
                self._halt(misuse.error)
            else:
                self._misuses.append(f"{misuse.node}: {describe_error(misuse.error)}")
                context.misused(misuse)
                self._settle_failures(context)

    def _halt(self, error: ManagerError) -> None:
        """End the run for a misuse of memory that no node can be blamed for."""
        self._misuses.append(describe_error(error))
        if self._outcome != "halted":
            self._outcome = "halted"
            self._journal.note("graph", "halt")
        self._notes.append(f"halted by a misuse of memory: {error}")

    def advance(self) -> bool:
        """Make decisions, one or many, until the graph waits; False once all nodes have ended."""
        return self.step()

    def pause(self) -> None:
        """Have ``advance`` return soon; from any thread. Here it always does."""

    def stop(self) -> None:
        """End what has not ended and release every node; idempotent."""
        if self._state is not _State.RUNNING:
            return
        left = sum(link.waiting + len(link.staged) for link in self._links)
        if left:
            noun = "message was" if left == 1 else "messages were"
            self._notes.append(f"{left} {noun} left and given up")
        for context in self._contexts:
            try:
                self._judge.end(context, "stopped")
            except ManagerError as error:
                if self._ledger is None:
                    raise
                self._halt(error)
        if self._outcome == "running":
            self._outcome = "stopped"
        self._release()
        self._observer.ended(self._outcome, self._why)

    def statistics(self) -> RunStatistics:
        """Return the accounting so far; exact between steps."""
        edges = tuple(link.statistics() for link in self._links)
        inputs = tuple(s for c in self._contexts for s in c.input_statistics())
        names = [context.plan.name for context in self._contexts]
        outputs = tuple(port.statistics() for c in self._contexts for port in c.outputs)
        if self._ledger is not None and not self._ledger.node:
            # Slots have come back just now.
            self._settle_memory(self._ledger)
        return RunStatistics(
            graph=self.plan.name,
            outcome=self._outcome,
            duration_ns=self._clock.ticks_to_nanos(self._journal.tick - self._begin),
            nodes=tuple(context.node_statistics() for context in self._contexts),
            edges=edges,
            inputs=inputs,
            outputs=outputs,
            identities=account(edges, inputs, outputs),
            violations=self._journal.tally.violations(),
            paths=tuple(p for c in self._contexts for p in c.counters.path_statistics(names)),
            memory_bound_bytes=self.plan.memory_bound_bytes,
            profile=self.plan.profile,
            notes=(
                *self.plan.warnings,
                *self._notes,
                *self._clock_notes(),
                *self._memory_notes(),
            ),
            waiting=self._waiting,
            log_sha256=None if self._journal.log is None else self._journal.log.sha256,
        )

    def _clock_notes(self) -> list[str]:
        setbacks = self._journal.setbacks
        if not setbacks:
            return []
        times = "once" if setbacks == 1 else f"{setbacks} times"
        return [f"the clock went back {times}; such instants count as the last one before"]

    def _memory_notes(self) -> list[str]:
        if self._ledger is None:
            return []
        count = len(self._misuses)
        found = {0: "no misuse", 1: "1 misuse"}.get(count, f"{count} misuses")
        return [f"memory was checked: {found} found"]

    def _limits(self) -> bool:
        """Act on a stop request; whether the run is over."""
        if any(context.failures.halted for context in self._contexts):
            names = ", ".join(c.plan.name for c in self._contexts if c.failures.halted)
            self._journal.note("graph", "halt")
            self._outcome = "halted"
            self._why = f"a failure of {names}"
            self._notes.append(f"halted by {self._why}")
            return True
        if not self._stop_handle.is_stopping:
            return False
        if self._drain_until is None:
            self._stopped_at = self._points
            self._drain_until = self._journal.tick + self._drain_ticks
            for context in self._contexts:
                if context.plan.kind is NodeKind.SOURCE:
                    self._judge.end(context, "stopped")
        if self._journal.tick >= self._drain_until:
            self._why = "the drain timeout passed"
            self._notes.append(self._why)
            self._outcome = "stopped"
            return True
        return False

    def _choose(self) -> NodeIndex | None:
        while True:
            timed = None if self._policy.ranks_timed else self._due_source()
            if timed is not None:
                return timed
            changed, chosen = (
                self._judge_all() if self._policy.judges_all else self._judge_in_turn()
            )
            if chosen is not None:
                # A timed source takes no turn: one that is always due would else starve whoever
                # does not come right behind it.
                self._last = chosen
                return chosen
            if not changed:
                return None

    def _due_source(self) -> NodeIndex | None:
        """Return the timed source whose instant came first, if it can be stepped."""
        due = [
            (tick, context.plan.index)
            for context in self._contexts
            if (tick := self._due_tick(context)) is not None
        ]
        for _, index in sorted(due):
            if self._judge.judge(self._contexts[index], timed=True)[1] is not Readiness.NOT_READY:
                return index
        return None

    def _due_tick(self, context: NodeContext) -> Ticks | None:
        """Return the instant of a timed source that has come, None if it is none or has not."""
        if context.plan.kind is not NodeKind.SOURCE or context.produced_nothing:
            return None
        if self._judge.ended[context.plan.index]:
            return None
        tick = context.next_due()
        return tick if tick is not None and tick <= self._journal.tick else None

    def _judge_in_turn(self) -> tuple[bool, NodeIndex | None]:
        """Judge from the node after the last one up to the first that can be stepped."""
        changed = False
        count = len(self._contexts)
        for offset in range(1, count + 1):
            context = self._contexts[(self._last + offset) % count]
            moved, readiness = self._judge.judge(context, timed=False)
            changed = changed or moved
            if readiness is not Readiness.NOT_READY:
                return changed, context.plan.index
        return changed, None

    def _judge_all(self) -> tuple[bool, NodeIndex | None]:
        """Judge every node in index order and let the policy choose."""
        changed = False
        candidates: list[NodeSummary] = []
        for context in self._contexts:
            due = self._due_tick(context) if self._policy.ranks_timed else None
            moved, readiness = self._judge.judge(context, timed=due is not None)
            changed = changed or moved
            if readiness is not Readiness.NOT_READY:
                candidates.append(self._judge.summarise(context, readiness, due))
        return changed, self._policy.select_next(candidates).index if candidates else None

    def _step_node(self, index: NodeIndex) -> StepResult | YieldUntil | None:
        """Step a node; what that came to, None if it raised."""
        context = self._contexts[index]
        context.counters.steps += 1
        self._journal.steps += 1
        self._journal.note(context.plan.name, "step")
        if self._ledger is not None:
            tracks = context.plan.kind is not NodeKind.MODEL
            self._ledger.begin(context.plan.name, tracks=tracks)
        before = Before.of(context)
        taken = before.taken
        try:
            context.begin_step()
            taken = context.taken
            if self._judge.held_back[index]:
                self._judge.held_back[index] = False
                context.plan.node.resumed(self._journal.tick)
            result = context.plan.node.step(context)
        except Exception as error:
            context.step_failed(error, taken)
            self._settle_failures(context)
            return None
        return self._finish_step(context, result, before, taken)

    def _finish_step(
        self, context: NodeContext, result: object, before: Before, taken: int
    ) -> StepResult | YieldUntil:
        """Do what the result of a step asks for; what the step came to.

        Args:
            context: The node's.
            result: What its step returned.
            before: Its counts ahead of the step.
            taken: What it had taken once its latches were refreshed.
        """
        if context.made > before.made or context.counters.errors > before.errors:
            # Something came, be it nothing that could be read: more may be there.
            self._idle_polls = 0
        took = context.taken > taken
        if not isinstance(result, (StepResult, YieldUntil)) or (
            isinstance(result, YieldUntil) and type(result.tick) is not int
        ):
            context.step_returned(result)
            result = StepResult.MADE_PROGRESS
        if context.variant_came_to is not None:
            result = context.variant_came_to
        if took and result in (StepResult.NO_INPUT, StepResult.BACKPRESSURED):
            context.step_contradicts(result)
        if self._settle_failures(context):
            return result
        match result:
            case StepResult.TERMINAL:
                reason = "end_of_stream" if context.ended_stream else "terminal"
                self._judge.end(context, reason)
                return result
            case YieldUntil(tick=tick):
                context.asleep_until = tick
        # Asleep it cannot spin; it is ready at its instant, whoever moves time there.
        idle = context.taken == before.taken and context.asleep_until <= self._journal.tick
        if context.links and idle and context.plan.period_ticks is None:
            # It was ready and took nothing, not even a latch's newer value: it would spin.
            context.produced_nothing = True
        return result

    def _settle_failures(self, context: NodeContext) -> bool:
        """Restart or end a node whose failures ask for it: that outranks what its step returned."""
        if context.failures.quiesced:
            self._judge.end(context, "quiesced")
        elif context.failures.restarting:
            context.restart()
        else:
            return False
        return True

    def _wait(self) -> bool:
        """Sleep to the earliest due instant; False where there is none: a deadlock."""
        due = self._due_instants()
        polled = [
            context.plan.kind is NodeKind.SOURCE
            and context.produced_nothing
            and not self._judge.ended[context.plan.index]
            for context in self._contexts
        ]
        if not due and (not any(polled) or is_stuck(self._contexts, self._judge.ended, polled)):
            self._report_deadlock()
            return False
        if any(polled):
            first, most = IDLE_POLL_NS
            wait_ns = min(first << min(self._idle_polls, 16), most)
            due.append(self._journal.tick + self._clock.duration_to_ticks(wait_ns))
            self._idle_polls += 1
        if self._drain_until is not None:
            due.append(self._drain_until)
        if self._clock.stands_still:
            raise LifecycleError(
                f"the graph waits for an instant and {type(self._clock).__name__} stands still",
                remedy="run it on MonotonicClock or SimClock",
            )
        self._clock.wait_until(Ticks(min(due)))
        self._journal.sample()
        for context in self._contexts:
            context.produced_nothing = False
        return True

    def _due_instants(self) -> list[int]:
        """Return the instants ahead at which something becomes due by itself."""
        now = self._journal.tick
        due: list[int | None] = [*self._liveness.due(self._judge.ended)]
        for context in self._contexts:
            if self._judge.ended[context.plan.index]:
                continue
            due.append(context.asleep_until)
            if context.plan.period_ticks is not None:
                due.append(context.period_due)
            if context.plan.kind is NodeKind.SOURCE:
                due.append(context.next_due())
            due += [link.closing_tick for link in context.flows]
        return [tick for tick in due if tick is not None and tick > now]

    def _report_deadlock(self) -> None:
        self._outcome = "deadlocked"
        self._journal.note("graph", "deadlock")
        self._waiting = who_waits(self._contexts, self._judge.ended)
        self._why = chain(self._waiting)
        self._notes.append(f"deadlock: {self._why}")

    def _release(self) -> None:
        """Stop every started node, also when one of them fails to."""
        self._state = _State.STOPPED
        for context in self._started:
            for part in context.plan.parts:
                try:
                    part.stop()
                    part.reset()
                except Exception as error:
                    text = f"{context.plan.name} failed to stop: {describe_error(error)}"
                    self._notes.append(text)
                    _log.warning("%s", text)
                    if self._outcome in ("completed", "stopped"):
                        # What a sink could not flush is lost, however well all else went.
                        self._outcome = "failed"
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
