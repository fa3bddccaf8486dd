"""Counters and histograms: bounded records of what happened, and the identities they obey."""

from limen.telemetry._decisions import Decision, DecisionLog
from limen.telemetry._histogram import Histogram, HistogramSummary
from limen.telemetry._records import (
    EdgeStatistics,
    Identity,
    InputStatistics,
    NodeStatistics,
    OutputStatistics,
    RunStatistics,
    Waiting,
    account,
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
    "RunStatistics",
    "Waiting",
    "account",
]
