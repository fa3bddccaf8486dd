"""From a Plan to what C needs of it: every count, place and name, decided."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from limen.codegen.c99._forms import NodeC, form_of
from limen.codegen.c99._refusals import require_portable
from limen.node import NodeKind
from limen.platform import PlatformClock
from limen.platform.contract import NS_PER_SECOND
from limen.policy import Activation, AdmissionPolicy, ErrorAction, OverBudgetAction, Trigger
from limen.scheduling import DegradePlan, EdgePlan, InputPlan, MessagePlan, NodePlan, Plan
from limen.scheduling import RestartPlan as Restart
from limen.types import TensorSpec

POLLS_NS = (1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000, 20_000_000)
"""How long an idle graph waits before it asks a source without a schedule again, one by one."""


@dataclass(frozen=True, slots=True)
class EdgeC:
    """An edge, and where its entries lie in the pool of the graph.

    Attributes:
        plan: The edge.
        into: The input it ends at.
        port: Number of the output it begins at, over all nodes.
        fits: With fewer waiting, one more fits.
        hard: From here on it is full.
        soft: From here on it is under pressure.
        ring: Its first entry in the pool.
        room: Entries of its ring, of each lane.
        lanes: Whether urgent messages have a lane of their own.
        hold: The first entry of what its consumer holds.
        hold_room: How many those are.
        stage: Its first place among what is staged.
        stage_room: How many those are.
    """

    plan: EdgePlan
    into: InputPlan
    port: int
    fits: int
    hard: int
    soft: int
    ring: int
    room: int
    lanes: bool
    hold: int
    hold_room: int
    stage: int
    stage_room: int


@dataclass(frozen=True, slots=True)
class PortC:
    """An output and its slots.

    Attributes:
        node: The node.
        name: ``node_port``, the member of the state where its payloads lie.
        spec: What a slot holds.
        first: Its first slot, over all outputs.
        depth: How many there are.
        edges: Its edges, in connect order.
        out_edges: Where they begin in the list of all outgoing edges.
        max_emit: Most messages that one call emits here.
    """

    node: int
    name: str
    spec: TensorSpec
    first: int
    depth: int
    edges: tuple[int, ...]
    out_edges: int
    max_emit: int

    @property
    def elements(self) -> int:
        """Elements of a payload."""
        return int(np.prod(self.spec.fixed_shape, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Declared:
    """A payload that the graph declares.

    Attributes:
        node: Whose.
        failsafe: Whether it stands for a failed call, not for one over budget.
        port: The output it goes to, over all nodes.
        values: Its elements.
    """

    node: int
    failsafe: bool
    port: int
    values: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class GraphC:
    """A graph as C needs it.

    Attributes:
        plan: What it was made of.
        name: The prefix of all its names.
        nodes: By index.
        edges: By index.
        ports: All outputs, by node and port.
        entries: Entries of all rings and holds.
        staged: Places of all that can be staged.
        slots: Slots of all outputs.
        restarts: Restarts that count at a time, over all nodes.
        declared: Payloads that it declares.
        deadlines: Whether messages carry deadlines of their own.
        ages: Whether messages carry age limits of their own.
    """

    plan: Plan
    name: str
    nodes: tuple[NodeC, ...]
    edges: tuple[EdgeC, ...]
    ports: tuple[PortC, ...]
    entries: int
    staged: int
    slots: int
    restarts: int
    declared: tuple[Declared, ...]
    deadlines: bool
    ages: bool

    def ports_of(self, node: int) -> list[PortC]:
        """Return the outputs of a node, in declared order."""
        return [port for port in self.ports if port.node == node]

    def edges_into(self, node: int) -> list[EdgeC]:
        """Return the edges that end at a node, by input."""
        found = [edge for edge in self.edges if edge.plan.consumer.node == node]
        return sorted(found, key=lambda edge: edge.plan.consumer.port)

    @property
    def features(self) -> dict[str, bool]:
        """What of the support header the graph needs."""
        edges, nodes = self.edges, [node.plan for node in self.nodes]
        deltas = any(e.into.batching.delta_ticks is not None for e in edges)
        defaults = any(e.plan.default_ns is not None for e in edges)
        joins = any(node.shape == "JOIN" for node in self.nodes)
        freshness = any(not e.into.freshness.is_none for e in edges)
        degrades = any(isinstance(n.budget.action, DegradePlan) for n in nodes)
        budgets = degrades or any(
            n.budget.tick_budget is not None or n.budget.watchdog is not None for n in nodes
        )
        aware = AdmissionPolicy.DEADLINE_AND_QOS_AWARE
        liveness = any(e.into.gap_ticks is not None for e in edges)
        switches = self.plan.switches
        return {
            "DEADLINES": self.deadlines,
            "AGES": self.ages,
            "COUNTS": switches.counters,
            "TIMES": switches.counters and switches.histograms,
            "PUSHED": deltas or defaults or joins or switches.histograms,
            "MARKS": any(e.into.freshness.delivers for e in edges),
            "LANES": any(e.lanes for e in edges),
            "LIVENESS": liveness or any(n.step_gap_ticks is not None for n in nodes),
            "PERIODS": any(n.period_ticks is not None for n in nodes),
            "DEGRADES": degrades,
            "SOURCES": any(n.kind is NodeKind.SOURCE for n in nodes),
            "STAGES": any(e.plan.policy.admission is AdmissionPolicy.BLOCK for e in edges),
            "AWARE": any(e.plan.policy.admission is aware for e in edges),
            "EXPIRES": any(e.into.requires_deadline or e.into.drops_late for e in edges),
            "BUDGETS": budgets,
            "FRESHNESS": freshness,
            "DELTAS": deltas,
            "BATCHES": deltas
            or any(e.into.batching.max_items > 1 and not e.plan.policy.is_latch for e in edges),
            "LATCHES": any(e.plan.policy.is_latch for e in edges),
            "LATENESS": defaults or self.deadlines,
            "WINDOWS": any(node.shape == "WINDOW" for node in self.nodes),
            "MODELS": any(node.shape == "MODEL" for node in self.nodes),
            "JOINS": joins,
            "RESTARTS": any(isinstance(n.on_error, Restart) for n in nodes),
            "DECLARED": bool(self.declared),
            "RESUMES": any(node.resumes for node in self.nodes),
        }

    @property
    def most_emits(self) -> int:
        """Most messages that one call emits, over all outputs of its node."""
        most = [1]
        for index, node in enumerate(self.nodes):
            count = sum(port.max_emit for port in self.ports_of(index))
            if node.shape == "MODEL":
                count = max(count, self._items(node))
            most.append(count)
        return max(most)

    @property
    def most_items(self) -> int:
        """Most items that one call of a model is given."""
        return max([1, *(self._items(node) for node in self.nodes if node.shape == "MODEL")])

    @property
    def most_inputs(self) -> int:
        """Most inputs of a node."""
        return max([1, *(len(node.plan.inputs) for node in self.nodes)])

    @staticmethod
    def _items(node: NodeC) -> int:
        return node.plan.inputs[0].batching.max_items


def lower(
    plan: Plan, clock: PlatformClock, *, stated: Sequence[str] = (), prefix: str | None = None
) -> GraphC:
    """Decide all that the C of a graph needs.

    Args:
        plan: The graph.
        clock: Converts durations to its ticks.
        stated: What the application's sources may state of a message: ``deadline``, ``max_age``.
        prefix: What all names begin with; the graph's name if not given.

    Raises:
        GraphError: Something in it has no C form; all that has none is named at once.
    """
    graph_name = c_name(plan.name) if prefix is None else prefix
    block = AdmissionPolicy.BLOCK
    blocking = {e.producer.node for e in plan.edges if e.policy.admission is block}
    nodes = tuple(
        replace(node, resumes=node.resumes and node.plan.index in blocking)
        for node in require_portable(plan, clock, partial(form_of, prefix=graph_name))
    )
    ports, out_edges = [], 0
    first = 0
    for node in plan.nodes:
        for output in node.outputs:
            if not isinstance(output.spec, TensorSpec):
                continue
            name = f"{node.name}_{output.name}"
            edges = tuple(int(edge) for edge in output.edges)
            ports.append(
                PortC(
                    int(node.index),
                    name,
                    output.spec,
                    first,
                    output.depth,
                    edges,
                    out_edges,
                    output.max_emit,
                )
            )
            first += output.depth
            out_edges += len(edges)
    number = {(p.node, place): i for i, (p, place) in enumerate(_placed(ports))}
    edges_c: list[EdgeC] = []
    entries = staged = 0
    for edge in plan.edges:
        into = plan.nodes[edge.consumer.node].inputs[edge.consumer.port]
        port = number[(int(edge.producer.node), int(edge.producer.port))]
        fits, hard, soft = _caps(edge, ports[port].spec.size_bytes)
        lanes = edge.ring == "priority2"
        room = max(fits, 1)
        output = plan.nodes[edge.producer.node].outputs[edge.producer.port]
        blocks = edge.policy.admission is AdmissionPolicy.BLOCK
        stage_room = output.staging if blocks else 0
        hold = entries + room * (2 if lanes else 1)
        # What is purged passes through the hold, behind what is there already.
        hold_room = edge.hold + 1
        edges_c.append(
            EdgeC(
                edge,
                into,
                port,
                fits,
                hard,
                soft,
                entries,
                room,
                lanes,
                hold,
                hold_room,
                staged,
                stage_room,
            )
        )
        entries = hold + hold_room
        staged += stage_room
    restarts = sum(n.on_error.max for n in plan.nodes if isinstance(n.on_error, Restart))
    states = set(stated)
    for node_c in nodes:
        states |= set(node_c.states)
    return GraphC(
        plan,
        graph_name,
        nodes,
        tuple(edges_c),
        tuple(ports),
        entries,
        staged,
        first,
        restarts,
        tuple(_declared(plan, number)),
        "deadline" in states,
        "max_age" in states,
    )


def c_name(name: str) -> str:
    """Return what the names of a graph begin with in C."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "graph"
    return plain if plain[0].isalpha() and not plain.startswith("limen") else f"graph_{plain}"


