"""Simulated time: moves only when told, so that every run is the same run."""

from __future__ import annotations

from limen.errors import ConfigurationError
from limen.platform.contract import NS_PER_SECOND, PlatformClock
from limen.types import Ticks, require_whole


class SimClock(PlatformClock):
    """A clock that jumps to the next due instant and is charged each call's declared cost.

    Args:
        tick_rate_hz: Ticks per second; a low rate shows what a coarse timer does to a graph.
        start: First instant, in ticks.
        domain: Identity of the epoch.
    """

    def __init__(self, tick_rate_hz: int = NS_PER_SECOND, start: int = 0, domain: int = 0) -> None:
        super().__init__(tick_rate_hz, domain)
        self._now = require_whole("start", start, 0)

    def now_ticks(self) -> Ticks:
        """Return the simulated instant."""
        return Ticks(self._now)

    def wait_until(self, tick: Ticks) -> None:
        """Move to the instant at once; an instant in the past changes nothing."""
        self._now = max(self._now, tick)

    def charge(self, ticks: int) -> None:
        """Move forward by the declared cost of a call.

        Raises:
            ConfigurationError: The cost is negative.
        """
        if ticks < 0:
            raise ConfigurationError(f"a call cost {ticks} ticks", remedy="time only moves forward")
        self._now += ticks
