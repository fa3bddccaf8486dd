"""Graphs that would stand still: full BLOCK edges beside a branch that withholds messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limen.errors import Code
from limen.graph._capacity import effective_batch
from limen.graph._constraints import activation_of, is_left_out
from limen.graph._flow import FlowEdge, FlowNode, find_deadlock
from limen.graph._problems import Problem
from limen.graph._spec import EdgeSpec, GraphSpec, NodeSpec
from limen.node import NodeKind, NodePorts
from limen.policy import (
    Activation,
    AdmissionPolicy,
    DefaultOnTimeout,
    OnMiss,
    OnStale,
    OverBudgetAction,
    Periodic,
    Trigger,
)
from limen.types import NodeIndex, PayloadSpec, PortId, PortIndex, TensorSpec


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
    maker, taker = spec.nodes[producer.node], spec.nodes[consumer.node]
    names = maker.name, taker.name
    # A latch that is a trigger is used up by the step: it carries values like a mailbox.
    carries = edge.policy.is_latch and activation_of(taker) == Trigger(into.name)
    lossy = _may_purge(taker, into.name) or _may_discard(maker, out.name)
    return FlowEdge(
        name=f"{names[0]}.{out.name} -> {names[1]}.{into.name}",
        producer=producer.node,
        consumer=consumer.node,
        capacity=_capacity(edge, out.spec),
        blocks=edge.policy.admission is AdmissionPolicy.BLOCK,
        latch=edge.policy.is_latch and not carries,
        refuses_when_empty=lossy or _may_refuse(edge, out.spec),
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


def _may_purge(node: NodeSpec, port: str) -> bool:
    """Say whether a message may be discarded at an input, however few there are."""
    deadline, freshness = node.policy.deadline_rule, node.policy.freshness_of(port)
    limited = freshness.max_age is not None or freshness.max_span_age is not None
    return (
        deadline.require
        or deadline.on_miss is OnMiss.DROP
        or (limited and freshness.on_stale is OnStale.DROP)
    )


def _may_discard(node: NodeSpec, port: str) -> bool:
    """Say whether an output may get no result for what its node takes, as time goes."""
    action = node.policy.budget_rule.action
    if isinstance(action, DefaultOnTimeout):
        # The default goes to one output; the others get nothing then.
        return action.port not in (None, port)
    return action is OverBudgetAction.DROP


def _may_vary(node: NodeSpec) -> bool:
    """Say whether a node that withholds gives results at other times, if it is over its budget."""
    forms = [node.node] if node.variant is None else [node.node, node.variant]
    return node.policy.budget_rule.action is not None and any(
        form.first_needs > 1 or form.then_needs > 1 for form in forms
    )


def _node(
    spec: GraphSpec,
    ports: Mapping[NodeIndex, NodePorts],
    links: Sequence[tuple[PortId, PortId]],
    index: NodeIndex,
) -> FlowNode:
    node = spec.nodes[index]
    fed = [(e, consumer.port) for e, (_, consumer) in enumerate(links) if consumer.node == index]
    batches = [
        min(effective_batch(node, spec.edges[e].policy.caps), _held(spec, ports, links, e))
        for e, _ in fed
        if not spec.edges[e].policy.is_latch
    ]
    batch = max(batches, default=1)
    batching = node.policy.batching
    rule = activation_of(node)
    alone = isinstance(rule, Periodic) and _needs_what_it_takes(spec, ports[index], fed)
    return FlowNode(
        source=node.node.kind is NodeKind.SOURCE,
        any=rule is Activation.ANY,
        optional=frozenset(
            e
            for e, port in fed
            if not alone
            and _is_extra(node, ports[index], port, latch=spec.edges[e].policy.is_latch)
        ),
        batch=batch,
        stride=batch if batching.stride is None else min(batching.stride, batch),
        window=node.node.takes_windows,
        closes=batching.delta_t_ns is not None or alone,
        first=node.node.first_needs,
        each=node.node.then_needs,
        timed=isinstance(rule, Periodic) and not alone,
        varies=_may_vary(node),
    )


def _needs_what_it_takes(
    spec: GraphSpec, ports: NodePorts, fed: Sequence[tuple[int, PortIndex]]
) -> bool:
    """Say whether a period gives no result where nothing has come: nothing taken is no call."""
    return len(ports.inputs) == 1 and all(
        not spec.edges[e].policy.is_latch and not ports.inputs[port].optional for e, port in fed
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


def _is_extra(node: NodeSpec, ports: NodePorts, port: PortIndex, *, latch: bool) -> bool:
    """Say whether a step never waits for an input."""
    optional = is_left_out(node, ports, port)
    match activation_of(node):
        case Trigger(port=trigger):
            return ports.inputs[port].name != trigger
        case Periodic():
            return optional or not latch
        case _:
            return optional
