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

    A run tells events in the order in which they happen. It hands the accounting over a last time
    behind the last event, then flushes, both once the nodes have been stopped. A hook that raises
    is called no more in that run, and that is logged; the others and the run go on. What the Plan's
    switches turn off is never called.

    - TEL-1: It takes events of every kind, whatever their text.
    - TEL-2: It takes counts, gauges and durations from nothing to the largest.
    - TEL-3: It takes the accounting of a run that is under way as of one that is over.
    - TEL-4: ``flush`` may come with nothing to write, and again at once.
    - TEL-5: It goes on behind ``flush``: the next run may have the same telemetry.
    - TEL-6: Memory is bounded, however many events come.
    - TEL-7: Memory is bounded, however many keys come.
    - TEL-8: ``metrics_every_ns`` is None or at least 1, and stays what it is.
    - TEL-9: A run decides the same with it as without.

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

    - EVENTS-1: ``write`` takes events of every kind, whatever their text.
    - EVENTS-2: ``write_metrics`` takes the accounting of any run.
    - EVENTS-3: ``flush`` may come with nothing to write, and again at once.
    - EVENTS-4: It goes on behind ``flush``.
    - EVENTS-5: Memory is bounded, however many events come.
    - EVENTS-6: What cannot be written raises, with the next ``flush`` at the latest.
    """

    @abc.abstractmethod
    def write(self, event: Event) -> None:
        """Take one event."""

    def write_metrics(self, statistics: RunStatistics) -> None:  # noqa: B027 - most keep events
        """Take the accounting."""

    def flush(self) -> None:  # noqa: B027 - most hold nothing back
        """Write out what is held back."""
