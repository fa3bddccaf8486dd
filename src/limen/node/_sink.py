"""Where messages end."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from limen.message import Message
from limen.node._process import Consumed, match_spec
from limen.node.contract import Node, NodeKind, NodePorts, Port, StepContext, StepResult
from limen.platform import PlatformClock
from limen.types import ObjectSpec, PayloadSpec, Ticks

_CONSUMED = Consumed()


class Sink(abc.ABC):
    """Writes results to a file, a stream or a device.

    - SINK-1: ``consume`` is called once per message, in the order of the edge.
    - SINK-2: What cannot be written raises OutputError, is counted, and the next message goes on.
    - SINK-3: ``close`` flushes; it is called once after ``open``, also after a failure.
    """

    def spec(self) -> PayloadSpec:
        """Return what it accepts; everything by default."""
        return ObjectSpec(object)

    def prepare(self) -> None:  # noqa: B027 - streams need nothing from outside
        """Check what the sink needs from outside; idempotent."""

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:  # noqa: B027
        """Begin; told what will arrive."""

    @abc.abstractmethod
    def consume(self, message: Message, now: Ticks) -> None:
        """Take one message; its payload is valid during the call.

        Raises:
            OutputError: It could not be written.
        """

    def close(self) -> None:  # noqa: B027 - nothing to release for most
        """Flush and release."""


class SinkNode(Node):
    """Adapts a ``Sink``: one input ``in``."""

    kind = NodeKind.SINK

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._opening: tuple[PlatformClock, PayloadSpec] | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The one input."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def prepare(self) -> None:
        """Let the sink check itself."""
        self.sink.prepare()

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check what arrives against what the sink accepts."""
        wanted = self.sink.spec()
        arriving = inputs.get("in", wanted)
        match_spec("in", wanted, arriving)
        return NodePorts((Port("in", arriving),), ())

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Keep clock and spec for ``start``."""
        self._opening = (clock, ports.inputs[0].spec)

    def start(self, now: Ticks) -> None:
        """Open the sink."""
        if self._opening is not None:
            self.sink.open(*self._opening)

    def step(self, ctx: StepContext) -> StepResult:
        """Hand over what waits."""

        def consume(message: Message) -> Consumed:
            self.sink.consume(message, ctx.now_ticks)
            return _CONSUMED

        return ctx.pop_and_process("in", consume)

    def stop(self) -> None:
        """Close the sink."""
        self.sink.close()
