"""Nodes that compute, against loops over single numbers as C would have them, and against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from library import (
    NUMBERS,
    REALS,
    SHAPES,
    WHOLES,
    Bench,
    array_of,
    assert_same_bits,
    samples,
    spec,
)
from limen.nodes import Affine, ArgMax, Cast, Moving, TopK

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
MORE = settings(max_examples=60, deadline=None)
REAL_OF = dict.fromkeys(("u8", "u16", "s8", "s16", "f32"), np.float32)


def real_of(dtype: str) -> type:
    return REAL_OF.get(dtype, np.float64)


# Affine.


@MORE
@given(st.data(), st.sampled_from(NUMBERS), st.sampled_from(SHAPES))
def test_affine_multiplies_then_adds_and_rounds_twice(
    data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    xs = data.draw(samples(dtype, shape, st.integers(1, 3)))
    gain, offset = data.draw(st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 2))
    real = real_of(dtype)
    found = Bench(Affine(gain, offset), **{"in": spec(dtype, *shape)}).feed(xs)
    for out, x in zip(found, xs, strict=True):
        wanted = np.empty(shape, real)
        for place in np.ndindex(shape):
            wanted[place] = real(x[place]) * real(gain) + real(offset)
        assert_same_bits(out, wanted)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_affine_has_a_gain_and_an_offset_a_channel(axis: int) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    n = x.shape[axis]
    gain, offset = list(range(1, n + 1)), [0.25 * i for i in range(n)]
    (out,) = Bench(Affine(gain, offset, axis), **{"in": spec("f32", 2, 3)}).feed([x])
    along = (1, n) if axis in (1, -1) else (n, 1)
    g, o = np.float32(gain).reshape(along), np.float32(offset).reshape(along)
    assert_same_bits(out, x * g + o)


def test_affine_with_one_gain_and_many_offsets_keeps_labels() -> None:
    bench = Bench(Affine(2, [1, 2, 3]), **{"in": spec("u8", 3, labels="abc")})
    (out,) = bench.feed([np.array([1, 2, 255], np.uint8)])
    assert_same_bits(out, np.float32([3, 6, 513]))
    assert bench.ports.outputs[0].spec.labels == ("a", "b", "c")


# Cast.

ALL = ("bool", *NUMBERS, "f16")


def cast_one(x: object, source: str, target: str, rounding: str) -> object:
    """Convert one number with Python's own exact arithmetic."""
    kind = array_of(target).type
    if target == "bool":
        return np.bool_(x != 0)
    if target not in WHOLES:
        return kind(x)
    low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    if source in (*WHOLES, "bool"):
        return kind(min(max(int(x), low), high))
    value = float(x)
    if math.isnan(value):
        return kind(0)
    if math.isinf(value):
        return kind(high if value > 0 else low)
    whole = {"nearest": round, "down": math.floor, "up": math.ceil, "zero": math.trunc}
    return kind(min(max(whole[rounding](value), low), high))


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.sampled_from(ALL),
    st.sampled_from(ALL),
    st.sampled_from(["nearest", "down", "up", "zero"]),
)
def test_cast_saturates_and_rounds(
    data: st.DataObject, source: str, target: str, rounding: str
) -> None:
    xs = data.draw(samples(source, (5,), st.integers(1, 3)))
    found = Bench(Cast(target, rounding), **{"in": spec(source, 5)}).feed(xs)
    for out, x in zip(found, xs, strict=True):
        wanted = [cast_one(one, source, target, rounding) for one in x]
        assert_same_bits(out, np.array(wanted, array_of(target)))


