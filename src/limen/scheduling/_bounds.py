"""What ``check`` says in numbers: memory, utilisation, delays, ages."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from limen.node import NodeKind
from limen.scheduling._latency import Latency, never_full
from limen.scheduling._load import Load
from limen.scheduling._plan import NodePlan, Plan

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class NodeShare:
    """What one node takes of the time.

    Attributes:
        node: The node.
        calls_hz: Calls a second, at most; None where that is not known.
        cost_ns: What a call takes, by budget or simulated cost.
        share: Of the time; None where the calls are not known and cost something.
    """

    node: str
    calls_hz: float | None
    cost_ns: int
    share: float | None


@dataclass(frozen=True, slots=True)
class BatchDelay:
    """How long a message can wait for its batch to fill.

    Attributes:
        place: ``node.port``.
        items: Most items in the batch.
        delay_ns: The wait; None where it has no bound.
        why: Why it has none.
    """

    place: str
    items: int
    delay_ns: int | None
    why: str


@dataclass(frozen=True, slots=True)
class PathBound:
    """How old what comes from a source can be at a sink.

    Attributes:
        source: Where it begins.
        sink: Where it ends.
        bound_ns: Largest age at the end of the sink's call; None where there is no bound.
        why: Why there is none.
    """

    source: str
    sink: str
    bound_ns: int | None
    why: str


@dataclass(frozen=True, slots=True)
class MemoryShare:
    """What one node or output preallocates.

    Attributes:
        place: A node, or ``node.port`` for the slots that its edges share.
        size_bytes: Bytes of payload slots or buffers.
        slots: Slots; 0 for buffers.
    """

    place: str
    size_bytes: int
    slots: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a plan will take, by what its sources and nodes declare.

    Attributes:
        memory: By output and node, of those that preallocate anything.
        memory_bytes: In all.
        shares: Of the time, by node.
        utilisation: In all; None where a rate is not declared.
        unknown: The source whose rate is not declared; empty where all are.
        busy_ns: Longest time without an idle instant; None where there is no bound.
        delays: Waits for batches.
        paths: Ages, by source and sink.
        warnings: What probably goes wrong, and what would mend it.
    """

    memory: tuple[MemoryShare, ...]
    memory_bytes: int
    shares: tuple[NodeShare, ...]
    utilisation: float | None
    unknown: str
    busy_ns: int | None
    delays: tuple[BatchDelay, ...]
    paths: tuple[PathBound, ...]
    warnings: tuple[str, ...]


def bounds(plan: Plan) -> Bounds:
    """Return what a plan will take; called once, before the start.

    The bounds hold on one thread where rates and costs are as declared, nodes do not fail and ask
    for no rest, and what is emitted is what is declared. They are exact for memory, and from above
    for all else.
    """
    load = Load(plan)
    safe = never_full(load)
    while safe:
        # With fewer losses more is known, so that more edges may prove large enough.
        load = Load(plan, safe)
        more = never_full(load) | safe
        if more == safe:
            break
        safe = more
    latency = Latency(load)
    share = load.utilisation
    shares = tuple(_share(plan, load, node) for node in plan.nodes)
    delays = tuple(_delays(plan, latency))
    busy = load.busy_ticks
    return Bounds(
        memory=tuple(_memory(plan)),
        memory_bytes=plan.memory_bound_bytes,
        shares=shares,
        utilisation=None if share is None else float(share),
        unknown=load.unknown,
        busy_ns=None if busy is None else _ns(plan, busy),
        delays=delays,
        paths=tuple(_paths(plan, latency)),
        warnings=(*_overload(plan, load, shares), *_slow_batches(plan, load)),
    )


def _ns(plan: Plan, ticks: Fraction) -> int:
    """Convert to nanoseconds, rounding up."""
    return -(-ticks.numerator * _NS // (ticks.denominator * plan.tick_rate_hz))


def _share(plan: Plan, load: Load, node: NodePlan) -> NodeShare:
    found = load.nodes[node.index]
    share = found.utilisation
    return NodeShare(
        node.name,
        None if found.calls is None else float(found.calls * plan.tick_rate_hz),
        _ns(plan, Fraction(found.cost_ticks)),
        None if share is None else float(share),
    )


def _memory(plan: Plan) -> list[MemoryShare]:
    found = []
    for node in plan.nodes:
        found += [
            MemoryShare(f"{node.name}.{out.name}", out.memory_bytes, out.depth)
            for out in node.outputs
            if out.memory_bytes
        ]
        if node.memory_bytes:
            found.append(MemoryShare(node.name, node.memory_bytes, 0))
    return found


def _delays(plan: Plan, latency: Latency) -> list[BatchDelay]:
    found = []
    for node in plan.nodes:
        for into in node.inputs:
            if into.batching.is_none or into.edge is None:
                continue
            ticks, why = latency.fill_ticks(node, into)
            delay_ns = None if ticks is None else _ns(plan, ticks)
            place = f"{node.name}.{into.name}"
            found.append(BatchDelay(place, into.batching.max_items, delay_ns, why))
    return found


def _paths(plan: Plan, latency: Latency) -> list[PathBound]:
    found = []
    for node in plan.nodes:
        if node.outputs:
            continue
        for source, bound in sorted(latency.at(node).items()):
            age_ns = None if bound.age is None else _ns(plan, bound.age)
            found.append(PathBound(plan.nodes[source].name, node.name, age_ns, bound.why))
    return found


def _overload(plan: Plan, load: Load, shares: tuple[NodeShare, ...]) -> list[str]:
    total = load.utilisation
    if total is None or total <= 1:
        return []
    heaviest = max(shares, key=lambda share: share.share or 0)
    own = Fraction(load.nodes[[s.node for s in shares].index(heaviest.node)].utilisation or 0)
    rest = total - own
    text = f"utilisation {float(total):.2f}: more work comes than one thread can do"
    if rest < 1:
        factor = (1 - rest) / own
        cost_ms = float(factor) * heaviest.cost_ns / 1e6
        text += f"; {heaviest.node} would have to take {cost_ms:.3g} ms instead of "
        text += f"{heaviest.cost_ns / 1e6:.3g} ms a call"
    rates = [
        f"{node.name} {float((load.nodes[node.index].calls or 0) * plan.tick_rate_hz / total):.3g}"
        for node in plan.nodes
        if node.kind is NodeKind.SOURCE and load.nodes[node.index].calls
    ]
    if rates:
        text += f"; or sources send at most, a second: {', '.join(rates)}"
    return [text]


def _slow_batches(plan: Plan, load: Load) -> list[str]:
    """Warn of batches that take longer to fill than their messages may be old."""
    found = []
    for node in plan.nodes:
        for place, into in enumerate(node.inputs):
            stream, limit = load.nodes[node.index].arriving[place], into.freshness.max_age
            batching = into.batching
            if stream is None or not stream.rate or limit is None or batching.max_items == 1:
                continue
            fill = batching.max_items / stream.rate
            if batching.delta_ticks is not None:
                fill = min(fill, Fraction(batching.delta_ticks))
            if fill > limit:
                most = max(1, int(limit * stream.rate))
                found.append(
                    f"{node.name}.{into.name}: a batch of {batching.max_items} takes "
                    f"{_ns(plan, fill) / 1e6:.3g} ms to fill, and its messages may be "
                    f"{_ns(plan, Fraction(limit)) / 1e6:.3g} ms old; a batch of {most}, or a "
                    f"delta_t of as much, would do"
                )
    return found
