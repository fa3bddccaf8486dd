"""The instant that decisions use, and the log that they are written to."""

from __future__ import annotations

from limen.platform import PlatformClock
from limen.telemetry import (
    Decision,
    DecisionLog,
    EventMessage,
    Hooks,
    Loss,
    PolicyEvent,
    RuntimeEvent,
    RuntimeEventKind,
    StructuralDrop,
    TelemetrySwitches,
    ViolationKind,
    ViolationTally,
)
from limen.types import Ticks


class Journal:
    """One run's instant, step count, decision log and tally; shared by all parts of an executor.

    Args:
        clock: Of the run.
        log: Where decisions go; None to keep none.
        tally: Where violations are counted.
        hooks: Who is told of events.
        switches: What there is of the telemetry.

    Attributes:
        setbacks: Samples that lay before the one ahead of them, and counted as that one.
    """

    __slots__ = (
        *("clock", "hooks", "log", "samples", "setbacks", "steps", "switches", "tally", "tick"),
    )

    def __init__(
        self,
        clock: PlatformClock,
        log: DecisionLog | None = None,
        tally: ViolationTally | None = None,
        hooks: Hooks | None = None,
        switches: TelemetrySwitches | None = None,
    ) -> None:
        self.clock = clock
        self.log = log
        self.tally = ViolationTally() if tally is None else tally
        self.hooks = Hooks() if hooks is None else hooks
        self.switches = TelemetrySwitches() if switches is None else switches
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
        event = PolicyEvent(self.now_ns, kind, place, sequence, times, amount_ns)
        self.tally.add(event)
        if self.hooks.event is not None:
            self.hooks.tell(event)

    def lost(self, loss: Loss, place: str, reason: str, sequence: int) -> None:
        """Tell of a lost message, where somebody listens; it is counted where it was lost."""
        if self.hooks.event is not None:
            self.hooks.tell(StructuralDrop(self.now_ns, loss, place, str(reason), sequence))

    def happened(self, kind: RuntimeEventKind, place: str, text: object = "") -> None:
        """Tell of an event of the run itself, where somebody listens."""
        if self.hooks.event is not None:
            self.hooks.tell(RuntimeEvent(self.now_ns, kind, place, EventMessage.of(text)))
