"""The Plan: everything an executor needs to know, decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from limen.edge import EdgeFactory
from limen.errors import Code, GraphError
from limen.memory import Placement
from limen.node import Node, NodeKind, NodePorts
from limen.policy import (
    ActivationRule,
    BatchingTicks,
    Degrade,
    EdgePolicy,
    ErrorAction,
    FreshnessTicks,
    OverBudgetAction,
    Periodic,
    Trigger,
)
from limen.telemetry import TelemetrySwitches
from limen.types import (
    CriticalityClass,
    EdgeIndex,
    NodeIndex,
    PayloadSpec,
    PortId,
    PortIndex,
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
        freshness: How old what it presents may be.
        gap_ticks: Longest silence; None for no limit.
        requires_deadline: Whether what has no deadline is dropped.
        drops_late: Whether what is expired or infeasible is dropped.
        budget_ns: What a call is expected to take, for infeasibility.
        needs_degrade_allowed: Whether the variant may be given only what allows it.
        is_trigger: Whether it alone makes its node step.
    """

    name: str
    spec: PayloadSpec
    edge: EdgeIndex | None
    batching: BatchingTicks
    required: bool
    freshness: FreshnessTicks = field(default_factory=FreshnessTicks)
    gap_ticks: int | None = None
    requires_deadline: bool = False
    drops_late: bool = False
    budget_ns: int = 0
    needs_degrade_allowed: bool = False
    is_trigger: bool = False


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
        failsafes: How many of a step's are none but a failsafe's: a step that fails behind its
            calls emits one beside their results.
        in_turn: Whether its slots go round: batches are made here, or taken from here.
    """

    name: str
    spec: PayloadSpec
    edges: tuple[EdgeIndex, ...]
    depth: int
    staging: int
    max_emit: int
    failsafes: int = 0
    in_turn: bool = True

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
        ring: How it is stored, as in the entry-point group ``limen.edges``: ``static``, ``heap``,
            ``priority2``, or what the policy names.
        make: What makes it.
        hold: Most messages that its consumer holds.
        initial: Payloads of initial tokens; they make it a feedback edge.
        placement: Whether its consumer can use payloads where they lie.
    """

    index: EdgeIndex
    name: str
    producer: PortId
    consumer: PortId
    policy: EdgePolicy
    default_ns: int | None
    slack_ns: int
    ring: str
    make: EdgeFactory
    hold: int
    initial: tuple[object, ...]
    placement: Placement = Placement.ZERO_COPY

    @property
    def is_feedback(self) -> bool:
        """Whether it closes a cycle."""
        return bool(self.initial)


@dataclass(frozen=True, slots=True)
class MessagePlan:
    """A declared message: a default, or what is emitted in place of a failed result.

    Attributes:
        port: The output it goes to.
        payload: As that output emits it.
        quiesce: Whether the node ends then.
    """

    port: PortIndex
    payload: object
    quiesce: bool = False


@dataclass(frozen=True, slots=True)
class DegradePlan:
    """A cheaper variant, and when it is called.

    Attributes:
        variant: What is called.
        rule: When it is.
        sim_cost_ticks: What one call of it costs a simulated clock.
    """

    variant: Node
    rule: Degrade
    sim_cost_ticks: int


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """How a node that fails is restarted.

    Attributes:
        max: Most restarts within ``per_ticks``.
        per_ticks: Window in which they count.
        backoff_ticks: Rest after the first; doubles with each.
    """

    max: int
    per_ticks: int
    backoff_ticks: int


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """How long a call may take.

    Attributes:
        tick_budget: Soft limit in ticks; None for none.
        watchdog: Hard limit in ticks; None for none.
        action: What takes the place of a call or its result; None to count only.
    """

    tick_budget: int | None = None
    watchdog: int | None = None
    action: OverBudgetAction | MessagePlan | DegradePlan | None = None


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
        period_ticks: Distance of its instants, where it is periodic; None otherwise.
        budget: How long a call may take.
        step_gap_ticks: Longest time between steps; None for no limit.
        clock_offset_ticks: Of a source, what is added to the instants that it states.
        clock_offset_ns: The same in nanoseconds.
        interval_ns: Of a source, the shortest time between its messages, as its policy declares.
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
    activation: ActivationRule
    sim_cost_ticks: int
    criticality: CriticalityClass
    on_error: ErrorAction | MessagePlan | RestartPlan
    owns_input: bool
    memory_bytes: int
    period_ticks: int | None = None
    budget: BudgetPlan = field(default_factory=BudgetPlan)
    step_gap_ticks: int | None = None
    clock_offset_ticks: int = 0
    clock_offset_ns: int = 0
    interval_ns: int | None = None

    @property
    def error_action(self) -> str:
        """Name of what a failed call does, as the decision log has it."""
        match self.on_error:
            case ErrorAction() as action:
                return action.value
            case MessagePlan():
                return "emit_failsafe"
            case RestartPlan():
                return "restart"
            case unreachable:
                assert_never(unreachable)

    @property
    def variant(self) -> Node | None:
        """The cheaper variant, if there is one."""
        action = self.budget.action
        return action.variant if isinstance(action, DegradePlan) else None

    @property
    def parts(self) -> tuple[Node, ...]:
        """What is started and stopped for it: the node, and its variant where there is one."""
        return (self.node,) if self.variant is None else (self.node, self.variant)


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
        switches: Which parts of the telemetry there are; the others need no code.
    """

    name: str
    nodes: tuple[NodePlan, ...]
    edges: tuple[EdgePlan, ...]
    scheduler: str
    tick_rate_hz: int
    warnings: tuple[str, ...]
    switches: TelemetrySwitches = field(default_factory=TelemetrySwitches)

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
            limits = (port.freshness.max_age, port.freshness.max_span_age, port.gap_ticks)
            _require(all(t is None or t > 0 for t in limits), port.name, "limit in ticks")
        _require_node(node)
        for number, output in enumerate(node.outputs):
            edges = [plan.edges[e] for e in output.edges]
            sizes = [(edge.policy.caps.max_items, edge.hold) for edge in edges]
            wanted = slot_depth(sizes, output.staging)
            _require(output.depth == wanted, f"{node.name}.{output.name}", "depth")
            _require(
                output.staging - output.failsafes >= output.max_emit >= 1, output.name, "staging"
            )
            for edge in edges:
                _require(edge.producer == (position, number), output.name, "producer")
    for position, edge in enumerate(plan.edges):
        _require(edge.index == position, edge.name, "edge index")
        _require(len(edge.initial) <= edge.policy.caps.max_items, edge.name, "initial tokens")


def _require_node(node: NodePlan) -> None:
    periodic = isinstance(node.activation, Periodic)
    _require(periodic == (node.period_ticks is not None), node.name, "period")
    _require(node.period_ticks is None or node.period_ticks > 0, node.name, "period")
    triggers = [port.is_trigger for port in node.inputs].count(True)
    _require(triggers == isinstance(node.activation, Trigger), node.name, "trigger")
    budget = node.budget
    _require(budget.action is None or budget.tick_budget is not None, node.name, "budget")
    for declared in (budget.action, node.on_error):
        if isinstance(declared, MessagePlan):
            _require(declared.port < len(node.outputs), node.name, "declared message")


def _require(holds: bool, place: str, what: str) -> None:
    if not holds:
        raise GraphError(f"plan: {what} of {place} is inconsistent", code=Code.INVALID_INDEX)
