"""Which of many equal warnings are worth a line in a log: a matter of counts alone."""

from __future__ import annotations

from typing import Final

POWERS_OF_TEN: Final = frozenset(10**exponent for exponent in range(20))
"""Counts that are logged: a million losses for one reason give seven lines."""


def passes_power_of_ten(before: int, after: int) -> bool:
    """Whether a count that rises from one number to another reaches 1, 10, 100, … on the way."""
    return after > before and len(str(after)) > (len(str(before)) if before else 0)
