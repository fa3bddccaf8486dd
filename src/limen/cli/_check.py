"""What ``limen check`` says of a graph, in lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from limen.app import json_line
from limen.scheduling import Bounds, EdgePlan, NodeShare, Plan, copies
from limen.types import describe_spec, format_bytes, format_ns, printable


def describe_plan(plan: Plan, found: Bounds) -> Iterator[str]:
    """Yield the lines of a valid graph: its parts, and what they will take."""
    yield f"graph {printable(plan.name)}: valid ({plan.profile} profile, {plan.scheduler})"
    for node in plan.nodes:
        ports = [f"{port.name} {describe_spec(port.spec)}" for port in node.outputs]
        buffers = f", {format_bytes(node.memory_bytes)} of its own" if node.memory_bytes else ""
        arrow = " -> " if ports else ""
        yield f"  node {node.name}: {node.kind.value}{arrow}{', '.join(ports)}{buffers}"
    for edge in plan.edges:
        slots = plan.nodes[edge.producer.node].outputs[edge.producer.port]
        yield (
            f"  edge {edge.name}: {edge.policy.kind}, {_items(edge)}, "
            f"{slots.depth} slots, {format_bytes(slots.memory_bytes)}"
        )
    yield from _copies(plan)
    yield f"  memory bound: {format_bytes(found.memory_bytes)} of payload slots and buffers"
    yield from _times(found)
    for warning in (*plan.warnings, *found.warnings):
        yield f"  warning: {printable(warning)}"


def _copies(plan: Plan) -> Iterator[str]:
    """Yield what is copied, and the edges on which nothing is."""
    notes = copies(plan)
    for note in notes:
        size = f", {format_bytes(note.size_bytes)}" if note.size_bytes else ""
        yield f"  copy at {note.place}: {note.when}{size}"
    copied = {note.edge for note in notes}
    for edge in plan.edges:
        if edge.index not in copied:
            yield f"  zero-copy: {edge.name}"


def _times(found: Bounds) -> Iterator[str]:
    """Yield what is known of time; nothing is where no node says what its calls take."""
    costly = [share for share in found.shares if share.cost_ns]
    for delay in found.delays:
        said = f"unbounded: {delay.why}" if delay.delay_ns is None else _at_most(delay.delay_ns)
        yield f"  batch of {delay.items} at {delay.place} fills in: {said}"
    if not costly:
        yield "  time: no node declares what its calls take (budget, or sim_cost)"
        return
    if found.utilisation is None:
        yield f"  utilisation: unknown, as {found.unknown} declares no rate (policy interval)"
    else:
        shares = ", ".join(_share(share) for share in costly)
        yield f"  utilisation: {found.utilisation:.3g} of one thread ({shares})"
    free = [share.node for share in found.shares if not share.cost_ns]
    if free:
        yield f"  taken to cost nothing: {', '.join(free)}"
    for path in found.paths:
        said = f"unbounded: {path.why}" if path.bound_ns is None else _at_most(path.bound_ns)
        yield f"  age of {path.source} at {path.sink}: {said}"


def _share(share: NodeShare) -> str:
    if share.calls_hz is None or share.share is None:
        return share.node
    return f"{share.node} {share.share:.3g}: {share.calls_hz:.4g}/s of {format_ns(share.cost_ns)}"


def _at_most(ns: int) -> str:
    return f"at most {format_ns(ns)}"


def _items(edge: EdgePlan) -> str:
    count = edge.policy.caps.max_items
    text = "1 item" if count == 1 else f"{count} items"
    if edge.policy.lanes == 2:
        text += " in 2 lanes"
    if edge.policy.ring is not None:
        text += f" in ring {printable(edge.policy.ring)}"
    if edge.is_feedback:
        text += f", feedback with {len(edge.initial)} initial"
    return text


def plan_json(plan: Plan, found: Bounds) -> str:
    """Return the same as one JSON line."""
    record = {
        "graph": plan.name,
        "valid": True,
        "profile": plan.profile,
        "memory_bound_bytes": plan.memory_bound_bytes,
        "nodes": [
            {
                "name": node.name,
                "kind": node.kind.value,
                "outputs": {port.name: describe_spec(port.spec) for port in node.outputs},
                "sha256": node.node.artifact_sha256,
            }
            for node in plan.nodes
        ],
        "edges": [
            {
                "name": edge.name,
                "admission": edge.policy.admission.value,
                "retention": edge.policy.retention.value,
                "lanes": edge.policy.lanes,
                "ring": edge.ring,
                "initial": len(edge.initial),
                "max_items": edge.policy.caps.max_items,
            }
            for edge in plan.edges
        ],
        "copies": msgspec.to_builtins(copies(plan)),
        "bounds": msgspec.to_builtins(found),
        "warnings": [*plan.warnings, *found.warnings],
    }
    return json_line(record)
