"""Where messages begin."""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec

from limen.node.contract import (
    CallForm,
    DirectCall,
    Node,
    NodeKind,
    NodePorts,
    Port,
    StepContext,
    StepResult,
)
from limen.platform import PlatformClock
from limen.types import PayloadSpec, QoSClass, SequenceNumber, Ticks

if TYPE_CHECKING:
    from limen.node._c_form import CForm


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

    The runtime calls it on its own thread: ``prepare`` before the start, then ``open``, then
    ``try_produce`` as often as schedule and room allow until END_OF_STREAM, and ``close`` in the
    end, also after a failure. A node that is restarted closes its source and opens it anew.

    Before the start
    - SOURCE-1: ``prepare`` may be called again, and nothing comes out differently for it.
    - SOURCE-2: ``spec`` is known once ``prepare`` has returned, and stays what it is.
    - SOURCE-3: ``pausable`` and ``clock_domain`` are settled by then, too.

    Asking
    - SOURCE-4: ``try_produce`` returns a ``Produced``, NOTHING_NOW or END_OF_STREAM, and nothing
      else.
    - SOURCE-5: It never blocks: where nothing has come yet it returns NOTHING_NOW.
    - SOURCE-6: It gives what was read, all of it, once each, in its order.
    - SOURCE-7: Every payload fits ``spec``.
    - SOURCE-8: A payload stays as it is until the next ``try_produce``, whatever else is asked.
    - SOURCE-9: A creation that is stated by the graph's clock does not lie ahead of the call.
    - SOURCE-10: Behind END_OF_STREAM comes nothing but END_OF_STREAM before the next ``open``.

    Schedule
    - SOURCE-11: ``next_due`` is an instant from ``open`` to the end of the stream, or None all
      along.
    - SOURCE-12: Before that instant no message is there, and to ask for one changes nothing.
    - SOURCE-13: At that instant something is there, or the call moves the instant on.
    - SOURCE-14: That instant does not go back.
    - SOURCE-15: Where ``interval_ns`` is stated, messages are due that far apart, to a tick.
    - SOURCE-16: Instants count ticks of the clock that ``open`` is given, whatever its rate.
    - SOURCE-17: A replay, which is what ``set_speed`` says it is, gives the same at any speed.
    - SOURCE-18: What says ``pausable`` loses nothing when it is held back and ``resumed``.

    Failures
    - SOURCE-19: What cannot be read raises SensorError, which says where that was.
    - SOURCE-20: The next call goes on behind it, or the stream ends where that is not possible.
    - SOURCE-21: ``locate`` gives the place of a message in words, or None; of one that was not
      made, None.

    Ends
    - SOURCE-22: A source that can be rewound begins anew when it is closed and opened again.
    - SOURCE-23: ``close`` raises nothing: neither before ``open``, nor a second time, nor after a
      failure.
    - SOURCE-24: It leaves neither a thread nor an open file of the source's own behind.
    - SOURCE-25: What is kept does not grow with what has been read.
    - SOURCE-26: Sources share no state.

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

    @property
    def is_timed(self) -> bool:
        """Whether it may keep a schedule; asked after ``prepare``, by who generates a program."""
        return type(self).next_due is not Source.next_due

    def next_due(self) -> Ticks | None:
        """Return the instant of the next message; None for a source without a schedule."""
        return None

    def interval_ns(self) -> Fraction | int | None:
        """Return the distance between its messages in ns, if it keeps one; for ``check``."""
        return None

    def c_form(self, clock: PlatformClock) -> CForm | None:
        """Return what the source is in C; None where the application of a firmware supplies it.

        Args:
            clock: Converts durations to the ticks of the graph.
        """
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

    def direct_call(self) -> DirectCall | None:
        """Return the source's own function, where a step does nothing but ask it."""
        if type(self).step is not SourceNode.step:
            return None
        return DirectCall(CallForm.PRODUCE, self.source.try_produce, lambda made: made)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm | None:
        """Ask the source."""
        return self.source.c_form(clock)

    def stop(self) -> None:
        """Close the source."""
        self.source.close()

    @property
    def is_timed(self) -> bool:
        """Whether the source may keep a schedule; one that does not say so keeps none."""
        return self.source.is_timed or type(self).next_due is not SourceNode.next_due

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
