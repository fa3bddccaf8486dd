"""From a verified graph to a Plan."""

from __future__ import annotations

from limen.edge import EdgeFactory, HeapRing, Priority2, StaticRing
from limen.errors import Code, GraphError
from limen.graph import (
    Fallback,
    NodeSpec,
    VerifiedGraph,
    acceptance_of,
    activation_of,
    effective_batch,
    is_left_out,
)
from limen.memory import decide_placement
from limen.node import Node, NodeKind, NodePorts, Port
from limen.platform import PlatformClock
from limen.policy import (
    BatchingTicks,
    DefaultOnTimeout,
    Degrade,
    EdgePolicy,
    EmitFailsafe,
    ErrorAction,
    OnMiss,
    OverBudgetAction,
    Periodic,
    Restart,
    Trigger,
)
from limen.scheduling._plan import (
    BudgetPlan,
    DegradePlan,
    EdgePlan,
    InputPlan,
    MessagePlan,
    NodePlan,
    OutputPlan,
    Plan,
    RestartPlan,
    slot_depth,
    verify_plan,
)
from limen.telemetry import TelemetrySwitches
from limen.types import (
    EdgeIndex,
    NodeIndex,
    ObjectSpec,
    PayloadSpec,
    PortId,
    PortIndex,
    TensorSpec,
    parse_duration_ns,
    require_type,
)


def lower(
    graph: VerifiedGraph, clock: PlatformClock, switches: TelemetrySwitches | None = None
) -> Plan:
    """Convert times to the clock's ticks, size every manager and number every edge.

    Called once before an executor is made; everything that depends on the graph alone is decided
    here.

    Args:
        graph: What to lower.
        clock: Of the same tick rate as the run's.
        switches: What there is of the telemetry; the default if not given.

    Raises:
        ConfigurationError: ``switches`` is of another type.
    """
    on = TelemetrySwitches() if switches is None else switches
    require_type("switches", on, TelemetrySwitches, "give TelemetrySwitches")
    count = len(graph.spec.nodes)
    inputs = [_inputs(graph, NodeIndex(i), clock) for i in range(count)]
    plan = Plan(
        name=graph.spec.name,
        nodes=tuple(_node(graph, NodeIndex(i), inputs, clock) for i in range(count)),
        edges=tuple(_edge(graph, EdgeIndex(i), inputs, clock) for i in range(len(graph.links))),
        scheduler=graph.spec.scheduler,
        tick_rate_hz=clock.tick_rate_hz,
        warnings=graph.warnings,
        switches=on,
    )
    verify_plan(plan)
    return plan


def _inputs(graph: VerifiedGraph, index: NodeIndex, clock: PlatformClock) -> tuple[InputPlan, ...]:
    spec = graph.spec.nodes[index]
    edges = {consumer: EdgeIndex(e) for e, (_, consumer) in enumerate(graph.links)}
    inputs = []
    for number, port in enumerate(graph.ports[index].inputs):
        edge = edges.get(PortId(index, PortIndex(number)))
        batching = BatchingTicks()
        if edge is not None:
            policy = graph.spec.edges[edge].policy
            # A latch is no queue: it presents one value, whatever its node does with the others.
            if not policy.is_latch:
                most = effective_batch(spec, policy.caps)
                batching = spec.policy.batching.in_ticks(clock, most)
        required = not is_left_out(spec, graph.ports[index], PortIndex(number))
        inputs.append(_input(spec, port, edge, batching, clock, required=required))
    return tuple(inputs)


