"""Element types with their names in NumPy, ONNX and C."""

from __future__ import annotations

import enum

import numpy as np

from limen.errors import ConfigurationError, MissingExtraError


class DataType(enum.Enum):
    """An element type; the value is its short name, as diagnostics print it."""

    BOOLEAN = "bool"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    S8 = "s8"
    S16 = "s16"
    S32 = "s32"
    S64 = "s64"
    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"

    @property
    def size_bytes(self) -> int:
        """Bytes that one element takes."""
        return _SIZES[self]

    @property
    def is_float(self) -> bool:
        """Whether it has a NaN."""
        return self in (DataType.F16, DataType.BF16, DataType.F32, DataType.F64)

    @property
    def onnx_type(self) -> str:
        """The ONNX element type, as ``tensor(...)`` spells it."""
        return _ONNX[self]

    @property
    def c_type(self) -> str:
        """The C99 type that holds one element; f16 and bf16 travel as their bits."""
        return _C[self]

    def numpy_dtype(self) -> np.dtype[np.generic]:
        """Return the NumPy dtype; bf16 comes from ``ml_dtypes``, imported on first use.

        Raises:
            MissingExtraError: bf16 was asked for and ``ml_dtypes`` is not installed.
        """
        if self is DataType.BF16:
            try:
                import ml_dtypes
            except ModuleNotFoundError as error:
                raise MissingExtraError(
                    "dtype bf16 needs the package ml_dtypes",
                    remedy="install the extra: pip install 'limen[bf16]'",
                ) from error
            bf16: np.dtype[np.generic] = np.dtype(ml_dtypes.bfloat16)
            return bf16
        return np.dtype(_NUMPY[self])

    @classmethod
    def from_name(cls, name: str) -> DataType:
        """Find a type by its short name (``f32``), NumPy name (``float32``) or ONNX name.

        Raises:
            ConfigurationError: No element type has that name.
        """
        found = _BY_NAME.get(name)
        if found is None:
            raise ConfigurationError(
                f"unknown dtype {name!r}", remedy="use one of " + ", ".join(t.value for t in cls)
            )
        return found


_TABLE: tuple[tuple[DataType, int, str, str, str], ...] = (
    (DataType.BOOLEAN, 1, "bool", "bool", "uint8_t"),
    (DataType.U8, 1, "uint8", "uint8", "uint8_t"),
    (DataType.U16, 2, "uint16", "uint16", "uint16_t"),
    (DataType.U32, 4, "uint32", "uint32", "uint32_t"),
    (DataType.U64, 8, "uint64", "uint64", "uint64_t"),
    (DataType.S8, 1, "int8", "int8", "int8_t"),
    (DataType.S16, 2, "int16", "int16", "int16_t"),
    (DataType.S32, 4, "int32", "int32", "int32_t"),
    (DataType.S64, 8, "int64", "int64", "int64_t"),
    (DataType.F16, 2, "float16", "float16", "uint16_t"),
    (DataType.BF16, 2, "bfloat16", "bfloat16", "uint16_t"),
    (DataType.F32, 4, "float32", "float", "float"),
    (DataType.F64, 8, "float64", "double", "double"),
)
_SIZES = {row[0]: row[1] for row in _TABLE}
_NUMPY = {row[0]: row[2] for row in _TABLE}
_ONNX = {row[0]: row[3] for row in _TABLE}
_C = {row[0]: row[4] for row in _TABLE}
_BY_NAME = {name: row[0] for row in _TABLE for name in (row[0].value, row[2], row[3])}
