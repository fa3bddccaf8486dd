"""How long an input or a node may be silent."""

from __future__ import annotations

from dataclasses import dataclass

from limen.errors import ConfigurationError
from limen.types import parse_duration_ns


@dataclass(frozen=True, slots=True)
class Liveness:
    """Largest gaps; a longer one is reported, once, also while nothing flows.

    Args:
        max_gap: Between messages that enter an input: text with a unit.
        max_step_gap: Between steps of the node: text with a unit.
    """

    max_gap: str | None = None
    max_step_gap: str | None = None

    def __post_init__(self) -> None:
        gap_ns("max_gap", self.max_gap)
        gap_ns("max_step_gap", self.max_step_gap)


def gap_ns(what: str, text: str | None) -> int | None:
    """Return a gap in nanoseconds; None for no limit.

    Raises:
        ConfigurationError: It is no positive duration.
    """
    if text is None:
        return None
    value = parse_duration_ns(text, what=what)
    if value == 0:
        raise ConfigurationError(f"{what} of 0", remedy="give a positive duration")
    return value


def is_violated(now: int, last: int, gap: int) -> bool:
    """Say whether a gap is longer than it may be; at the limit it is not. Pure."""
    return now - last > gap
