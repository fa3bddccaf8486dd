"""Stands: take the places of nodes in a Plan, look at what passes, and do to it what is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from limen.message import BatchView, Message
from limen.node import (
    LookingContext,
    Node,
    NodePorts,
    PushOutcome,
    Skip,
    StandIn,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.platform import PlatformClock
from limen.scheduling import DegradePlan, NodePlan, Plan
from limen.types import Ticks

Given = Sequence[tuple[str, Message]]
"""What one call was handed: input port and message of each."""


class Tap:
    """What is done to one node during one run; by itself nothing. Subclasses override what they do.

    Called by the node's stand, in the thread of the run.
    """

    def begin(self, node: Node) -> None:
        """Told which node it is put on, ahead of the run."""

    def due(self, due: Ticks | None) -> Ticks | None:
        """Return the next instant of a source, given its own."""
        return due

    def instead(self, ctx: StepContext) -> StepResult | YieldUntil | None:
        """Return what a step comes to in which the node is not asked; None to step it."""
        return None

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        """Return what a source is taken to have made."""
        return make(now)

    def call(self, process: Callable[[], object]) -> object:
        """Make a call of the node, and return what it is taken to have returned."""
        return process()

    def wrote(self, out: NDArray[np.generic]) -> None:
        """See, and change, what a model wrote: one entry an item."""

    def push(self, port: str, message: Message) -> Message:
        """Return what the node is taken to have pushed."""
        return message


class Listener:
    """Told what one node did in a run; by itself it keeps nothing."""

    def given(self, given: Given) -> None:
        """Told what a call was handed that used it."""

    def failed(self, error: Exception) -> None:
        """Told what a call or a step raised."""

    def stepped(self, result: StepResult | YieldUntil) -> None:
        """Told what a step came to."""


class Stand(StandIn):
    """Takes a node's place in a Plan; an executor sees no difference but for what the tap does.

    Args:
        plan: Of the node.
        tap: What is done to it.
        listener: Who is told.
    """

    def __init__(self, plan: NodePlan, tap: Tap, listener: Listener) -> None:
        tap.begin(plan.node)
        super().__init__(plan.node, plan.ports)
        self.plan = plan
        self.tap = tap
        self.listener = listener

    @property
    def state_bytes(self) -> int:
        """The node's."""
        return self._node.state_bytes

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Pass it on."""
        self._node.initialize(clock, ports)

    def start(self, now: Ticks) -> None:
        """Pass it on."""
        self._node.start(now)

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        """Step the node in a context that the tap sits in, unless the tap has it left alone."""
        instead = self.tap.instead(ctx)
        if instead is not None:
            return instead
        try:
            result = self._node.step(_TappedContext(ctx, self))
        except Exception as error:
            self.listener.failed(error)
            raise
        self.listener.stepped(result)
        return result

    def called(self, process: Callable[[], object], given: Given) -> object:
        """Make one call back into the node."""
        try:
            result = self.tap.call(process)
        except Exception as error:
            self.listener.failed(error)
            raise
        if not isinstance(result, Skip):
            self.listener.given(given)
        return result

    def produced(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        """Ask a source once."""
        try:
            return self.tap.produce(now, make)
        except Exception as error:
            self.listener.failed(error)
            raise

    def adopt(self) -> str | None:
        """Ask the node."""
        return self._node.adopt()

    def load_failure(self) -> str | None:
        """Ask the node."""
        return self._node.load_failure()

    def on_watchdog_timeout(self) -> None:
        """Tell the node."""
        self._node.on_watchdog_timeout()

    def stop(self) -> None:
        """Pass it on."""
        self._node.stop()

    def reset(self) -> None:
        """Pass it on."""
        self._node.reset()

    def select_input(self, ready: Sequence[str]) -> str:
        """Ask the node."""
        return self._node.select_input(ready)

    def next_due(self) -> Ticks | None:
        """Return the node's next instant, or the one that the tap makes of it."""
        return self.tap.due(self._node.next_due())

    def resumed(self, now: Ticks) -> None:
        """Tell the node."""
        self._node.resumed(now)


class _TappedContext(LookingContext):
    """A step context whose calls back into the node go through its stand."""

    def __init__(self, ctx: StepContext, stand: Stand) -> None:
        super().__init__(ctx)
        self._stand = stand

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        called = self._stand.called
        return self._ctx.pop_and_process(
            port, lambda message: called(lambda: process(message), [(port, message)])
        )

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        names = [port.name for port in self._stand.plan.inputs]

        def call(messages: tuple[Message | None, ...]) -> object:
            pairs = zip(names, messages, strict=True)
            given = [(name, message) for name, message in pairs if message is not None]
            return self._stand.called(lambda: process(messages), given)

        return self._ctx.pop_joined_and_process(call)

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        return self._ctx.pop_window_and_process(
            port, lambda batch: self._stand.called(lambda: process(batch), _items(port, batch))
        )

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        def call(batch: BatchView, out: NDArray[np.generic]) -> None:
            self._stand.called(lambda: process(batch, out), _items(port, batch))
            self._stand.tap.wrote(out[: len(batch.headers)])

        return self._ctx.pop_batch_and_process(port, call)

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        return self._ctx.produce(port, lambda now: self._stand.produced(now, try_produce))

    def push_output(self, port: str, message: Message) -> PushOutcome:
        return super().push_output(port, self._stand.tap.push(port, message))


def with_stands(plan: Plan, make: Callable[[NodePlan], Node]) -> Plan:
    """Return a Plan in which others stand in the places of nodes; variants stay what they are."""
    nodes = tuple(dataclasses.replace(node, node=make(node)) for node in plan.nodes)
    return dataclasses.replace(plan, nodes=nodes)


def with_parts(plan: Plan, part: Callable[[Node], Node]) -> Plan:
    """Return a Plan of other nodes and other variants."""
    nodes = []
    for node in plan.nodes:
        budget, action = node.budget, node.budget.action
        if isinstance(action, DegradePlan):
            own = dataclasses.replace(action, variant=part(action.variant))
            budget = dataclasses.replace(budget, action=own)
        nodes.append(dataclasses.replace(node, node=part(node.node), budget=budget))
    return dataclasses.replace(plan, nodes=tuple(nodes))


def kept(payload: object) -> object:
    """Return what stays as it is behind the call that it is valid in."""
    return payload.copy() if isinstance(payload, np.ndarray) else payload


def _items(port: str, batch: BatchView) -> Given:
    """Return the messages of a batch; of one filled up, those that are messages."""
    payloads = batch.payloads
    return [(port, Message(header, payloads[i])) for i, header in enumerate(batch.headers)]
