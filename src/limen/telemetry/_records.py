"""What a run counted: frozen records that reports and exporters read."""

from __future__ import annotations

from dataclasses import dataclass

from limen.telemetry._histogram import HistogramSummary
from limen.telemetry._violations import Violation


@dataclass(frozen=True, slots=True)
class EdgeStatistics:
    """Counts of one edge; ``staged`` and ``ring`` are gauges, the rest only grows.

    Attributes:
        name: ``producer.port -> consumer.port``.
        admission: Name of its admission policy.
        retention: How long it keeps what it admits: ``fifo``, ``mailbox`` or ``latch``.
        capacity: Most items.
        offered: Messages that the producer offered.
        pushed: Those that entered the ring.
        staged: Those that wait for room outside it.
        refused: Those that were turned away, by reason.
        taken: Messages that the consumer took.
        evicted: Those that the producer's side removed from the ring, by reason.
        ring: Messages in the ring.
        peak: Most messages in the ring at once.
    """

    name: str
    admission: str
    retention: str
    capacity: int
    offered: int
    pushed: int
    staged: int
    refused: dict[str, int]
    taken: int
    evicted: dict[str, int]
    ring: int
    peak: int


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Counts of one input port; ``held`` is a gauge.

    Attributes:
        name: ``node.port``.
        taken: Messages taken from its edge.
        consumed: Those that were used.
        dropped: Those that were not, by reason.
        held: Those kept for the next step: the overlap of a window, the value of a latch.
        stale: Those that were handed over although they were stale, flagged.
        max_age_ns: The age that the input allows; None for any.
    """

    name: str
    taken: int
    consumed: int
    dropped: dict[str, int]
    held: int
    stale: int = 0
    max_age_ns: int | None = None


@dataclass(frozen=True, slots=True)
class OutputStatistics:
    """Counts of one output port and its slots; ``available`` and ``live`` are gauges.

    Attributes:
        name: ``node.port``.
        emitted: Messages that the node emitted.
        fan_out: Edges that each is offered to.
        initial: Initial tokens that its feedback edges began with.
        offered: Offers, summed over those edges.
        capacity: Slots of its manager.
        available: Slots free.
        live: Distinct tokens in rings, holds and staging.
        peak_used: Most slots in use at once.
        copies: Payloads copied into a slot.
        memory_bytes: Bytes of the slots.
    """

    name: str
    emitted: int
    fan_out: int
    initial: int
    offered: int
    capacity: int
    available: int
    live: int
    peak_used: int
    copies: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """Counts and times of one node.

    Attributes:
        name: The node.
        kind: What it is to the graph.
        steps: Times it was stepped.
        calls: Calls into it.
        processed: Messages it handled: produced by a source, consumed by the others.
        errors: Calls that failed.
        messages: The first failures in words.
        deadline_misses: Results that came after their deadline.
        overruns: Calls that took longer than their budget.
        watchdogs: Calls that took longer than their watchdog.
        replaced: Calls or results that an action took the place of, by action.
        degraded: Calls of the cheaper variant.
        missed_periods: Periods without a step.
        restarts: Restarts after failures.
        swaps: Models taken over while running, and given up again.
        gathers: Batches copied together because their slots were not neighbours.
        padded: Items that filled up batches of fixed length, and whose results were thrown away.
        input_copies: Tensors copied for it, because it makes objects that may keep a view of them.
        latency: Duration of a call.
        wait: Time that messages waited in the queue before it.
        age: Time from creation to the end of the call.
        lateness: Time from the deadline to the end of the call, of what had one; 0 if in time.
        sha256: Digest of the file it runs, if any.
        memory_bytes: What it and its batches preallocate.
    """

    name: str
    kind: str
    steps: int
    calls: int
    processed: int
    errors: int
    messages: tuple[str, ...]
    deadline_misses: int
    overruns: int
    watchdogs: int
    replaced: dict[str, int]
    degraded: int
    missed_periods: int
    restarts: int
    swaps: int
    gathers: int
    padded: int
    input_copies: int
    latency: HistogramSummary
    wait: HistogramSummary
    age: HistogramSummary
    lateness: HistogramSummary
    sha256: str | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class PathStatistics:
    """What came from one source to one node without outputs.

    Attributes:
        source: Where the messages began.
        sink: Where they ended.
        count: Results.
        misses: Those that came after their deadline.
        age: Time from creation to the end of the last call.
        lateness: Time past the deadline, of those that had one.
    """

    source: str
    sink: str
    count: int
    misses: int
    age: HistogramSummary
    lateness: HistogramSummary


@dataclass(frozen=True, slots=True)
class Waiting:
    """A node that waited when a deadlock was found.

    Attributes:
        node: Who waits.
        edge: For room on which edge, or for a message on which one.
        on: The node at the other end, which would have to move.
        text: The same in words, with numbers.
    """

    node: str
    edge: str
    on: str
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """One accounting identity with its numbers.

    Attributes:
        place: Edge or port.
        text: The identity with the numbers in it.
        closes: Whether both sides are equal.
    """

    place: str
    text: str
    closes: bool


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """All that a run counted.

    Attributes:
        graph: The graph's name.
        outcome: ``completed``, ``stopped``, ``halted``, ``deadlocked``, ``failed`` (to start or to
            stop) or ``running``.
        duration_ns: From start to the last decision, by the graph's clock.
        nodes: By index.
        edges: By index.
        inputs: In node order.
        outputs: In node order.
        identities: The accounting identities of edges, ports and slots.
        memory_bound_bytes: Payload bytes that the graph preallocated and never exceeds.
        profile: The least profile it needs.
        notes: What ended it early, what was left, what is probably not meant.
        waiting: After a deadlock, who waited for whom.
        log_sha256: Digest of the decision log, where one was kept.
        violations: What constraints found, by place and kind.
        paths: By source and sink.
    """

    graph: str
    outcome: str
    duration_ns: int
    nodes: tuple[NodeStatistics, ...]
    edges: tuple[EdgeStatistics, ...]
    inputs: tuple[InputStatistics, ...]
    outputs: tuple[OutputStatistics, ...]
    identities: tuple[Identity, ...]
    memory_bound_bytes: int
    profile: str
    notes: tuple[str, ...]
    waiting: tuple[Waiting, ...] = ()
    log_sha256: str | None = None
    violations: tuple[Violation, ...] = ()
    paths: tuple[PathStatistics, ...] = ()

    @property
    def closes(self) -> bool:
        """Whether every identity closes."""
        return all(identity.closes for identity in self.identities)


def account(
    edges: tuple[EdgeStatistics, ...],
    inputs: tuple[InputStatistics, ...],
    outputs: tuple[OutputStatistics, ...],
) -> tuple[Identity, ...]:
    """State the accounting identities of SPEC 11 with the numbers of a run."""
    found: list[Identity] = []
    for edge in edges:
        refused, evicted = _sum(edge.refused), _sum(edge.evicted)
        found.append(
            _identity(
                edge.name,
                ("offered", edge.offered),
                ("pushed", edge.pushed),
                ("staged", edge.staged),
                (f"refused{_reasons(edge.refused)}", refused),
            )
        )
        found.append(
            _identity(
                edge.name,
                ("pushed", edge.pushed),
                ("taken", edge.taken),
                (f"evicted{_reasons(edge.evicted)}", evicted),
                ("ring", edge.ring),
            )
        )
    for port in inputs:
        found.append(
            _identity(
                port.name,
                ("taken", port.taken),
                ("consumed", port.consumed),
                (f"dropped{_reasons(port.dropped)}", _sum(port.dropped)),
                ("held", port.held),
            )
        )
    for out in outputs:
        found.append(
            _identity(
                out.name,
                ("offered", out.offered),
                (f"emitted {out.emitted} × {out.fan_out} =", out.emitted * out.fan_out),
                *([("initial", out.initial)] if out.initial else []),
            )
        )
        found.append(
            _identity(
                out.name,
                ("slots", out.capacity),
                ("available", out.available),
                ("live", out.live),
            )
        )
    return tuple(found)


def _sum(reasons: dict[str, int]) -> int:
    return sum(reasons.values())


def _reasons(reasons: dict[str, int]) -> str:
    shown = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    return f"{{{shown}}}" if shown else ""


def _identity(place: str, left: tuple[str, int], *right: tuple[str, int]) -> Identity:
    text = f"{left[0]} {left[1]} = " + " + ".join(f"{name} {count}" for name, count in right)
    return Identity(place, text, left[1] == sum(count for _, count in right))
