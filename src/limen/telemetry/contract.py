"""The contracts of those who are told what a run measures: a telemetry, and sinks of events."""

from __future__ import annotations

import abc
import enum
import re
from dataclasses import dataclass
from typing import Final

from limen.errors import ConfigurationError
from limen.telemetry._events import Event
from limen.telemetry._records import RunStatistics
from limen.types import require_type, require_whole

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class TelemetryNs(enum.StrEnum):
    """What a measured value belongs to."""

    RUNTIME = "runtime"
    NODE = "node"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class TelemetryKey:
    """Names one counter, gauge or histogram.

    Attributes:
        ns: What it belongs to.
        id: Index of that node or edge in the Plan; 0 for the runtime.
        kind: What is measured: ``[a-z][a-z0-9_]*``, at most 64 characters.
    """

    ns: TelemetryNs
    id: int
    kind: str

    def __post_init__(self) -> None:
        require_type("ns", self.ns, TelemetryNs, "give a TelemetryNs")
        require_whole("id", self.id, 0)
        if not isinstance(self.kind, str) or not _KIND.fullmatch(self.kind):
            raise ConfigurationError(
                f"kind is {self.kind!r}"[:200],
                remedy="give at most 64 lower-case letters, digits and _, a letter first",
            )


class Telemetry(abc.ABC):  # noqa: B024 - every hook may be left out
    """Told what a run measures, by the thread that runs the graph.

    Each hook does nothing unless it is overridden, and one that is not overridden is never called:
    which ones are is found out once, when a runtime is made. What a run accounts for anyway is
    handed over as a record; only what nodes measure themselves comes value by value.

    - TEL-1: Hooks never block and never call back into the runtime.
    - TEL-2: A hook that raises is called no more in that run, and that is logged; other hooks and
      the run itself go on.
    - TEL-3: Events come in the order in which they happened; equal runs give equal events.
    - TEL-4: The last ``push_metrics`` comes after the last event, then ``flush``, both once the
      nodes have been stopped.
    - TEL-5: What the Plan's switches turn off is never called.

    Attributes:
        metrics_every_ns: Least time, by the graph's clock, between two hand-overs of the
            accounting while the graph runs; None for the one at the end only. An idle graph is
            not woken for it.
    """

    metrics_every_ns: int | None = None

    def incr_counter(self, key: TelemetryKey, delta: int = 1) -> None:  # noqa: B027
        """Add to a counter, which never falls; what nodes count comes here."""

    def set_gauge(self, key: TelemetryKey, value: float) -> None:  # noqa: B027
        """Set what can rise and fall; what nodes observe comes here."""

    def record_latency_ns(self, key: TelemetryKey, value_ns: int) -> None:  # noqa: B027
        """Record a duration; what nodes time comes here."""

    def push_metrics(self, statistics: RunStatistics) -> None:  # noqa: B027
        """Take the accounting as it is now: a frozen record, exact between steps."""

    def push_event(self, event: Event) -> None:  # noqa: B027
        """Take one event as it happens."""

    def flush(self) -> None:  # noqa: B027
        """Write out what is held back; called at the end of a run."""


class NoopTelemetry(Telemetry):
    """Listens to nothing."""


class EventSink(abc.ABC):
    """Where a ``GraphTelemetry`` sends events.

    - SINK-1: ``write`` takes one event and does not block for longer than its target does.
    - SINK-2: It raises for what could not be written; it is called no more then, and that is
      logged.
    - SINK-3: Memory is bounded whatever comes.
    """

    @abc.abstractmethod
    def write(self, event: Event) -> None:
        """Take one event."""

    def write_metrics(self, statistics: RunStatistics) -> None:  # noqa: B027 - most keep events
        """Take the accounting."""

    def flush(self) -> None:  # noqa: B027 - most hold nothing back
        """Write out what is held back."""