@pytest.mark.parametrize("target", WHOLES)
@pytest.mark.parametrize("source", REALS)
def test_cast_at_the_limits_of_a_type(source: str, target: str) -> None:
    limits = np.iinfo(array_of(target))
    kind = array_of(source).type
    edge = [kind(limits.min), kind(limits.max)]
    xs = [*edge, *(np.nextafter(e, kind(s)) for e in edge for s in (-np.inf, np.inf))]
    x = np.array([*xs, 0.5, 1.5, 2.5, -0.5, -1.5, np.nan, np.inf, -np.inf], source_type(source))
    (out,) = Bench(Cast(target), **{"in": spec(source, len(x))}).feed([x])
    wanted = [cast_one(one, source, target, "nearest") for one in x]
    assert_same_bits(out, np.array(wanted, array_of(target)))


def source_type(name: str) -> np.dtype:
    return array_of(name)


@pytest.mark.parametrize("other", ["bool", *NUMBERS, "f16"])
def test_bf16_is_reached_and_left_through_f32(other: str) -> None:
    pytest.importorskip("ml_dtypes")
    x = np.array([0, 1, 2, 100, 127], array_of(other))
    (there,) = Bench(Cast("bf16"), **{"in": spec(other, 5)}).feed([x])
    assert there.tobytes() == x.astype(np.float32).astype(array_of("bf16")).tobytes()
    (back,) = Bench(Cast(other), **{"in": spec("bf16", 5)}).feed([there])
    assert_same_bits(back, x)


def test_bf16_that_is_no_number_saturates() -> None:
    pytest.importorskip("ml_dtypes")
    x = np.array([np.nan, np.inf, -np.inf, 300, -1]).astype(array_of("bf16"))
    (out,) = Bench(Cast("u8"), **{"in": spec("bf16", 5)}).feed([x])
    assert out.tolist() == [0, 255, 0, 255, 0]


# Moving.


def moved(name: str, window: np.ndarray, ddof: int) -> object:
    """Compute one statistic of numbers in order, as a loop in C would."""
    f64, n = np.float64, len(window)
    if name in ("min", "max"):
        best = window[0]
        for x in window[1:]:
            if (x < best if name == "min" else x > best) or x != x:
                best = x
        return best
    s = q = m = f64(0)
    for k, sample in enumerate(window, 1):
        x = f64(sample)
        if name == "mean":
            s = s + x
        elif name == "rms":
            q = q + x * x
        else:
            d = x - m
            m = m + d / f64(k)
            q = q + d * (x - m)
    if name == "mean":
        return s / f64(n)
    return np.sqrt(q / f64(n)) if name == "rms" else q / f64(n - ddof)


STATISTICS = ("mean", "variance", "min", "max", "rms")


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.sampled_from(STATISTICS),
    st.sampled_from(NUMBERS),
    st.integers(1, 6),
    st.sampled_from([(), (3,), (2, 2)]),
)
def test_moving_statistics_are_those_of_a_loop(
    data: st.DataObject, name: str, dtype: str, size: int, shape: tuple[int, ...]
) -> None:
    xs = data.draw(samples(dtype, shape, st.integers(0, 12)))
    stride, ddof = data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1))
    found = Bench(Moving(name, size, stride, ddof), **{"in": spec(dtype, *shape)}).feed(xs)
    windows = [xs[i : i + size] for i in range(0, len(xs) - size + 1, stride)]
    assert len(found) == len(windows)
    kind = array_of(dtype) if name in ("min", "max") else np.dtype(real_of(dtype))
    for out, window in zip(found, windows, strict=True):
        wanted = np.empty(shape, kind)
        for place in np.ndindex(shape):
            wanted[place] = moved(name, window[(slice(None), *place)], ddof)
        assert_same_bits(out, wanted)


