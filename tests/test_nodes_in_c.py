"""The arithmetic rules of decision 20 hold: plain loops in C99 give the same bits."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library import Bench, array_of, assert_same_bits, samples, spec
from limen.nodes import Affine, Cast, Moving

_COMPILER = shutil.which("gcc") or shutil.which("cc")
pytestmark = [
    pytest.mark.skipif(_COMPILER is None, reason="no C compiler (gcc or cc)"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

_C = r"""
#include <math.h>
#include <stdint.h>

#define AFFINE(T, name) \
    void affine_##name(const T *x, T gain, T offset, T *y, int n) { \
        for (int i = 0; i < n; i++) { T t = x[i] * gain; y[i] = t + offset; } \
    }
AFFINE(float, f32)
AFFINE(double, f64)

/* The window lies oldest first: n samples of one element. */
#define MOVING(T, R, name) \
    void moving_##name(const T *w, int n, R *out) { \
        double s = 0, q = 0, m = 0, v = 0; \
        T low = w[0], high = w[0]; \
        for (int k = 0; k < n; k++) { \
            double x = (double)w[k], d = x - m; \
            s = s + x; \
            q = q + x * x; \
            m = m + d / (double)(k + 1); \
            v = v + d * (x - m); \
            if (w[k] < low || w[k] != w[k]) low = w[k]; \
            if (w[k] > high || w[k] != w[k]) high = w[k]; \
        } \
        out[0] = (R)(s / (double)n); \
        out[1] = (R)(v / (double)n); \
        out[2] = (R)low; \
        out[3] = (R)high; \
        out[4] = (R)sqrt(q / (double)n); \
    }
MOVING(float, float, f32)
MOVING(double, double, f64)
MOVING(int16_t, float, s16)
MOVING(int64_t, double, s64)
MOVING(uint64_t, double, u64)

/* The limits are powers of two, so that both are exact in S. */
#define CAST(S, D, round, low, limit, high, name) \
    void cast_##name(const S *x, D *y, int n) { \
        for (int i = 0; i < n; i++) { \
            S r = round(x[i]); \
            y[i] = r != r ? 0 : r >= (S)limit ? high : r < (S)low ? (D)low : (D)r; \
        } \
    }
CAST(float, uint8_t, rintf, 0, 256, UINT8_MAX, f32_u8)
CAST(float, int32_t, rintf, INT32_MIN, 2147483648.0, INT32_MAX, f32_s32)
CAST(float, uint64_t, rintf, 0, 18446744073709551616.0, UINT64_MAX, f32_u64)
CAST(double, int64_t, rint, INT64_MIN, 9223372036854775808.0, INT64_MAX, f64_s64)
void cast_f64_f32(const double *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = (float)x[i]; }
void cast_s64_f32(const int64_t *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = (float)x[i]; }
void cast_u64_f64(const uint64_t *x, double *y, int n) { for (int i = 0; i < n; i++) y[i] = (double)x[i]; }
"""  # noqa: E501 - a loop a line


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("loops")
    (folder / "loops.c").write_text(_C)
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-shared", "-fPIC"]
    command = [str(_COMPILER), *flags, "-o", "loops.so", "loops.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return ctypes.CDLL(str(folder / "loops.so"))


def at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(["f32", "f64"]), st.floats(-9, 9, width=32))
def test_affine(loops: ctypes.CDLL, data: st.DataObject, dtype: str, gain: float) -> None:
    (x,) = data.draw(samples(dtype, (9,), st.just(1)))
    number = ctypes.c_float if dtype == "f32" else ctypes.c_double
    wanted = np.empty_like(x)
    getattr(loops, f"affine_{dtype}")(at(x), number(gain), number(0.1), at(wanted), 9)
    assert_same_bits(Bench(Affine(gain, 0.1), **{"in": spec(dtype, 9)}).feed([x])[0], wanted)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(["f32", "f64", "s16", "s64", "u64"]), st.integers(1, 40))
def test_moving(loops: ctypes.CDLL, data: st.DataObject, dtype: str, size: int) -> None:
    xs = data.draw(samples(dtype, (), st.just(size)))
    node = Moving(["mean", "variance", "min", "max", "rms"], size)
    (found,) = Bench(node, **{"in": spec(dtype)}).feed(xs)
    wanted = np.empty_like(found)
    getattr(loops, f"moving_{dtype}")(at(xs), size, at(wanted))
    assert_same_bits(found, wanted)


_CASTS = ("f32_u8", "f32_s32", "f32_u64", "f64_s64", "f64_f32", "s64_f32", "u64_f64")


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(_CASTS))
def test_cast(loops: ctypes.CDLL, data: st.DataObject, name: str) -> None:
    source, target = name.split("_")
    (x,) = data.draw(samples(source, (20,), st.just(1)))
    wanted = np.empty(20, array_of(target))
    getattr(loops, f"cast_{name}")(at(x), at(wanted), 20)
    assert_same_bits(Bench(Cast(target), **{"in": spec(source, 20)}).feed([x])[0], wanted)
