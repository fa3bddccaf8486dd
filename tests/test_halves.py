"""Scalars of 16 bits against exact arithmetic: bits, kinds, rounding to nearest even."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.errors import ConfigurationError, MissingExtraError
from limen.types import BF16, F16, DataType, FloatClass

Half = type[F16] | type[BF16]
_KINDS: tuple[Half, ...] = (F16, BF16)
_FRACTION_BITS = {F16: 10, BF16: 7}
bits = st.integers(0, 0xFFFF)
kinds = st.sampled_from(_KINDS)


def largest(kind: Half) -> float:
    """The largest finite value: one below the infinite one, in bits."""
    return float(kind(kind.from_float(float("inf")).bits - 1))


def nearest_even(kind: Half, value: float) -> int:
    """The bits of the nearest value, by exact arithmetic over its finite neighbours."""
    sign = 0x8000 if np.signbit(value) else 0
    exact, top = abs(Fraction(value)), kind.from_float(float("inf")).bits
    low, high = 0, top
    while high - low > 1:
        middle = (low + high) // 2
        if Fraction(float(kind(middle))) <= exact:
            low = middle
        else:
            high = middle
    below = Fraction(float(kind(low)))
    # Past the largest finite value the next place counts as if it were finite.
    step = Fraction(float(kind(top - 1))) - Fraction(float(kind(top - 2)))
    above = below + step if high == top else Fraction(float(kind(high)))
    if exact - below == above - exact:
        return sign | (low if low % 2 == 0 else high)
    return sign | (low if exact - below < above - exact else high)


@pytest.mark.parametrize("kind", _KINDS)
def test_every_pattern_of_bits_comes_back_from_the_scalar_it_makes(kind: Half) -> None:
    for pattern in range(0x10000):
        assert kind.from_scalar(kind(pattern).to_scalar()).bits == pattern


@pytest.mark.parametrize("kind", _KINDS)
def test_every_number_comes_back_from_the_float_it_is(kind: Half) -> None:
    for pattern in range(0x10000):
        half = kind(pattern)
        if half.classify() is FloatClass.NAN:
            assert kind.from_float(float(half)).classify() is FloatClass.NAN
        else:
            assert kind.from_float(float(half)) == half


@pytest.mark.parametrize("kind", _KINDS)
def test_every_pattern_is_of_the_kind_that_its_fields_say(kind: Half) -> None:
    fraction_bits = _FRACTION_BITS[kind]
    most = (1 << (15 - fraction_bits)) - 1
    for pattern in range(0x10000):
        exponent = (pattern & 0x7FFF) >> fraction_bits
        fraction = pattern & ((1 << fraction_bits) - 1)
        wanted = {
            0: FloatClass.SUBNORMAL if fraction else FloatClass.ZERO,
            most: FloatClass.NAN if fraction else FloatClass.INFINITE,
        }.get(exponent, FloatClass.NORMAL)
        assert kind(pattern).classify() is wanted, hex(pattern)
        assert kind(pattern).is_negative is (pattern >= 0x8000)


@given(kinds, st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_becomes_the_nearest_value(kind: Half, value: float) -> None:
    assert kind.from_float(value).bits == nearest_even(kind, value)


@given(kinds, bits, st.integers(-2, 2), st.sampled_from([0.0, 1e-9, -1e-9, 2**-40, -(2**-40)]))
def test_a_float_at_or_beside_a_tie_becomes_the_nearest_value(
    kind: Half, pattern: int, offset: int, beside: float
) -> None:
    lower = kind(pattern & 0x7FFF)
    if lower.classify() in (FloatClass.NAN, FloatClass.INFINITE):
        return
    step = float(kind(max(lower.bits, 1))) - float(kind(max(lower.bits, 1) - 1))
    value = (float(lower) + step / 2 + offset * step / 4) * (1 + beside)
    for signed in (value, -value):
        assert kind.from_float(signed).bits == nearest_even(kind, signed)


def test_a_bf16_is_rounded_once_where_two_roundings_would_make_a_tie() -> None:
    assert float(BF16.from_float(1 + 2**-8)) == 1, "a tie goes to even"
    assert float(BF16.from_float(1 + 2**-8 + 2**-30)) == 1 + 2**-7
    assert float(BF16.from_float(1 + 3 * 2**-8 - 2**-30)) == 1 + 2**-7
    assert float(BF16.from_float(-1 - 2**-8 - 2**-30)) == -1 - 2**-7


@pytest.mark.parametrize("kind", _KINDS)
def test_what_lies_past_the_largest_value_by_half_a_place_becomes_infinite(kind: Half) -> None:
    top = largest(kind)
    half_a_place = (top - float(kind(kind.from_float(top).bits - 1))) / 2
    assert float(kind.from_float(np.nextafter(top + half_a_place, 0))) == top
    for beyond in (top + half_a_place, 1e300, float("inf")):
        assert float(kind.from_float(beyond)) == float("inf")
        assert float(kind.from_float(-beyond)) == float("-inf")


@pytest.mark.parametrize("kind", _KINDS)
def test_nan_stays_nan_and_zero_keeps_its_sign(kind: Half) -> None:
    assert kind.from_float(float("nan")).classify() is FloatClass.NAN
    assert kind.from_float(-0.0).bits == 0x8000
    assert kind.from_float(0.0) != kind.from_float(-0.0), "equal bits, not equal numbers"
    assert kind(0x7FFF) == kind(0x7FFF), "a NaN of these bits"


@pytest.mark.parametrize(("kind", "dtype"), [(F16, DataType.F16), (BF16, DataType.BF16)])
def test_a_scalar_is_of_the_element_type(kind: Half, dtype: DataType) -> None:
    assert kind.dtype() is dtype
    assert kind.from_float(1.5).to_scalar().dtype == dtype.numpy_dtype()
    assert F16(0) != BF16(0)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("wrong", [-1, 0x10000, 1.0, True, None, "0"])
def test_bits_that_are_no_16_bits_are_refused(kind: Half, wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="bits is"):
        kind(wrong)  # type: ignore[arg-type]


def test_bf16_without_its_package_names_the_extra_and_f16_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert float(F16.from_float(2.5)) == 2.5
    for use in (BF16(0).to_scalar, BF16(0).classify, lambda: BF16.from_float(1.0)):
        with pytest.raises(MissingExtraError, match=r"limen\[bf16\]"):
            use()
