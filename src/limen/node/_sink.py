"""Where messages end."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from limen.message import Message
from limen.node._results import CONSUMED, Consumed
from limen.node._signature import match_spec
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
from limen.policy import Activation
from limen.types import ObjectSpec, PayloadSpec, Ticks

if TYPE_CHECKING:
    from limen.node._c_form import CForm


class Sink(abc.ABC):
    """Writes results to a file, a stream or a device.

    The runtime calls it on its own thread: ``prepare`` before the start, then ``open``, then
    ``consume_from`` once for each message, in the order of the edge, and ``close`` in the end, also
    after a failure. A node that is restarted closes its sink and opens it anew.

    Before the start
    - SINK-1: ``prepare`` may be called again.
    - SINK-2: It writes nothing: what was written before stays until ``open``.
    - SINK-3: ``inputs`` are names, no two of them the same, and stay what they are.
    - SINK-4: ``spec`` is known before ``open``, and stays what it is.

    Taking
    - SINK-5: ``select_input`` returns one of the names that it is given.
    - SINK-6: What is taken comes out once for each message, in their order.
    - SINK-7: All of it is out when ``close`` returns.
    - SINK-8: A payload is left as it is: others read it, too.
    - SINK-9: A payload is read during the call: what becomes of it later does not come out.

    Failures
    - SINK-10: What cannot be written raises OutputError: a message when it is taken, or what was
      held back when it is flushed.
    - SINK-11: The next message goes on, and of the one that failed nothing is in its way.
    - SINK-12: After a failure ``close`` still lets go of all that ``open`` took.

    Ends
    - SINK-13: ``close`` raises nothing before ``open``, nor a second time.
    - SINK-14: A sink that can be opened again takes what comes then as a new one would.
    - SINK-15: ``close`` leaves neither a thread nor an open file of the sink's own behind.
    - SINK-16: What is kept does not grow with what was taken.
    - SINK-17: Sinks share no state.

    Attributes:
        inputs: Names of its inputs. Where there are several, any of them will do for a step, and
            ``consume_from`` says which one it was.
    """

    inputs: tuple[str, ...] = ("in",)

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

    def consume_from(self, port: str, message: Message, now: Ticks) -> None:
        """Take one message of an input; override where there are several.

        Raises:
            OutputError: It could not be written.
        """
        self.consume(message, now)

    def select_input(self, ready: Sequence[str]) -> str:
        """Choose the next input among those with messages, the longest waiting first."""
        return ready[0]

    def c_form(self, ports: NodePorts) -> CForm | None:
        """Return what the sink is in C; None where the application of a firmware supplies it.

        Args:
            ports: As resolved.
        """
        return None

    def close(self) -> None:  # noqa: B027 - nothing to release for most
        """Flush and release."""


class SinkNode(Node):
    """Adapts a ``Sink``: one input ``in``, or those that the sink names."""

    kind = NodeKind.SINK
    activation = Activation.ANY

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._opening: tuple[PlatformClock, PayloadSpec] | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The sink's inputs."""
        return self.sink.inputs

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
        ports = []
        for name in self.sink.inputs:
            arriving = inputs.get(name, wanted)
            match_spec(name, wanted, arriving)
            ports.append(Port(name, arriving, optional=len(self.sink.inputs) > 1))
        return NodePorts(tuple(ports), ())

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Keep clock and spec for ``start``."""
        self._opening = (clock, ports.inputs[0].spec)

    def start(self, now: Ticks) -> None:
        """Open the sink."""
        if self._opening is not None:
            self.sink.open(*self._opening)

    def step(self, ctx: StepContext) -> StepResult:
        """Hand over what waits."""
        names = self.sink.inputs

        def consume(message: Message) -> Consumed:
            self.sink.consume_from(names[0], message, ctx.now_ticks)
            return CONSUMED

        def consume_any(messages: tuple[Message | None, ...]) -> Consumed:
            for name, message in zip(names, messages, strict=True):
                if message is not None:
                    self.sink.consume_from(name, message, ctx.now_ticks)
            return CONSUMED

        if len(names) == 1:
            return ctx.pop_and_process(names[0], consume)
        return ctx.pop_joined_and_process(consume_any)

    def select_input(self, ready: Sequence[str]) -> str:
        """Ask the sink."""
        return self.sink.select_input(ready)

    def direct_call(self) -> DirectCall | None:
        """Return what takes a message of the only input, where a step does nothing else."""
        if type(self).step is not SinkNode.step or len(self.sink.inputs) != 1:
            return None
        consume = self.sink.consume
        if type(self.sink).consume_from is not Sink.consume_from:
            consume = partial(self.sink.consume_from, self.sink.inputs[0])
        return DirectCall(CallForm.CONSUME, consume, lambda _: CONSUMED)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm | None:
        """Ask the sink."""
        return self.sink.c_form(ports)

    def stop(self) -> None:
        """Close the sink."""
        self.sink.close()
