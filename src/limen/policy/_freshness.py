"""How old a message may be where it is used, and what is wrong with one that may not be used."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from limen.errors import ConfigurationError
from limen.platform import PlatformClock
from limen.types import parse_duration_ns, require_type


class OnStale(enum.Enum):
    """What becomes of a stale message; the value is its name in graph files.

    DROP discards it before the call. DELIVER hands it over with the flag STALE, which its results
    inherit.
    """

    DROP = "drop"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old what an input presents may be.

    Args:
        max_age: Since its creation: text with a unit. The smaller of this and the message's own
            limit holds.
        max_span_age: Since the oldest creation among all that went into it: text with a unit.
        on_stale: What becomes of what is older.
    """

    max_age: str | None = None
    max_span_age: str | None = None
    on_stale: OnStale = OnStale.DROP

    def __post_init__(self) -> None:
        for name in ("max_age", "max_span_age"):
            value = getattr(self, name)
            if value is not None and parse_duration_ns(value, what=name) == 0:
                raise ConfigurationError(
                    f"{name} of 0", remedy="nothing is that fresh: give a positive duration"
                )
        require_type("on_stale", self.on_stale, OnStale, "use OnStale.DROP or OnStale.DELIVER")

    def in_ticks(self, clock: PlatformClock) -> FreshnessTicks:
        """Convert to the clock's ticks, once, for the Plan."""
        return FreshnessTicks(
            _ticks(clock, self.max_age),
            _ticks(clock, self.max_span_age),
            self.on_stale is OnStale.DELIVER,
        )


class FreshnessTicks(NamedTuple):
    """Freshness as the Plan holds it.

    Attributes:
        max_age: Most ticks since creation; None for no limit.
        max_span_age: Most ticks since the oldest creation; None for no limit.
        delivers: Whether what is stale is handed over, flagged.
    """

    max_age: int | None = None
    max_span_age: int | None = None
    delivers: bool = False

    @property
    def is_none(self) -> bool:
        """Whether the input sets no limit of its own."""
        return self.max_age is None and self.max_span_age is None


def is_stale(
    freshness: FreshnessTicks,
    age_ticks: int,
    span_ticks: int,
    age_ns: int = 0,
    header_max_ns: int | None = None,
) -> bool:
    """Say whether a message is older than any limit allows; at a limit it is not. Pure.

    Args:
        freshness: The input's limits.
        age_ticks: Since its creation.
        span_ticks: Since the oldest creation of all that went into it.
        age_ns: Its age in nanoseconds.
        header_max_ns: The limit that the message itself carries.
    """
    if freshness.max_age is not None and age_ticks > freshness.max_age:
        return True
    if header_max_ns is not None and age_ns > header_max_ns:
        return True
    return freshness.max_span_age is not None and span_ticks > freshness.max_span_age


class Unfit(enum.StrEnum):
    """Why a message may not be presented; the values are the decision log's reasons."""

    STALE = "stale"
    NO_DEADLINE = "no_deadline"
    EXPIRED = "expired"
    INFEASIBLE = "infeasible"


def why_unfit(
    *,
    stale: bool,
    deadline_ns: int | None,
    now_ns: int,
    slack_ns: int = 0,
    require: bool = False,
    drops_late: bool = False,
    budget_ns: int = 0,
) -> Unfit | None:
    """Return the first reason not to present a message never presented before. Pure.

    Args:
        stale: Whether it is, at an input that drops what is.
        deadline_ns: The deadline that holds here, if any does.
        now_ns: The instant.
        slack_ns: The node's slack.
        require: Whether it needs a deadline.
        drops_late: Whether what is late or would be is dropped.
        budget_ns: What the call is expected to take.
    """
    if stale:
        return Unfit.STALE
    if deadline_ns is None:
        return Unfit.NO_DEADLINE if require else None
    if not drops_late:
        return None
    if now_ns > deadline_ns + slack_ns:
        return Unfit.EXPIRED
    if now_ns + budget_ns > deadline_ns + slack_ns:
        return Unfit.INFEASIBLE
    return None


def _ticks(clock: PlatformClock, text: str | None) -> int | None:
    return None if text is None else clock.duration_to_ticks(parse_duration_ns(text))
