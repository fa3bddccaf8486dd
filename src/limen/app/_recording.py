"""The inputs of a run, kept in memory, and the run that they give again."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from limen.app._report import Report
from limen.app._run import check
from limen.errors import LifecycleError
from limen.graph import Graph
from limen.message import BatchView, Message
from limen.node import (
    LookingContext,
    Node,
    NodePorts,
    Output,
    Outputs,
    Produced,
    PushOutcome,
    StandIn,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.platform import MonotonicClock, PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import DegradePlan, Plan
from limen.telemetry import DecisionLog
from limen.types import Ticks

_DEPARTS: Final = "the replay asks for what the recording does not hold"


@dataclass(slots=True)
class ContextCall:
    """One call of a node into its step context.

    Attributes:
        method: Name of the context's method.
        port: The port it was given; empty where it takes none.
        outcomes: What each call back into the node returned, or the exception it raised.
        pushes: What each of them pushed meanwhile, by port.
    """

    method: str
    port: str
    outcomes: list[object] = field(default_factory=list)
    pushes: list[list[tuple[str, Message]]] = field(default_factory=list)


@dataclass(slots=True)
class StepRecord:
    """One step of one node.

    Attributes:
        calls: What it asked of its context.
        selected: The input that it chose, where any would have done, or the exception instead.
        result: What it returned, or the exception it raised.
        held_back: What it raised when told that it had been held back: then it was not stepped.
        due_before: Its next instant when the step began, of a timed source.
        due: Its next instant afterwards.
    """

    calls: list[ContextCall] = field(default_factory=list)
    selected: str | Exception | None = None
    result: object = None
    held_back: Exception | None = None
    due_before: Ticks | None = None
    due: Ticks | None = None


@dataclass(slots=True)
class Recording:
    """All that a run depended on: instants, source results, node outcomes, and the stop.

    It grows with the run, and holds what was emitted by value.

    Attributes:
        plan: What was run.
        instants: Samples of the clock, in order.
        starts: By part, what each start came to: the next instant after it, or what it raised.
        adoptions: By part, what it took over between steps, or what it raised, by how often it had
            been asked before.
        steps: By part, in order. Parts are the nodes by index, and behind them their variants.
        stopped_at: Decision point at which a stop was seen; None if none was requested.
    """

    plan: Plan
    instants: list[Ticks] = field(default_factory=list)
    starts: list[list[Ticks | Exception | None]] = field(default_factory=list)
    steps: list[list[StepRecord]] = field(default_factory=list)
    adoptions: list[dict[int, str | Exception]] = field(default_factory=list)
    stopped_at: int | None = None


class Recorder:
    """Runs a graph and records what its decisions depend on.

    Called by whoever wants to reproduce a run exactly; the graph itself runs as it would without.

    Args:
        graph: What to run.
        clock: ``SimClock()`` to simulate; real time if not given.
        log: Where decisions go.

    Raises:
        GraphError: The graph is not valid.
    """

    def __init__(
        self, graph: Graph, clock: PlatformClock | None = None, log: DecisionLog | None = None
    ) -> None:
        used = MonotonicClock() if clock is None else clock
        plan = check(graph, used)
        parts = 2 * len(plan.nodes)
        recording = Recording(
            plan,
            starts=[[] for _ in range(parts)],
            steps=[[] for _ in range(parts)],
            adoptions=[{} for _ in range(parts)],
        )
        self.recording = recording
        self.runtime = SingleThreadRuntime(
            _with_stands(plan, lambda node, part: _RecordingNode(node, part, recording, used)),
            _RecordingClock(used, self.recording.instants),
            log=log,
        )

    def run(self) -> Report:
        """Run to the end and return the accounting; then ``recording`` is complete."""
        statistics = self.runtime.run()
        self.recording.stopped_at = self.runtime.stopped_at
        return Report(statistics)


def replay(recording: Recording, log: DecisionLog | None = None) -> Report:
    """Decide a recorded run once more: its nodes are not called, and time is what it was.

    Args:
        recording: Of a run that has ended.
        log: Where decisions go; they are those of the recorded run.

    Raises:
        LifecycleError: The executor asked for something else than when it was recorded.
    """
    clock = _ReplayClock(recording)
    plan = _with_stands(recording.plan, lambda node, part: _ReplayNode(node, part, recording))
    runtime = SingleThreadRuntime(plan, clock, log=log)
    runtime.start()
    try:
        point = 0
        while True:
            if point == recording.stopped_at:
                runtime.stop_handle.request_stop()
            if not runtime.step():
                break
            point += 1
    finally:
        runtime.stop()
    return Report(runtime.statistics())


def _with_stands(plan: Plan, make: Callable[[Node, int], Node]) -> Plan:
    """Return a plan in which others stand in the places of its nodes and their variants."""
    nodes = []
    for index, node in enumerate(plan.nodes):
        budget, action = node.budget, node.budget.action
        if isinstance(action, DegradePlan):
            stand = make(action.variant, len(plan.nodes) + index)
            budget = dataclasses.replace(budget, action=dataclasses.replace(action, variant=stand))
        nodes.append(dataclasses.replace(node, node=make(node.node, index), budget=budget))
    return dataclasses.replace(plan, nodes=tuple(nodes))


class _RecordingClock(PlatformClock):
    """Another clock, whose samples are kept."""

    def __init__(self, clock: PlatformClock, instants: list[Ticks]) -> None:
        super().__init__(clock.tick_rate_hz, clock.domain)
        self._clock = clock
        self._instants = instants
        self.stands_still = clock.stands_still

    def now_ticks(self) -> Ticks:
        now = self._clock.now_ticks()
        self._instants.append(now)
        return now

    def wait_until(self, tick: Ticks) -> None:
        self._clock.wait_until(tick)

    def wake(self) -> None:
        self._clock.wake()

    def charge(self, ticks: int) -> None:
        self._clock.charge(ticks)


class _ReplayClock(PlatformClock):
    """Gives recorded samples, one a call, and never waits."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording.plan.tick_rate_hz)
        self._instants = iter(recording.instants)

    def now_ticks(self) -> Ticks:
        try:
            return next(self._instants)
        except StopIteration:
            raise LifecycleError(_DEPARTS) from None

    def wait_until(self, tick: Ticks) -> None:
        """Return at once: the next sample says when it is."""


