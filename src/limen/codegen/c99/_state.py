"""The state of a graph in C: one struct, whose members and sizes are known before it is compiled.

The structs of the support header are described here once more, as their sizes are part of what is
promised; a graph's own file asserts that the compiler agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from limen.codegen.c99._facts import GraphC
from limen.codegen.c99._forms import NodeC
from limen.codegen.c99._layout import Abi, Layout, Member, Struct, lay_out
from limen.node import CForm
from limen.types import TensorSpec

_REFUSALS, _EVICTIONS, _DROPS = 6, 4, 10


@dataclass(frozen=True, slots=True)
class StateMember:
    """A member of a graph's state, and whom it is for.

    Attributes:
        member: Name, type and extent.
        shape: Extents as the struct declares them; none for a single value.
        kind: ``framework``, ``node``, ``edge`` or ``model``.
        owner: Of that kind, whose; empty for what all share.
    """

    member: Member
    shape: tuple[int, ...]
    kind: str
    owner: str = ""


def state_members(graph: GraphC) -> list[StateMember]:
    """Return the members of a graph's state, in order."""
    found = [
        StateMember(Member("user", "void *"), (), "framework"),
        StateMember(Member("run", _run()), (), "framework"),
        _array("nodes", _node(graph), len(graph.nodes), "framework"),
        _array("edges", _edge(graph), len(graph.edges), "framework"),
        _array("ports", _port(), len(graph.ports), "framework"),
        _array("headers", _header(graph), graph.slots, "edge"),
        _array("entries", _entry(graph), graph.entries, "edge"),
    ]
    if graph.restarts:
        found.append(_array("restarts", "limen_tick", graph.restarts, "framework"))
    if graph.staged:
        found.append(_array("staged", "uint16_t", graph.staged, "edge"))
    found.append(_array("shares", "uint8_t", graph.slots, "edge"))
    for port in graph.ports:
        shape = (port.depth, max(port.elements, 1))
        member = Member(port.name, port.spec.dtype.c_type, shape[0] * shape[1])
        found.append(StateMember(member, shape, "edge", port.name))
    for node in graph.nodes:
        found += _of_node(graph, node)
    return found


def state_layout(graph: GraphC, abi: Abi) -> Layout:
    """Return what a compiler makes of the state."""
    return lay_out([member.member for member in state_members(graph)], abi)


