"""Parts that drawn graphs are made of, beside the scripted ones."""

from __future__ import annotations

from collections.abc import Mapping

from limen.message import BatchView, Message
from limen.node import Consumed, NodePorts, Port, ProcessResult
from limen.platform import PlatformClock
from limen.testing._scripted import ScriptedNode
from limen.types import ObjectSpec, PayloadSpec

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