@MORE
@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=30))
def test_moving_statistics_are_close_to_those_of_numpy_and_scipy(values: list[float]) -> None:
    xs = np.array(values)
    bench = Bench(Moving(list(STATISTICS), 8), **{"in": spec("f64")})
    found = np.array(bench.feed(xs))
    windows = np.lib.stride_tricks.sliding_window_view(xs, 8)
    np.testing.assert_allclose(found[:, 0], windows.mean(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[:, 1], windows.var(axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found[:, 2], scipy.ndimage.minimum_filter1d(xs, 8)[4:-3])
    np.testing.assert_array_equal(found[:, 3], scipy.ndimage.maximum_filter1d(xs, 8)[4:-3])
    np.testing.assert_allclose(found[:, 4], np.sqrt((windows**2).mean(axis=1)), rtol=1e-9)


def test_the_variance_of_large_numbers_keeps_its_digits() -> None:
    xs = 1e9 + np.array([4.0, 7.0, 13.0, 16.0])
    (out,) = Bench(Moving("variance", 4, ddof=1), **{"in": spec("f64")}).feed(xs)
    assert float(out) == scipy.stats.tvar(xs) == 30.0


def test_of_equal_extremes_the_oldest_counts() -> None:
    xs = np.array([0.0, -0.0, 0.0])
    least, most = (Bench(Moving(n, 3), **{"in": spec("f64")}).feed(xs)[0] for n in ("min", "max"))
    assert not np.signbit(least)
    assert not np.signbit(most)
    (least,) = Bench(Moving("min", 3), **{"in": spec("f64")}).feed(-xs)
    assert np.signbit(least)


def test_a_nan_leaves_with_its_window() -> None:
    xs = np.array([1, np.nan, 2, 3, 4])
    found = Bench(Moving(list(STATISTICS), 2), **{"in": spec("f64")}).feed(xs)
    assert [bool(np.isnan(out).all()) for out in found] == [True, True, False, False]
    assert not np.isnan(found[2:]).any()


def test_a_moving_statistic_is_as_old_as_its_oldest_sample() -> None:
    bench = Bench(Moving("mean", 3), **{"in": spec("f32")})
    for number, origin in enumerate([5, 9, 7, 8, 6, 20, 21]):
        bench.give(bench.message(np.float32(0), number, origin))
    assert [header.origin_tick for _, header, _ in bench.emitted] == [5, 7, 6, 6, 6]


# ArgMax and TopK.


@MORE
@given(st.data(), st.sampled_from(("bool", *NUMBERS)), st.sampled_from([(4,), (2, 3)]))
def test_argmax_is_that_of_numpy_on_each_axis(
    data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    xs = data.draw(samples(dtype, shape, st.integers(1, 3)))
    for axis in range(-len(shape), len(shape)):
        found = Bench(ArgMax(axis), **{"in": spec(dtype, *shape)}).feed(xs)
        for out, x in zip(found, xs, strict=True):
            assert_same_bits(out, np.argmax(x, axis).astype(np.int32))


def ranked(x: np.ndarray, k: int) -> list[int]:
    """Choose the best that is left, k times, as a loop in C would."""
    chosen: list[int] = []
    for _ in range(k):
        best = -1
        for i, one in enumerate(x):
            if i in chosen:
                continue
            if best < 0 or one > x[best] or (one != one and x[best] == x[best]):
                best = i
        chosen.append(best)
    return chosen


@MORE
@given(st.data(), st.sampled_from(("bool", *NUMBERS)), st.integers(1, 7))
def test_top_k_chooses_the_best_that_is_left(data: st.DataObject, dtype: str, k: int) -> None:
    xs = data.draw(samples(dtype, (2, 7), st.integers(1, 3)))
    bench = Bench(TopK(k), **{"in": spec(dtype, 2, 7)})
    bench.feed(xs)
    for x, values, indices in zip(xs, bench.emitted[::2], bench.emitted[1::2], strict=True):
        assert (values[0], indices[0]) == ("values", "indices")
        wanted = np.array([ranked(row, k) for row in x], np.int32)
        assert_same_bits(indices[2], wanted)
        assert_same_bits(values[2], np.take_along_axis(x, wanted, 1))


def test_ties_go_to_the_lowest_index_and_nan_comes_first() -> None:
    bench = Bench(TopK(5), **{"in": spec("f32", 6)})
    bench.feed([np.float32([1, np.nan, 3, 3, np.inf, np.nan])])
    assert bench.emitted[1][2].tolist() == [1, 5, 4, 2, 3]
