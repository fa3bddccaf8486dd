"""Counters and histograms: bounded records of what happened."""

from limen.telemetry._histogram import Histogram, HistogramSummary

__all__ = ["Histogram", "HistogramSummary"]
