"""Capacity and admission of one edge."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from limen.errors import Code, ConfigurationError
from limen.policy._checks import plain_int
from limen.types import parse_size_bytes, require_type


class Watermark(enum.IntEnum):
    """How full a queue is, by items and bytes together."""

    BELOW_SOFT = 0
    BETWEEN_SOFT_AND_HARD = 1
    AT_OR_ABOVE_HARD = 2


class AdmissionPolicy(enum.Enum):
    """What happens to an item that finds its queue full; the value is its name in graph files."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    BLOCK = "block"
    DEADLINE_AND_QOS_AWARE = "deadline_and_qos_aware"


class RetentionMode(enum.Enum):
    """How long a message waits for its consumer; the value is its name in graph files.

    FIFO keeps what arrives in order. MAILBOX keeps the newest one until it is read. LATCH keeps
    the newest one and presents it again with every step, until a newer one replaces it.
    """

    FIFO = "fifo"
    MAILBOX = "mailbox"
    LATCH = "latch"


@dataclass(frozen=True, slots=True)
class QueueCaps:
    """Limits of a queue. Soft marks are pressure signals; hard ones hold.

    Args:
        max_items: Most items, at least 1.
        soft_items: Items from which the queue is under pressure; ``max_items`` if not given.
        max_bytes: Most payload bytes, as a number or text with a unit; no limit if not given.
        soft_bytes: Bytes from which the queue is under pressure; needs ``max_bytes``.
    """

    max_items: int
    soft_items: int | None = None
    max_bytes: int | str | None = None
    soft_bytes: int | str | None = None

    def __post_init__(self) -> None:
        for name in ("max_items", "soft_items", "max_bytes", "soft_bytes"):
            object.__setattr__(self, name, plain_int(getattr(self, name)))
        if not _is_whole(self.max_items):
            raise ConfigurationError(
                f"max_items is {self.max_items!r}", remedy="give a whole number of items"
            )
        if self.max_items < 1:
            raise ConfigurationError(
                f"capacity max_items is {self.max_items}",
                code=Code.INVALID_CAPACITY,
                remedy="a queue needs at least 1",
            )
        _check_soft("soft_items", self.soft_items, "max_items", self.max_items)
        for name in ("max_bytes", "soft_bytes"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, parse_size_bytes(value, what=name))
        if self.max_bytes is not None and not _is_whole(self.max_bytes):
            raise ConfigurationError(
                f"max_bytes is {self.max_bytes!r}",
                remedy='give a whole number of bytes, or text as in "64KiB"',
            )
        if self.max_bytes is not None and self.byte_limit < 1:
            raise ConfigurationError(
                f"capacity max_bytes is {self.max_bytes}",
                code=Code.INVALID_CAPACITY,
                remedy="a queue needs at least 1 B",
            )
        if self.soft_bytes is not None and self.max_bytes is None:
            raise ConfigurationError(
                "soft_bytes without max_bytes", remedy="give max_bytes as well"
            )
        if self.max_bytes is not None:
            _check_soft("soft_bytes", self.soft_bytes, "max_bytes", self.byte_limit)

    @property
    def item_mark(self) -> int:
        """Items from which the queue is under pressure."""
        return self.max_items if self.soft_items is None else self.soft_items

    @property
    def byte_limit(self) -> int:
        """Most bytes; only where ``max_bytes`` is given."""
        if not isinstance(self.max_bytes, int):
            raise ConfigurationError("these caps have no byte limit", remedy="give max_bytes")
        return self.max_bytes

    def watermark(self, items: int, size_bytes: int) -> Watermark:
        """Classify a filling of the queue."""
        max_bytes, soft_bytes = self.max_bytes, self.soft_bytes
        if items >= self.max_items:
            return Watermark.AT_OR_ABOVE_HARD
        if isinstance(max_bytes, int) and size_bytes >= max_bytes:
            return Watermark.AT_OR_ABOVE_HARD
        if items >= self.item_mark:
            return Watermark.BETWEEN_SOFT_AND_HARD
        if isinstance(soft_bytes, int) and size_bytes >= soft_bytes:
            return Watermark.BETWEEN_SOFT_AND_HARD
        return Watermark.BELOW_SOFT

    def fits(self, items: int, size_bytes: int, item_bytes: int) -> bool:
        """Whether a queue so filled is below its hard caps and stays within them with the item."""
        if items >= self.max_items:
            return False
        limit = self.max_bytes
        return not isinstance(limit, int) or (
            size_bytes < limit and size_bytes + item_bytes <= limit
        )

    def can_ever_fit(self, item_bytes: int) -> bool:
        """Whether an item of that size fits an empty queue."""
        return not isinstance(self.max_bytes, int) or item_bytes <= self.max_bytes


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_soft(soft_name: str, soft: object, hard_name: str, hard: int) -> None:
    if soft is None:
        return
    if not isinstance(soft, int) or not _is_whole(soft):
        raise ConfigurationError(f"{soft_name} is {soft!r}", remedy="give a whole number")
    if not 1 <= soft <= hard:
        raise ConfigurationError(
            f"{soft_name} {soft} is not within 1 … {hard_name} {hard}",
            code=Code.INVALID_CAPACITY,
            remedy=f"a soft mark lies within its cap: lower it to {hard} or raise {hard_name}"
            if soft > hard
            else "a soft mark is at least 1",
        )


