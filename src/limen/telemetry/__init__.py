"""Counters and histograms: bounded records of what happened, and the identities they obey."""

from limen.telemetry._decisions import Decision, DecisionLog
from limen.telemetry._histogram import Histogram, HistogramSummary
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
from limen.telemetry._violations import (
    PolicyEvent,
    Violation,
    ViolationKind,
    ViolationTally,
)

__all__ = [
    "Decision",
    "DecisionLog",
    "EdgeStatistics",
    "Histogram",
    "HistogramSummary",
    "Identity",
    "InputStatistics",
    "NodeStatistics",
    "OutputStatistics",
    "PathStatistics",
    "PolicyEvent",
    "RunStatistics",
    "Violation",
    "ViolationKind",
    "ViolationTally",
    "Waiting",
    "account",
]
