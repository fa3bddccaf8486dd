"""Times that a recording states, in whole nanoseconds."""

from __future__ import annotations

import math
from typing import Literal

from limen.errors import ConfigurationError

TimeUnit = Literal["s", "ms", "us", "ns"]

_UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def unit_ns(unit: str) -> int:
    """Return the nanoseconds of a unit.

    Raises:
        ConfigurationError: It is unknown.
    """
    if unit not in _UNITS_NS:
        raise ConfigurationError(f"time_unit is {unit!r}", remedy="use s, ms, us or ns")
    return _UNITS_NS[unit]


def time_ns(value: object, unit: int) -> int:
    """Turn a number of units into nanoseconds: whole ones exactly, others to the nearest.

    Raises:
        ValueError: It is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a time")
    if isinstance(value, int):
        return value * unit
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a time")
    whole = math.floor(value)
    # The rest behind the point is exact, and stays so after the whole part was taken away.
    return whole * unit + round((value - whole) * unit)
