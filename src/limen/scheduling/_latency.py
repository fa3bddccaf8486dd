"""How old a result can be, at most, where rates and costs are as declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from limen.node import NodeKind
from limen.policy import Activation, AdmissionPolicy, Trigger
from limen.scheduling._load import Load, Stream, may_purge
from limen.scheduling._plan import EdgePlan, InputPlan, NodePlan, Plan

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Bound:
    """How old what comes from one source can be, in ticks; None is unbounded.

    Attributes:
        since: Age at the last instant at which it had to wait for something else than its turn: all
            that is ready then is done a busy period later.
        age: Age at the end of the call.
        why: Why there is no bound; empty where there is one.
    """

    since: Fraction | None
    age: Fraction | None
    why: str = ""


class Latency:
    """Bounds of ages behind every node, by source.

    Two arguments are used, whichever says less. A message that has become ready is done by the end
    of the busy period, whoever is stepped first. And round robin steps a node that stays ready
    within a turn, so that a message waits for as many turns as messages fit ahead of it. Limits of
    age and deadlines that drop what exceeds them bound both.

    Args:
        load: The plan's work.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.plan: Plan = load.plan
        self.busy = load.busy_ticks
        self.turn = self._turn()
        self._bounds: list[dict[int, Bound]] = [{} for _ in self.plan.nodes]
        for index in load.order:
            self._bounds[index] = self._behind(self.plan.nodes[index])

    def at(self, node: NodePlan) -> dict[int, Bound]:
        """Return the bounds at the end of a node's call, by index of the source."""
        return self._bounds[node.index]

    def fill_ticks(self, node: NodePlan, into: InputPlan) -> tuple[Fraction | None, str]:
        """Return how long a message can wait for its batch to fill, and why that has no bound."""
        batching = into.batching
        if batching.is_none:
            return _ZERO, ""
        if batching.delta_ticks is not None:
            return Fraction(batching.delta_ticks), ""
        needs = batching.max_items - 1
        stream = self._stream(node, into)
        if needs == 0:
            return _ZERO, ""
        if stream is None or stream.steady == 0:
            return None, (
                f"the batch of {batching.max_items} at {node.name}.{into.name} waits for messages "
                f"that may not come: give it a delta_t"
            )
        if self.busy is None:
            return None, self._why_not_busy()
        return needs / stream.steady + self.busy, ""

    def _turn(self) -> Fraction | None:
        """Return the longest time round robin takes from one step of a ready node to the next."""
        if self.plan.scheduler != "round_robin" or self.load.held_back:
            return None
        first, burst, rest = _ZERO, _ZERO, _ZERO
        for node, load in zip(self.plan.nodes, self.load.nodes, strict=True):
            if node.kind is NodeKind.SOURCE:
                if load.calls is None:
                    return None
                # A source that is due takes no turn: it comes first.
                first += load.calls * load.cost_ticks
                burst += 2 * load.cost_ticks
            else:
                rest += load.step_ticks
        return None if first >= 1 else (rest + burst) / (1 - first)

    def _why_not_busy(self) -> str:
        share = self.load.utilisation
        if self.load.held_back:
            return f"{self.load.held_back} may stay full and hold back what feeds it"
        if share is None:
            return f"the rate of {self.load.unknown} is not declared"
        return f"the utilisation is {float(share):.2f}"

    def _behind(self, node: NodePlan) -> dict[int, Bound]:
        cost = Fraction(self.load.nodes[node.index].cost_ticks)
        if node.kind is NodeKind.SOURCE:
            # A message counts from its instant; asked for late, it is late in the busy period.
            if self.busy is not None:
                return {node.index: Bound(_ZERO, self.busy)}
            age = None if self.turn is None else self.turn + cost
            return {node.index: Bound(None, age, "" if age is not None else self._why_not_busy())}
        found = self._behind_inputs(node, cost)
        if node.period_ticks is not None and (len(node.inputs) > 1 or not node.inputs[0].required):
            # A period may find nothing: what is made then begins here.
            own = Bound(None if self.busy is None else _ZERO, cost)
            return {**found, node.index: own}
        return found

    def _behind_inputs(self, node: NodePlan, cost: Fraction) -> dict[int, Bound]:
        found: dict[int, Bound] = {}
        taken: list[dict[int, Bound]] = []
        for into in node.inputs:
            edge = None if into.edge is None else self.plan.edges[into.edge]
            if edge is None or edge.is_feedback or self._is_state(node, into, edge):
                continue
            taken.append(
                {source: self._through(node, into, edge, b) for source, b in self._ahead(edge)}
            )
        if node.activation is not Activation.ANY and len(taken) > 1:
            # The result is as old as the oldest of what was taken together.
            every = [bound for bounds in taken for bound in bounds.values()]
            oldest = _oldest(every)
            return {source: oldest for bounds in taken for source in bounds}
        for bounds in taken:
            for source, bound in bounds.items():
                known = found.get(source)
                found[source] = bound if known is None else _oldest([known, bound])
        return found or self._of_state(node, cost)

    def _of_state(self, node: NodePlan, cost: Fraction) -> dict[int, Bound]:
        """Return the bounds of a node that latches alone feed: their values may be of any age."""
        found: dict[int, Bound] = {}
        for into in node.inputs:
            edge = None if into.edge is None else self.plan.edges[into.edge]
            if edge is None or edge.is_feedback:
                continue
            limit = _limit(into)
            for source, _ in self._ahead(edge):
                why = f"the latch {node.name}.{into.name} keeps its value: give it a max_age"
                bound = Bound(None, None, why)
                if limit is not None:
                    bound = Bound(limit, limit + (cost if self.busy is None else self.busy))
                known = found.get(source)
                found[source] = bound if known is None else _oldest([known, bound])
        return found

    def _is_state(self, node: NodePlan, into: InputPlan, edge: EdgePlan) -> bool:
        """Whether an input counts for the origin of results only."""
        return edge.policy.is_latch and not into.is_trigger

    def _ahead(self, edge: EdgePlan) -> list[tuple[int, Bound]]:
        return list(self._bounds[edge.producer.node].items())

    def _through(self, node: NodePlan, into: InputPlan, edge: EdgePlan, ahead: Bound) -> Bound:
        """Return the bound behind a node for what comes over one of its inputs."""
        load = self.load.nodes[node.index]
        if node.node.keeps:
            return Bound(None, None, f"{node.name} keeps messages and may answer for them later")
        waits, why = self._waits_for_others(node, into, edge)
        limit, dropping = _limit(into), self._deadline_ticks(edge, into)
        since, age = ahead.since, None
        reason = ahead.why or why
        if waits is None:
            since = None
        elif waits > 0:
            since = None if ahead.age is None else ahead.age + waits
        since = _least(since, limit)
        if dropping is not None and ahead.age is not None:
            since = _least(since, ahead.age + dropping)
        queue = self._queue_ticks(node, into, edge)
        presented = None
        if ahead.age is not None and waits is not None and queue is not None:
            presented = ahead.age + waits + queue
        if dropping is not None and ahead.age is not None:
            presented = _least(presented, ahead.age + dropping)
        presented = _least(presented, limit)
        if presented is not None:
            age = presented + load.step_ticks
        if since is not None and self.busy is not None:
            age = _least(age, since + self.busy)
        if age is not None:
            return Bound(since, age)
        return Bound(None, None, reason or self._why_queue(node, edge))

    def _why_queue(self, node: NodePlan, edge: EdgePlan) -> str:
        why, scheduler = self._why_not_busy(), self.plan.scheduler
        if scheduler != "round_robin":
            return f"{why}, and {scheduler} may never come to {node.name}"
        blocks = edge.policy.admission is AdmissionPolicy.BLOCK
        return f"{why}, and {edge.name} drops nothing" if blocks else why

    def _queue_ticks(self, node: NodePlan, into: InputPlan, edge: EdgePlan) -> Fraction | None:
        """Return how long a message waits for its turn, behind all that fit ahead of it."""
        held_up = any(
            self.plan.edges[e].policy.admission is AdmissionPolicy.BLOCK
            for output in node.outputs
            for e in output.edges
        )
        blocks = edge.policy.admission is AdmissionPolicy.BLOCK
        alone = len(node.inputs) == 1 and node.period_ticks is None
        if self.turn is None or held_up or blocks or edge.policy.lanes > 1 or not alone:
            return None
        return edge.policy.caps.max_items * self.turn

    def _waits_for_others(
        self, node: NodePlan, into: InputPlan, edge: EdgePlan
    ) -> tuple[Fraction | None, str]:
        """Return how long a message waits for something else than its turn, beyond its arrival."""
        if node.period_ticks is not None:
            return self._waits_for_period(node, edge)
        if isinstance(node.activation, Trigger) and not into.is_trigger:
            why = f"{node.name} takes {into.name} only when {node.activation.port} triggers it"
            return None, why
        if node.activation is Activation.ALL and len(node.inputs) > 1:
            return self._waits_for_partner(node, into, edge)
        return self.fill_ticks(node, into)

    def _waits_for_period(self, node: NodePlan, edge: EdgePlan) -> tuple[Fraction | None, str]:
        period = Fraction(node.period_ticks or 0)
        if self.busy is None:
            return None, self._why_not_busy()
        if edge.policy.lanes > 1:
            return None, f"{edge.name} has two lanes: what is urgent may overtake for ever"
        return edge.policy.caps.max_items * (period + self.busy), ""

    def _waits_for_partner(
        self, node: NodePlan, into: InputPlan, edge: EdgePlan
    ) -> tuple[Fraction | None, str]:
        if self.load.pairs_up(node):
            return _ZERO, ""
        if not into.required:
            why = f"{node.name} takes {into.name} only together with its other inputs"
            return None, why
        others = [
            stream
            for port, stream in self._others(node, into)
            if node.inputs[port].required and stream is not None
        ]
        if self.busy is None:
            return None, self._why_not_busy()
        if edge.policy.lanes > 1:
            return None, f"{edge.name} has two lanes: what is urgent may overtake for ever"
        slowest = min((s.steady for s in others), default=_ZERO)
        if slowest == 0:
            why = f"{node.name}.{into.name} waits for messages of other inputs that may not come"
            return None, why
        return edge.policy.caps.max_items / slowest + self.busy, ""

    def _others(self, node: NodePlan, into: InputPlan) -> list[tuple[int, Stream | None]]:
        arriving = self.load.nodes[node.index].arriving
        latches = [
            port.edge is not None and self.plan.edges[port.edge].policy.is_latch
            for port in node.inputs
        ]
        return [
            (place, arriving[place])
            for place, port in enumerate(node.inputs)
            if port is not into and not latches[place] and port.edge is not None
        ]

    def _stream(self, node: NodePlan, into: InputPlan) -> Stream | None:
        return self.load.nodes[node.index].arriving[node.inputs.index(into)]

    def _deadline_ticks(self, edge: EdgePlan, into: InputPlan) -> Fraction | None:
        """Return how long behind its push a message can still be presented; None for ever."""
        if not into.drops_late or edge.default_ns is None:
            return None
        ns = edge.default_ns + edge.slack_ns
        return Fraction(ns * self.plan.tick_rate_hz, 1_000_000_000)


