"""The step context that a cheaper variant is entered with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from limen.edge import EdgeOccupancy
from limen.errors import NodeError
from limen.message import BatchView, Message, MessageHeader
from limen.node import Node, PushOutcome, StepContext, StepResult, YieldUntil
from limen.platform import PlatformClock
from limen.policy import EdgePolicy
from limen.telemetry import NodeTelemetry
from limen.types import Ticks

_NOTHING = object()


def call_variant(
    variant: Node, ctx: StepContext, given: tuple[object, ...]
) -> tuple[object, StepResult | YieldUntil]:
    """Have a variant handle what its full form would have been given.

    The variant's own ``step`` is entered, and whatever it asks its context to take is this.

    Returns:
        What it answers, and what its step came to.

    Raises:
        NodeError: It took nothing.
    """
    context = _VariantContext(ctx, given)
    result = variant.step(context)
    if context.answer is _NOTHING:
        raise NodeError(
            "the variant took nothing", remedy="its step must process what its context hands over"
        )
    return context.answer, result


class _VariantContext:
    """Hands over one thing that was taken already; for everything else it is the node's context."""

    def __init__(self, ctx: StepContext, given: tuple[object, ...]) -> None:
        self._ctx = ctx
        self._given = given
        self.answer: object = _NOTHING

    @property
    def clock(self) -> PlatformClock:
        return self._ctx.clock

    @property
    def now_ticks(self) -> Ticks:
        return self._ctx.now_ticks

    @property
    def now_nanos(self) -> int:
        return self._ctx.now_nanos

    @property
    def telemetry(self) -> NodeTelemetry:
        return self._ctx.telemetry

    def in_occupancy(self, port: str) -> EdgeOccupancy:
        return self._ctx.in_occupancy(port)

    def out_occupancy(self, port: str) -> EdgeOccupancy:
        return self._ctx.out_occupancy(port)

    def in_peek_header(self, port: str) -> MessageHeader | None:
        return self._ctx.in_peek_header(port)

    def in_peek_deadline(self, port: str) -> int | None:
        return self._ctx.in_peek_deadline(port)

    def in_has_batch(self, port: str) -> bool:
        return self._ctx.in_has_batch(port)

    def in_policy(self, port: str) -> EdgePolicy:
        return self._ctx.in_policy(port)

    def out_policies(self, port: str) -> tuple[EdgePolicy, ...]:
        return self._ctx.out_policies(port)

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        return self._ctx.out_slot(port)

    def push_output(self, port: str, message: Message) -> PushOutcome:
        return self._ctx.push_output(port, message)

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        return self._hand_over(process)

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        return self._hand_over(process)

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        return self._hand_over(process)

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        return self._hand_over(process)

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        raise NodeError("a variant is no source")

    def _hand_over(self, process: Callable[..., object]) -> StepResult:
        self.answer = process(*self._given)
        return StepResult.MADE_PROGRESS
