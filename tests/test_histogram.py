"""The histogram: exact ends, quantiles within 1/32, bounded memory."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.telemetry import Histogram

_RANGE_NS = 2**42
_VALUES = st.one_of(
    st.integers(0, 200),
    st.integers(0, _RANGE_NS - 1),
    st.integers(5, 41).flatmap(lambda bits: st.integers(2**bits - 1, 2**bits + 1)),
)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def true_quantile(values: list[int], percent: int) -> int:
    """The smallest value that at least so many percent do not exceed."""
    wanted = max(1, -(-percent * len(values) // 100))
    return sorted(values)[wanted - 1]


@given(st.lists(_VALUES, min_size=1, max_size=120), st.integers(0, 100))
def test_a_quantile_is_the_true_one_or_up_to_a_32nd_above(values: list[int], percent: int) -> None:
    found = filled(values).quantile(percent / 100)
    truth = true_quantile(values, percent)
    assert truth <= found <= truth + Fraction(truth, 32)


@given(st.lists(_VALUES, min_size=1, max_size=120))
def test_the_summary_has_exact_ends_and_counts(values: list[int]) -> None:
    summary = filled(values).summary()
    assert (summary.count, summary.overflow) == (len(values), 0)
    assert (summary.min_ns, summary.max_ns) == (min(values), max(values))
    assert summary.min_ns <= summary.p50_ns <= summary.p99_ns <= summary.max_ns


@given(st.lists(st.integers(0, 2**50), max_size=60))
def test_what_lies_above_the_range_is_counted_as_overflow(values: list[int]) -> None:
    summary = filled(values).summary()
    assert summary.overflow == sum(value >= _RANGE_NS for value in values)
    assert summary.count == len(values)
    assert summary.max_ns == max(values, default=0)


def test_the_last_value_in_range_does_not_overflow_and_the_next_one_does() -> None:
    histogram = filled([_RANGE_NS - 1])
    assert histogram.overflow == 0
    histogram.record(_RANGE_NS)
    assert histogram.overflow == 1
    assert histogram.quantile(1.0) == _RANGE_NS


def test_small_values_are_exact() -> None:
    for value in range(64):
        assert filled([value, 1000]).quantile(0.5) == value


def test_a_negative_duration_counts_as_zero() -> None:
    summary = filled([-5, 3]).summary()
    assert (summary.count, summary.min_ns, summary.max_ns) == (2, 0, 3)


def test_an_empty_histogram_has_only_zeros() -> None:
    summary = Histogram().summary()
    assert (summary.count, summary.overflow, summary.min_ns, summary.max_ns) == (0, 0, 0, 0)
    assert (summary.p50_ns, summary.p99_ns) == (0, 0)


def test_a_histogram_takes_no_further_attributes() -> None:
    with pytest.raises(AttributeError):
        Histogram().extra = 1  # type: ignore[attr-defined]


def kept_bytes(record: object, rounds: int) -> int:
    assert callable(record)
    values = [1 << (i % 50) for i in range(100)]
    tracemalloc.start()
    try:
        for _ in range(20):
            for value in values:
                record(value)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(rounds):
            for value in values:
                record(value)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_recording_keeps_nothing() -> None:
    assert kept_bytes(Histogram().record, rounds=200) < 4096


def test_the_measure_of_memory_sees_a_recorder_that_keeps_its_values() -> None:
    kept: list[object] = []
    assert kept_bytes(lambda value: kept.append((value,)), rounds=200) > 4096


def test_counting_keeps_nothing_however_many_there_are() -> None:
    histogram, values = Histogram(), [number * 977 for number in range(400)]
    for value in values:
        histogram.record(value)
    tracemalloc.start()
    try:
        # Beyond the small numbers that Python keeps anyway.
        for _ in range(300):
            for value in values:
                histogram.record(value)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert histogram.count == 301 * len(values)
    assert kept < 200, "two numbers, of the loops and of the count"