class _Stand(StandIn):
    """Takes the place of one part of a Plan: of a node, or of a variant behind all nodes."""

    def __init__(self, node: Node, part: int, recording: Recording) -> None:
        nodes = recording.plan.nodes
        super().__init__(node, nodes[part % len(nodes)].ports)
        self._part = part
        self._recording = recording


class _RecordingNode(_Stand):
    """Lets a node work, and writes down what came of it."""

    def __init__(self, node: Node, part: int, recording: Recording, clock: PlatformClock) -> None:
        super().__init__(node, part, recording)
        self._clock = clock
        self._step = StepRecord()
        self._asked = 0

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        # A node's own looks at the clock are no samples of the executor.
        with self._noting_failures():
            self._node.initialize(self._clock, ports)

    def start(self, now: Ticks) -> None:
        with self._noting_failures():
            self._node.start(now)
        self._recording.starts[self._part].append(self._node.next_due())

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        self._step = record = StepRecord()
        record.due_before = self._node.next_due()
        self._recording.steps[self._part].append(record)
        try:
            result = self._node.step(_RecordingContext(ctx, record, self._clock))
        except Exception as error:
            record.result = error
            raise
        finally:
            record.due = self._node.next_due()
        record.result = result
        return result

    def select_input(self, ready: Sequence[str]) -> str:
        try:
            selected = self._node.select_input(ready)
        except Exception as error:
            self._step.selected = error
            raise
        self._step.selected = selected
        return selected

    def next_due(self) -> Ticks | None:
        return self._node.next_due()

    def resumed(self, now: Ticks) -> None:
        try:
            self._node.resumed(now)
        except Exception as error:
            record = StepRecord(due=self._node.next_due(), held_back=error)
            self._recording.steps[self._part].append(record)
            raise

    def adopt(self) -> str | None:
        asked, adoptions = self._asked, self._recording.adoptions[self._part]
        self._asked += 1
        try:
            adopted = self._node.adopt()
        except Exception as error:
            adoptions[asked] = error
            raise
        if adopted is not None:
            adoptions[asked] = adopted
        return adopted

    def on_watchdog_timeout(self) -> None:
        self._node.on_watchdog_timeout()

    def stop(self) -> None:
        with self._noting_failures():
            self._node.stop()

    def reset(self) -> None:
        with self._noting_failures():
            self._node.reset()

    @contextlib.contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """Keep what a part of a restart raises: wherever that was, the restart has failed."""
        try:
            yield
        except Exception as error:
            self._recording.starts[self._part].append(error)
            raise


