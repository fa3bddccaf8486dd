"""From a verified graph to a Plan."""

from __future__ import annotations

from limen.graph import NodeSpec, VerifiedGraph, effective_batch
from limen.node import Node, NodeKind, NodePorts
from limen.platform import PlatformClock
from limen.policy import BatchingTicks
from limen.scheduling._plan import (
    EdgePlan,
    InputPlan,
    NodePlan,
    OutputPlan,
    Plan,
    slot_depth,
    verify_plan,
)
from limen.types import EdgeIndex, NodeIndex, ObjectSpec, PortId, PortIndex, TensorSpec


def lower(graph: VerifiedGraph, clock: PlatformClock) -> Plan:
    """Convert times to the clock's ticks, size every manager and number every edge.

    Called once before an executor is made; everything that depends on the graph alone is decided
    here.
    """
    count = len(graph.spec.nodes)
    inputs = [_inputs(graph, NodeIndex(i), clock) for i in range(count)]
    plan = Plan(
        name=graph.spec.name,
        nodes=tuple(_node(graph, NodeIndex(i), inputs, clock) for i in range(count)),
        edges=tuple(_edge(graph, EdgeIndex(i), inputs) for i in range(len(graph.links))),
        scheduler=graph.spec.scheduler,
        tick_rate_hz=clock.tick_rate_hz,
        warnings=graph.warnings,
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
        inputs.append(InputPlan(port.name, port.spec, edge, batching, not port.optional))
    return tuple(inputs)


def _edge(graph: VerifiedGraph, index: EdgeIndex, inputs: list[tuple[InputPlan, ...]]) -> EdgePlan:
    producer, consumer = graph.links[index]
    nodes, spec = graph.spec.nodes, graph.spec.edges[index]
    out = graph.ports[producer.node].outputs[producer.port]
    into = graph.ports[consumer.node].inputs[consumer.port].name
    deadline = nodes[consumer.node].policy.deadline_rule
    ring = "static" if isinstance(out.spec, TensorSpec) else "heap"
    return EdgePlan(
        index=index,
        name=f"{nodes[producer.node].name}.{out.name} -> {nodes[consumer.node].name}.{into}",
        producer=producer,
        consumer=consumer,
        policy=spec.policy,
        default_ns=deadline.default_ns,
        slack_ns=deadline.slack_ns,
        ring="priority2" if spec.policy.lanes == 2 else ring,
        hold=inputs[consumer.node][consumer.port].batching.max_items,
        initial=graph.initial[index],
    )


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
        staging = calls * spec.node.max_emit
        depth = slot_depth(sizes, staging)
        outputs.append(
            OutputPlan(port.name, port.spec, tuple(edges), depth, staging, spec.node.max_emit)
        )
    activation = spec.policy.activation
    return NodePlan(
        index=index,
        name=spec.name,
        node=spec.node,
        kind=spec.node.kind,
        ports=ports,
        inputs=inputs[index],
        outputs=tuple(outputs),
        activation=spec.node.activation if activation is None else activation,
        sim_cost_ticks=clock.duration_to_ticks(spec.policy.sim_cost_ns),
        criticality=spec.policy.criticality,
        on_error=spec.policy.on_error,
        owns_input=any(isinstance(port.spec, TensorSpec) for port in ports.inputs)
        and any(isinstance(port.spec, ObjectSpec) for port in ports.outputs),
        memory_bytes=spec.node.state_bytes + _batch_bytes(spec, ports, inputs[index]),
    )


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
    return items * sum(p.spec.size_bytes for p in sides if isinstance(p.spec, TensorSpec))
