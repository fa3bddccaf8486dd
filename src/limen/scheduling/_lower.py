"""From a verified graph to a Plan."""

from __future__ import annotations

from limen.graph import NodeSpec, VerifiedGraph, effective_batch
from limen.node import NodeKind, NodePorts
from limen.platform import PlatformClock
from limen.policy import BatchingTicks
from limen.scheduling._plan import (
    EdgePlan,
    InputPlan,
    NodePlan,
    OutputPlan,
    Plan,
    slot_depth,
    staging,
    verify_plan,
)
from limen.types import EdgeIndex, NodeIndex, ObjectSpec, PortId, PortIndex, TensorSpec


def lower(graph: VerifiedGraph, clock: PlatformClock) -> Plan:
    """Convert times to the clock's ticks, size every manager and number every edge.

    Called once before an executor is made; everything that depends on the graph alone is decided
    here.
    """
    batches = [_batching(node, clock) for node in graph.spec.nodes]
    plan = Plan(
        name=graph.spec.name,
        nodes=tuple(_node(graph, NodeIndex(i), batches, clock) for i in range(len(batches))),
        edges=tuple(_edge(graph, EdgeIndex(i)) for i in range(len(graph.links))),
        scheduler=graph.spec.scheduler,
        tick_rate_hz=clock.tick_rate_hz,
        warnings=graph.warnings,
    )
    verify_plan(plan)
    return plan


def _batching(node: NodeSpec, clock: PlatformClock) -> BatchingTicks:
    return BatchingTicks(effective_batch(node), node.policy.batching.in_ticks(clock).delta_ticks)


def _edge(graph: VerifiedGraph, index: EdgeIndex) -> EdgePlan:
    producer, consumer = graph.links[index]
    nodes = graph.spec.nodes
    out = graph.ports[producer.node].outputs[producer.port].name
    into = graph.ports[consumer.node].inputs[consumer.port].name
    deadline = nodes[consumer.node].policy.deadline_rule
    return EdgePlan(
        index=index,
        name=f"{nodes[producer.node].name}.{out} -> {nodes[consumer.node].name}.{into}",
        producer=producer,
        consumer=consumer,
        policy=graph.spec.edges[index].policy,
        default_ns=deadline.default_ns,
        slack_ns=deadline.slack_ns,
    )


def _node(
    graph: VerifiedGraph, index: NodeIndex, batches: list[BatchingTicks], clock: PlatformClock
) -> NodePlan:
    spec = graph.spec.nodes[index]
    ports = graph.ports[index]
    batch = batches[index]
    into = {link[1].port: EdgeIndex(e) for e, link in _links(graph) if link[1].node == index}
    outputs = []
    for number, port in enumerate(ports.outputs):
        edges = [EdgeIndex(e) for e, link in _links(graph) if link[0] == (index, number)]
        sizes = [
            (
                graph.spec.edges[e].policy.caps.max_items,
                batches[graph.links[e][1].node].max_items,
            )
            for e in edges
        ]
        depth = slot_depth(sizes, staging(spec.node, batch.max_items))
        outputs.append(OutputPlan(port.name, port.spec, tuple(edges), depth))
    return NodePlan(
        index=index,
        name=spec.name,
        node=spec.node,
        kind=spec.node.kind,
        ports=ports,
        inputs=tuple(
            InputPlan(port.name, port.spec, into[PortIndex(number)])
            for number, port in enumerate(ports.inputs)
        ),
        outputs=tuple(outputs),
        batching=batch,
        sim_cost_ticks=clock.duration_to_ticks(spec.policy.sim_cost_ns),
        criticality=spec.policy.criticality,
        on_error=spec.policy.on_error,
        owns_input=any(isinstance(port.spec, TensorSpec) for port in ports.inputs)
        and any(isinstance(port.spec, ObjectSpec) for port in ports.outputs),
        memory_bytes=spec.node.state_bytes + _batch_bytes(spec, ports, batch),
    )


def _links(graph: VerifiedGraph) -> list[tuple[int, tuple[PortId, PortId]]]:
    return list(enumerate(graph.links))


def _batch_bytes(spec: NodeSpec, ports: NodePorts, batch: BatchingTicks) -> int:
    """Return the bytes of the buffers for batches whose slots are not neighbours."""
    if spec.node.kind is not NodeKind.MODEL:
        return 0
    specs = [port.spec for port in (*ports.inputs, *ports.outputs)]
    return batch.max_items * sum(s.size_bytes for s in specs if isinstance(s, TensorSpec))
