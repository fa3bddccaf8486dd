"""Durations and sizes: text with a unit in, whole nanoseconds and bytes out."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from limen.errors import ConfigurationError

_NUMBER: Final = re.compile(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([A-Za-zµμ]*)\s*")
_DURATION_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SIZE_BYTES: Final = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


def parse_duration_ns(text: str, *, what: str = "duration") -> int:
    """Turn ``"200ms"`` into nanoseconds.

    Args:
        text: A non-negative number and a unit: ns, us, ms, s, min or h.
        what: What the value is for, named in the error.

    Raises:
        ConfigurationError: No number, no unit, an unknown unit, or finer than a nanosecond.
    """
    return _parse(text, _DURATION_NS, what, "200ms", "ns, us, ms, s, min, h")


def parse_offset_ns(text: str, *, what: str = "offset") -> int:
    """Turn ``"-3ms"`` into nanoseconds: a duration that may have a sign.

    Raises:
        ConfigurationError: As ``parse_duration_ns``.
    """
    if isinstance(text, str) and text.lstrip().startswith(("-", "+")):
        sign, size = text.lstrip()[0], text.lstrip()[1:]
        return (-1 if sign == "-" else 1) * parse_duration_ns(size, what=what)
    return parse_duration_ns(text, what=what)


def parse_size_bytes(text: str, *, what: str = "size") -> int:
    """Turn ``"64KiB"`` into bytes.

    Args:
        text: A non-negative number and a unit: B, kB, MB, GB, KiB, MiB or GiB.
        what: What the value is for, named in the error.

    Raises:
        ConfigurationError: No number, no unit, an unknown unit, or a fraction of a byte.
    """
    return _parse(text, _SIZE_BYTES, what, "64KiB", "B, kB, MB, GB, KiB, MiB, GiB")


def _parse(text: object, units: dict[str, int], what: str, example: str, known: str) -> int:
    if not isinstance(text, str):
        raise ConfigurationError(
            f"{what} is {text!r}, "
            + ("a number without a unit" if type(text) in (int, float) else "no text"),
            remedy=f'write it as in "{example}"',
        )
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{what} {text!r} is not a number with a unit", remedy=f'write it as in "{example}"'
        )
    number, unit = match.groups()
    if unit not in units:
        shown = f"unknown unit {unit!r}" if unit else "no unit"
        raise ConfigurationError(f"{what} {text!r} has {shown}", remedy=f"use one of {known}")
    value = Fraction(number) * units[unit]
    if value.denominator != 1:
        raise ConfigurationError(
            f"{what} {text!r} is finer than one {min(units, key=lambda u: units[u])}",
            remedy="round it",
        )
    return int(value)


def format_ns(ns: int) -> str:
    """Print a duration with three significant digits and the unit that suits it."""
    if abs(ns) < 1_000:
        return f"{ns} ns"
    for unit, factor in (("µs", 1_000), ("ms", 1_000_000)):
        if abs(ns) < 999.5 * factor:
            return f"{ns / factor:.3g} {unit}"
    seconds = ns / 1_000_000_000
    return f"{seconds:.3g} s" if abs(seconds) < 999.5 else f"{seconds:.0f} s"


def format_bytes(size: int) -> str:
    """Print a size in bytes with a binary unit."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
