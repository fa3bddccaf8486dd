"""What a drill saw."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from limen.errors import ConfigurationError
from limen.message import MessageHeader
from limen.telemetry import Loss, NodeStatistics, RunStatistics
from limen.types import nearest


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """One message that a sink used.

    Attributes:
        port: The sink's input.
        header: As it came.
        payload: A copy, where it is an array; else the object itself.
        at_ns: Instant at which it was handed over.
        age_ns: Time from its creation to the end of that call, as reports count it.
    """

    port: str
    header: MessageHeader
    payload: object
    at_ns: int
    age_ns: int


@dataclass(frozen=True, slots=True)
class LostMessages:
    """Messages that were lost in one place for one reason.

    Attributes:
        place: The edge; of what its consumer dropped, the input.
        loss: Who lost them.
        reason: Why.
        count: How many.
    """

    place: str
    loss: Loss
    reason: str
    count: int

    def __str__(self) -> str:
        return f"{self.place}: {self.count} {self.loss.value} ({self.reason})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DrillReport:
    """What became of a graph under a fault; made by a drill that found all as it must be.

    Attributes:
        drill: The drill and what it was given, as text.
        statistics: The accounting.
        log: The decision log.
        arrivals: By sink, what it used, in order.
        losses: What was lost, by place and reason.
        happened_ns: Instants at which the fault struck.
        feeds: By source, where its messages came from.
        undisturbed: The accounting of the same graph without the fault.
        runs: Of a drill that makes one run after the other, all of them.
    """

    drill: str
    statistics: RunStatistics
    log: str
    arrivals: Mapping[str, tuple[Arrival, ...]]
    losses: tuple[LostMessages, ...]
    happened_ns: tuple[int, ...]
    feeds: Mapping[str, str]
    undisturbed: RunStatistics
    runs: tuple[DrillReport, ...] = ()

    @property
    def outcome(self) -> str:
        """How the run ended: ``completed``, ``stopped`` or ``halted``."""
        return self.statistics.outcome

    def payloads(self, sink: str) -> list[object]:
        """Return what reached a sink, without headers."""
        return [arrival.payload for arrival in self._of(sink)]

    def sequences(self, sink: str) -> list[int]:
        """Return the sequence numbers of what reached a sink."""
        return [int(arrival.header.sequence) for arrival in self._of(sink)]

    def count(self, sink: str | None = None) -> int:
        """Return how many messages reached a sink, or all of them."""
        return len(self._of(sink))

    def largest_age_ns(self, sink: str | None = None) -> int:
        """Return the age of the oldest result at a sink, or at any; 0 where nothing came."""
        return max((arrival.age_ns for arrival in self._of(sink)), default=0)

    def p99_age_ns(self, sink: str | None = None) -> int:
        """Return the age that 99 % of the results do not exceed, exactly; 0 where nothing came."""
        ages = sorted(arrival.age_ns for arrival in self._of(sink))
        return ages[-(-99 * len(ages) // 100) - 1] if ages else 0

    def largest_gap_ns(self, sink: str) -> int:
        """Return the longest time between results at a sink, start and end of the run included."""
        ends = [0, *(arrival.at_ns for arrival in self._of(sink)), self.statistics.duration_ns]
        return max(later - earlier for earlier, later in itertools.pairwise(ends))

    def lost(self, *, reason: str | None = None, place: str | None = None) -> int:
        """Return how many messages were lost: all, or those of a reason, or in a place.

        Args:
            reason: As in the accounting, for example ``"full"``.
            place: A node (what its inputs dropped, and what was lost on the edges into it), or an
                edge or input by its full name.
        """
        return sum(
            lost.count
            for lost in self.losses
            if reason in (None, lost.reason) and (place is None or _is_at(lost.place, place))
        )

    def errors(self, node: str | None = None) -> int:
        """Return how many calls of a node failed, or of all."""
        nodes = self.statistics.nodes if node is None else (self.node(node),)
        return sum(record.errors for record in nodes)

    def node(self, name: str) -> NodeStatistics:
        """Return the record of a node.

        Raises:
            ConfigurationError: No node has that name.
        """
        found = {record.name: record for record in self.statistics.nodes}
        if name not in found:
            raise ConfigurationError(f"no node {name!r}", remedy=nearest(name, found))
        return found[name]

    def _of(self, sink: str | None) -> tuple[Arrival, ...]:
        if sink is None:
            return tuple(arrival for came in self.arrivals.values() for arrival in came)
        if sink not in self.arrivals:
            raise ConfigurationError(f"no sink {sink!r}", remedy=nearest(sink, self.arrivals))
        return self.arrivals[sink]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [f"{self.drill}: {self.outcome}"]
        for sink, came in self.arrivals.items():
            lines.append(f"  {sink}: {len(came)} results")
        lines += [f"  {lost}" for lost in self.losses]
        return "\n".join(lines)


def losses_of(statistics: RunStatistics) -> tuple[LostMessages, ...]:
    """Return what a run lost, in the order of edges and inputs."""
    found = []
    for edge in statistics.edges:
        for loss, reasons in ((Loss.REFUSED, edge.refused), (Loss.EVICTED, edge.evicted)):
            found += [LostMessages(edge.name, loss, str(r), n) for r, n in sorted(reasons.items())]
    for port in statistics.inputs:
        dropped = sorted(port.dropped.items())
        found += [LostMessages(port.name, Loss.DROPPED, str(r), n) for r, n in dropped]
    return tuple(lost for lost in found if lost.count)


def _is_at(lost: str, place: str) -> bool:
    consumer = lost.partition(" -> ")[2] or lost
    return place in (lost, consumer.partition(".")[0])
