"""A recording as a bad line would bring it: late, with gaps, twice, out of order."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from limen.errors import ConfigurationError
from limen.io._places import Places
from limen.io._random import random_bits, random_unit
from limen.io._replay import Replay
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.types import PayloadSpec, SequenceNumber, Ticks, parse_duration_ns, require_whole

_DICE = 4
_APART = 1 << 60


class _Held(NamedTuple):
    """A message under way; they come out by instant, those of one instant in their order."""

    due: int
    number: int
    copy: int
    made: Produced


class Disturbed(Source):
    """Gives what a replay gives as a live source would: with jitter, loss, repeats, out of order.

    Each message of the replay is lost with probability ``loss``; else it comes a random part of
    ``jitter`` after its instant, all parts being equally likely. With probability ``duplication`` a
    second copy comes, with a delay of its own. Unless ``keep_order`` is set, a message with a short
    delay overtakes those with long ones: by no more than what lies within one ``jitter``. Creation
    stays the instant of the replay, so that the delay shows as age.

    It is a function of seed and number of the message, the same at any speed: a replay twice as
    fast has half the jitter. (Two messages that come within one tick may change places.) Being live
    it cannot be held back: what a full queue does to it, its policy says. At most ``max_held``
    messages are under way; what comes to more is lost, too.

    Args:
        source: A replay or a generator with a rate.
        seed: Which of the disturbances.
        jitter: Largest delay, for example ``"20ms"``.
        loss: Probability, below 1.
        duplication: Probability, up to 1.
        keep_order: Whether a message waits for those before it.
        max_held: How many messages may be under way.

    Attributes:
        lost: Messages that were lost since ``open``.
        repeated: Copies that were added since ``open``.
    """

    pausable = False

    def __init__(
        self,
        source: Source,
        seed: int,
        *,
        jitter: str = "0ms",
        loss: float = 0.0,
        duplication: float = 0.0,
        keep_order: bool = False,
        max_held: int = 256,
    ) -> None:
        if not isinstance(source, Replay):
            raise ConfigurationError(
                f"{type(source).__qualname__} is no replay", remedy="give a replay or a generator"
            )
        for what, value, allowed in (
            ("loss", loss, 0 <= loss < 1),
            ("duplication", duplication, 0 <= duplication <= 1),
        ):
            if not allowed:
                raise ConfigurationError(f"{what} is {value}", remedy="give a probability")
        self.source = source
        self.seed = require_whole("seed", seed, 0)
        # Noise of the same seed must not decide about itself.
        self._dice = random_bits(self.seed, _APART)
        self.jitter_ns = parse_duration_ns(jitter, what="jitter")
        self.loss = loss
        self.duplication = duplication
        self.keep_order = keep_order
        self.max_held = require_whole("max_held", max_held)
        self.clock_domain = source.clock_domain
        self.lost = self.repeated = 0
        self._held: list[_Held] = []
        self._clock: PlatformClock | None = None
        self._number = 0
        self._latest = 0
        self._ended = False
        self._places = Places()

    def prepare(self) -> None:
        """Let the replay check itself; it needs a speed."""
        self.source.prepare()
        if self.source.speed is None:
            raise self._no_schedule()

    def spec(self) -> PayloadSpec:
        """Return what the replay produces."""
        return self.source.spec()

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin the replay."""
        self.prepare()
        self.source.open(clock, now)
        self._clock = clock
        self._held.clear()
        self._places.clear()
        self._number = self._latest = self.lost = self.repeated = 0
        self._ended = False

    def next_due(self) -> Ticks | None:
        """Return the next instant at which the replay is read or a message comes out."""
        reading = None if self._ended else self.source.next_due()
        coming = self._held[0].due if self._held else None
        if coming is None or (reading is not None and reading <= coming):
            return reading if reading is not None else self.source.next_due()
        return Ticks(coming)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Take what the replay has come to by now, and return what comes out first."""
        while True:
            due = self.next_due()
            if due is not None and now < due:
                return SourceSignal.NOTHING_NOW
            # The replay first: what comes out at the same instant may be its copy.
            if not self._ended and due == self.source.next_due():
                self._read(now)
            elif self._held:
                held = heapq.heappop(self._held)
                self._places.add(held.number)
                return held.made
            else:
                return SourceSignal.END_OF_STREAM

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the place of a message in the recording; None where it is forgotten."""
        number = self._places.find(sequence)
        return None if number is None else self.source.locate(SequenceNumber(number))

    def set_speed(self, speed: float | None) -> bool:
        """Set the speed of the replay.

        Raises:
            ConfigurationError: The speed is None: there would be no schedule to disturb.
        """
        if speed is None:
            raise self._no_schedule()
        return self.source.set_speed(speed)

    def close(self) -> None:
        """Close the replay; idempotent."""
        self._held.clear()
        self.source.close()

    def _no_schedule(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.source.name} has no schedule to disturb at speed max",
            remedy="give a speed, for example 1",
        )

    def _read(self, now: Ticks) -> None:
        due = self.source.next_due()
        made = self.source.try_produce(now)
        if made is SourceSignal.END_OF_STREAM:
            self._ended = True
        if due is None or not isinstance(made, Produced):
            return
        number, self._number = self._number, self._number + 1
        dice = number * _DICE
        if random_unit(self._dice, dice) < self.loss:
            self.lost += 1
            return
        copies = 2 if random_unit(self._dice, dice + 1) < self.duplication else 1
        made = Produced(_kept(made.payload), creation_tick=made.creation_tick)
        for copy in range(copies):
            if len(self._held) >= self.max_held:
                self.lost += 1
                continue
            self.repeated += copy
            coming = due + self._delay(dice + 2 + copy)
            if self.keep_order:
                coming = self._latest = max(coming, self._latest)
            heapq.heappush(self._held, _Held(coming, number, copy, made))

    def _delay(self, place: int) -> int:
        speed, clock = self.source.speed, self._clock
        if speed is None or clock is None:
            return 0
        part_ns = random_bits(self._dice, place) * (self.jitter_ns + 1) >> 64
        return clock.nanos_to_ticks(part_ns * speed.denominator // speed.numerator)


def _kept(payload: object) -> object:
    """Return what stays as it is while the replay writes its buffer anew."""
    return payload.copy() if isinstance(payload, np.ndarray) else payload
