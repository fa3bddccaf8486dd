"""The Plan: everything an executor needs to know, decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limen.errors import Code, GraphError
from limen.node import Node, NodeKind, NodePorts
from limen.policy import Activation, BatchingTicks, EdgePolicy, ErrorAction
from limen.types import (
    CriticalityClass,
    EdgeIndex,
    NodeIndex,
    PayloadSpec,
    PortId,
    TensorSpec,
)


@dataclass(frozen=True, slots=True)
class InputPlan:
    """An input port and the edge that ends there.

    Attributes:
        name: The port.
        spec: What arrives.
        edge: The edge; None where an optional input is not connected.
        batching: How what arrives is grouped.
        required: Whether a join waits for it.
    """

    name: str
    spec: PayloadSpec
    edge: EdgeIndex | None
    batching: BatchingTicks
    required: bool


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """An output port, the edges that begin there, and its manager's slots.

    Attributes:
        name: The port.
        spec: What a slot holds.
        edges: In connect order.
        depth: Slots: Σ over edges (max_items + hold) + staging + 1.
        staging: Most messages that one step emits here, and that can be staged on an edge.
        max_emit: Most messages that one call emits here.
    """

    name: str
    spec: PayloadSpec
    edges: tuple[EdgeIndex, ...]
    depth: int
    staging: int
    max_emit: int

    @property
    def memory_bytes(self) -> int:
        """Payload bytes of all slots; 0 for objects held by reference."""
        return self.depth * self.spec.size_bytes if isinstance(self.spec, TensorSpec) else 0


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """An edge.

    Attributes:
        index: Its number, in connect order.
        name: ``producer.port -> consumer.port``.
        producer: Output port.
        consumer: Input port.
        policy: Caps and admission.
        default_ns: The consumer's default deadline.
        slack_ns: The consumer's slack.
        ring: How it is stored: ``static``, ``heap`` or ``priority2``.
        hold: Most messages that its consumer holds.
        initial: Payloads of initial tokens; they make it a feedback edge.
    """

    index: EdgeIndex
    name: str
    producer: PortId
    consumer: PortId
    policy: EdgePolicy
    default_ns: int | None
    slack_ns: int
    ring: str
    hold: int
    initial: tuple[object, ...]

    @property
    def is_feedback(self) -> bool:
        """Whether it closes a cycle."""
        return bool(self.initial)


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node with its policies in ticks.

    Attributes:
        index: Its number, in the order of ``add``.
        name: The user's name for it.
        node: The implementation.
        kind: What it is to the graph.
        ports: Typed ports.
        inputs: In declared order.
        outputs: In declared order.
        activation: Which inputs a step needs.
        sim_cost_ticks: What one call costs a simulated clock.
        criticality: Its class.
        on_error: What a failed call does.
        owns_input: Whether it is handed copies of tensors: what it emits are objects, which may
            keep a view of its input longer than the slot is its own.
        memory_bytes: What the node and its batches preallocate.
    """

    index: NodeIndex
    name: str
    node: Node
    kind: NodeKind
    ports: NodePorts
    inputs: tuple[InputPlan, ...]
    outputs: tuple[OutputPlan, ...]
    activation: Activation
    sim_cost_ticks: int
    criticality: CriticalityClass
    on_error: ErrorAction
    owns_input: bool
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A verified graph, lowered: the only thing runtimes and code generation receive.

    Attributes:
        name: The graph's name.
        nodes: By index.
        edges: By index.
        scheduler: Name of the dequeue policy.
        tick_rate_hz: Rate of the clock that times were converted for.
        warnings: What is legal and probably not meant.
    """

    name: str
    nodes: tuple[NodePlan, ...]
    edges: tuple[EdgePlan, ...]
    scheduler: str
    tick_rate_hz: int
    warnings: tuple[str, ...]

    @property
    def memory_bound_bytes(self) -> int:
        """Payload bytes that the graph preallocates and never exceeds."""
        slots = sum(port.memory_bytes for node in self.nodes for port in node.outputs)
        return slots + sum(node.memory_bytes for node in self.nodes)

    @property
    def profile(self) -> str:
        """The least the graph needs: ``static``, or ``heap`` where a port carries objects."""
        specs = [port.spec for node in self.nodes for port in node.outputs]
        return "static" if all(isinstance(spec, TensorSpec) for spec in specs) else "heap"


def slot_depth(edges: Sequence[tuple[int, int]], staged: int) -> int:
    """Return the depth rule of SPEC 3: Σ (max_items + hold) + staging + 1."""
    return sum(items + hold for items, hold in edges) + staged + 1


def verify_plan(plan: Plan) -> None:
    """Check what every Plan must satisfy; a failure is a defect of whoever lowered it.

    Raises:
        GraphError: INVALID_INDEX, naming the place.
    """
    for position, node in enumerate(plan.nodes):
        _require(node.index == position, node.name, "node index")
        for number, port in enumerate(node.inputs):
            if port.edge is not None:
                edge = plan.edges[port.edge]
                _require(edge.consumer == (position, number), edge.name, "consumer")
                _require(edge.hold >= port.batching.max_items, edge.name, "hold")
            _require(1 <= port.batching.stride <= port.batching.max_items, port.name, "stride")
        for number, output in enumerate(node.outputs):
            edges = [plan.edges[e] for e in output.edges]
            sizes = [(edge.policy.caps.max_items, edge.hold) for edge in edges]
            wanted = slot_depth(sizes, output.staging)
            _require(output.depth == wanted, f"{node.name}.{output.name}", "depth")
            _require(output.staging >= output.max_emit >= 1, output.name, "staging")
            for edge in edges:
                _require(edge.producer == (position, number), output.name, "producer")
    for position, edge in enumerate(plan.edges):
        _require(edge.index == position, edge.name, "edge index")
        _require(len(edge.initial) <= edge.policy.caps.max_items, edge.name, "initial tokens")


def _require(holds: bool, place: str, what: str) -> None:
    if not holds:
        raise GraphError(f"plan: {what} of {place} is inconsistent", code=Code.INVALID_INDEX)
