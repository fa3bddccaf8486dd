"""Faults of time: slow, stalled, a clock that leaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from limen.io import Disturbed
from limen.node import (
    Node,
    NodeKind,
    Produced,
    SourceNode,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.scheduling import EdgePlan, Plan
from limen.testing._clock import DrillClock
from limen.testing._feed import Feed
from limen.testing._stand import Tap
from limen.testing.drills._fault import Fault, Mark
from limen.testing.drills._judge import Outcome
from limen.types import Ticks, format_ns

_LOOK_NS: Final = 1_000_000


class SlowNode(Fault):
    """Every call of a node takes so long."""

    def __init__(self, name: str, cost_ns: int) -> None:
        self._name = name
        self._cost_ns = cost_ns

    def plan(self, plan: Plan) -> Plan:
        """Declare the cost, behind the back of everything that was decided with the old one."""
        nodes = tuple(
            dataclasses.replace(node, sim_cost_ticks=self._cost_ns)
            if node.name == self._name
            else node
            for node in plan.nodes
        )
        return dataclasses.replace(plan, nodes=nodes)

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Note the calls."""
        return {self._name: _MarkedCalls(mark)}

    def missed(self, run: Outcome) -> str:
        """A node that is never called is never slow."""
        if run.happened_ns:
            return ""
        return f"{self._name!r} was never called; feed more messages, or lengthen duration=…"


class _MarkedCalls(Tap):
    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def call(self, process: Callable[[], object]) -> object:
        self._mark()
        return process()


class ClockJump(Fault):
    """The graph's clock leaps ahead."""

    def __init__(self, by_ns: int, at_ns: int, plan: Plan) -> None:
        self._by_ns = by_ns
        self._at_ns = at_ns
        self._plan = plan

    def clock(self, stop_at: int) -> DrillClock:
        """Return a clock that leaps."""
        return DrillClock(stop_at, leap_at=self._at_ns, leap_ns=self._by_ns)

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Have recordings go on where they were: no device makes what nobody lived through."""
        sources = [node for node in self._plan.nodes if node.kind is NodeKind.SOURCE]
        return {node.name: _GoesOn(clock) for node in sources}

    def missed(self, run: Outcome) -> str:
        """The run may have ended before."""
        if run.happened_ns:
            return ""
        return (
            f"the run ended at {format_ns(run.statistics.duration_ns)}, before the leap at "
            f"{format_ns(self._at_ns)}; give an earlier at=…, or more duration=…"
        )


class _GoesOn(Tap):
    def __init__(self, clock: DrillClock) -> None:
        self._clock = clock
        self._node: Node | None = None
        self._resumed = False

    def begin(self, node: Node) -> None:
        self._node = node

    def due(self, due: Ticks | None) -> Ticks | None:
        if self._clock.leapt_at is None or self._resumed or not isinstance(self._node, SourceNode):
            return due
        self._resumed = True
        source = self._node.source
        held = source.source if isinstance(source, Disturbed) else source
        if held.pausable or isinstance(held, Feed):
            held.resumed(self._clock.now_ticks())
        return self._node.next_due()


class SourceClockJump(Fault):
    """The clock that a source states its instants by jumps, either way."""

    def __init__(self, name: str, by_ns: int, at_ns: int) -> None:
        self._name = name
        self._by_ns = by_ns
        self._at_ns = at_ns

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Shift what it states."""
        return {self._name: _Shifted(self._by_ns, self._at_ns, mark)}

    def missed(self, run: Outcome) -> str:
        """A source that states no instants has no clock that could jump."""
        if run.happened_ns:
            return ""
        return (
            f"{self._name!r} stated no instant at or behind {format_ns(self._at_ns)}; name a "
            f"source that gives creation_tick or deadline_ns, or an earlier at=…"
        )


class _Shifted(Tap):
    def __init__(self, by_ns: int, at_ns: int, mark: Mark) -> None:
        self._by_ns = by_ns
        self._at = at_ns
        self._mark = mark

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        made = make(now)
        if now < self._at or not isinstance(made, Produced):
            return made
        created, deadline = made.creation_tick, made.deadline_ns
        if created is None and deadline is None:
            return made
        self._mark()
        return msgspec.structs.replace(
            made,
            creation_tick=None if created is None else Ticks(created + self._by_ns),
            deadline_ns=None if deadline is None else deadline + self._by_ns,
        )


class FullQueue(Fault):
    """The consumer of an edge takes nothing until the queue has been full, then goes on."""

    def __init__(self, edge: EdgePlan, plan: Plan) -> None:
        self._edge = edge
        self._consumer = plan.nodes[edge.consumer.node]
        self._port = self._consumer.inputs[edge.consumer.port].name

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Stall the consumer."""
        return {self._consumer.name: _Stall(self._port, clock, mark)}

    def missed(self, run: Outcome) -> str:
        """Too little may have come to fill it."""
        if run.happened_ns:
            return ""
        edge = run.statistics.edges[self._edge.index]
        return (
            f"{edge.name} was never full: {edge.peak} of {edge.capacity} messages at most while "
            f"{self._consumer.name!r} stalled; feed more, or lengthen duration=…"
        )


class _Stall(Tap):
    def __init__(self, port: str, clock: DrillClock, mark: Mark) -> None:
        self._port = port
        self._clock = clock
        self._mark = mark
        self._was_full = False

    def instead(self, ctx: StepContext) -> StepResult | YieldUntil | None:
        if self._was_full or self._clock.is_stopping:
            return None
        occupancy, front = ctx.in_occupancy(self._port), ctx.in_peek_header(self._port)
        caps = ctx.in_policy(self._port).caps
        size = 0 if front is None else front.payload_size_bytes
        if not caps.fits(occupancy.items, occupancy.size_bytes, size):
            self._was_full = True
            self._mark()
            return None
        return YieldUntil(Ticks(ctx.now_ticks + _LOOK_NS))
