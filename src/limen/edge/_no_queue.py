"""An edge that carries nothing."""

from __future__ import annotations

from limen.edge._static_ring import StaticRing
from limen.edge.contract import PushResult
from limen.message import MessageHeader
from limen.platform import NoopClock
from limen.policy import QueueCaps
from limen.types import MessageToken, Ticks


class NoQueue(StaticRing):
    """Stands where a port has no edge: always empty, refuses every push, closed from the start."""

    def __init__(self) -> None:
        super().__init__(QueueCaps(1), NoopClock())
        self.close()

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        """Return REJECTED; the token stays the caller's."""
        return PushResult.REJECTED
