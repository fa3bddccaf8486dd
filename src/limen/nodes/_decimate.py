"""Every n-th message."""

from __future__ import annotations

from collections.abc import Mapping

from limen.errors import ConfigurationError
from limen.message import Message
from limen.node import Consumed, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes._base import StreamNode, in_and_out, require_spec
from limen.nodes._checks import require_index
from limen.types import PayloadSpec, require_whole

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
