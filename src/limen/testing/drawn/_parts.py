"""Parts that drawn graphs are made of, beside the scripted ones."""

from __future__ import annotations

from collections.abc import Mapping

from limen.message import BatchView, Message
from limen.node import Consumed, NodePorts, Port, ProcessResult
from limen.platform import PlatformClock, SimClock
from limen.runtime import RuntimeStopHandle
from limen.testing._scripted import ScriptedNode
from limen.types import ObjectSpec, PayloadSpec, Ticks

TICK_RATE_HZ = 1000


class Withholding(ScriptedNode):
    """Absorbs messages (batches, if ``window``) before it emits: ``first``, and then ``each``."""

    def __init__(
        self,
        first: int = 1,
        each: int = 1,
        outputs: list[str] | None = None,
        window: bool = False,
        size_bytes: int = 4,
    ) -> None:
        super().__init__(None, outputs, window=window, size_bytes=size_bytes)
        self.first_needs = first
        self.then_needs = each
        self._missing = first

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Begin anew."""
        super().initialize(clock, ports)
        self._missing = self.first_needs

    def _answer(self) -> ProcessResult:
        self._missing -= 1
        if self._missing:
            return Consumed()
        self._missing = self.then_needs
        return super()._answer()

    def _window(self, batch: BatchView) -> ProcessResult:
        return self._answer()

    def _one(self, message: Message) -> ProcessResult:
        return self._answer()


class Objects(ScriptedNode):
    """Emits Python objects of changing size, so that its slots are on the heap."""

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Give objects out."""
        ports = super().resolve(inputs)
        spec = ObjectSpec(bytes)
        return NodePorts(ports.inputs, tuple(Port(p.name, spec) for p in ports.outputs))

    def _payload_of(self) -> object:
        return bytes(1 + 5 * self._calls % 13)


class StoppingClock(SimClock):
    """Asks for a stop when an instant at or behind its mark is sampled.

    Args:
        stop_at: The mark in ticks, of which there are 1000 a second; None for never.

    Attributes:
        handle: Whom to ask; the run's, once there is one.
    """

    def __init__(self, stop_at: int | None) -> None:
        super().__init__(TICK_RATE_HZ)
        self._stop_at = stop_at
        self.handle: RuntimeStopHandle | None = None

    @property
    def instant(self) -> int:
        """The simulated instant, without a sample."""
        return self._now

    def now_ticks(self) -> Ticks:
        """Return the instant; ask for a stop at the mark."""
        now = super().now_ticks()
        if self._stop_at is not None and now >= self._stop_at and self.handle is not None:
            self.handle.request_stop()
        return now
