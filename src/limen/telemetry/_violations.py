"""What constraints were violated: an event each, and their tally by kind and place."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from limen.telemetry._rates import passes_power_of_ten
from limen.types import error_text

_log = logging.getLogger("limen")


class ViolationKind(enum.StrEnum):
    """What a constraint found; the values stand in reports."""

    DEADLINE_MISS = "deadline_miss"
    STALE = "stale"
    STALE_DELIVERED = "stale_delivered"
    NO_DEADLINE = "no_deadline"
    EXPIRED = "expired"
    INFEASIBLE = "infeasible"
    LIVENESS = "liveness"
    OVERRUN = "overrun"
    WATCHDOG = "watchdog"
    DISCARDED = "discarded"
    FORWARDED = "forwarded"
    DEFAULTED = "defaulted"
    DEGRADED = "degraded"
    MISSED_PERIODS = "missed_periods"
    RESTART = "restart"
    FAILSAFE = "failsafe"
    QUIESCED = "quiesced"


class PolicyEvent(NamedTuple):
    """One violation, or what was done about one, as it happens.

    Attributes:
        instant_ns: When, by the graph's clock.
        kind: What happened.
        place: Node, input port or edge.
        sequence: Of the message; -1 where there is none.
        times: How often at once: more than one for missed periods and for batches.
        amount_ns: By how much: lateness, age, silence or duration; 0 where that means nothing.
    """

    instant_ns: int
    kind: ViolationKind
    place: str
    sequence: int
    times: int
    amount_ns: int


@dataclass(frozen=True, slots=True)
class Violation:
    """All events of one kind at one place.

    Attributes:
        kind: What happened.
        place: Node, input port or edge.
        count: How often.
        first_ns: First time, by the graph's clock.
        last_ns: Last time.
        worst_ns: Largest lateness, age, silence or duration; 0 where that means nothing.
    """

    kind: ViolationKind
    place: str
    count: int
    first_ns: int
    last_ns: int
    worst_ns: int


class ViolationTally:
    """Counts events by kind and place, and hands each to whoever listens; bounded by the graph.

    A listener that raises is told no more, and the run goes on.

    Args:
        listener: Told of every event.
    """

    def __init__(self, listener: Callable[[PolicyEvent], None] | None = None) -> None:
        self._listener = listener
        # By kind and place: count, first and last instant, worst amount.
        self._tally: dict[tuple[ViolationKind, str], list[int]] = {}

    def add(self, event: PolicyEvent) -> None:
        """Take one event; called by an executor.

        The 1st, 10th, 100th … of its kind at a place is logged.
        """
        key = (event.kind, event.place)
        entry = self._tally.get(key)
        if entry is None:
            entry = self._tally[key] = [0, event.instant_ns, 0, 0]
        before = entry[0]
        entry[0] += event.times
        entry[2] = event.instant_ns
        entry[3] = max(entry[3], event.amount_ns)
        if passes_power_of_ten(before, entry[0]):
            if not before:
                _log.warning("%s: first %s", event.place, event.kind.value)
            else:
                _log.warning("%s: %d %s so far", event.place, entry[0], event.kind.value)
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:
            self._listener = None
            _log.warning("the listener to policy events is told no more: %s", error_text(error))

    def violations(self) -> tuple[Violation, ...]:
        """Return the tally so far, by place and kind."""
        order = list(ViolationKind)
        return tuple(
            Violation(kind, place, *self._tally[kind, place])
            for place, kind in sorted(
                ((place, kind) for kind, place in self._tally),
                key=lambda pair: (pair[0], order.index(pair[1])),
            )
        )