def never_full(load: Load) -> frozenset[int]:
    """Return the edges without BLOCK that can never be full, by the bound of the busy period."""
    busy = load.busy_ticks
    if busy is None:
        return frozenset()
    found = set()
    for edge in load.plan.edges:
        stream = load.nodes[edge.producer.node].leaving[edge.producer.port]
        into = load.plan.nodes[edge.consumer.node].inputs[edge.consumer.port]
        steady = edge.policy.retention.value == "fifo" and edge.policy.caps.max_bytes is None
        if stream.rate is None or not steady or may_purge(into):
            continue
        node = load.plan.nodes[edge.consumer.node]
        if node.activation is not Activation.ALL or len(node.inputs) > 1 or node.period_ticks:
            continue
        emits = load.plan.nodes[edge.producer.node].outputs[edge.producer.port].staging
        most = stream.rate * busy + emits + into.batching.max_items
        if into.batching.delta_ticks is not None:
            most += stream.rate * into.batching.delta_ticks
        if most < edge.policy.caps.max_items:
            found.add(edge.index)
    return frozenset(found)


def _limit(into: InputPlan) -> Fraction | None:
    """Return the largest age that an input presents; None for any."""
    limits = [t for t in (into.freshness.max_age,) if t is not None and not into.freshness.delivers]
    return Fraction(limits[0]) if limits else None


def _least(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _oldest(bounds: Sequence[Bound]) -> Bound:
    """Return a bound that holds for whichever of them it is."""
    why = next((b.why for b in bounds if b.age is None), "")
    ages = [b.age for b in bounds]
    sinces = [b.since for b in bounds]
    age = None if None in ages else max(a for a in ages if a is not None)
    since = None if None in sinces else max(s for s in sinces if s is not None)
    return Bound(since, age, why)