def _placed(ports: Sequence[PortC]) -> Iterator[tuple[PortC, int]]:
    counts: dict[int, int] = {}
    for port in ports:
        place = counts.get(port.node, 0)
        counts[port.node] = place + 1
        yield port, place


def _caps(edge: EdgePlan, size_bytes: int) -> tuple[int, int, int]:
    """Return caps in items: all payloads of an edge are of one size."""
    caps = edge.policy.caps
    fits = hard = caps.max_items
    soft = caps.item_mark
    if isinstance(caps.max_bytes, int) and size_bytes:
        fits = min(fits, caps.max_bytes // size_bytes)
        hard = min(hard, -(-caps.max_bytes // size_bytes))
        if isinstance(caps.soft_bytes, int):
            soft = min(soft, -(-caps.soft_bytes // size_bytes))
    return fits, hard, min(soft, hard)


def _declared(plan: Plan, number: dict[tuple[int, int], int]) -> Iterator[Declared]:
    for node in plan.nodes:
        for failsafe, message in ((False, node.budget.action), (True, node.on_error)):
            if not isinstance(message, MessagePlan):
                continue
            spec = node.outputs[message.port].spec
            if isinstance(spec, TensorSpec):
                values = np.asarray(message.payload).astype(spec.dtype.numpy_dtype())
                port = number[(int(node.index), int(message.port))]
                yield Declared(int(node.index), failsafe, port, values.reshape(-1))


def activation_name(node: NodePlan) -> str:
    """Return the activation of a node as C names it."""
    if node.period_ticks is not None:
        return "PERIODIC"
    if isinstance(node.activation, Trigger):
        return "TRIGGER"
    return "ANY" if node.activation is Activation.ANY else "ALL"


def error_name(node: NodePlan) -> str:
    """Return what a failed call of a node does as C names it."""
    match node.on_error:
        case ErrorAction.HALT_GRAPH:
            return "HALT_GRAPH"
        case ErrorAction.QUIESCE:
            return "QUIESCE"
        case MessagePlan():
            return "FAILSAFE"
        case Restart():
            return "RESTART"
        case _:
            return "CONTINUE"


def over_budget_name(node: NodePlan) -> str:
    """Return what takes the place of a call over budget as C names it."""
    match node.budget.action:
        case OverBudgetAction.DROP:
            return "DROP"
        case OverBudgetAction.SKIP_STAGE:
            return "SKIP_STAGE"
        case MessagePlan():
            return "DEFAULT"
        case DegradePlan():
            return "DEGRADE"
        case _:
            return "NOTHING"


def ns_per_tick(plan: Plan) -> int:
    """Return the ns of a tick; 0 where they are no whole number."""
    whole, rest = divmod(NS_PER_SECOND, plan.tick_rate_hz)
    return 0 if rest else whole