def _of_node(graph: GraphC, node: NodeC) -> Iterator[StateMember]:
    name = node.plan.name
    for form, model, suffix in (
        (node.form, node.model, ""),
        (node.variant, node.variant_model, "_variant"),
    ):
        if form is not None and form.state:
            struct = _form(graph, f"{graph.name}_{name}{suffix}_state", form)
            yield StateMember(Member(f"{name}{suffix}_state", struct), (), "node", name)
        if model is not None and model.arena_bytes:
            words = -(-model.arena_bytes // 8)
            member = Member(f"{name}{suffix}_arena", "uint64_t", words)
            yield StateMember(member, (words,), "model", name)
    if node.shape == "WINDOW" and node.plan.inputs[0].batching.max_items > 1:
        spec = node.plan.inputs[0].spec
        if isinstance(spec, TensorSpec):
            count = spec.size_bytes // spec.dtype.size_bytes
            shape = (node.plan.inputs[0].batching.max_items, max(count, 1))
            member = Member(f"{name}_gather", spec.dtype.c_type, shape[0] * shape[1])
            yield StateMember(member, shape, "node", name)
    if node.fixed_batch > 1 and node.model is not None:
        for side, specs in (("batch", node.model.inputs), ("results", node.model.outputs)):
            spec = specs[0][1]
            elements = spec.size_bytes // spec.dtype.size_bytes
            member = Member(f"{name}_{side}", spec.dtype.c_type, elements)
            yield StateMember(member, (elements,), "model", name)


def _form(graph: GraphC, name: str, form: CForm) -> Struct:
    """Return the struct of a node's own state."""
    members = []
    for field in form.state:
        count = 1
        for extent in field.shape:
            count *= extent
        kind = _header(graph) if field.type == "limen_header" else field.type
        members.append(Member(field.name, kind, count if field.shape else None))
    return Struct(name, tuple(members))


def _array(name: str, kind: str | Struct, count: int, owner: str) -> StateMember:
    return StateMember(Member(name, kind, max(count, 1)), (max(count, 1),), owner)


def _if(holds: bool, *members: Member) -> tuple[Member, ...]:
    return members if holds else ()


def _header(graph: GraphC) -> Struct:
    return Struct(
        "limen_header",
        (
            Member("creation", "limen_tick"),
            Member("origin", "limen_tick"),
            *_if(graph.deadlines, Member("deadline_ns", "int64_t")),
            *_if(graph.ages, Member("max_age_ns", "int64_t")),
            Member("sequence", "uint32_t"),
            Member("source", "uint16_t"),
            Member("qos", "uint8_t"),
            Member("flags", "uint8_t"),
        ),
    )


def _entry(graph: GraphC) -> Struct:
    has = graph.features
    return Struct(
        "limen_entry",
        (
            *_if(has["PUSHED"], Member("pushed", "limen_tick")),
            Member("slot", "uint16_t"),
            *_if(has["MARKS"], Member("marks", "uint8_t")),
        ),
    )


def _edge(graph: GraphC) -> Struct:
    has = graph.features
    counts = Struct(
        "limen_edge_counts",
        (
            *(Member(n, "uint32_t") for n in ("offered", "pushed", "taken", "consumed", "stale")),
            Member("refused", "uint32_t", _REFUSALS),
            Member("evicted", "uint32_t", _EVICTIONS),
            Member("dropped", "uint32_t", _DROPS),
            Member("peak", "uint16_t"),
        ),
    )
    words = ["head", "count"]
    words += ["urgent_head", "urgent"] if has["LANES"] else []
    words += ["hold_head", "held", "presented", "stage_head", "staged"]
    flags = ("pressed", "closed", "producer_ended", "consumer_ended")
    return Struct(
        "limen_edge",
        (
            *_if(
                has["LIVENESS"],
                Member("last_push", "limen_tick"),
                Member("reported", "limen_tick"),
            ),
            *_if(has["COUNTS"], Member("counts", counts)),
            *(Member(name, "uint16_t") for name in words),
            *(Member(name, "bool") for name in flags),
        ),
    )


def _port() -> Struct:
    return Struct(
        "limen_port",
        (Member("made", "uint32_t"), Member("emitted", "uint32_t"), Member("next", "uint16_t")),
    )


def _node(graph: GraphC) -> Struct:
    has = graph.features
    numbers = ("min", "max", "sum")
    times = Struct(
        "limen_times",
        (Member("count", "uint32_t"), *(Member(name, "int64_t") for name in numbers)),
    )
    kept = ("latency", "wait", "age", "lateness")
    degrade = Struct(
        "limen_degrade",
        (
            *(Member(name, "uint16_t") for name in ("over", "within", "wait")),
            *(Member(name, "bool") for name in ("degraded", "counts")),
        ),
    )
    flags = (
        *("ended", "ended_stream", "produced_nothing", "held_back"),
        "failing",
    )
    return Struct(
        "limen_node",
        (
            Member("asleep_until", "limen_tick"),
            *_if(has["PERIODS"], Member("period_due", "limen_tick")),
            *_if(
                has["LIVENESS"],
                Member("last_step", "limen_tick"),
                Member("reported", "limen_tick"),
            ),
            *_if(
                has["TIMES"],
                Member("times", Struct("t", tuple(Member(name, times) for name in kept))),
            ),
            *_if(has["COUNTS"], Member("counts", "uint32_t", 14)),
            Member("made_alone", "uint32_t"),
            *_if(has["DEGRADES"], Member("degrade", degrade)),
            Member("restarted", "uint16_t"),
            *(Member(name, "bool") for name in flags),
        ),
    )


def _run() -> Struct:
    ticks = ("tick", "drain", "drain_until")
    counts = ("steps", "errors")
    return Struct(
        "limen_run",
        (
            *(Member(name, "limen_tick") for name in ticks),
            *(Member(name, "uint32_t") for name in counts),
            *(Member(name, "uint16_t") for name in ("last", "ended")),
            *(Member(name, "uint8_t") for name in ("idle_polls", "outcome")),
            *(Member(name, "bool") for name in ("stop_requested", "draining", "waits", "took")),
        ),
    )