@dataclass(frozen=True, slots=True)
class EdgePolicy:
    """Caps, admission and retention of one edge.

    Args:
        caps: Limits of the queue.
        admission: What happens to an item that finds it full.
        retention: FIFO, or how a single newest value is kept: MAILBOX and LATCH hold one item and
            a newer one supersedes it, so that their caps are one item and their admission is
            DROP_OLDEST.
        lanes: 2 lets what is LATENCY_CRITICAL overtake the rest; caps hold over both lanes.
        ring: What stores the messages, as a package names it in the entry-point group
            ``limen.edges``; by lanes and payload if not given. It changes no decision.
    """

    caps: QueueCaps = field(default_factory=lambda: QueueCaps(64))
    admission: AdmissionPolicy = AdmissionPolicy.BLOCK
    retention: RetentionMode = RetentionMode.FIFO
    lanes: int = 1
    ring: str | None = None

    def __post_init__(self) -> None:
        require_type("caps", self.caps, QueueCaps, "use QueueCaps(max_items)")
        require_type(
            "admission", self.admission, AdmissionPolicy, "use AdmissionPolicy.BLOCK or a sibling"
        )
        require_type(
            "retention", self.retention, RetentionMode, "use RetentionMode.FIFO or a sibling"
        )
        object.__setattr__(self, "lanes", plain_int(self.lanes))
        if type(self.lanes) is not int or self.lanes not in (1, 2):
            raise ConfigurationError(f"lanes is {self.lanes!r}", remedy="an edge has 1 lane, or 2")
        if self.ring is not None and (not isinstance(self.ring, str) or not self.ring):
            raise ConfigurationError(
                f"ring is {self.ring!r}", remedy="name an installed one as text, or leave it out"
            )
        if self.retention is not RetentionMode.FIFO:
            self._check_single_value()

    def _check_single_value(self) -> None:
        what = f"a {self.retention.value}"
        if self.caps.max_items != 1:
            raise ConfigurationError(
                f"{what} of {self.caps.max_items} items",
                code=Code.INVALID_CAPACITY,
                remedy="it holds one value: leave max_items out",
            )
        if self.caps.soft_items is not None or self.caps.soft_bytes is not None:
            raise ConfigurationError(
                f"{what} with a soft mark",
                code=Code.INVALID_CAPACITY,
                remedy="it is never under pressure: leave soft marks out",
            )
        if self.admission is not AdmissionPolicy.DROP_OLDEST:
            raise ConfigurationError(
                f"{what} with admission {self.admission.value}",
                remedy="a newer value supersedes the older one: leave admission out",
            )
        if self.lanes != 1:
            raise ConfigurationError(
                f"{what} with {self.lanes} lanes", remedy="one value needs one lane"
            )

    @property
    def is_latch(self) -> bool:
        """Whether the consumer keeps the newest value."""
        return self.retention is RetentionMode.LATCH

    @property
    def kind(self) -> str:
        """The retention where it is not FIFO, else the admission: what reports call the edge."""
        return (
            self.admission.value if self.retention is RetentionMode.FIFO else self.retention.value
        )

    @classmethod
    def drop_oldest(cls, max_items: int) -> EdgePolicy:
        """Keep the newest ``max_items``: results stay fresh, old messages are lost and counted."""
        return cls(QueueCaps(max_items), AdmissionPolicy.DROP_OLDEST)

    @classmethod
    def drop_newest(cls, max_items: int) -> EdgePolicy:
        """Keep the oldest ``max_items``: what came first is finished, later ones are lost."""
        return cls(QueueCaps(max_items), AdmissionPolicy.DROP_NEWEST)

    @classmethod
    def block(cls, max_items: int) -> EdgePolicy:
        """Lose nothing: a full queue holds its producer back."""
        return cls(QueueCaps(max_items), AdmissionPolicy.BLOCK)

    @classmethod
    def deadline_and_qos_aware(cls, max_items: int, soft_items: int | None = None) -> EdgePolicy:
        """Prefer what can still be on time and what matters more."""
        return cls(QueueCaps(max_items, soft_items), AdmissionPolicy.DEADLINE_AND_QOS_AWARE)

    @classmethod
    def mailbox_latest(cls) -> EdgePolicy:
        """Hold the newest message until it is read; each is read once at most."""
        return cls(QueueCaps(1), AdmissionPolicy.DROP_OLDEST, RetentionMode.MAILBOX)

    @classmethod
    def latch_latest(cls) -> EdgePolicy:
        """Hold the newest message and present it with every step until a newer one comes."""
        return cls(QueueCaps(1), AdmissionPolicy.DROP_OLDEST, RetentionMode.LATCH)
