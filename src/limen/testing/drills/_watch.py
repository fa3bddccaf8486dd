"""Who looks on while a drill runs."""

from __future__ import annotations

import dataclasses
import functools

from limen.scheduling import Plan
from limen.telemetry import EdgeSnapshot, Event, Telemetry
from limen.testing._clock import DrillClock
from limen.testing._stand import Given, Listener, kept
from limen.testing.drills._report import Arrival
from limen.types import format_bytes, format_ns


class SinkListener(Listener):
    """Keeps what a sink used."""

    def __init__(self, clock: DrillClock) -> None:
        self._clock = clock
        self.arrivals: list[Arrival] = []

    def given(self, given: Given) -> None:
        for port, message in given:
            place, at, header = len(self.arrivals), self._clock.now_ticks(), message.header
            self.arrivals.append(Arrival(port, header, kept(message.payload), at, 0))
            self._clock.at_end_of_call(functools.partial(self._aged, place))

    def _aged(self, place: int, end: int) -> None:
        arrival = self.arrivals[place]
        # What was created in the future has no age, as in reports.
        age_ns = max(0, end - arrival.header.creation_tick)
        self.arrivals[place] = dataclasses.replace(arrival, age_ns=age_ns)


class ByteWatch(Telemetry):
    """Finds queues that hold more bytes than their caps allow."""

    def __init__(self, plan: Plan) -> None:
        self._caps = {
            edge.name: edge.policy.caps.byte_limit
            for edge in plan.edges
            if edge.policy.caps.max_bytes is not None
        }
        self.found: dict[str, str] = {}

    def push_event(self, event: Event) -> None:
        if isinstance(event, EdgeSnapshot):
            cap = self._caps.get(event.edge)
            if cap is not None and event.size_bytes > cap:
                self.found[event.edge] = (
                    f"{event.edge}: {format_bytes(event.size_bytes)} in the queue at "
                    f"{format_ns(event.instant_ns)}; its cap is {format_bytes(cap)}"
                )
