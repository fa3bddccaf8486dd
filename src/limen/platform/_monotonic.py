"""The machine's monotonic clock."""

from __future__ import annotations

import contextlib
import threading
import time

from limen.platform.contract import PlatformClock
from limen.types import Ticks

_LONGEST_NS = int(threading.TIMEOUT_MAX) * 1_000_000_000


class MonotonicClock(PlatformClock):
    """Real time: one tick is one nanosecond since the clock was made."""

    def __init__(self, domain: int = 0) -> None:
        super().__init__(domain=domain)
        self._epoch_ns = time.monotonic_ns()
        # A lock as a binary semaphore: unlike Event.set, release never waits, so that a signal
        # handler may wake the very thread it interrupts.
        self._woken = threading.Lock()
        self._woken.acquire()

    @property
    def epoch_ns(self) -> int:
        """The machine's instant that ticks count from."""
        return self._epoch_ns

    def now_ticks(self) -> Ticks:
        """Return nanoseconds since the clock was made."""
        return Ticks(time.monotonic_ns() - self._epoch_ns)

    def wait_until(self, tick: Ticks) -> None:
        """Sleep until the instant; a signal handler or another thread may ``wake`` the sleeper."""
        remaining_ns = tick - self.now_ticks()
        timeout_s = min(max(remaining_ns, 0), _LONGEST_NS) / 1e9
        self._woken.acquire(timeout=timeout_s)

    def wake(self) -> None:
        """End the sleep in progress, or make the next one return at once."""
        with contextlib.suppress(RuntimeError):  # woken already
            self._woken.release()
