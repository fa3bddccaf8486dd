"""How many messages one step takes, and how long it waits for them."""

from __future__ import annotations

from dataclasses import dataclass

from limen.errors import ConfigurationError
from limen.platform import PlatformClock
from limen.types import parse_duration_ns


@dataclass(frozen=True, slots=True)
class BatchingTicks:
    """Batching as the Plan holds it.

    Attributes:
        max_items: Most items a step takes.
        delta_ticks: Largest distance between creation ticks in a batch, and longest wait; None
            where a batch closes by count alone.
    """

    max_items: int = 1
    delta_ticks: int | None = None


@dataclass(frozen=True, slots=True)
class Batching:
    """How a node's input is grouped; made by ``none``, ``fixed`` or ``fixed_and_delta_t``.

    Attributes:
        max_items: Most items in a batch.
        delta_t_ns: Longest span of creation times, and longest wait after the first push.
    """

    max_items: int = 1
    delta_t_ns: int | None = None

    def __post_init__(self) -> None:
        if (
            not isinstance(self.max_items, int)
            or isinstance(self.max_items, bool)
            or self.max_items < 1
        ):
            raise ConfigurationError(
                f"a batch of {self.max_items!r}", remedy="a batch holds at least 1 item"
            )
        delta: object = self.delta_t_ns
        if delta is None:
            return
        if not isinstance(delta, int) or isinstance(delta, bool) or delta < 1:
            raise ConfigurationError(
                f"delta_t of {delta!r} ns", remedy="give a positive duration in whole ns"
            )

    @classmethod
    def none(cls) -> Batching:
        """One message a step."""
        return cls()

    @classmethod
    def fixed(cls, n: int) -> Batching:
        """``n`` messages a step; fewer only at end of stream, or when the queue cannot grow."""
        return cls(n)

    @classmethod
    def fixed_and_delta_t(cls, n: int, delta_t: str) -> Batching:
        """Up to ``n`` messages that were made within ``delta_t``, waiting no longer than that."""
        return cls(n, parse_duration_ns(delta_t, what="delta_t"))

    @property
    def is_none(self) -> bool:
        """Whether a step takes one message, without waiting."""
        return self.max_items == 1 and self.delta_t_ns is None

    def in_ticks(self, clock: PlatformClock) -> BatchingTicks:
        """Convert to the clock's ticks, once, for the Plan."""
        delta = None if self.delta_t_ns is None else clock.duration_to_ticks(self.delta_t_ns)
        return BatchingTicks(self.max_items, delta)
