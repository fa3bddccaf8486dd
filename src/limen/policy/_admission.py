"""The admission table: what happens to one item offered to one edge."""

from __future__ import annotations

import enum
from typing import NamedTuple, Protocol, assert_never

from limen.policy._edge import AdmissionPolicy, EdgePolicy, RetentionMode, Watermark
from limen.types import QoSClass


class Item(NamedTuple):
    """What admission sees of a message.

    Attributes:
        size_bytes: Payload bytes.
        qos: Its class.
        deadline_ns: The header's own deadline, if any.
        pushed_ns: Instant of the push; of the offer, for the newcomer.
    """

    size_bytes: int
    qos: QoSClass
    deadline_ns: int | None
    pushed_ns: int


class RingView(Protocol):
    """Read-only look at what waits in a ring, in the order in which it would be evicted."""

    @property
    def size_bytes(self) -> int:
        """Payload bytes that wait."""

    def __len__(self) -> int: ...

    def item(self, index: int) -> Item:
        """Return the waiting item at that place."""


class AdmissionVerdict(enum.Enum):
    """The entries of the table."""

    ADMIT = "admit"
    DROP_NEWEST = "drop_newest"
    REJECT = "reject"
    EVICT = "evict"
    BLOCK = "block"


class Refusal(enum.StrEnum):
    """Why an item was refused or evicted; the values are the decision log's reasons."""

    TOO_LARGE = "too_large"
    EXPIRED = "expired"
    BACKGROUND = "background"
    FULL = "full"
    STOPPED = "stopped"
    CONSUMER_ENDED = "consumer_ended"
    CAPACITY = "capacity"
    SUPERSEDED = "superseded"
    LOWER_QOS = "lower_qos"


class AdmissionDecision(NamedTuple):
    """One decision.

    Attributes:
        verdict: The table's entry.
        reason: Why a newcomer is refused; None where it is not.
        evict: For each leading item to evict, oldest first, why; then the newcomer fits.
    """

    verdict: AdmissionVerdict
    reason: Refusal | None = None
    evict: tuple[Refusal, ...] = ()


_ADMIT = AdmissionDecision(AdmissionVerdict.ADMIT)
_BLOCK = AdmissionDecision(AdmissionVerdict.BLOCK)
_FULL = AdmissionDecision(AdmissionVerdict.DROP_NEWEST, Refusal.FULL)
_REJECT_FULL = AdmissionDecision(AdmissionVerdict.REJECT, Refusal.FULL)
_BACKGROUND = AdmissionDecision(AdmissionVerdict.DROP_NEWEST, Refusal.BACKGROUND)
_TOO_LARGE = AdmissionDecision(AdmissionVerdict.REJECT, Refusal.TOO_LARGE)
_EXPIRED = AdmissionDecision(AdmissionVerdict.REJECT, Refusal.EXPIRED)


def effective_deadline_ns(item: Item, default_ns: int | None) -> int | None:
    """Return the deadline that holds at a consumer: the header's, else push instant + default."""
    if item.deadline_ns is not None:
        return item.deadline_ns
    return None if default_ns is None else item.pushed_ns + default_ns


def _is_expired(item: Item, now_ns: int, default_ns: int | None, slack_ns: int) -> bool:
    deadline_ns = effective_deadline_ns(item, default_ns)
    return deadline_ns is not None and now_ns > deadline_ns + slack_ns


def decide(
    policy: EdgePolicy,
    ring: RingView,
    item: Item,
    now_ns: int,
    default_ns: int | None = None,
    slack_ns: int = 0,
) -> AdmissionDecision:
    """Decide about one item; called once per item by the step context. Pure.

    Args:
        policy: The edge's policy.
        ring: What waits already.
        item: The newcomer.
        now_ns: The instant of the decision.
        default_ns: The consumer's default deadline, relative to the push.
        slack_ns: The consumer's slack.
    """
    caps = policy.caps
    aware = policy.admission is AdmissionPolicy.DEADLINE_AND_QOS_AWARE
    if not caps.can_ever_fit(item.size_bytes):
        return _TOO_LARGE
    if aware and _is_expired(item, now_ns, default_ns, slack_ns):
        return _EXPIRED
    if caps.fits(len(ring), ring.size_bytes, item.size_bytes):
        between = caps.watermark(len(ring), ring.size_bytes) is not Watermark.BELOW_SOFT
        if aware and between and item.qos is QoSClass.BACKGROUND:
            return _BACKGROUND
        return _ADMIT
    match policy.admission:
        case AdmissionPolicy.DROP_NEWEST:
            return _FULL
        case AdmissionPolicy.BLOCK:
            return _BLOCK
        case AdmissionPolicy.DROP_OLDEST:
            return _evict_oldest(policy, ring, item)
        case AdmissionPolicy.DEADLINE_AND_QOS_AWARE:
            return _evict_lesser(policy, ring, item, now_ns, default_ns, slack_ns)
        case unreachable:
            assert_never(unreachable)


def _evict_oldest(policy: EdgePolicy, ring: RingView, item: Item) -> AdmissionDecision:
    freed, count = 0, 0
    while not policy.caps.fits(len(ring) - count, ring.size_bytes - freed, item.size_bytes):
        freed += ring.item(count).size_bytes
        count += 1
    reason = Refusal.CAPACITY if policy.retention is RetentionMode.FIFO else Refusal.SUPERSEDED
    return AdmissionDecision(AdmissionVerdict.EVICT, None, (reason,) * count)


def _evict_lesser(
    policy: EdgePolicy,
    ring: RingView,
    item: Item,
    now_ns: int,
    default_ns: int | None,
    slack_ns: int,
) -> AdmissionDecision:
    reasons: list[Refusal] = []
    freed = 0
    for index in range(len(ring)):
        waiting = ring.item(index)
        if _is_expired(waiting, now_ns, default_ns, slack_ns):
            reasons.append(Refusal.EXPIRED)
        elif waiting.qos < item.qos:
            reasons.append(Refusal.LOWER_QOS)
        else:
            return _REJECT_FULL
        freed += waiting.size_bytes
        left = len(ring) - len(reasons)
        if policy.caps.fits(left, ring.size_bytes - freed, item.size_bytes):
            return AdmissionDecision(AdmissionVerdict.EVICT, None, tuple(reasons))
    return _REJECT_FULL
