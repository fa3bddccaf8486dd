"""The step context that a cheaper variant is entered with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from limen.errors import NodeError
from limen.message import BatchView, Message
from limen.node import LookingContext, Node, StepContext, StepResult, YieldUntil
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


class _VariantContext(LookingContext):
    """Hands over one thing that was taken already; for everything else it is the node's context."""

    def __init__(self, ctx: StepContext, given: tuple[object, ...]) -> None:
        super().__init__(ctx)
        self._given = given
        self.answer: object = _NOTHING

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
