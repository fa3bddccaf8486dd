"""What of a graph a Program does not hold, and why: the reference executor steps it."""

from __future__ import annotations

import numpy as np

from limen.codegen._reads import replaces
from limen.node import CallForm, DirectCall, NodeKind, SinkNode, SourceNode
from limen.policy import AdmissionPolicy, Periodic
from limen.scheduling import EdgePlan, InputPlan, NodePlan, OutputPlan, Plan
from limen.types import NodeIndex, TensorSpec

_COPIED = (np.ndarray, np.generic, bytearray, memoryview)
"""What memory of objects copies, or has an array for."""

_LONGEST_BATCH = 16
"""Items of a batch whose results are written out one by one."""

_REPLACED = frozenset({"try_produce", "process", "process_batch", "consume", "consume_from"})
"""Functions of users that are bound once, by name."""

_NANOSECONDS = 1_000_000_000
"""Ticks a second of a clock whose instants need no conversion."""


def edges_into(node: NodePlan) -> list[int]:
    return [port.edge for port in node.inputs if port.edge is not None]


def edges_of(node: NodePlan) -> list[int]:
    return [*edges_into(node), *(e for port in node.outputs for e in port.edges)]


def has_instants(plan: Plan) -> bool:
    """Whether something becomes due by itself, between two steps: a source, or a gap too long."""
    gaps = any(port.gap_ticks is not None for node in plan.nodes for port in node.inputs)
    gaps = gaps or any(node.step_gap_ticks is not None for node in plan.nodes)
    return gaps or any(n.kind is NodeKind.SOURCE and is_timed(n) for n in plan.nodes)


def is_timed(node: NodePlan) -> bool:
    """Whether a source may keep a schedule."""
    return not isinstance(node.node, SourceNode) or node.node.is_timed


def root_of(plan: Plan, node: NodePlan) -> NodeIndex:
    """Return the source that the messages of a node stem from, along each node's first input."""
    while node.kind is not NodeKind.SOURCE:
        node = plan.nodes[plan.edges[edges_into(node)[0]].producer.node]
    return node.index


def _has_one_root(plan: Plan, node: NodePlan) -> bool:
    """Whether all messages of a node stem from one source."""
    while node.kind is not NodeKind.SOURCE:
        edges = edges_into(node)
        # A period may make messages of nothing that arrived.
        if len(edges) != 1 or isinstance(node.activation, Periodic):
            return False
        node = plan.nodes[plan.edges[edges[0]].producer.node]
    return True


def cold_nodes(plan: Plan) -> dict[int, str]:
    """Return for each node that the reference steps, why."""
    found: dict[int, str] = {}
    for node in plan.nodes:
        why = _why_cold(plan, node)
        if why is not None:
            found[node.index] = why
    if found and plan.scheduler == "edf":
        beside = ", ".join(plan.nodes[index].name for index in found)
        for node in plan.nodes:
            found.setdefault(node.index, f"is chosen by deadline beside {beside}")
    return found


def _why_cold(plan: Plan, node: NodePlan) -> str | None:
    """Say what of a node a Program does not hold; None where it holds all of it."""
    if plan.tick_rate_hz != _NANOSECONDS:
        return "counts other ticks than nanoseconds"
    if plan.scheduler not in ("round_robin", "edf"):
        return f"scheduled by {plan.scheduler}"
    call = node.node.direct_call()
    if call is None:
        return "has a step of its own"
    if _is_replaced(node):
        return "is given another function as it runs"
    inputs = [port for port in node.inputs if port.edge is not None]
    if len(inputs) != len(node.inputs) or len(inputs) > 1 or len(node.outputs) > 1:
        return "has several inputs or outputs"
    if not node.outputs and not _has_one_root(plan, node):
        return "ends several paths"
    if isinstance(node.activation, Periodic) or node.step_gap_ticks is not None:
        return "keeps a period"
    budget = node.budget
    if budget.tick_budget is not None or budget.watchdog is not None:
        return "has a budget"
    for port in inputs:
        if not (port.batching.is_none or _is_counted(plan, call, port)):
            return "takes batches"
        if not port.freshness.is_none or port.gap_ticks is not None:
            return "has limits of age"
        if port.requires_deadline or port.drops_late:
            return "drops what is late"
    for index in edges_of(node):
        why = _why_cold_edge(plan, plan.edges[index])
        if why is not None:
            return why
    for port in inputs:
        if isinstance(port.spec, TensorSpec) and not port.spec.is_fixed:
            return "takes tensors of many lengths"
    for output in node.outputs:
        why = _why_cold_output(call, output)
        if why is not None:
            return why
    if node.owns_input:
        return "is handed copies"
    late = any(plan.edges[e].default_ns is not None for e in edges_into(node))
    if call.form is CallForm.WINDOW and (late or inputs[0].batching.is_none):
        return "gives windows a deadline, or takes single messages as such"
    if call.form is CallForm.INFER:
        specs = [*(port.spec for port in inputs), *(port.spec for port in node.outputs)]
        tensors = all(isinstance(spec, TensorSpec) for spec in specs)
        if not tensors or node.node.fixed_batch not in (None, inputs[0].batching.max_items):
            return "fills batches up"
    return None


def _is_replaced(node: NodePlan) -> bool:
    match node.node:
        case SourceNode(source=owner) | SinkNode(sink=owner):
            return replaces(owner, _REPLACED)
        case owner:
            return replaces(owner, _REPLACED)


def _is_counted(plan: Plan, call: DirectCall, port: InputPlan) -> bool:
    """Whether an input's batches are of a number of items, few enough to write out."""
    batching = port.batching
    if call.form not in (CallForm.INFER, CallForm.WINDOW) or port.edge is None:
        return False
    capacity = plan.edges[port.edge].policy.caps.max_items
    return batching.stride == batching.max_items <= min(_LONGEST_BATCH, capacity)


def _why_cold_output(call: DirectCall, output: OutputPlan) -> str | None:
    if not output.edges:
        return "emits to nobody"
    if isinstance(output.spec, TensorSpec):
        return None if output.spec.is_fixed else "emits tensors of many lengths"
    if call.form in (CallForm.FILL, CallForm.INFER):
        return "writes where nothing is to be written"
    kind = output.spec.type
    if kind is object or issubclass(kind, _COPIED) or hasattr(kind, "buffer_descriptor"):
        return "emits what is copied, or says itself how large it is"
    return None


def _why_cold_edge(plan: Plan, edge: EdgePlan) -> str | None:
    policy = edge.policy
    if edge.ring not in ("static", "heap"):
        return f"has an edge of kind {edge.ring}"
    if policy.caps.max_bytes is not None:
        return "has an edge with a byte cap"
    if edge.is_feedback or policy.is_latch:
        return "has an edge with a value or a loop"
    if policy.admission is AdmissionPolicy.DEADLINE_AND_QOS_AWARE:
        return "has an edge that looks at deadlines"
    return None
