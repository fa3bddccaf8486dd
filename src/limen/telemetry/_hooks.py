"""The hooks of a telemetry, found once when it is attached."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from limen.telemetry._events import Event, EventMessage, RuntimeEvent, RuntimeEventKind
from limen.telemetry._records import RunStatistics
from limen.telemetry._switches import TelemetrySwitches
from limen.telemetry.contract import NoopTelemetry, Telemetry, TelemetryKey, TelemetryNs
from limen.types import error_text, require_type, require_whole

_log = logging.getLogger("limen")
_MOST_KEYS: Final = 256


class Hooks:
    """What of a telemetry is called: hooks that it overrides and the switches leave on.

    Executors ask for None before they make a record, so what nobody listens to is not made. A hook
    that raises becomes None, and that is logged.

    Args:
        telemetry: Whose; None if nobody listens.
        switches: What there is at all.

    Attributes:
        event: Where events go, but for samples; None for nowhere.
        sample: Where ``NodeStep`` and ``EdgeSnapshot`` go.
        metrics: Where the accounting goes.
        counter: Where what nodes count goes.
        gauge: Where what they observe goes.
        latency: Where what they time goes.
        metrics_every_ns: As the telemetry states it; None where nothing takes the accounting.
    """

    __slots__ = (
        *("_flush", "counter", "event", "gauge", "latency", "metrics", "metrics_every_ns"),
        "sample",
    )

    def __init__(
        self, telemetry: Telemetry | None = None, switches: TelemetrySwitches | None = None
    ) -> None:
        on = TelemetrySwitches() if switches is None else switches
        told = NoopTelemetry() if telemetry is None else telemetry
        require_type("telemetry", told, Telemetry, "give a Telemetry, as GraphTelemetry()")

        def listens(name: str) -> bool:
            return getattr(type(told), name) is not getattr(Telemetry, name)

        pushes, counts = listens("push_event"), on.counters
        samples = on.node_steps or on.edge_snapshots
        self.event: Callable[[Event], None] | None = None
        self.sample: Callable[[Event], None] | None = None
        self.metrics: Callable[[RunStatistics], None] | None = None
        self.counter: Callable[[TelemetryKey, int], None] | None = None
        self.gauge: Callable[[TelemetryKey, float], None] | None = None
        self.latency: Callable[[TelemetryKey, int], None] | None = None
        self._flush: Callable[[], None] | None = None
        if pushes and on.events:
            self.event = told.push_event
        if pushes and samples:
            self.sample = told.push_event
        if counts and listens("push_metrics"):
            self.metrics = told.push_metrics
        if counts and listens("incr_counter"):
            self.counter = told.incr_counter
        if counts and listens("set_gauge"):
            self.gauge = told.set_gauge
        if on.histograms and listens("record_latency_ns"):
            self.latency = told.record_latency_ns
        if listens("flush"):
            self._flush = told.flush
        self.metrics_every_ns = None if self.metrics is None else told.metrics_every_ns

    def tell(self, event: Event) -> None:
        """Hand an event over that ``event`` is there for."""
        if self.event is not None:
            self._push(self.event, event)

    def tell_sample(self, event: Event) -> None:
        """Hand an event over that ``sample`` is there for."""
        if self.sample is not None:
            self._push(self.sample, event)

    def push_metrics(self, statistics: RunStatistics) -> None:
        """Hand the accounting over."""
        if self.metrics is not None:
            try:
                self.metrics(statistics)
            except Exception as error:
                self.metrics = None
                _detached("push_metrics", error)

    def count(self, key: TelemetryKey, delta: int) -> None:
        """Add to a counter."""
        if self.counter is not None:
            try:
                self.counter(key, delta)
            except Exception as error:
                self.counter = None
                _detached("incr_counter", error)

    def observe(self, key: TelemetryKey, value: float) -> None:
        """Set a gauge."""
        if self.gauge is not None:
            try:
                self.gauge(key, value)
            except Exception as error:
                self.gauge = None
                _detached("set_gauge", error)

    def time(self, key: TelemetryKey, value_ns: int) -> None:
        """Record a duration."""
        if self.latency is not None:
            try:
                self.latency(key, value_ns)
            except Exception as error:
                self.latency = None
                _detached("record_latency_ns", error)

    def flush(self) -> None:
        """Have the telemetry write out what it holds back."""
        if self._flush is not None:
            try:
                self._flush()
            except Exception as error:
                self._flush = None
                _detached("flush", error)

    def _push(self, hook: Callable[[Event], None], event: Event) -> None:
        try:
            hook(event)
        except Exception as error:
            self.event = self.sample = None
            _detached("push_event", error)


class NodeTelemetry:
    """What a node measures itself, under keys of its own; its step context has it.

    Where nobody listens, or the switches are off, its methods do nothing.

    Args:
        name: The node.
        index: Its number in the Plan.
        hooks: Of the run.
        now_ns: Says the instant that decisions use.
    """

    __slots__ = ("_hooks", "_index", "_keys", "_name", "_now_ns")

    def __init__(self, name: str, index: int, hooks: Hooks, now_ns: Callable[[], int]) -> None:
        self._name = name
        self._index = index
        self._hooks = hooks
        self._now_ns = now_ns
        self._keys: dict[str, TelemetryKey] = {}

    def incr_counter(self, kind: str, delta: int = 1) -> None:
        """Add to a counter.

        Raises:
            ConfigurationError: ``kind`` is no name, or the counter would fall.
        """
        if self._hooks.counter is not None:
            self._hooks.count(self._key(kind), require_whole("delta", delta, 0))

    def set_gauge(self, kind: str, value: float) -> None:
        """Set what can rise and fall.

        Raises:
            ConfigurationError: ``kind`` is no name.
        """
        if self._hooks.gauge is not None:
            self._hooks.observe(self._key(kind), float(value))

    def record_latency_ns(self, kind: str, value_ns: int) -> None:
        """Record a duration.

        Raises:
            ConfigurationError: ``kind`` is no name, or the duration is negative.
        """
        if self._hooks.latency is not None:
            self._hooks.time(self._key(kind), require_whole("value_ns", value_ns, 0))

    def push_event(self, kind: RuntimeEventKind, message: str = "") -> None:
        """Tell of a sensor, a broker or data.

        Args:
            kind: What happened.
            message: More about it; what does not fit an ``EventMessage`` is cut or escaped.
        """
        if self._hooks.event is not None:
            kind = RuntimeEventKind(kind)
            self._hooks.tell(
                RuntimeEvent(self._now_ns(), kind, self._name, EventMessage.of(message))
            )

    def _key(self, kind: str) -> TelemetryKey:
        key = self._keys.get(kind)
        if key is None:
            key = TelemetryKey(TelemetryNs.NODE, self._index, kind)
            if len(self._keys) < _MOST_KEYS:
                self._keys[kind] = key
        return key


def _detached(name: str, error: Exception) -> None:
    _log.warning("the telemetry's %s is called no more: %s", name, error_text(error))