def _input(
    spec: NodeSpec,
    port: Port,
    edge: EdgeIndex | None,
    batching: BatchingTicks,
    clock: PlatformClock,
    *,
    required: bool,
) -> InputPlan:
    policy = spec.policy
    deadline = policy.deadline_rule
    return InputPlan(
        port.name,
        port.spec,
        edge,
        batching,
        required=required,
        freshness=policy.freshness_of(port.name).in_ticks(clock),
        gap_ticks=_ticks(clock, policy.max_gap_ns_of(port.name)),
        requires_deadline=deadline.require,
        drops_late=deadline.on_miss is OnMiss.DROP,
        budget_ns=clock.ticks_to_nanos(_ticks(clock, policy.budget_rule.tick_budget_ns) or 0),
        needs_degrade_allowed=policy.needs_degrade_allowed(port.name),
        is_trigger=activation_of(spec) == Trigger(port.name),
    )


def _whole_ticks_ns(clock: PlatformClock, ns: int | None) -> int | None:
    """Return a policy's time as the clock can tell it, in the unit of deadlines."""
    ticks = _ticks(clock, ns)
    return None if ticks is None else clock.ticks_to_nanos(ticks)


def _ticks(clock: PlatformClock, ns: int | None) -> int | None:
    return None if ns is None else clock.duration_to_ticks(ns)


def _edge(
    graph: VerifiedGraph,
    index: EdgeIndex,
    inputs: list[tuple[InputPlan, ...]],
    clock: PlatformClock,
) -> EdgePlan:
    producer, consumer = graph.links[index]
    nodes, spec = graph.spec.nodes, graph.spec.edges[index]
    out = graph.ports[producer.node].outputs[producer.port]
    into = graph.ports[consumer.node].inputs[consumer.port].name
    deadline = nodes[consumer.node].policy.deadline_rule
    ring, make = _ring(graph, spec.policy, out.spec)
    return EdgePlan(
        index=index,
        name=f"{nodes[producer.node].name}.{out.name} -> {nodes[consumer.node].name}.{into}",
        producer=producer,
        consumer=consumer,
        policy=spec.policy,
        default_ns=_whole_ticks_ns(clock, deadline.default_ns),
        slack_ns=_whole_ticks_ns(clock, deadline.slack_ns) or 0,
        ring=ring,
        make=make,
        hold=inputs[consumer.node][consumer.port].batching.max_items,
        initial=graph.initial[index],
        placement=decide_placement(
            acceptance_of(nodes[consumer.node], graph.ports[consumer.node].inputs[consumer.port]),
            out.memory,
        ),
    )


def _ring(
    graph: VerifiedGraph, policy: EdgePolicy, payload: PayloadSpec
) -> tuple[str, EdgeFactory]:
    """Return the ring that a policy names, else the one that suits lanes and payload."""
    if policy.ring is not None:
        return policy.ring, graph.rings[policy.ring]
    # These are what our entry points name; without looking there, a graph that names none needs no
    # package metadata.
    if policy.lanes == 2:
        return "priority2", Priority2
    return ("static", StaticRing) if isinstance(payload, TensorSpec) else ("heap", HeapRing)


