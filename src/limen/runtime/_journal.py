"""The instant that decisions use, and the log that they are written to."""

from __future__ import annotations

from limen.platform import PlatformClock
from limen.telemetry import Decision, DecisionLog, PolicyEvent, ViolationKind, ViolationTally
from limen.types import Ticks


class Journal:
    """One run's instant, step count, decision log and tally; shared by all parts of an executor.

    Args:
        clock: Of the run.
        log: Where decisions go; None to keep none.
        tally: Where violations are counted.

    Attributes:
        setbacks: Samples that lay before the one ahead of them, and counted as that one.
    """

    __slots__ = ("clock", "log", "samples", "setbacks", "steps", "tally", "tick")

    def __init__(
        self,
        clock: PlatformClock,
        log: DecisionLog | None = None,
        tally: ViolationTally | None = None,
    ) -> None:
        self.clock = clock
        self.log = log
        self.tally = ViolationTally() if tally is None else tally
        self.tick = Ticks(0)
        self.steps = 0
        self.samples = 0
        self.setbacks = 0

    @property
    def now_ns(self) -> int:
        """The instant in nanoseconds."""
        return self.clock.ticks_to_nanos(self.tick)

    def sample(self) -> None:
        """Read the clock: every decision until the next sample uses this instant."""
        tick = self.clock.now_ticks()
        if tick < self.tick and self.samples:
            self.setbacks += 1
        else:
            self.tick = tick
        self.samples += 1

    def note(self, place: str, action: str, sequence: int = -1, reason: str = "") -> None:
        """Write one decision, where a log is kept."""
        if self.log is not None:
            self.log.record(Decision(self.tick, self.steps, place, action, sequence, str(reason)))

    def violated(
        self,
        kind: ViolationKind,
        place: str,
        sequence: int = -1,
        *,
        amount_ns: int = 0,
        times: int = 1,
    ) -> None:
        """Count a violation, or what was done about one."""
        self.tally.add(PolicyEvent(self.now_ns, kind, place, sequence, times, amount_ns))
