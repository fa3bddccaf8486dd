"""The machine's monotonic clock."""

from __future__ import annotations

import threading
import time

from limen.platform.contract import PlatformClock
from limen.types import Ticks


class MonotonicClock(PlatformClock):
    """Real time: one tick is one nanosecond since the clock was made."""

    def __init__(self, domain: int = 0) -> None:
        super().__init__(domain=domain)
        self._epoch_ns = time.monotonic_ns()
        self._woken = threading.Event()

    def now_ticks(self) -> Ticks:
        """Return nanoseconds since the clock was made."""
        return Ticks(time.monotonic_ns() - self._epoch_ns)

    def wait_until(self, tick: Ticks) -> None:
        """Sleep until the instant; a signal handler or another thread may ``wake`` the sleeper."""
        remaining_ns = tick - self.now_ticks()
        if remaining_ns > 0:
            self._woken.wait(remaining_ns / 1e9)
        self._woken.clear()

    def wake(self) -> None:
        """End the sleep in progress, or make the next one return at once."""
        self._woken.set()
