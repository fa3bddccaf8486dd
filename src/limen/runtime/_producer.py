"""The producer's side of an edge in a run: ring, staging, admission and their counters."""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import assert_never

from limen.edge import Edge, EdgeConsumer, EdgeOccupancy, EdgeProducer, PushResult
from limen.memory import SharedSlots
from limen.message import MessageHeader
from limen.node import PushOutcome
from limen.policy import (
    AdmissionPolicy,
    AdmissionVerdict,
    Item,
    Refusal,
    Watermark,
    decide,
)
from limen.runtime._journal import Journal
from limen.scheduling import EdgePlan
from limen.telemetry import POWERS_OF_TEN, Loss
from limen.types import MessageToken, Ticks

_log = logging.getLogger("limen")


class ProducerSide:
    """What an output does to one of its edges; ``Link`` adds what the consumer does.

    It writes the producer's counters and gives shares of slots up directly. It uses of the edge
    what ``limen.edge.contract`` names, whoever made it.

    Args:
        plan: The edge.
        edge: What stores its messages.
        producer: The endpoint to push into.
        slots: Those of the output it begins at.
        journal: The run's.

    Attributes:
        last_push: Instant of the last push; None before the first.
        limited: Whether any message so far carried an age limit of its own.
    """

    def __init__(
        self,
        plan: EdgePlan,
        edge: Edge,
        producer: EdgeProducer,
        slots: SharedSlots,
        journal: Journal,
    ) -> None:
        self.plan = plan
        self.slots = slots
        self.manager = slots.manager
        self.edge = edge
        self.producer = producer
        self.blocks = plan.policy.admission is AdmissionPolicy.BLOCK
        self.is_latch = plan.policy.is_latch
        self.staged: deque[MessageToken] = deque()
        self.producer_ended = False
        self._closed = False
        self.consumer_ended = False
        # Since the last take something found no room: a batch that waits for more waits in vain.
        self.pressed = False
        self.last_push: Ticks | None = None
        self.limited = False
        self.offered = 0
        self.pushed = 0
        self.peak = 0
        self.refused: Counter[str] = Counter()
        self.evicted: Counter[str] = Counter()
        self._journal = journal

    @property
    def occupancy(self) -> EdgeOccupancy:
        """How full the ring is, by the edge's policy."""
        return self.edge.occupancy(self.plan.policy)

    @property
    def watermark(self) -> Watermark:
        """How full the ring is, against its caps."""
        return self.edge.occupancy(self.plan.policy).watermark

    @property
    def has_room(self) -> bool:
        """Whether a producer may step: a BLOCK edge must be below its hard caps."""
        if not self.blocks or self.consumer_ended:
            return True
        return not self.staged and self.watermark is not Watermark.AT_OR_ABOVE_HARD

    def effective_deadline_ns(self, header: MessageHeader, pushed: Ticks) -> int | None:
        """Return the deadline that holds at the consumer for a message pushed at an instant."""
        default_ns = self.plan.default_ns
        if header.deadline_ns is not None or default_ns is None:
            return header.deadline_ns
        return self._journal.clock.ticks_to_nanos(pushed) + default_ns

    def begin(self, token: MessageToken) -> None:
        """Put an initial token into the ring, before the first decision."""
        self.offered += 1
        if not self._push(token, "initial"):
            self._refuse(token, Refusal.FULL, PushOutcome.REJECTED)

    def offer(self, token: MessageToken) -> PushOutcome:
        """Decide about a stored message and act on the decision."""
        self.offered += 1
        if self.consumer_ended:
            return self._refuse(token, Refusal.CONSUMER_ENDED, PushOutcome.REJECTED)
        header = self.manager.peek_header(token)
        now_ns = self._journal.now_ns
        item = Item(header.payload_size_bytes, header.qos, header.deadline_ns, now_ns)
        plan = self.plan
        if self.staged and plan.policy.caps.can_ever_fit(item.size_bytes):
            # Order: nothing overtakes what is staged. What can never fit is refused below.
            return self._stage(token)
        verdict, reason, evict = decide(
            plan.policy, self.producer, item, now_ns, plan.default_ns, plan.slack_ns
        )
        match verdict:
            case AdmissionVerdict.BLOCK:
                return self._stage(token)
            case AdmissionVerdict.DROP_NEWEST:
                return self._refuse(token, reason, PushOutcome.DROPPED_NEWEST)
            case AdmissionVerdict.REJECT:
                return self._refuse(token, reason, PushOutcome.REJECTED)
            case AdmissionVerdict.ADMIT | AdmissionVerdict.EVICT:
                for why in evict:
                    self._evict(why)
                if self._push(token):
                    return PushOutcome.ENQUEUED
                # No ring that keeps its contract comes here.
                if self.blocks:
                    return self._stage(token)
                return self._refuse(token, Refusal.FULL, PushOutcome.REJECTED)
            case unreachable:
                assert_never(unreachable)

    def flush(self) -> bool:
        """Move staged messages into the ring, in order, as many as fit; whether any moved."""
        moved = False
        while (
            self.staged
            and self._staged_head_fits(self.producer)
            and self._push(self.staged[0], "unstaged")
        ):
            self.staged.popleft()
            moved = True
        return moved

    def close_if_done(self) -> bool:
        """Close the edge once its producer has ended and nothing is staged; whether it closed."""
        if self.producer_ended and not self.staged and not self._closed:
            self.producer.close()
            self._closed = True
            return True
        return False

    def give_up_staged(self, reason: Refusal) -> None:
        """Refuse all that is staged."""
        while self.staged:
            self._refuse(self.staged.popleft(), reason, PushOutcome.REJECTED)

    def _staged_head_fits(self, end: EdgeProducer | EdgeConsumer) -> bool:
        """Whether there is room, as seen from an end of the edge, for what is staged first."""
        size = self.manager.peek_header(self.staged[0]).payload_size_bytes
        return self.plan.policy.caps.fits(len(end), end.size_bytes, size)

    def _sequence(self, token: MessageToken) -> int:
        return self.manager.peek_header(token).sequence

    def _push(self, token: MessageToken, reason: str = "") -> bool:
        """Put a token into the ring; whether the ring took it."""
        header = self.manager.peek_header(token)
        if self.producer.try_push(token, header, self._journal.tick) is not PushResult.ENQUEUED:
            return False
        self.pushed += 1
        self.last_push = self._journal.tick
        self.limited = self.limited or header.max_age_ns is not None
        self.peak = max(self.peak, len(self.producer))
        self._journal.note(self.plan.name, "push", header.sequence, reason)
        return True

    def _stage(self, token: MessageToken) -> PushOutcome:
        self.staged.append(token)
        self.pressed = True
        self._journal.note(self.plan.name, "stage", self._sequence(token))
        return PushOutcome.ENQUEUED

    def _refuse(
        self, token: MessageToken, reason: Refusal | None, outcome: PushOutcome
    ) -> PushOutcome:
        why = Refusal.FULL if reason is None else reason
        sequence = self._sequence(token)
        self._journal.note(self.plan.name, "refuse", sequence, why)
        self.slots.drop(token)
        self.refused[why] += 1
        if why is Refusal.FULL:
            self.pressed = True
        self._journal.lost(Loss.REFUSED, self.plan.name, why, sequence)
        if why is not Refusal.STOPPED:
            self._warn(self.refused, why, "refused")
        return outcome

    def _evict(self, reason: Refusal) -> None:
        token = self.producer.evict()
        sequence = self._sequence(token)
        self._journal.note(self.plan.name, "evict", sequence, reason)
        self.slots.drop(token)
        self.evicted[reason] += 1
        self.pressed = True
        self._journal.lost(Loss.EVICTED, self.plan.name, reason, sequence)
        if reason is not Refusal.SUPERSEDED:
            self._warn(self.evicted, reason, "evicted")

    def _warn(self, counter: Counter[str], reason: str, what: str) -> None:
        self.warn(counter[reason], str(reason), what)

    def warn(self, count: int, reason: str, what: str) -> None:
        """Log the 1st, 10th, 100th … loss for a reason."""
        if count not in POWERS_OF_TEN:
            return
        if count == 1:
            _log.warning("edge %s: first message %s: %s", self.plan.name, what, reason)
        else:
            text = "edge %s: %d messages %s so far: %s"
            _log.warning(text, self.plan.name, count, what, reason)


def by_name(counts: Counter[str]) -> dict[str, int]:
    """Return counts as records hold them."""
    return {str(reason): count for reason, count in sorted(counts.items())}
