"""Clocks and timers: the only modules that read time or sleep."""

from limen.platform._monotonic import MonotonicClock
from limen.platform._noop import NoopClock
from limen.platform._sim import SimClock
from limen.platform.contract import PlatformClock

__all__ = ["MonotonicClock", "NoopClock", "PlatformClock", "SimClock"]