def _node(
    graph: VerifiedGraph,
    index: NodeIndex,
    inputs: list[tuple[InputPlan, ...]],
    clock: PlatformClock,
) -> NodePlan:
    spec = graph.spec.nodes[index]
    ports = graph.ports[index]
    batch = max((port.batching.max_items for port in inputs[index]), default=1)
    calls = 1 if spec.node.takes_windows else batch
    outputs = []
    for number, port in enumerate(ports.outputs):
        edges = [
            EdgeIndex(e)
            for e, (producer, _) in enumerate(graph.links)
            if producer == (index, number)
        ]
        sizes = [
            (graph.spec.edges[e].policy.caps.max_items, _hold(graph, e, inputs)) for e in edges
        ]
        failsafe, most = graph.failsafes[index], spec.node.max_emit
        beside = int(failsafe is not None and failsafe.port == number)
        staging = calls * most + beside
        depth = slot_depth(sizes, staging)
        in_turn = calls > 1 or any(hold > 1 for _, hold in sizes)
        outputs.append(
            OutputPlan(port.name, port.spec, tuple(edges), depth, staging, most, beside, in_turn)
        )
    activation = activation_of(spec)
    offset_ns = graph.spec.clock_offsets_ns.get(spec.node.clock_domain or 0, 0)
    if spec.node.clock_domain is None:
        offset_ns = 0
    state_bytes = spec.node.state_bytes + (0 if spec.variant is None else spec.variant.state_bytes)
    return NodePlan(
        index=index,
        name=spec.name,
        node=spec.node,
        kind=spec.node.kind,
        ports=ports,
        inputs=inputs[index],
        outputs=tuple(outputs),
        activation=activation,
        sim_cost_ticks=clock.duration_to_ticks(spec.policy.sim_cost_ns),
        criticality=spec.policy.criticality,
        on_error=_on_error(spec, graph.failsafes[index], clock),
        owns_input=any(isinstance(port.spec, TensorSpec) for port in ports.inputs)
        and any(isinstance(port.spec, ObjectSpec) for port in ports.outputs),
        memory_bytes=state_bytes + _batch_bytes(spec, ports, inputs[index]),
        period_ticks=clock.duration_to_ticks(activation.period_ns)
        if isinstance(activation, Periodic)
        else None,
        budget=_budget(spec, graph.defaults[index], clock),
        step_gap_ticks=_ticks(clock, spec.policy.max_step_gap_ns),
        clock_offset_ticks=clock.nanos_to_ticks(offset_ns),
        clock_offset_ns=offset_ns,
        interval_ns=spec.policy.interval_ns,
    )


def _budget(spec: NodeSpec, default: Fallback | None, clock: PlatformClock) -> BudgetPlan:
    budget = spec.policy.budget_rule
    action: OverBudgetAction | MessagePlan | DegradePlan | None = None
    match budget.action:
        case OverBudgetAction() as action:
            pass
        case Degrade() as rule if spec.variant is not None:
            cost = clock.duration_to_ticks(parse_duration_ns(rule.sim_cost, what="sim_cost"))
            action = DegradePlan(spec.variant, rule, cost)
        case DefaultOnTimeout() if default is not None:
            action = MessagePlan(default.port, default.payload)
    return BudgetPlan(
        _ticks(clock, budget.tick_budget_ns), _ticks(clock, budget.watchdog_ns), action
    )


def _on_error(
    spec: NodeSpec, failsafe: Fallback | None, clock: PlatformClock
) -> ErrorAction | MessagePlan | RestartPlan:
    match spec.policy.on_error:
        case ErrorAction() as action:
            return action
        case EmitFailsafe(quiesce=quiesce) if failsafe is not None:
            return MessagePlan(failsafe.port, failsafe.payload, quiesce)
        case Restart(max=most, per=per, backoff=backoff):
            per_ns = parse_duration_ns(per, what="per")
            rest = clock.duration_to_ticks(parse_duration_ns(backoff, what="backoff"))
            return RestartPlan(most, clock.duration_to_ticks(per_ns), rest)
    raise GraphError(f"plan: {spec.name} has no failsafe message", code=Code.INVALID_INDEX)


def _hold(graph: VerifiedGraph, edge: int, inputs: list[tuple[InputPlan, ...]]) -> int:
    consumer = graph.links[edge][1]
    return inputs[consumer.node][consumer.port].batching.max_items


def gather_items(node: Node, batch: int) -> int:
    """Return the items of the buffers for batches whose slots are not neighbours; 0 for none."""
    if node.kind is NodeKind.MODEL:
        return max(batch, node.fixed_batch or 1)
    return batch if node.takes_windows and batch > 1 else 0


def _batch_bytes(spec: NodeSpec, ports: NodePorts, inputs: tuple[InputPlan, ...]) -> int:
    if not inputs:
        return 0
    items = gather_items(spec.node, inputs[0].batching.max_items)
    sides = ports.inputs + (ports.outputs if spec.node.kind is NodeKind.MODEL else ())
    specs = [p.spec for p in sides if isinstance(p.spec, TensorSpec)]
    return items * sum(spec.size_bytes for spec in specs if spec.is_fixed)
