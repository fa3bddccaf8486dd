"""The instant that decisions use, and the log that they are written to."""

from __future__ import annotations

from limen.platform import PlatformClock
from limen.telemetry import Decision, DecisionLog
from limen.types import Ticks


class Journal:
    """One run's instant, step count and decision log; shared by all parts of an executor.

    Args:
        clock: Of the run.
        log: Where decisions go; None to keep none.
    """

    __slots__ = ("clock", "log", "samples", "steps", "tick")

    def __init__(self, clock: PlatformClock, log: DecisionLog | None = None) -> None:
        self.clock = clock
        self.log = log
        self.tick = Ticks(0)
        self.steps = 0
        self.samples = 0

    @property
    def now_ns(self) -> int:
        """The instant in nanoseconds."""
        return self.clock.ticks_to_nanos(self.tick)

    def sample(self) -> None:
        """Read the clock: every decision until the next sample uses this instant."""
        self.tick = self.clock.now_ticks()
        self.samples += 1

    def note(self, place: str, action: str, sequence: int = -1, reason: str = "") -> None:
        """Write one decision, where a log is kept."""
        if self.log is not None:
            self.log.record(Decision(self.tick, self.steps, place, action, sequence, str(reason)))
