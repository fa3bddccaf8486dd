"""Where messages begin."""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from limen.node.contract import Node, NodeKind, NodePorts, Port, StepContext, StepResult
from limen.platform import PlatformClock
from limen.types import PayloadSpec, QoSClass, SequenceNumber, Ticks


class Produced(msgspec.Struct, frozen=True):
    """One message's worth from a source.

    Attributes:
        payload: What it read. Arrays and buffers are copied before the next call, other objects
            are held by reference.
        creation_tick: When the device made it; the instant after the call if it does not say.
        deadline_ns: Absolute deadline, if the device sets one.
        qos: Its class.
        max_age_ns: Age past which it is stale, if the device says so.
        degrade_allowed: Whether a node may handle it in its cheaper form, where that is asked for.
    """

    payload: object
    creation_tick: Ticks | None = None
    deadline_ns: int | None = None
    qos: QoSClass = QoSClass.BEST_EFFORT
    max_age_ns: int | None = None
    degrade_allowed: bool = False


class SourceSignal(enum.Enum):
    """What a source says instead of a message."""

    NOTHING_NOW = "nothing_now"
    END_OF_STREAM = "end_of_stream"


class Source(abc.ABC):
    """Reads a device, a file or a generator, without blocking.

    - SOURCE-1: ``try_produce`` never blocks; it returns a message, NOTHING_NOW or END_OF_STREAM.
    - SOURCE-2: After END_OF_STREAM it is not called again before ``open``.
    - SOURCE-3: A source that states ``next_due`` has its next message at that instant, not earlier.
    - SOURCE-4: What cannot be read raises SensorError and is counted; the next call goes on behind
      it, or ends the stream where that is not possible.
    - SOURCE-5: ``close`` after ``open``, once, also after a failure.

    Attributes:
        pausable: Whether it can wait for room without losing anything. A live source cannot.
        clock_domain: Whose clock states its instants (``creation_tick``, ``deadline_ns``); None
            for the graph's own. The graph must declare the offset of any other.
    """

    pausable: bool = False
    clock_domain: int | None = None

    def prepare(self) -> None:  # noqa: B027 - generators need nothing from outside
        """Check what the source needs from outside; idempotent.

        Raises:
            LimenError: Something is missing or does not fit.
        """

    @abc.abstractmethod
    def spec(self) -> PayloadSpec:
        """Return what it produces; valid after ``prepare``."""

    def open(self, clock: PlatformClock, now: Ticks) -> None:  # noqa: B027
        """Begin to produce; schedules start at this instant."""

    @abc.abstractmethod
    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return the next message, or why there is none.

        Raises:
            SensorError: Something could not be read; place and reason in the message.
        """

    def next_due(self) -> Ticks | None:
        """Return the instant of the next message; None for a source without a schedule."""
        return None

    def interval_ns(self) -> Fraction | int | None:
        """Return the distance between its messages in ns, if it keeps one; for ``check``."""
        return None

    def resumed(self, now: Ticks) -> None:  # noqa: B027 - live sources do not wait
        """Told before the first call after full outputs held a pausable source back."""

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Say where a message came from, for error reports."""
        return None

    def set_speed(self, speed: float | None) -> bool:
        """Replay at a multiple of the recorded rate, None as fast as it goes.

        Returns whether the source is a replay at all.
        """
        return False

    def close(self) -> None:  # noqa: B027 - nothing to release for most
        """Release the device."""


class SourceNode(Node):
    """Adapts a ``Source``: one output ``out``."""

    kind = NodeKind.SOURCE

    def __init__(self, source: Source) -> None:
        self.source = source
        self._clock: PlatformClock | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def output_names(self) -> tuple[str, ...]:
        """The one output."""
        return ("out",)

    def prepare(self) -> None:
        """Let the source check itself."""
        self.source.prepare()
        self.clock_domain = self.source.clock_domain

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Return the source's own spec."""
        return NodePorts((), (Port("out", self.source.spec()),))

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Keep the clock for ``start``."""
        self._clock = clock

    def start(self, now: Ticks) -> None:
        """Open the source."""
        if self._clock is not None:
            self.source.open(self._clock, now)

    def step(self, ctx: StepContext) -> StepResult:
        """Ask the source once."""
        return ctx.produce("out", self.source.try_produce)

    def stop(self) -> None:
        """Close the source."""
        self.source.close()

    def next_due(self) -> Ticks | None:
        """Return the source's next instant."""
        return self.source.next_due()

    def resumed(self, now: Ticks) -> None:
        """Pass it on."""
        if self.source.pausable:
            self.source.resumed(now)

    def interval_ns(self) -> Fraction | int | None:
        """Ask the source."""
        return self.source.interval_ns()

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Ask the source."""
        return self.source.locate(sequence)
