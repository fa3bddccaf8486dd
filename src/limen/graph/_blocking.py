"""Graphs that would stand still: full BLOCK edges beside a branch that withholds messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limen.errors import Code
from limen.graph._capacity import effective_batch
from limen.graph._flow import FlowEdge, FlowNode, find_deadlock
from limen.graph._problems import Problem
from limen.graph._spec import EdgeSpec, GraphSpec, NodeSpec
from limen.node import NodeKind, NodePorts
from limen.policy import Activation, AdmissionPolicy
from limen.types import NodeIndex, PayloadSpec, PortId, TensorSpec


def blocking_problems(
    spec: GraphSpec, ports: Mapping[NodeIndex, NodePorts], links: Sequence[tuple[PortId, PortId]]
) -> list[Problem]:
    """Return why a graph without other problems would deadlock, if its nodes do as declared."""
    edges = [_edge(spec, ports, links, number) for number in range(len(links))]
    nodes = [_node(spec, ports, links, NodeIndex(i)) for i in range(len(spec.nodes))]
    found = find_deadlock(nodes, edges)
    if found is None:
        return []
    starved = found.edge is None
    place = "feedback" if starved else edges[found.edge or 0].name
    return [Problem(Code.WOULD_DEADLOCK, place, found.message, found.remedy)]


def _edge(
    spec: GraphSpec,
    ports: Mapping[NodeIndex, NodePorts],
    links: Sequence[tuple[PortId, PortId]],
    number: int,
) -> FlowEdge:
    edge, (producer, consumer) = spec.edges[number], links[number]
    out = ports[producer.node].outputs[producer.port]
    into = ports[consumer.node].inputs[consumer.port]
    names = spec.nodes[producer.node].name, spec.nodes[consumer.node].name
    return FlowEdge(
        name=f"{names[0]}.{out.name} -> {names[1]}.{into.name}",
        producer=producer.node,
        consumer=consumer.node,
        capacity=_capacity(edge, out.spec),
        blocks=edge.policy.admission is AdmissionPolicy.BLOCK,
        latch=edge.policy.is_latch,
        refuses_when_empty=_may_refuse(edge, out.spec),
        initial=len(edge.initial),
    )


def _capacity(edge: EdgeSpec, payload: PayloadSpec) -> int:
    """Return how many messages surely fit, by items and by bytes."""
    caps = edge.policy.caps
    if caps.max_bytes is None or not isinstance(payload, TensorSpec):
        return caps.max_items
    return min(caps.max_items, max(1, caps.byte_limit // payload.size_bytes))


def _may_refuse(edge: EdgeSpec, payload: PayloadSpec) -> bool:
    caps = edge.policy.caps
    if edge.policy.admission is AdmissionPolicy.DEADLINE_AND_QOS_AWARE:
        return True
    if caps.max_bytes is None or edge.policy.admission is AdmissionPolicy.BLOCK:
        return False
    return not isinstance(payload, TensorSpec) or not caps.can_ever_fit(payload.size_bytes)


def _node(
    spec: GraphSpec,
    ports: Mapping[NodeIndex, NodePorts],
    links: Sequence[tuple[PortId, PortId]],
    index: NodeIndex,
) -> FlowNode:
    node = spec.nodes[index]
    fed = [(e, consumer.port) for e, (_, consumer) in enumerate(links) if consumer.node == index]
    inputs = ports[index].inputs
    batches = [
        min(effective_batch(node, spec.edges[e].policy.caps), _held(spec, ports, links, e))
        for e, _ in fed
        if not spec.edges[e].policy.is_latch
    ]
    batch = max(batches, default=1)
    batching = node.policy.batching
    return FlowNode(
        source=node.node.kind is NodeKind.SOURCE,
        any=_activation(node) is Activation.ANY,
        optional=frozenset(e for e, port in fed if inputs[port].optional),
        batch=batch,
        stride=batch if batching.stride is None else min(batching.stride, batch),
        window=node.node.takes_windows,
        closes=batching.delta_t_ns is not None,
        first=node.node.first_needs,
        each=node.node.then_needs,
    )


def _held(
    spec: GraphSpec,
    ports: Mapping[NodeIndex, NodePorts],
    links: Sequence[tuple[PortId, PortId]],
    number: int,
) -> int:
    """Return the messages with which the edge is full, so that its batch goes out short."""
    producer = links[number][0]
    return _capacity(spec.edges[number], ports[producer.node].outputs[producer.port].spec)


def _activation(node: NodeSpec) -> Activation:
    return node.node.activation if node.policy.activation is None else node.policy.activation
