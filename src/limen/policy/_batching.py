"""How many messages one step takes, how long it waits for them, and what it keeps of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from limen.errors import ConfigurationError
from limen.platform import PlatformClock
from limen.policy._checks import plain_int
from limen.types import Ticks, parse_duration_ns


@dataclass(frozen=True, slots=True)
class BatchingTicks:
    """Batching as the Plan holds it.

    Attributes:
        max_items: Most items a step presents.
        delta_ticks: Largest distance between creation ticks in a batch, and longest wait; None
            where a batch closes by count alone.
        stride: Most items that leave with a step; less than ``max_items`` slides the window.
    """

    max_items: int = 1
    delta_ticks: int | None = None
    stride: int = 1

    @property
    def is_none(self) -> bool:
        """Whether a step takes one message, without waiting."""
        return self.max_items == 1 and self.delta_ticks is None


@dataclass(frozen=True, slots=True)
class Batching:
    """How a node's input is grouped; made by ``none``, ``fixed`` and their siblings.

    Attributes:
        max_items: Most items in a batch; None where the queue's capacity is the limit.
        delta_t_ns: Longest span of creation times, and longest wait after the first push.
        stride: Items that leave with a step, where a window slides; None where all of them do.
    """

    max_items: int | None = 1
    delta_t_ns: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_items", "delta_t_ns", "stride"):
            object.__setattr__(self, name, plain_int(getattr(self, name)))
        most, delta, stride = self.max_items, self.delta_t_ns, self.stride
        if most is not None and not _is_positive(most):
            raise ConfigurationError(
                f"a batch of {most!r}",
                remedy="give a whole number: a batch holds at least 1 item",
            )
        if delta is not None and not _is_positive(delta):
            raise ConfigurationError(
                f"delta_t of {delta!r} ns", remedy="give a positive duration in whole ns"
            )
        if most is None and delta is None:
            raise ConfigurationError(
                "a batch without a limit", remedy="give a number of items, or delta_t, or both"
            )
        if stride is None:
            return
        if most is None:
            raise ConfigurationError(
                "a sliding window without a number of items", remedy="give both, n and stride"
            )
        if not _is_positive(stride) or stride > most:
            raise ConfigurationError(
                f"stride {stride!r} of a window of {most}",
                remedy="a window moves by at least 1 and at most its own length",
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
    def delta_t(cls, delta_t: str) -> Batching:
        """All messages that were made within ``delta_t``, as many as the queue can hold."""
        return cls(None, parse_duration_ns(delta_t, what="delta_t"))

    @classmethod
    def fixed_and_delta_t(cls, n: int, delta_t: str) -> Batching:
        """Up to ``n`` messages that were made within ``delta_t``, waiting no longer than that."""
        return cls(_given("n", n), parse_duration_ns(delta_t, what="delta_t"))

    @classmethod
    def sliding(cls, n: int, stride: int, delta_t: str | None = None) -> Batching:
        """The last ``n`` messages, again after every ``stride`` new ones.

        For nodes that take a whole window in one call (``process_batch``).
        """
        span = None if delta_t is None else parse_duration_ns(delta_t, what="delta_t")
        return cls(n, span, _given("stride", stride))

    @property
    def is_none(self) -> bool:
        """Whether a step takes one message, without waiting."""
        return self.max_items == 1 and self.delta_t_ns is None

    @property
    def slides(self) -> bool:
        """Whether a message can be presented more than once."""
        return self.stride is not None and self.stride != self.max_items

    def in_ticks(self, clock: PlatformClock, most: int) -> BatchingTicks:
        """Convert to the clock's ticks, once, for the Plan.

        Args:
            clock: Of the run.
            most: Items that a step can present at most, whatever the policy says.
        """
        delta = None if self.delta_t_ns is None else clock.duration_to_ticks(self.delta_t_ns)
        stride = most if self.stride is None else min(self.stride, most)
        return BatchingTicks(most, delta, stride)


class Members(Protocol):
    """What batching sees of an input: what was presented before, then what waits in the ring."""

    @property
    def held(self) -> int:
        """Items that an earlier window presented and the next one shares."""

    @property
    def waiting(self) -> int:
        """Items never presented."""

    def creation_tick(self, index: int) -> Ticks:
        """Return when an item was made; held ones first, then waiting ones."""

    def push_tick(self, index: int) -> Ticks:
        """Return when an item entered the ring; in the same order."""


class Prefix(NamedTuple):
    """What a step would present.

    Attributes:
        released: Held items that can share no window with the next new one: they leave first.
        length: Items presented, the remaining held ones included; 0 where nothing new waits.
    """

    released: int
    length: int


_NOTHING = Prefix(0, 0)
_ONE = Prefix(0, 1)


def measure(batching: BatchingTicks, members: Members) -> Prefix:
    """Return the longest prefix within both limits that holds a new item. Pure."""
    held, waiting = members.held, members.waiting
    if waiting == 0:
        return _NOTHING
    if batching.max_items == 1 and held == 0:
        return _ONE
    for released in range(held):
        length = _length_from(batching, members, released, held + waiting)
        if released + length > held:
            return Prefix(released, length)
    return Prefix(held, _length_from(batching, members, held, held + waiting))


def _length_from(batching: BatchingTicks, members: Members, first: int, count: int) -> int:
    most = min(batching.max_items, count - first)
    if batching.delta_ticks is None:
        return most
    limit = members.creation_tick(first) + batching.delta_ticks
    for offset in range(1, most):
        if members.creation_tick(first + offset) > limit:
            return offset
    return most


def batch_ready(
    batching: BatchingTicks, members: Members, now: int, *, ended: bool, cannot_grow: bool
) -> bool:
    """Say whether an input's prefix may be presented: it is full, or its window is closed. Pure.

    Args:
        batching: The input's.
        members: What is there.
        now: The instant.
        ended: Whether nothing more comes.
        cannot_grow: Whether waiting for more is in vain.
    """
    if members.waiting == 0:
        return False
    if batching.is_none or ended or cannot_grow:
        return True
    released, length = measure(batching, members)
    if length == batching.max_items or released + length < members.held + members.waiting:
        return True
    return batching.delta_ticks is not None and now >= (
        members.push_tick(released) + batching.delta_ticks
    )


def closing_tick(batching: BatchingTicks, members: Members) -> Ticks | None:
    """Return the instant at which time closes the window that is filling; None if none does."""
    if batching.delta_ticks is None or members.waiting == 0:
        return None
    return Ticks(members.push_tick(measure(batching, members).released) + batching.delta_ticks)


def _given(name: str, count: int | None) -> int:
    """Refuse None where leaving a limit out would make another kind of batch."""
    if count is None:
        raise ConfigurationError(f"{name} is None", remedy="give a whole number of at least 1")
    return count


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