class _ReplayNode(_Stand):
    """Does as its recording says; the node itself is not called."""

    def __init__(self, node: Node, part: int, recording: Recording) -> None:
        super().__init__(node, part, recording)
        self._starts = iter(recording.starts[part])
        self._steps = deque(recording.steps[part])
        self._asked = 0
        self._step = StepRecord()
        self._due: Ticks | None = None

    def start(self, now: Ticks) -> None:
        start = next(self._starts, None)
        if isinstance(start, Exception):
            raise start
        self._due = start

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        if not self._steps:
            raise LifecycleError(_DEPARTS)
        self._step = record = self._steps.popleft()
        self._due = record.due_before
        for call in record.calls:
            _ask_again(ctx, call, self._move_on)
        self._due = record.due
        if isinstance(record.result, Exception):
            raise record.result
        # Whatever it was: the executor judges it as it did.
        return cast("StepResult | YieldUntil", record.result)

    def adopt(self) -> str | None:
        self._asked += 1
        adopted = self._recording.adoptions[self._part].get(self._asked - 1)
        if isinstance(adopted, Exception):
            raise adopted
        return adopted

    def resumed(self, now: Ticks) -> None:
        if self._steps and (error := self._steps[0].held_back) is not None:
            self._due = self._steps.popleft().due
            raise error

    def _move_on(self) -> None:
        """Be called back: a source has its next instant then."""
        self._due = self._step.due

    def select_input(self, ready: Sequence[str]) -> str:
        if isinstance(self._step.selected, Exception):
            raise self._step.selected
        return self._step.selected or ready[0]

    def next_due(self) -> Ticks | None:
        return self._due


class _RecordingContext(LookingContext):
    """A step context that writes down what a node asks of it and answers it."""

    def __init__(self, ctx: StepContext, record: StepRecord, clock: PlatformClock) -> None:
        super().__init__(ctx)
        self._record = record
        # What the call back in progress has pushed; None outside of those.
        self._pushed: list[tuple[str, Message]] | None = None
        self._clock = clock

    @property
    def clock(self) -> PlatformClock:
        """The clock that runs: a node's own looks at it are no samples of the executor."""
        return self._clock

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        note = self._note("pop_and_process", port)
        return self._ctx.pop_and_process(port, lambda given: note(lambda: process(given)))

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        note = self._note("pop_joined_and_process", "")
        return self._ctx.pop_joined_and_process(lambda given: note(lambda: process(given)))

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        note = self._note("pop_window_and_process", port)
        return self._ctx.pop_window_and_process(port, lambda given: note(lambda: process(given)))

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        note = self._note("pop_batch_and_process", port)

        def call(batch: BatchView, out: NDArray[np.generic]) -> None:
            note(lambda: process(batch, out))

        return self._ctx.pop_batch_and_process(port, call)

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        note = self._note("produce", port)
        return self._ctx.produce(port, lambda now: note(lambda: try_produce(now)))

    def push_output(self, port: str, message: Message) -> PushOutcome:
        kept = Message(message.header, _kept(message.payload))
        if self._pushed is None:
            self._record.calls.append(ContextCall("push_output", port, [kept]))
        else:
            self._pushed.append((port, kept))
        return super().push_output(port, message)

    def _note(self, method: str, port: str) -> Callable[[Callable[[], object]], object]:
        """Open a record of a context call; return what calls back into the node and notes it."""
        call = ContextCall(method, port)
        self._record.calls.append(call)

        def noted(function: Callable[[], object]) -> object:
            pushed: list[tuple[str, Message]] = []
            self._pushed = pushed
            try:
                result = function()
            except Exception as error:
                call.outcomes.append(error)
                raise
            finally:
                self._pushed = None
                call.pushes.append(pushed)
            call.outcomes.append(_kept_result(result))
            return result

        return noted


def _ask_again(ctx: StepContext, call: ContextCall, called: Callable[[], None]) -> None:
    """Make a recorded call of the context, whose calls back find the recorded outcomes."""
    outcomes = iter(zip(call.outcomes, call.pushes, strict=True))

    def answer(*given: object) -> object:
        called()
        try:
            outcome, pushes = next(outcomes)
        except StopIteration:
            raise LifecycleError(_DEPARTS) from None
        for port, message in pushes:
            ctx.push_output(port, message)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    match call.method:
        case "pop_and_process":
            ctx.pop_and_process(call.port, answer)
        case "pop_joined_and_process":
            ctx.pop_joined_and_process(answer)
        case "pop_window_and_process":
            ctx.pop_window_and_process(call.port, answer)
        case "pop_batch_and_process":
            ctx.pop_batch_and_process(call.port, lambda batch, out: _written(answer(), out))
        case "produce":
            ctx.produce(call.port, answer)
        case _:
            message = call.outcomes[0]
            if isinstance(message, Message):
                ctx.push_output(call.port, message)


def _written(outcome: object, out: NDArray[np.generic]) -> None:
    """Stand in for a model: what it wrote is no input of any decision."""
    out[...] = 0


def _kept_result(result: object) -> object:
    """Return an outcome that stays what it is after the call."""
    match result:
        case Output(payload=payload) | Produced(payload=payload):
            return msgspec.structs.replace(result, payload=_kept(payload))
        case Outputs(messages=messages):
            kept = tuple((port, _kept(payload)) for port, payload in messages)
            return msgspec.structs.replace(result, messages=kept)
        case _:
            return result


def _kept(payload: object) -> object:
    return payload.copy() if isinstance(payload, np.ndarray) else payload
