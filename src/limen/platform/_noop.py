"""A clock for graphs that do not look at time."""

from __future__ import annotations

from limen.platform.contract import PlatformClock
from limen.types import Ticks


class NoopClock(PlatformClock):
    """Always at instant 0: ages, waits and latencies are all zero, deadlines never pass.

    A graph that waits for an instant (a timed source, Δt) cannot run on it; the runtime says so.
    """

    stands_still = True

    def now_ticks(self) -> Ticks:
        """Return 0."""
        return Ticks(0)

    def wait_until(self, tick: Ticks) -> None:
        """Return at once; time stands still."""
