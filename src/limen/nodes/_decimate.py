"""Every n-th message."""

from __future__ import annotations

from collections.abc import Mapping

from limen.errors import ConfigurationError
from limen.message import Message
from limen.node import CField, CForm, Consumed, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes import _c
from limen.nodes._base import StreamNode, in_and_out, require_spec
from limen.nodes._checks import require_index
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, require_whole

_CONSUMED = Consumed()


class Decimate(StreamNode):
    """Passes on every n-th message, unchanged; the others count as consumed.

    It does not average: what is faster than half the rate that is left must be filtered before.

    Args:
        keep_every: Of so many messages, one is passed on.
        phase: Which one, from 0.
    """

    one_to_one = True

    def __init__(self, keep_every: int, phase: int = 0) -> None:
        self.keep_every = require_whole("keep_every", keep_every)
        self.phase = require_index("phase", phase)
        if not 0 <= self.phase < self.keep_every:
            raise ConfigurationError(
                f"phase is {self.phase}, of {self.keep_every} messages",
                remedy=f"give a phase from 0 to {self.keep_every - 1}",
            )
        self.first_needs = self.phase + 1
        self.then_needs = self.keep_every
        self._place = 0

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Let anything through."""
        arriving = require_spec(inputs, "in")
        return in_and_out(arriving, arriving)

    def reset(self) -> None:
        """Count from 0 again."""
        self._place = 0

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        keep = self._place == self.phase
        self._place = (self._place + 1) % self.keep_every
        return Output(message.payload) if keep else _CONSUMED

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a count, and a copy of what is passed on."""
        (arriving, _) = _c.tensors("decimate", ports)
        last = _c.require_count("decimate", "keep_every", self.keep_every) - 1
        call = _c.lines(
            "const uint32_t place = self->place;",
            f"self->place = place == {_c.literal(last, DataType.U32)} ? 0 : place + 1;",
            _c.block(f"if (place != {_c.literal(self.phase, DataType.U32)})", _c.DONE),
            _c.sent(0, "in", arriving),
            _c.DONE,
        )
        return CForm(
            call=call,
            state=(CField("uint32_t", "place"),),
            start="self->place = 0;",
            headers=("string.h",),
        )
