"""Counters and histograms: bounded records of what happened, and the identities they obey."""

from limen.telemetry._histogram import Histogram, HistogramSummary
from limen.telemetry._records import (
    EdgeStatistics,
    Identity,
    InputStatistics,
    NodeStatistics,
    OutputStatistics,
    RunStatistics,
    account,
)

__all__ = [
    "EdgeStatistics",
    "Histogram",
    "HistogramSummary",
    "Identity",
    "InputStatistics",
    "NodeStatistics",
    "OutputStatistics",
    "RunStatistics",
    "account",
]
