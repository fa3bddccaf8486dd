"""The camera and the results of ``overload``."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from limen.message import Message
from limen.node import Produced, Sink, Source, SourceSignal
from limen.types import DataType, PayloadSpec, QoSClass, TensorSpec, Ticks

MS = 1_000_000
SECOND = 1_000 * MS
PERIOD = 40 * MS
RELATIVE_DEADLINE = 1_000 * MS
DEVICE = 8
FRAME_BYTES = 4096
FRAME = TensorSpec(DataType.U8, (FRAME_BYTES,))
LONGEST_SECONDS = 600
# One frame in ten is LATENCY_CRITICAL: 2.5 a second, half of what can be served. Drawn rather than
# in a cycle, which would beat with the five frames that come during a call.
MIX = random.Random(1).choices(
    (QoSClass.LATENCY_CRITICAL, QoSClass.BEST_EFFORT, QoSClass.BACKGROUND),
    (1, 5, 4),
    k=LONGEST_SECONDS * SECOND // PERIOD,
)


class Camera(Source):
    """Makes a frame on a grid; what is not fetched waits in the device, a pausable one does not."""

    def __init__(self, *, pausable: bool) -> None:
        self.pausable = pausable
        self.lost = 0
        self.made: Counter[QoSClass] = Counter()
        self._next = 0
        self._shift = 0
        self._frame = np.zeros(FRAME_BYTES, np.uint8)

    def spec(self) -> PayloadSpec:
        return FRAME

    def next_due(self) -> Ticks:
        return Ticks(self._next * PERIOD + self._shift)

    def resumed(self, now: Ticks) -> None:
        self._shift += max(0, now - self.next_due())

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        self.run_over(now)
        created, qos = self.next_due(), MIX[self._next % len(MIX)]
        self._next += 1
        self.made[qos] += 1
        return Produced(
            self._frame,
            creation_tick=created,
            deadline_ns=created + RELATIVE_DEADLINE,
            qos=qos,
        )

    def run_over(self, now: int) -> None:
        """Lose what the device's buffer cannot hold at an instant."""
        if self.pausable:
            return
        oldest = now // PERIOD - DEVICE + 1
        while self._next < oldest:
            self.made[MIX[self._next % len(MIX)]] += 1
            self.lost += 1
            self._next += 1

    def waiting(self, now: int) -> int:
        """Frames in the device's buffer at an instant."""
        self.run_over(now)
        for place in range(self._next, now // PERIOD + 1):
            self.made[MIX[place % len(MIX)]] += not self.pausable
        return 0 if self.pausable else now // PERIOD + 1 - self._next


class Results(Sink):
    """Remembers when results came, how old, of which class, in memory taken beforehand."""

    def __init__(self, most: int) -> None:
        self.count = 0
        self.by_qos: Counter[QoSClass] = Counter()
        self.times = np.full(most, -1, np.int64)
        self.ages = np.full(most, -1, np.int64)

    def consume(self, message: Message, now: Ticks) -> None:
        self.add(message.header.qos, message.header.creation_tick, now)

    def add(self, qos: QoSClass, created: int, now: int) -> None:
        """Remember one result."""
        self.times[self.count] = now
        self.ages[self.count] = now - created
        self.by_qos[qos] += 1
        self.count += 1
