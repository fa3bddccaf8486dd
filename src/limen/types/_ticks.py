"""Arithmetic of ticks as a 64-bit counter does it; plain ``+`` on ``Ticks`` knows no width.

Both forms take any whole number and return ticks from 0 to ``MAX_TICKS``.
"""

from __future__ import annotations

from typing import Final

from limen.types._ids import Ticks

MAX_TICKS: Final = Ticks((1 << 64) - 1)


def wrapping_add(ticks: int, span: int) -> Ticks:
    """Return ticks after a span, counted on from 0 past ``MAX_TICKS``."""
    return Ticks((ticks + span) & MAX_TICKS)


def wrapping_sub(ticks: int, span: int) -> Ticks:
    """Return ticks before a span; of two readings, what passed between them, over one wrap too."""
    return Ticks((ticks - span) & MAX_TICKS)


def saturating_add(ticks: int, span: int) -> Ticks:
    """Return ticks after a span, at most ``MAX_TICKS``."""
    return Ticks(max(0, min(ticks + span, MAX_TICKS)))


def saturating_sub(ticks: int, span: int) -> Ticks:
    """Return ticks before a span, at least 0; what passed is 0 where readings run backwards."""
    return Ticks(max(0, min(ticks - span, MAX_TICKS)))
