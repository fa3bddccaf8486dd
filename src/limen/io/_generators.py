"""Signals that need no device and no file: the same at every run and every speed."""

from __future__ import annotations

import abc
import math
from fractions import Fraction
from typing import Literal

from limen.errors import ConfigurationError, SensorError
from limen.io._numbers import Numbers, float_type
from limen.io._random import random_normal, random_unit
from limen.io._replay import Replay, Speed
from limen.node import SourceSignal
from limen.platform import PlatformClock
from limen.types import SequenceNumber, TensorSpec, Ticks, require_whole


class _Generator(Replay):
    """Computes each sample from its number alone: nothing adds up, and nothing drifts.

    Args:
        name: What it is, for messages.
        channels: Entries of a sample.
        rate_hz: Samples a second.
        count: How many there are; None for no end.
        dtype: Element type: f16, f32 or f64. Values are computed as f64 and rounded once.
        speed: Multiple of the rate, or ``"max"`` for as fast as it goes.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        rate_hz: float,
        count: int | None,
        dtype: str,
        speed: Speed,
    ) -> None:
        super().__init__(name, rate_hz, speed)
        self.count = None if count is None else require_whole("count", count, 0)
        self._numbers = Numbers(float_type(dtype, f"a {name} holds"), (channels,))
        self._number = 0
        self._check_schedule()

    def prepare(self) -> None:
        """Check the schedule."""
        self._check_schedule()

    def spec(self) -> TensorSpec:
        """Return one entry a channel."""
        return TensorSpec(self._numbers.dtype, self._numbers.buffer.shape)

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin at sample 0, which is due now."""
        self._check_schedule()
        self._number = 0
        self._begin(clock, now)

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the number of the sample."""
        return f"{self.name} sample {sequence}" if 0 <= sequence < self._number else None

    def _read(self) -> object:
        number = self._number
        if number == self.count:
            return SourceSignal.END_OF_STREAM
        self._number += 1
        self._position += 1
        for channel in range(self._numbers.buffer.size):
            try:
                self._numbers.put(channel, self._value(number, channel))
            except ValueError as error:
                self._ended = True
                raise SensorError(
                    f"{self.name} sample {number}: {error}", remedy="the signal ends here"
                ) from None
        return self._numbers.buffer

    @abc.abstractmethod
    def _value(self, number: int, channel: int) -> float:
        """Return one entry of a sample."""


class Sine(_Generator):
    """Sines without noise, one a channel.

    Sample n is offset + amplitude · sin(2π (frequency · n / rate + phase)). The fraction of a turn
    is computed in whole numbers, so that the last sample of a year is as exact as the first.

    Args:
        frequencies_hz: One a channel.
        rate_hz: Samples a second.
        phases: Where each begins, in turns: 0.25 is a cosine.
        amplitude: Of all channels.
        offset: Of all channels.
        count: How many samples there are; None for no end.
        dtype: Element type: f16, f32 or f64.
        speed: Multiple of the rate, or ``"max"``.
    """

    def __init__(
        self,
        frequencies_hz: list[float],
        rate_hz: float,
        *,
        phases: list[float] | None = None,
        amplitude: float = 1.0,
        offset: float = 0.0,
        count: int | None = None,
        dtype: str = "f32",
        speed: Speed = 1.0,
    ) -> None:
        super().__init__("sine", len(frequencies_hz), rate_hz, count, dtype, speed)
        phases = [0.0] * len(frequencies_hz) if phases is None else phases
        if not frequencies_hz or len(phases) != len(frequencies_hz):
            raise ConfigurationError(
                f"there are {len(frequencies_hz)} frequencies_hz and {len(phases)} phases",
                remedy="give one of each a channel",
            )
        _require_finite(
            frequencies_hz=frequencies_hz, phases=phases, amplitude=[amplitude], offset=[offset]
        )
        rate = Fraction(str(rate_hz))
        self._turns = [Fraction(str(frequency)) / rate for frequency in frequencies_hz]
        self._phases = phases
        self.amplitude = amplitude
        self.offset = offset

    def _value(self, number: int, channel: int) -> float:
        turn = self._turns[channel]
        part = number * turn.numerator % turn.denominator / turn.denominator
        angle = 2.0 * math.pi * (part + self._phases[channel])
        return self.offset + self.amplitude * math.sin(angle)


class Noise(_Generator):
    """Independent random samples: a function of seed, sample and channel, on every machine.

    Bits are those of SplitMix64. ``normal`` has mean ``offset`` and standard deviation ``scale``
    (Box and Muller); ``uniform`` lies from ``offset - scale`` to below ``offset + scale``. Both are
    white: samples do not depend on each other.

    Args:
        rate_hz: Samples a second.
        seed: Which of the 2⁶⁴ signals.
        distribution: ``"normal"`` or ``"uniform"``.
        scale: How wide it spreads.
        offset: Where its middle is.
        channels: Entries of a sample.
        count: How many samples there are; None for no end.
        dtype: Element type: f16, f32 or f64.
        speed: Multiple of the rate, or ``"max"``.
    """

    def __init__(
        self,
        rate_hz: float,
        seed: int,
        *,
        distribution: Literal["normal", "uniform"] = "normal",
        scale: float = 1.0,
        offset: float = 0.0,
        channels: int = 1,
        count: int | None = None,
        dtype: str = "f32",
        speed: Speed = 1.0,
    ) -> None:
        channels = require_whole("channels", channels)
        super().__init__("noise", channels, rate_hz, count, dtype, speed)
        if distribution not in ("normal", "uniform"):
            raise ConfigurationError(
                f"distribution is {distribution!r}", remedy="use normal or uniform"
            )
        _require_finite(scale=[scale], offset=[offset])
        self.seed = require_whole("seed", seed, 0)
        self.distribution = distribution
        self.scale = scale
        self.offset = offset

    def _value(self, number: int, channel: int) -> float:
        place = number * self._numbers.buffer.size + channel
        if self.distribution == "normal":
            return self.offset + self.scale * random_normal(self.seed, place)
        return self.offset + self.scale * (2.0 * random_unit(self.seed, place) - 1.0)


class Ramp(_Generator):
    """A straight line, start + step · n; a sawtooth where it begins again after ``period`` samples.

    Args:
        rate_hz: Samples a second.
        start: First value.
        step: What each sample is above the one before.
        period: Samples until it begins again; None for never.
        count: How many samples there are; None for no end.
        dtype: Element type: f16, f32 or f64.
        speed: Multiple of the rate, or ``"max"``.
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        start: float = 0.0,
        step: float = 1.0,
        period: int | None = None,
        count: int | None = None,
        dtype: str = "f32",
        speed: Speed = 1.0,
    ) -> None:
        super().__init__("ramp", 1, rate_hz, count, dtype, speed)
        _require_finite(start=[start], step=[step])
        self.start = start
        self.step = step
        self.period = None if period is None else require_whole("period", period)

    def _value(self, number: int, channel: int) -> float:
        if self.period is not None:
            number %= self.period
        return self.start + self.step * number


class Steps(_Generator):
    """Holds one value after the other for some samples each, and begins again behind the last.

    Args:
        values: The values.
        rate_hz: Samples a second.
        hold: How many samples each value takes.
        count: How many samples there are; None for no end.
        dtype: Element type: f16, f32 or f64.
        speed: Multiple of the rate, or ``"max"``.
    """

    def __init__(
        self,
        values: list[float],
        rate_hz: float,
        *,
        hold: int = 1,
        count: int | None = None,
        dtype: str = "f32",
        speed: Speed = 1.0,
    ) -> None:
        super().__init__("steps", 1, rate_hz, count, dtype, speed)
        if not values:
            raise ConfigurationError("values is empty", remedy="give at least one")
        _require_finite(values=values)
        self.values = list(values)
        self.hold = require_whole("hold", hold)

    def _value(self, number: int, channel: int) -> float:
        return self.values[number // self.hold % len(self.values)]


def _require_finite(**named: list[float]) -> None:
    for name, values in named.items():
        for value in values:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise ConfigurationError(f"{name} holds {value!r}", remedy="give finite numbers")
