"""What all replays share: a schedule that does not drift, can be held back, and has a speed."""

from __future__ import annotations

import abc
import math
from fractions import Fraction
from typing import Literal

from limen.errors import ConfigurationError, LifecycleError
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.platform.contract import NS_PER_SECOND
from limen.types import Ticks

Speed = float | Literal["max"]


class Replay(Source):
    """Gives one entry of a recording after the other, each at its instant.

    Entries lie on a grid of ``rate_hz``, or at times that the recording states. The schedule counts
    in whole units from an anchor: rows, or nanoseconds of the recording.

    Args:
        name: What is replayed, for messages.
        rate_hz: Entries a second as recorded; None where the speed is ``"max"``.
        speed: Multiple of the recorded rate, or ``"max"`` for as fast as it goes.
        has_times: Whether the recording states its times; there is no rate then.
    """

    pausable = True

    def __init__(
        self, name: str, rate_hz: float | None, speed: Speed, *, has_times: bool = False
    ) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self._has_times = has_times
        self._speed = None if speed == "max" else speed
        self._unit_ns: Fraction | None = None
        self._clock: PlatformClock | None = None
        self._anchor = Ticks(0)
        self._origin = 0
        self._position = 0
        self._ended = False

    @property
    def speed(self) -> Fraction | None:
        """Multiple of the recorded rate, as written; None for as fast as it goes."""
        return None if self._speed is None else Fraction(str(self._speed))

    def next_due(self) -> Ticks | None:
        """Return the instant of the next entry; None at speed ``"max"``."""
        unit, clock = self._unit_ns, self._clock
        if unit is None or clock is None:
            return None
        elapsed_ns = (self._position - self._origin) * unit.numerator // unit.denominator
        return Ticks(self._anchor + clock.nanos_to_ticks(elapsed_ns))

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Read one entry, if it is due."""
        if self._clock is None:
            raise LifecycleError(f"{self.name} is read before open or after close")
        if self._ended:
            return SourceSignal.END_OF_STREAM
        due = self.next_due()
        if due is not None and now < due:
            return SourceSignal.NOTHING_NOW
        payload = self._read()
        if isinstance(payload, SourceSignal):
            self._ended = True
            return payload
        return Produced(payload, creation_tick=due)

    def resumed(self, now: Ticks) -> None:
        """Move the schedule so that the entry that was held back is due now."""
        due = self.next_due()
        if due is not None and now > due:
            self._anchor, self._origin = now, self._position

    def set_speed(self, speed: float | None) -> bool:
        """Replay at a multiple of the recorded rate, None as fast as it goes."""
        due = self.next_due()
        self._speed = speed
        if self._clock is not None:
            self._check_schedule()
            if due is not None:
                self._anchor, self._origin = due, self._position
        return True

    def interval_ns(self) -> Fraction | None:
        """Return the distance between entries; None at speed ``"max"`` or with stated times."""
        return None if self._has_times else self._unit_ns

    def close(self) -> None:
        """End the replay; idempotent."""
        self._clock = None

    @abc.abstractmethod
    def _read(self) -> object:
        """Move on by one entry and return its payload, or END_OF_STREAM.

        Whoever implements it moves ``_position`` to the entry behind, also when it raises: what
        cannot be read takes its place in the schedule, too.
        """

    def _begin(self, clock: PlatformClock, now: Ticks, position: int = 0) -> None:
        """Start the schedule: the entry at this position is due now."""
        self._clock = clock
        self._ended = False
        self._anchor = now
        self._origin = self._position = position

    def _check_schedule(self) -> None:
        """Work the length of a unit out.

        Raises:
            ConfigurationError: Rate or speed is no number above 0, or there is no rate.
        """
        for what, value in (("rate_hz", self.rate_hz), ("speed", self._speed)):
            if value is not None and not _is_positive(value):
                raise ConfigurationError(f"{what} is {value!r}", remedy="give a number above 0")
        if self._has_times and self.rate_hz is not None:
            raise ConfigurationError(
                f"{self.name} has times of its own and rate_hz {self.rate_hz:g}",
                remedy="leave one of them out",
            )
        # Decimal text, not the binary value: 0.1 means a tenth.
        speed = self.speed
        if speed is None:
            self._unit_ns = None
        elif self._has_times:
            self._unit_ns = 1 / speed
        elif self.rate_hz is None:
            raise ConfigurationError(
                f"speed {self._speed:g} of {self.name} multiplies an unknown rate",
                remedy='give rate_hz, or speed "max"',
            )
        else:
            self._unit_ns = NS_PER_SECOND / (Fraction(str(self.rate_hz)) * speed)


def _is_positive(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0  # type: ignore[arg-type,operator]
