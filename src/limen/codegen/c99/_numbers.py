"""Numbers of an array as C writes them, so that a compiler reads the same bits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_WIDTH = 92


def numbers(values: NDArray[np.generic]) -> Iterator[str]:
    """Yield the elements of an array in C order, in lines, with commas."""
    line = "   "
    flat = np.ascontiguousarray(values).reshape(-1)
    for value in flat if flat.size else np.zeros(1, flat.dtype):
        word = f" {number(value)},"
        if len(line) + len(word) > _WIDTH:
            yield line
            line = "   "
        line += word
    yield line


def number(value: object) -> str:
    """Return a number as C writes it: the shortest that is read back exactly."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, np.float32):
        return _real(value, "f")
    if isinstance(value, np.float64):
        return _real(value, "")
    if isinstance(value, np.integer):
        return _whole(int(value), value.dtype.itemsize, value.dtype.kind == "u")
    # f16 and bf16 travel as their bits.
    return str(int(np.asarray(value).view(np.uint16)))


def _real(value: np.floating, suffix: str) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = np.format_float_scientific(value, trim="0", exp_digits=1, unique=True)
    plain = str(value)
    shortest = plain if "e" not in plain else text
    return shortest + suffix


def _whole(value: int, size_bytes: int, unsigned: bool) -> str:
    if size_bytes < 4:
        return str(value)
    if unsigned:
        return f"UINT{8 * size_bytes}_C({value})"
    lowest = -(1 << (8 * size_bytes - 1))
    if value == lowest:
        return f"(-INT{8 * size_bytes}_C({-value - 1}) - 1)"
    return f"INT{8 * size_bytes}_C({value})"
