"""Simulated clocks that end a run: of scenarios and drawn graphs, of drills and single nodes."""

from __future__ import annotations

from collections.abc import Callable

from limen.platform import SimClock
from limen.runtime import RuntimeStopHandle
from limen.types import Ticks


class StoppingClock(SimClock):
    """Simulated time that asks for a stop when an instant at or behind its mark is sampled.

    Args:
        stop_at: The mark in ticks; None for never.
        tick_rate_hz: Ticks per second.

    Attributes:
        handle: Whom to ask; set once the runtime is made.
    """

    def __init__(self, stop_at: int | None, tick_rate_hz: int = 1000) -> None:
        super().__init__(tick_rate_hz)
        self._stop_at = stop_at
        self.handle: RuntimeStopHandle | None = None

    @property
    def instant(self) -> int:
        """The simulated instant, without a sample."""
        return self._now

    def now_ticks(self) -> Ticks:
        """Return the instant; ask for a stop at the mark."""
        now = super().now_ticks()
        if self._stop_at is not None and now >= self._stop_at and self.handle is not None:
            self.handle.request_stop()
        return now


class DrillClock(SimClock):
    """Simulated time that asks for a stop at an instant, and may leap once ahead of it.

    Args:
        stop_at: Instant, in ns, from which a stop is requested; a leap moves it along.
        leap_at: Instant, in ns, at which the clock leaps; None for never.
        leap_ns: How far.

    Attributes:
        handle: Whom to ask for the stop; set once the runtime is made.
        leapt_at: When it leapt, by the time before; None if it has not.
    """

    def __init__(self, stop_at: int, *, leap_at: int | None = None, leap_ns: int = 0) -> None:
        super().__init__()
        self.handle: RuntimeStopHandle | None = None
        self.leapt_at: int | None = None
        self._stop_at = stop_at
        self._leap_at = leap_at
        self._leap_ns = leap_ns
        self._charged: list[Callable[[int], None]] = []

    def wait_until(self, tick: Ticks) -> None:
        """Move to the instant, or as far as the stop; through the leap, if that lies ahead."""
        if self._leaps_by(tick):
            super().wait_until(Ticks(self._leap_at or 0))
            self._leap()
        if not self.is_stopping:
            tick = Ticks(min(tick, max(self._stop_at, self.now_ticks())))
        super().wait_until(tick)
        self._look()

    def charge(self, ticks: int) -> None:
        """Move forward by the cost of a call, and tell those who wait for its end."""
        super().charge(ticks)
        if self._leaps_by(self.now_ticks()):
            self._leap()
        now = self.now_ticks()
        for tell in self._charged:
            tell(now)
        self._charged.clear()
        self._look()

    def at_end_of_call(self, tell: Callable[[int], None]) -> None:
        """Have the end of the call in progress told, once its cost is charged."""
        self._charged.append(tell)

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has been requested."""
        return self.handle is not None and self.handle.is_stopping

    def _leaps_by(self, tick: int) -> bool:
        return self.leapt_at is None and self._leap_at is not None and tick >= self._leap_at

    def _leap(self) -> None:
        self.leapt_at = self.now_ticks()
        self._stop_at += self._leap_ns
        super().charge(self._leap_ns)

    def _look(self) -> None:
        if self.handle is not None and self.now_ticks() >= self._stop_at:
            self.handle.request_stop()
