"""How much work the declared rates and costs make: by node, by message, and in the long run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from limen.node import NodeKind
from limen.policy import Activation, AdmissionPolicy, OverBudgetAction, Trigger
from limen.scheduling._plan import DegradePlan, EdgePlan, InputPlan, NodePlan, Plan

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Stream:
    """What is known of the messages over an output.

    Attributes:
        rate: Most messages a tick in the long run; None where nobody declares it.
        steady: Fewest messages a tick in the long run, 0 where they may fail to come.
        origin: The source whose messages it passes on, each once, in order, without a loss; None
            where that is not so.
        ratio: Messages here for each message of that source.
        unknown: The source or node whose rate is not declared; empty where ``rate`` is known.
    """

    rate: Fraction | None
    steady: Fraction = _ZERO
    origin: int | None = None
    ratio: Fraction = Fraction(1)
    unknown: str = ""


@dataclass(slots=True)
class NodeLoad:
    """What one node has to do.

    Attributes:
        name: The node.
        calls: Calls a tick in the long run, at most; None where that is not known.
        cost_ticks: What a call takes, by its declaration.
        step_ticks: What a step takes at most.
        arriving: What comes in, by input port; None where nothing is connected.
        leaving: What goes out, by output port.
    """

    name: str
    calls: Fraction | None
    cost_ticks: int
    step_ticks: int
    arriving: list[Stream | None] = field(default_factory=list)
    leaving: list[Stream] = field(default_factory=list)

    @property
    def utilisation(self) -> Fraction | None:
        """Share of the time that it takes."""
        if self.cost_ticks == 0:
            return _ZERO
        return None if self.calls is None else self.calls * self.cost_ticks


class Load:
    """The work that a plan's sources make, by what they and the nodes declare.

    A call is taken to last as long as its budget or its simulated cost, whichever is longer (of a
    node with a variant, the longer of both forms). Every call emits at most what its node declares.

    Args:
        plan: The graph.
        full: Edges without BLOCK that never overflow, and so lose nothing; none are taken to.
    """

    def __init__(self, plan: Plan, full: frozenset[int] = frozenset()) -> None:
        self.plan = plan
        self.never_full = full
        self.order = _order(plan)
        self.nodes = [_empty(node) for node in plan.nodes]
        for index in self.order:
            self._visit(index)
        # Work in ticks that one message brings about, by edge.
        self._work: dict[int, Fraction] = {}

    @property
    def unknown(self) -> str:
        """Who leaves the utilisation unknown, as a node's name; empty where it is known."""
        for node, load in zip(self.plan.nodes, self.nodes, strict=True):
            if load.utilisation is None:
                streams = [s for s in (*load.arriving, *load.leaving) if s is not None]
                names = [s.unknown for s in streams if s.unknown]
                return names[0] if names else node.name
        return ""

    @property
    def utilisation(self) -> Fraction | None:
        """Share of the time that all nodes take together; None where a rate is not declared."""
        shares = [load.utilisation for load in self.nodes]
        known = [share for share in shares if share is not None]
        return sum(known, _ZERO) if len(known) == len(shares) else None

    @property
    def backlog_ticks(self) -> Fraction:
        """Work that can lie ready at once, beyond what comes at the declared rates."""
        return sum((self._burst(node) for node in self.plan.nodes), _ZERO)

    @property
    def busy_ticks(self) -> Fraction | None:
        """Longest time without an idle instant; None where it has no end, or is not known.

        Whoever is stepped first, all work that lies ready at an instant is done by then, because no
        executor idles while something can be stepped.
        """
        share = self.utilisation
        if share is None or share >= 1 or self.held_back:
            return None
        return self.backlog_ticks / (1 - share)

    @property
    def held_back(self) -> str:
        """Name of a BLOCK edge that may stay full while nothing can be stepped; empty if none may.

        What it holds back comes in a burst later: then nothing is said of how long work lasts.
        """
        for edge in self.plan.edges:
            if edge.policy.admission is not AdmissionPolicy.BLOCK or edge.is_feedback:
                continue
            node = self.plan.nodes[edge.consumer.node]
            trigger = isinstance(node.activation, Trigger)
            extra = trigger and not node.inputs[edge.consumer.port].is_trigger
            joins = node.activation is Activation.ALL and len(node.inputs) > 1
            if extra or node.period_ticks is not None or (joins and not self.pairs_up(node)):
                return edge.name
        return ""

    def work_of(self, edge: EdgePlan) -> Fraction:
        """Return the work in ticks that one message brings about, all behind the edge included."""
        found = self._work.get(edge.index)
        if found is None:
            # A loop is left where it comes round: its token is taken by a call that counts anyway.
            self._work[edge.index] = _ZERO
            found = self._work[edge.index] = self._work_into(edge)
        return found

    def work_from(self, node: NodePlan) -> Fraction:
        """Return the work that what one call emits brings about."""
        return sum(
            (
                output.max_emit * self.work_of(self.plan.edges[e])
                for output in node.outputs
                for e in output.edges
            ),
            _ZERO,
        )

    def loses(self, edge: EdgePlan) -> bool:
        """Whether messages may be lost on an edge, on either side."""
        into = self.plan.nodes[edge.consumer.node].inputs[edge.consumer.port]
        blocks = edge.policy.admission is AdmissionPolicy.BLOCK
        aware = edge.policy.admission is AdmissionPolicy.DEADLINE_AND_QOS_AWARE
        kept = blocks or (edge.index in self.never_full and not aware)
        return not kept or may_purge(into)

    # Streams, in the order of the graph.

    def _visit(self, index: int) -> None:
        node, load = self.plan.nodes[index], self.nodes[index]
        for port, into in enumerate(node.inputs):
            load.arriving[port] = self._over(into)
        rate, passed = self._calls(node, load)
        load.calls = rate
        for port in range(len(node.outputs)):
            load.leaving.append(self._leaving(node, port, rate, passed))

    def _over(self, into: InputPlan) -> Stream | None:
        """Return what arrives over the edge of an input; a feedback edge brings nothing new."""
        if into.edge is None:
            return None
        edge = self.plan.edges[into.edge]
        if edge.is_feedback:
            return None
        leaving = self.nodes[edge.producer.node].leaving
        stream = leaving[edge.producer.port]
        if self.loses(edge):
            return Stream(stream.rate, unknown=stream.unknown)
        return stream

    def _calls(self, node: NodePlan, load: NodeLoad) -> tuple[Fraction | None, Stream]:
        """Return the most calls a tick, and the stream that the calls follow."""
        if node.kind is NodeKind.SOURCE:
            interval = node.node.interval_ns()
            given = node.interval_ns if interval is None else interval
            if given is None:
                return None, Stream(None, unknown=node.name)
            rate = 1_000_000_000 / (Fraction(given) * self.plan.tick_rate_hz)
            steady = rate if interval is not None else _ZERO
            return rate, Stream(rate, steady, node.index)
        if node.period_ticks is not None:
            rate = Fraction(1, node.period_ticks)
            return rate, Stream(rate)
        flows = self._flows(node, load)
        if isinstance(node.activation, Trigger):
            flows = [flow for flow in flows if node.inputs[flow[0]].is_trigger]
        if node.activation is Activation.ANY:
            merged = _merged([stream for _, stream in flows])
            return self._batched(node, flows, merged)
        required = [stream for port, stream in flows if node.inputs[port].required]
        streams = required or [stream for _, stream in flows]
        return self._batched(node, flows, _slowest(streams))

    def _flows(self, node: NodePlan, load: NodeLoad) -> list[tuple[int, Stream]]:
        found = []
        for port, stream in enumerate(load.arriving):
            edge = node.inputs[port].edge
            if stream is None or edge is None:
                continue
            if self.plan.edges[edge].policy.is_latch and not node.inputs[port].is_trigger:
                continue
            found.append((port, stream))
        return found

    def _batched(
        self, node: NodePlan, flows: Sequence[tuple[int, Stream]], stream: Stream
    ) -> tuple[Fraction | None, Stream]:
        """Turn messages into calls, for nodes that take a batch in one."""
        whole = node.node.takes_windows or node.kind is NodeKind.MODEL
        if not whole or not flows or stream.rate is None:
            return stream.rate, stream
        batching = node.inputs[flows[0][0]].batching
        items = batching.stride if node.node.takes_windows else batching.max_items
        calls = stream.rate / items
        if batching.delta_ticks is not None:
            # What time closes goes out short, at most once in so many ticks.
            calls = min(stream.rate, calls + Fraction(1, batching.delta_ticks))
        return calls, stream

    def _leaving(self, node: NodePlan, port: int, calls: Fraction | None, passed: Stream) -> Stream:
        emits = node.outputs[port].max_emit
        if node.kind is NodeKind.SOURCE:
            return passed
        if calls is None or passed.rate is None:
            return Stream(None, unknown=passed.unknown)
        one_to_one = node.node.one_to_one and not may_discard(node) and len(node.outputs) == 1
        if node.kind is NodeKind.MODEL:
            rate, ratio = passed.rate, Fraction(1)
        else:
            needs = node.node.then_needs
            rate = calls * emits / needs
            ratio = Fraction(1, needs)
            if node.node.takes_windows and one_to_one:
                one_to_one = self._windows_are_even(node)
                ratio /= next(iter(node.inputs)).batching.stride
        if not one_to_one or passed.origin is None:
            return Stream(rate)
        return Stream(rate, passed.steady * ratio, passed.origin, passed.ratio * ratio)

    def _windows_are_even(self, node: NodePlan) -> bool:
        """Whether a node's windows are closed by number alone."""
        return all(port.batching.delta_ticks is None for port in node.inputs)

    # Work.

    def _work_into(self, edge: EdgePlan) -> Fraction:
        node = self.plan.nodes[edge.consumer.node]
        into = node.inputs[edge.consumer.port]
        cost = self.nodes[node.index].cost_ticks
        if edge.is_feedback or not self._counts(node, edge):
            return _ZERO
        emitted = self.work_from(node)
        if node.kind is NodeKind.MODEL:
            return Fraction(cost, into.batching.max_items) + emitted
        if node.node.takes_windows:
            return (cost + emitted) / into.batching.stride
        return cost + emitted / node.node.then_needs

    def _counts(self, node: NodePlan, edge: EdgePlan) -> bool:
        """Whether a node's calls follow an edge; of several that a join waits for, the slowest."""
        load = self.nodes[node.index]
        flows = self._flows(node, load)
        if node.period_ticks is not None or edge.consumer.port not in [port for port, _ in flows]:
            return False
        if node.activation is Activation.ANY:
            return True
        if isinstance(node.activation, Trigger):
            return node.inputs[edge.consumer.port].is_trigger
        required = [(port, s) for port, s in flows if node.inputs[port].required]
        slowest = min(
            required or flows, key=lambda one: (one[1].rate is None, one[1].rate or 0, one[0])
        )
        return slowest[0] == edge.consumer.port

    def _burst(self, node: NodePlan) -> Fraction:
        """Return the work that a node can find ready beyond what its rate explains."""
        load = self.nodes[node.index]
        emitted = self.work_from(node)
        if node.kind is NodeKind.SOURCE:
            # One message, and the call that says there are no more.
            return emitted + 2 * load.cost_ticks
        if node.period_ticks is not None:
            return emitted + load.cost_ticks
        whole = node.node.takes_windows or node.kind is NodeKind.MODEL
        batch = max((port.batching.max_items for port in node.inputs), default=1)
        timed = any(port.batching.delta_ticks is not None for port in node.inputs)
        if not whole:
            # A batch of messages that are handled one by one waits, and is done at once.
            waiting = (batch - 1) * (load.cost_ticks + emitted / node.node.then_needs)
            kept = emitted if node.node.then_needs > 1 or node.node.first_needs > 1 else _ZERO
            return waiting + kept + self._unpaired(node, load, load.cost_ticks + emitted)
        outputs = batch if node.kind is NodeKind.MODEL else 1
        return (load.cost_ticks + outputs * emitted) * (2 if timed else 1)

    def _unpaired(self, node: NodePlan, load: NodeLoad, each: Fraction) -> Fraction:
        """Return the work that messages waiting for their counterparts in a join stand for."""
        flows = self._flows(node, load)
        if node.activation is not Activation.ALL or len(flows) < 2 or self.pairs_up(node):
            return _ZERO
        edges = [node.inputs[port].edge for port, _ in flows]
        rooms = [self.plan.edges[e].policy.caps.max_items for e in edges if e is not None]
        return max(rooms) * each

    def pairs_up(self, node: NodePlan) -> bool:
        """Whether a join's required inputs bring the same messages of one source, each once."""
        streams = [
            stream
            for port, stream in self._flows(node, self.nodes[node.index])
            if node.inputs[port].required
        ]
        first = streams[0] if streams else None
        return (
            first is not None
            and first.origin is not None
            and all((s.origin, s.ratio) == (first.origin, first.ratio) for s in streams)
        )


