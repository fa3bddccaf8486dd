"""Numbers as files hold them, put into one buffer after a check."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError
from limen.types import DataType


class Numbers:
    """One buffer of a dtype that takes no value which it does not hold.

    Args:
        dtype: Element type.
        shape: Shape of the buffer.
        allow_nan: Whether NaN and infinities are values.
    """

    def __init__(self, dtype: DataType, shape: tuple[int, ...], allow_nan: bool = False) -> None:
        self.dtype = dtype
        self.allow_nan = allow_nan
        self.buffer: NDArray[np.generic] = np.zeros(shape, dtype.numpy_dtype())
        self._flat = self.buffer.reshape(-1)
        kind = self.buffer.dtype.kind
        self._is_whole = kind in "iu"
        self._is_truth = kind == "b"
        self._least, self._largest, self._largest_float = 0, 0, 0.0
        if self._is_whole:
            limits = np.iinfo(dtype.numpy_dtype().name)
            self._least, self._largest = int(limits.min), int(limits.max)
        elif not self._is_truth:
            self._largest_float = float(np.finfo(dtype.numpy_dtype().name).max)

    def put(self, index: int, value: float) -> None:
        """Put a number to its place, counted over all axes.

        Raises:
            ValueError: The dtype does not hold it; the text says why.
        """
        if isinstance(value, bool) != self._is_truth:
            raise ValueError(f"{value} is not a {'truth value' if self._is_truth else 'number'}")
        if self._is_truth:
            self._flat[index] = value
        elif self._is_whole:
            self._put_whole(index, value)
        else:
            self._put_float(index, value)

    def _put_whole(self, index: int, value: float) -> None:
        if not isinstance(value, int):
            raise ValueError(f"{value} is not a whole number")
        if not self._least <= value <= self._largest:
            raise ValueError(f"{value} does not fit {self.dtype.value}")
        self._flat[index] = value

    def _put_float(self, index: int, value: float) -> None:
        try:
            value = float(value)
        except OverflowError:
            raise ValueError(f"the number does not fit {self.dtype.value}") from None
        if not math.isfinite(value):
            if not self.allow_nan:
                raise ValueError(f"{value} is not a finite number")
            self._flat[index] = value
        elif abs(value) > self._largest_float:
            # May still round to the largest value.
            with np.errstate(over="ignore"):
                self._flat[index] = value
            if np.isinf(self._flat[index]):
                raise ValueError(f"{value} does not fit {self.dtype.value}")
        else:
            self._flat[index] = value


def float_type(name: str, what: str) -> DataType:
    """Find a type of f16, f32 and f64.

    Raises:
        ConfigurationError: It is another.
    """
    dtype = DataType.from_name(name)
    if dtype not in (DataType.F16, DataType.F32, DataType.F64):
        raise ConfigurationError(
            f"dtype {name!r} does not hold what {what}", remedy="use f16, f32 or f64"
        )
    return dtype


def native_type(name: str) -> DataType:
    """Find a type that NumPy has by itself.

    Raises:
        ConfigurationError: It is unknown, or bf16.
    """
    dtype = DataType.from_name(name)
    if dtype is DataType.BF16:
        raise ConfigurationError("dtype 'bf16' cannot be read from files", remedy="use f32")
    return dtype
