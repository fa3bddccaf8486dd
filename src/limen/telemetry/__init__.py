"""What a run measures: statistics and their identities, events, decisions, and who is told."""

from typing import TYPE_CHECKING

from limen._lazy import lazily

if TYPE_CHECKING:
    from limen.telemetry._collect import GraphTelemetry, TelemetryStatistics
    from limen.telemetry._decisions import Decision, DecisionLog
    from limen.telemetry._events import (
        EdgeSnapshot,
        Event,
        EventMessage,
        Loss,
        NodeStep,
        RuntimeEvent,
        RuntimeEventKind,
        StructuralDrop,
        describe_event,
        event_json,
    )
    from limen.telemetry._histogram import (
        HISTOGRAM_BUCKETS,
        Histogram,
        HistogramSummary,
        record_all,
    )
    from limen.telemetry._hooks import Hooks, NodeTelemetry
    from limen.telemetry._rates import POWERS_OF_TEN, passes_power_of_ten
    from limen.telemetry._records import (
        EdgeStatistics,
        Identity,
        InputStatistics,
        NodeStatistics,
        OutputStatistics,
        PathStatistics,
        RunStatistics,
        Waiting,
        account,
    )
    from limen.telemetry._sinks import BufferEventSink, JsonEventSink, LineEventSink
    from limen.telemetry._switches import TelemetrySwitches
    from limen.telemetry._violations import (
        PolicyEvent,
        Violation,
        ViolationKind,
        ViolationTally,
    )
    from limen.telemetry.contract import (
        EventSink,
        NoopTelemetry,
        Telemetry,
        TelemetryKey,
        TelemetryNs,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.telemetry._collect": ("GraphTelemetry", "TelemetryStatistics"),
            "limen.telemetry._decisions": ("Decision", "DecisionLog"),
            "limen.telemetry._events": (
                "EdgeSnapshot",
                "Event",
                "EventMessage",
                "Loss",
                "NodeStep",
                "RuntimeEvent",
                "RuntimeEventKind",
                "StructuralDrop",
                "describe_event",
                "event_json",
            ),
            "limen.telemetry._histogram": (
                "HISTOGRAM_BUCKETS",
                "Histogram",
                "HistogramSummary",
                "record_all",
            ),
            "limen.telemetry._hooks": ("Hooks", "NodeTelemetry"),
            "limen.telemetry._rates": ("POWERS_OF_TEN", "passes_power_of_ten"),
            "limen.telemetry._records": (
                "EdgeStatistics",
                "Identity",
                "InputStatistics",
                "NodeStatistics",
                "OutputStatistics",
                "PathStatistics",
                "RunStatistics",
                "Waiting",
                "account",
            ),
            "limen.telemetry._sinks": ("BufferEventSink", "JsonEventSink", "LineEventSink"),
            "limen.telemetry._switches": ("TelemetrySwitches",),
            "limen.telemetry._violations": (
                "PolicyEvent",
                "Violation",
                "ViolationKind",
                "ViolationTally",
            ),
            "limen.telemetry.contract": (
                "EventSink",
                "NoopTelemetry",
                "Telemetry",
                "TelemetryKey",
                "TelemetryNs",
            ),
        },
    )

__all__ = [
    "HISTOGRAM_BUCKETS",
    "POWERS_OF_TEN",
    "BufferEventSink",
    "Decision",
    "DecisionLog",
    "EdgeSnapshot",
    "EdgeStatistics",
    "Event",
    "EventMessage",
    "EventSink",
    "GraphTelemetry",
    "Histogram",
    "HistogramSummary",
    "Hooks",
    "Identity",
    "InputStatistics",
    "JsonEventSink",
    "LineEventSink",
    "Loss",
    "NodeStatistics",
    "NodeStep",
    "NodeTelemetry",
    "NoopTelemetry",
    "OutputStatistics",
    "PathStatistics",
    "PolicyEvent",
    "RunStatistics",
    "RuntimeEvent",
    "RuntimeEventKind",
    "StructuralDrop",
    "Telemetry",
    "TelemetryKey",
    "TelemetryNs",
    "TelemetryStatistics",
    "TelemetrySwitches",
    "Violation",
    "ViolationKind",
    "ViolationTally",
    "Waiting",
    "account",
    "describe_event",
    "event_json",
    "passes_power_of_ten",
    "record_all",
]
