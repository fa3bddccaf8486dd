"""Faults of time and of quantity: slow, silent, too much, full, a clock that leaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import msgspec

from limen.io import Disturbed
from limen.node import (
    Node,
    NodeKind,
    Produced,
    SourceNode,
    SourceSignal,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.scheduling import EdgePlan, Plan
from limen.testing._clock import DrillClock
from limen.testing._feed import Feed
from limen.testing._stand import Tap, kept
from limen.testing.drills._judge import Outcome
from limen.testing.drills._rig import Fault, Mark
from limen.types import Ticks, format_ns

_HOUR_NS = 3_600_000_000_000
_LOOK_NS = 1_000_000


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


class FrozenSource(Fault):
    """A source gives nothing any more behind some messages, for ever or for a time."""

    def __init__(self, name: str, after: int, thaw_ns: int | None) -> None:
        self._name = name
        self._after = after
        self._thaw_ns = thaw_ns

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Freeze it."""
        return {self._name: _Freeze(self._after, self._thaw_ns, clock, mark)}

    def missed(self, run: Outcome) -> str:
        """A source that ends before freezes nothing."""
        if run.happened_ns:
            return ""
        return (
            f"{self._name!r} never froze: it gave fewer than {self._after} messages, or ended with "
            f"them; freeze it after fewer, or feed more"
        )


class _Freeze(Tap):
    def __init__(self, after: int, thaw_ns: int | None, clock: DrillClock, mark: Mark) -> None:
        self._left = after
        self._thaw_ns = thaw_ns
        self._clock = clock
        self._mark = mark
        self._node: Node | None = None
        self._frozen = False
        self._until: int | None = None
        # The message with which it was found frozen; it comes first behind the thaw.
        self._withheld: Produced | None = None

    def begin(self, node: Node) -> None:
        self._node = node

    def due(self, due: Ticks | None) -> Ticks | None:
        # A frozen device has no next instant; one far ahead spares the run asking in vain.
        if self._frozen and self._until is None:
            return Ticks(self._clock.now_ticks() + _HOUR_NS)
        return due if self._withheld is None or self._until is None else Ticks(self._until)

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        if self._frozen and (self._until is None or now < self._until):
            return SourceSignal.NOTHING_NOW
        if self._withheld is not None:
            withheld, self._withheld = self._withheld, None
            if self._node is not None:
                # Told only where it can be held back: its schedule waits as well.
                self._node.resumed(now)
            return withheld
        made = make(now)
        if not isinstance(made, Produced) or self._frozen:
            return made
        if self._left:
            self._left -= 1
            return made
        self._frozen = True
        self._mark()
        if self._thaw_ns is not None:
            self._until = now + self._thaw_ns
        self._withheld = msgspec.structs.replace(made, payload=kept(made.payload))
        return SourceSignal.NOTHING_NOW


class Burst(Fault):
    """A source gives many messages more at one instant."""

    def __init__(self, name: str, count: int, at_ns: int) -> None:
        self._name = name
        self._count = count
        self._at_ns = at_ns

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Add them."""
        return {self._name: _More(self._count, self._at_ns, clock, mark)}

    def missed(self, run: Outcome) -> str:
        """The source, or the run, may have ended before."""
        if len(run.happened_ns) >= self._count:
            return ""
        return (
            f"{len(run.happened_ns)} of {self._count} messages came: the run lasted "
            f"{format_ns(run.statistics.duration_ns)}, the burst was for {format_ns(self._at_ns)}; "
            f"give an earlier at=…, or more duration=…"
        )


class _More(Tap):
    def __init__(self, count: int, at_ns: int, clock: DrillClock, mark: Mark) -> None:
        self._left = count
        self._at = at_ns
        self._clock = clock
        self._mark = mark
        self._last: Produced | None = None
        self._ended = False

    def due(self, due: Ticks | None) -> Ticks | None:
        if not self._left or self._last is None:
            return due
        if due is None and not self._ended:
            # An untimed source stays untimed until the burst is due.
            return None if self._clock.now_ticks() < self._at else Ticks(self._at)
        return Ticks(self._at if self._ended or due is None else min(due, self._at))

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        if self._left and now >= self._at and self._last is not None:
            self._left -= 1
            self._mark()
            return msgspec.structs.replace(self._last, creation_tick=None)
        if self._ended:
            return SourceSignal.NOTHING_NOW if self._left else SourceSignal.END_OF_STREAM
        made = make(now)
        if isinstance(made, Produced):
            self._last = msgspec.structs.replace(made, payload=kept(made.payload))
        elif made is SourceSignal.END_OF_STREAM and self._left and self._last is not None:
            self._ended = True
            return SourceSignal.NOTHING_NOW
        return made


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
