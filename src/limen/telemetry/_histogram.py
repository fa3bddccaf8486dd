"""A histogram of durations in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

_SUB_BITS: Final = 5
_SUB_BUCKETS: Final = 1 << _SUB_BITS
_MAX_BITS: Final = 42
HISTOGRAM_BUCKETS: Final = (_MAX_BITS - _SUB_BITS + 1) * _SUB_BUCKETS
"""How many buckets a ``Histogram`` sorts durations into."""
# Of a float of 64 bits: bits behind the point, and what those before a bucket's number stand for.
_MANTISSA_BITS: Final = 52
_FIRST_BITS: Final = (1023 + _SUB_BITS - 1) << _SUB_BITS
# Below so many values NumPy's calls cost more than they save.
_FEW: Final = 200


@dataclass(frozen=True, slots=True)
class HistogramSummary:
    """A histogram in six numbers, all in nanoseconds but the counts.

    Where histograms are switched off, all are 0.

    Attributes:
        count: Values recorded.
        overflow: Those above the range; they count in ``count`` and ``max_ns`` as well.
        min_ns: Smallest value, exact.
        p50_ns: Median, at most 1/32 above the true one.
        p99_ns: 99th percentile, likewise.
        max_ns: Largest value, exact.
    """

    count: int
    overflow: int
    min_ns: int
    p50_ns: int
    p99_ns: int
    max_ns: int


class Histogram:
    """Counts durations in log-linear buckets: 32 per octave, so quantiles err by at most 1/32.

    The range is 0 ns to 2^42 ns (73 minutes); what lies above counts as overflow. Recording
    allocates nothing. The bucketing is that of HdrHistogram (Gil Tene).
    """

    __slots__ = ("_counts", "_max", "_min", "count", "overflow")

    def __init__(self) -> None:
        # An array: a list would keep a number of its own for every bucket.
        self._counts = array("q", bytes(8 * HISTOGRAM_BUCKETS))
        self.count = 0
        self.overflow = 0
        self._min = 0
        self._max = 0

    def record(self, value_ns: int) -> None:
        """Count one duration; negative ones count as 0."""
        value = max(value_ns, 0)
        if self.count == 0 or value < self._min:
            self._min = value
        self._max = max(self._max, value)
        self.count += 1
        shift = value.bit_length() - _SUB_BITS - 1
        index = value if shift <= 0 else (shift << _SUB_BITS) + (value >> shift)
        if index < HISTOGRAM_BUCKETS:
            self._counts[index] += 1
        else:
            self.overflow += 1

    def add(self, places: Sequence[int], counts: Sequence[int], least: int, most: int) -> None:
        """Take over durations that were sorted elsewhere, by the same rule.

        Args:
            places: Of the buckets that got any; behind the last one lies the overflow.
            counts: How many each of them got, at least 1.
            least: The smallest of them in ns.
            most: The largest.
        """
        self._min = least if self.count == 0 else min(self._min, least)
        self._max = max(self._max, most)
        for place, count in zip(places, counts, strict=True):
            self.count += count
            if place < HISTOGRAM_BUCKETS:
                self._counts[place] += count
            else:
                self.overflow += count

    def quantile(self, fraction: float) -> int:
        """Return a value that at least ``fraction`` of the records do not exceed."""
        if self.count == 0:
            return 0
        wanted = max(1, -(-round(fraction * 1_000_000) * self.count // 1_000_000))
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return max(self._min, min(_upper_bound(index), self._max))
        return self._max

    def summary(self) -> HistogramSummary:
        """Return the record that reports print."""
        return HistogramSummary(
            count=self.count,
            overflow=self.overflow,
            min_ns=self._min,
            p50_ns=self.quantile(0.50),
            p99_ns=self.quantile(0.99),
            max_ns=self._max,
        )


def record_all(noted: Sequence[tuple[array[int], Histogram]]) -> None:
    """Count durations in ns that were noted in arrays, as ``Histogram.record`` does each.

    All arrays are sorted into buckets at once: that costs a tenth of recording one by one.

    Args:
        noted: Arrays of 64-bit integers, and where each belongs; it is left as it is.
    """
    noted = [(values, histogram) for values, histogram in noted if values]
    lengths = [len(values) for values, _ in noted]
    if sum(lengths) < _FEW:
        for values, histogram in noted:
            for value in values:
                histogram.record(value)
        return
    # Copied: an array that lends its buffer could not be emptied.
    ns = np.maximum(np.concatenate([np.frombuffer(values, np.int64) for values, _ in noted]), 0)
    # NumPy's own sum would leave a name behind now and then.
    starts = list(accumulate(lengths[:-1], initial=0))
    least, most = np.minimum.reduceat(ns, starts), np.maximum.reduceat(ns, starts)
    # A float's exponent and the first bits behind its point are what a bucket is, from the first
    # that is wider than 1 on. Up to 2^53 they are the integer's; beyond lies the overflow anyway.
    bits = ns.astype(np.float64).view(np.int64) >> (_MANTISSA_BITS - _SUB_BITS)
    places = np.minimum(bits - _FIRST_BITS, HISTOGRAM_BUCKETS)
    places = np.where(ns < _SUB_BUCKETS, ns, places)
    rows = np.repeat(np.arange(len(noted)) * (HISTOGRAM_BUCKETS + 1), lengths)
    table = np.bincount(rows + places, minlength=len(noted) * (HISTOGRAM_BUCKETS + 1))
    for row, (_, histogram) in enumerate(noted):
        counts = table[row * (HISTOGRAM_BUCKETS + 1) : (row + 1) * (HISTOGRAM_BUCKETS + 1)]
        (found,) = counts.nonzero()
        histogram.add(found.tolist(), counts[found].tolist(), int(least[row]), int(most[row]))


def _upper_bound(index: int) -> int:
    if index < 2 * _SUB_BUCKETS:
        return index
    shift = (index >> _SUB_BITS) - 1
    return (((index & (_SUB_BUCKETS - 1)) + _SUB_BUCKETS + 1) << shift) - 1