def may_purge(into: InputPlan) -> bool:
    """Whether an input may drop messages for what they are."""
    dropping = not into.freshness.is_none and not into.freshness.delivers
    return into.requires_deadline or into.drops_late or dropping


def may_discard(node: NodePlan) -> bool:
    """Whether a node may give no result for what it takes."""
    return node.budget.action is OverBudgetAction.DROP


def cost_ticks(node: NodePlan) -> int:
    """Return what a call takes by its declaration: budget or simulated cost, the longer."""
    costs = [node.sim_cost_ticks, node.budget.tick_budget or 0]
    if isinstance(node.budget.action, DegradePlan):
        costs.append(node.budget.action.sim_cost_ticks)
    return max(costs)


def _empty(node: NodePlan) -> NodeLoad:
    cost = cost_ticks(node)
    calls = 1
    if not node.node.takes_windows and node.kind is not NodeKind.MODEL:
        calls = max((port.batching.max_items for port in node.inputs), default=1)
    return NodeLoad(node.name, None, cost, cost * calls, [None] * len(node.inputs))


def _merged(streams: Sequence[Stream]) -> Stream:
    if len(streams) == 1:
        return streams[0]
    unknown = next((s.unknown for s in streams if s.rate is None), "")
    if unknown:
        return Stream(None, unknown=unknown)
    return Stream(sum((s.rate for s in streams if s.rate is not None), _ZERO))


def _slowest(streams: Sequence[Stream]) -> Stream:
    """Return what a join can make of its inputs: no more than the slowest brings."""
    known = [s for s in streams if s.rate is not None]
    if not known:
        return Stream(None, unknown=streams[0].unknown if streams else "")
    slowest = min(known, key=lambda s: s.rate or _ZERO)
    if all((s.origin, s.ratio) == (slowest.origin, slowest.ratio) for s in streams):
        return slowest
    return Stream(slowest.rate, min((s.steady for s in streams), default=_ZERO))


def _order(plan: Plan) -> list[int]:
    """Return the nodes in an order in which producers come first; feedback does not count."""
    waits = [0] * len(plan.nodes)
    for edge in plan.edges:
        waits[edge.consumer.node] += not edge.is_feedback
    ready = [node.index for node in plan.nodes if not waits[node.index]]
    order: list[int] = []
    while ready:
        index = ready.pop(0)
        order.append(index)
        for output in plan.nodes[index].outputs:
            for e in output.edges:
                edge = plan.edges[e]
                if not edge.is_feedback:
                    waits[edge.consumer.node] -= 1
                    if not waits[edge.consumer.node]:
                        ready.append(edge.consumer.node)
    return order
