"""A step context that stands before another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limen import edge as edge_layer
from limen import telemetry as telemetry_layer
from limen.message import Message, MessageHeader
from limen.node.contract import PushOutcome, StepContext
from limen.platform import PlatformClock
from limen.policy import EdgePolicy
from limen.types import Ticks


class LookingContext:
    """Looks and pushes through another step context; what takes and calls is its subclasses' own.

    Args:
        ctx: The other one.
    """

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx

    @property
    def clock(self) -> PlatformClock:
        """Ask the other context."""
        return self._ctx.clock

    @property
    def now_ticks(self) -> Ticks:
        """Ask the other context."""
        return self._ctx.now_ticks

    @property
    def now_nanos(self) -> int:
        """Ask the other context."""
        return self._ctx.now_nanos

    @property
    def telemetry(self) -> telemetry_layer.NodeTelemetry:
        """Ask the other context."""
        return self._ctx.telemetry

    def in_occupancy(self, port: str) -> edge_layer.EdgeOccupancy:
        """Ask the other context."""
        return self._ctx.in_occupancy(port)

    def out_occupancy(self, port: str) -> edge_layer.EdgeOccupancy:
        """Ask the other context."""
        return self._ctx.out_occupancy(port)

    def in_peek_header(self, port: str) -> MessageHeader | None:
        """Ask the other context."""
        return self._ctx.in_peek_header(port)

    def in_peek_deadline(self, port: str) -> int | None:
        """Ask the other context."""
        return self._ctx.in_peek_deadline(port)

    def in_has_batch(self, port: str) -> bool:
        """Ask the other context."""
        return self._ctx.in_has_batch(port)

    def in_policy(self, port: str) -> EdgePolicy:
        """Ask the other context."""
        return self._ctx.in_policy(port)

    def out_policies(self, port: str) -> tuple[EdgePolicy, ...]:
        """Ask the other context."""
        return self._ctx.out_policies(port)

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Ask the other context."""
        return self._ctx.out_slot(port)

    def push_output(self, port: str, message: Message) -> PushOutcome:
        """Ask the other context."""
        return self._ctx.push_output(port, message)
