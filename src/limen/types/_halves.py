"""Scalars of 16 bits: f16 as NumPy converts it, bf16 as ``ml_dtypes`` does."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import Self

import numpy as np

from limen.errors import ConfigurationError
from limen.types._checks import require_whole
from limen.types._dtypes import DataType


class FloatClass(enum.Enum):
    """What kind of value a float is."""

    NAN = "nan"
    INFINITE = "infinite"
    ZERO = "zero"
    SUBNORMAL = "subnormal"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class _Half(abc.ABC):
    """A value held as its bits, so that what went in comes out, NaN payloads included.

    Two are equal if their bits are: a NaN equals itself, and 0.0 is not -0.0.

    Args:
        bits: Sign, exponent and fraction, as a number from 0 to 65535.

    Raises:
        ConfigurationError: The bits are no such number.
    """

    bits: int

    def __post_init__(self) -> None:
        bits = require_whole("bits", self.bits, 0)
        if bits > 0xFFFF:
            raise ConfigurationError(f"bits is {bits}", remedy="give at most 65535")
        object.__setattr__(self, "bits", bits)

    @classmethod
    @abc.abstractmethod
    def dtype(cls) -> DataType:
        """Return the element type."""

    @classmethod
    @abc.abstractmethod
    def from_float(cls, value: float) -> Self:
        """Return the nearest value; of two equally near the one with an even last bit.

        What lies past the largest finite value by half a place or more becomes infinite.
        """

    @classmethod
    def from_scalar(cls, value: np.generic) -> Self:
        """Return the value of a NumPy scalar: bit by bit if of this type, else as ``astype``."""
        return cls(int(value.astype(cls.dtype().numpy_dtype()).view(np.uint16)))

    def to_scalar(self) -> np.generic:
        """Return the NumPy scalar with these bits."""
        scalar: np.generic = np.uint16(self.bits).view(self.dtype().numpy_dtype())
        return scalar

    def __float__(self) -> float:
        return float(self.to_scalar())

    def classify(self) -> FloatClass:
        """Return what kind of value it is."""
        value = np.float64(float(self))
        if np.isnan(value):
            return FloatClass.NAN
        if np.isinf(value):
            return FloatClass.INFINITE
        if value == 0:
            return FloatClass.ZERO
        small = abs(value) < float(self._smallest_normal())
        return FloatClass.SUBNORMAL if small else FloatClass.NORMAL

    @property
    def is_negative(self) -> bool:
        """Whether its sign bit is set, as that of -0.0 is."""
        return bool(np.signbit(self.to_scalar()))

    @classmethod
    @abc.abstractmethod
    def _smallest_normal(cls) -> float:
        """Return the smallest positive value that is not subnormal."""


class F16(_Half):
    """An IEEE 754 binary16: 5 bits of exponent, 10 of fraction."""

    __slots__ = ()

    @classmethod
    def dtype(cls) -> DataType:
        """Return f16."""
        return DataType.F16

    @classmethod
    def from_float(cls, value: float) -> Self:
        """Return the nearest value, ties to even."""
        with np.errstate(over="ignore"):
            return cls.from_scalar(np.float16(value))

    @classmethod
    def _smallest_normal(cls) -> float:
        return float(np.finfo(np.float16).smallest_normal)


class BF16(_Half):
    """The upper half of an f32: 8 bits of exponent, 7 of fraction; needs the extra ``bf16``."""

    __slots__ = ()

    @classmethod
    def dtype(cls) -> DataType:
        """Return bf16."""
        return DataType.BF16

    @classmethod
    def from_float(cls, value: float) -> Self:
        """Return the nearest value, ties to even."""
        with np.errstate(over="ignore"):
            single = np.float32(value)
        near = cls.from_scalar(single)
        if float(single) == value or np.isnan(single):
            return near
        towards = np.float32(np.inf if value > float(single) else -np.inf)
        # ml_dtypes rounds an f32: rounding to one first can make a tie of what is none. The value
        # lies between two f32s, of which at most one is a tie; the nearer of both results is right.
        other = cls.from_scalar(np.nextafter(single, towards))
        return min(near, other, key=lambda half: abs(float(half) - value))

    @classmethod
    def _smallest_normal(cls) -> float:
        import ml_dtypes

        limits = ml_dtypes.finfo(cls.dtype().numpy_dtype())  # type: ignore[no-untyped-call]
        return float(limits.smallest_normal)
