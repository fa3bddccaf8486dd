"""Collects what a run measures, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from dataclasses import dataclass

from limen.errors import ConfigurationError
from limen.telemetry._events import Event
from limen.telemetry._histogram import Histogram, HistogramSummary
from limen.telemetry._records import RunStatistics
from limen.telemetry.contract import EventSink, Telemetry, TelemetryKey
from limen.types import error_text, require_type, require_whole

_log = logging.getLogger("limen")


@dataclass(frozen=True, slots=True)
class TelemetryStatistics:
    """What a ``GraphTelemetry`` has collected.

    Attributes:
        counters: What nodes counted, by key, in the order of first use.
        gauges: What they observed last.
        latencies: What they timed.
        ignored: Values for which there was no room: their keys were more than ``max_keys``.
        events: Events so far.
        metrics: The last accounting that was handed over; None before the first.
        detached: Sinks that failed, and why.
    """

    counters: dict[TelemetryKey, int]
    gauges: dict[TelemetryKey, float]
    latencies: dict[TelemetryKey, HistogramSummary]
    ignored: int
    events: int
    metrics: RunStatistics | None
    detached: tuple[str, ...]


class GraphTelemetry(Telemetry):
    """Keeps what nodes measure, and hands events and accounting to sinks.

    A sink that raises is told no more and logged; the others go on.

    Args:
        sinks: Where events go, in this order.
        metrics_every_ns: How often sinks are given the accounting while the graph runs; None for
            at the end only.
        max_keys: Most counters, gauges and histograms together.
    """

    def __init__(
        self,
        sinks: Iterable[EventSink] = (),
        *,
        metrics_every_ns: int | None = None,
        max_keys: int = 1024,
    ) -> None:
        self._sinks = tuple(sinks)
        for sink in self._sinks:
            require_type("sink", sink, EventSink, "give EventSinks")
        if metrics_every_ns is not None:
            metrics_every_ns = require_whole("metrics_every_ns", metrics_every_ns)
        self.metrics_every_ns = metrics_every_ns
        self._max_keys = require_whole("max_keys", max_keys)
        self._counters: dict[TelemetryKey, int] = {}
        self._gauges: dict[TelemetryKey, float] = {}
        self._latencies: dict[TelemetryKey, Histogram] = {}
        self._ignored = 0
        self._events = 0
        self._metrics: RunStatistics | None = None
        self._detached: list[str] = []

    def incr_counter(self, key: TelemetryKey, delta: int = 1) -> None:
        """Add to a counter.

        Raises:
            ConfigurationError: It would fall.
        """
        if delta < 0:
            raise ConfigurationError(f"counter {key.kind}: {delta}", remedy="use a gauge")
        if self._has_room(key, self._counters):
            self._counters[key] = self._counters.get(key, 0) + delta

    def set_gauge(self, key: TelemetryKey, value: float) -> None:
        """Keep the last value."""
        if self._has_room(key, self._gauges):
            self._gauges[key] = value

    def record_latency_ns(self, key: TelemetryKey, value_ns: int) -> None:
        """Record a duration."""
        if self._has_room(key, self._latencies):
            self._latencies.setdefault(key, Histogram()).record(value_ns)

    def push_metrics(self, statistics: RunStatistics) -> None:
        """Keep the accounting and hand it on."""
        self._metrics = statistics
        for sink in self._sinks:
            try:
                sink.write_metrics(statistics)
            except Exception as error:
                self._detach(sink, error)

    def push_event(self, event: Event) -> None:
        """Hand an event on."""
        self._events += 1
        for sink in self._sinks:
            try:
                sink.write(event)
            except Exception as error:
                self._detach(sink, error)

    def flush(self) -> None:
        """Have every sink write out what it holds back."""
        for sink in self._sinks:
            try:
                sink.flush()
            except Exception as error:
                self._detach(sink, error)

    def statistics(self) -> TelemetryStatistics:
        """Return what has been collected so far."""
        return TelemetryStatistics(
            counters=dict(self._counters),
            gauges=dict(self._gauges),
            latencies={key: kept.summary() for key, kept in self._latencies.items()},
            ignored=self._ignored,
            events=self._events,
            metrics=self._metrics,
            detached=tuple(self._detached),
        )

    def _has_room(self, key: TelemetryKey, kept: Container[TelemetryKey]) -> bool:
        used = len(self._counters) + len(self._gauges) + len(self._latencies)
        if key in kept or used < self._max_keys:
            return True
        self._ignored += 1
        return False

    def _detach(self, sink: EventSink, error: Exception) -> None:
        # A new tuple: whoever goes through the old one is not disturbed.
        self._sinks = tuple(other for other in self._sinks if other is not sink)
        text = f"{type(sink).__name__}: {error_text(error)}"
        self._detached.append(text)
        _log.warning("an event sink is told no more: %s", text)
