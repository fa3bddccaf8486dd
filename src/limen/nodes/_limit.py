"""No more messages than a rate."""

from __future__ import annotations

from collections.abc import Mapping

from limen.message import Message
from limen.node import CField, CForm, NodePorts, Output, ProcessResult, Skip
from limen.node.contract import StepContext
from limen.nodes import _c
from limen.nodes._base import Array, StreamNode, in_and_out, require_spec
from limen.nodes._checks import require_duration_ns
from limen.platform import PlatformClock
from limen.types import PayloadSpec, require_whole

_SKIP = Skip()


class RateLimiter(StreamNode):
    """Passes on as many messages as a bucket of tokens allows; the others are dropped{skipped}.

    The bucket holds ``burst`` tokens, begins full, and gets one every ``every``; a message takes
    one. With a burst of 1 that is a smallest distance between messages. In whole ticks, without a
    sum that could drift: a message at instant t passes if ``t + (burst - 1) · every >= due``, and
    then ``due = max(due, t) + every``. The instant is that of the step.

    Args:
        every: Time in which one message may pass, as ``"100ms"``.
        burst: How many may pass at once after a pause.
    """

    def __init__(self, every: str, burst: int = 1) -> None:
        self.every_ns = require_duration_ns("every", every)
        self.burst = require_whole("burst", burst)
        self._due: int | None = None

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Let anything through."""
        arriving = require_spec(inputs, "in")
        return in_and_out(arriving, arriving)

    def reset(self) -> None:
        """Fill the bucket."""
        self._due = None

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._every = clock.duration_to_ticks(self.every_ns)
        self._slack = (self.burst - 1) * self._every

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        now = ctx.now_ticks
        due = now if self._due is None else self._due
        if now + self._slack < due:
            return _SKIP
        self._due = max(due, now) + self._every
        return Output(message.payload)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return the comparison of instants; the least of all stands for a bucket that is full."""
        (arriving, _) = _c.tensors("rate_limiter", ports)
        every = clock.duration_to_ticks(self.every_ns)
        # All of the bucket, as that is how far ahead the due instant comes.
        _c.ticks("rate_limiter", "burst · every", self.burst * every)
        slack = _c.ticks("rate_limiter", "the bucket", (self.burst - 1) * every)
        call = _c.lines(
            _c.block(f"if (call->now + {slack} < self->due)", _c.SKIP),
            _c.block("if (self->due < call->now)", "self->due = call->now;"),
            f"self->due += {_c.ticks('rate_limiter', 'every', every)};",
            _c.sent(0, "in", arriving),
            _c.DONE,
        )
        return CForm(
            call=call,
            state=(CField("limen_tick", "due"),),
            start="self->due = INT64_MIN;",
            headers=("string.h",),
        )
