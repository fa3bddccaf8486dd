"""The clock that a graph lives by."""

from __future__ import annotations

import abc

from limen.types import ClockDomainId, Ticks, require_whole

NS_PER_SECOND = 1_000_000_000


class PlatformClock(abc.ABC):
    """Tells time in ticks and waits for instants; a runtime owns exactly one.

    The runtime samples the clock once on wake-up and once after each call into a node; nodes see
    those samples, never the clock's own running time.

    Telling time
    - CLOCK-1: ``now_ticks`` never decreases.
    - CLOCK-2: ``ticks_to_nanos(nanos_to_ticks(ns))`` is never more than ``ns``.
    - CLOCK-3: It is less than one tick less, rounded up to whole nanoseconds.
    - CLOCK-4: A later instant is never fewer ticks, and no time is no ticks.
    - CLOCK-5: ``duration_to_ticks`` makes at least one tick of what is more than nothing.
    - CLOCK-6: Tick rate, domain and ``stands_still`` stay what they are.

    Waiting
    - CLOCK-7: ``wait_until`` returns at or after the instant, unless it is woken.
    - CLOCK-8: A wait for the past returns, and does not turn the clock back.
    - CLOCK-9: ``wake`` from another thread ends a wait.
    - CLOCK-10: ``wake`` ahead of a wait ends that wait.
    - CLOCK-11: Wakes do not add up: two of them end one wait.
    - CLOCK-12: A wait for the past uses up an earlier wake.
    - CLOCK-13: A clock that stands still returns from a wait, and the instant stays.

    Costs
    - CLOCK-14: ``charge`` advances simulated time by exactly the ticks given.
    - CLOCK-15: It refuses a negative cost, and changes nothing.
    - CLOCK-16: It does not move real time.
    - CLOCK-17: Clocks share no state.

    Args:
        tick_rate_hz: Ticks per second.
        domain: Identity of the epoch: instants of two domains must not be compared.

    Attributes:
        stands_still: Whether waiting for an instant is in vain.
    """

    stands_still: bool = False

    def __init__(self, tick_rate_hz: int = NS_PER_SECOND, domain: int = 0) -> None:
        self.tick_rate_hz = require_whole("tick_rate_hz", tick_rate_hz)
        self.domain = ClockDomainId(require_whole("domain", domain, 0))

    @abc.abstractmethod
    def now_ticks(self) -> Ticks:
        """Return the present instant in ticks since the epoch."""

    @abc.abstractmethod
    def wait_until(self, tick: Ticks) -> None:
        """Block until the instant, or until ``wake``; may return early, never late by choice."""

    def wake(self) -> None:  # noqa: B027 - clocks that never block have nobody to wake
        """End the ``wait_until`` in progress, or the next; from any thread or signal handler."""

    def charge(self, ticks: int) -> None:  # noqa: B027 - real time charges itself
        """Account a node's declared ``sim_cost``; only simulated clocks move."""

    def ticks_to_nanos(self, ticks: int) -> int:
        """Convert a tick count to nanoseconds, rounding down."""
        return ticks * NS_PER_SECOND // self.tick_rate_hz

    def nanos_to_ticks(self, nanos: int) -> Ticks:
        """Convert nanoseconds to ticks, rounding down."""
        return Ticks(nanos * self.tick_rate_hz // NS_PER_SECOND)

    def duration_to_ticks(self, nanos: int) -> int:
        """Convert a declared duration to ticks: a positive one is at least one tick."""
        return max(self.nanos_to_ticks(nanos), 1) if nanos else 0
