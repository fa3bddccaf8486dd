"""An edge in a run: ring, hold, staging and counters, between a manager and its consumer."""

from __future__ import annotations

import logging
from collections import Counter, deque

from limen.edge import StaticRing
from limen.memory import MemoryManager
from limen.node import PushOutcome
from limen.platform import PlatformClock
from limen.policy import (
    AdmissionPolicy,
    AdmissionVerdict,
    Item,
    Refusal,
    Watermark,
    decide,
    effective_deadline_ns,
)
from limen.scheduling import EdgePlan
from limen.telemetry import EdgeStatistics
from limen.types import MessageToken, Ticks

_log = logging.getLogger("limen")


class Link:
    """One edge's state; the producer's context offers, the consumer's context takes.

    Every method that removes a token without handing it over frees it.
    """

    def __init__(self, plan: EdgePlan, manager: MemoryManager, clock: PlatformClock) -> None:
        ring = StaticRing(plan.policy.caps, clock)
        self.plan = plan
        self.manager = manager
        self.clock = clock
        self.ring = ring
        self.producer = ring.producer()
        self.consumer = ring.consumer()
        self.blocks = plan.policy.admission is AdmissionPolicy.BLOCK
        self.staged: deque[MessageToken] = deque()
        self.hold: list[MessageToken] = []
        self.producer_ended = False
        self.consumer_ended = False
        # Since the last take something found no room: a batch that waits for more waits in vain.
        self.pressed = False
        self.offered = 0
        self.pushed = 0
        self.taken = 0
        self.peak = 0
        self.refused: Counter[str] = Counter()
        self.evicted: Counter[str] = Counter()
        self.consumed = 0
        self.dropped: Counter[str] = Counter()

    @property
    def has_room(self) -> bool:
        """Whether a producer may step: a BLOCK edge must be below its hard caps."""
        if not self.blocks or self.consumer_ended:
            return True
        watermark = self.ring.occupancy(self.plan.policy).watermark
        return not self.staged and watermark is not Watermark.AT_OR_ABOVE_HARD

    @property
    def cannot_grow(self) -> bool:
        """Whether waiting for more items is in vain."""
        watermark = self.ring.occupancy(self.plan.policy).watermark
        if self.pressed or watermark is Watermark.AT_OR_ABOVE_HARD:
            return True
        return bool(self.staged) and not self._staged_head_fits()

    def offer(self, token: MessageToken, now: Ticks) -> PushOutcome:
        """Decide about a stored message and act on the decision."""
        self.offered += 1
        if self.consumer_ended:
            return self._refuse(token, Refusal.CONSUMER_ENDED, PushOutcome.REJECTED)
        header = self.manager.peek_header(token)
        now_ns = self.clock.ticks_to_nanos(now)
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
            case _:
                for why in evict:
                    self._evict(why)
                self._push(token, now)
                return PushOutcome.ENQUEUED

    def flush(self, now: Ticks) -> bool:
        """Move staged messages into the ring, in order, as many as fit; whether any moved."""
        moved = False
        while self.staged and self._staged_head_fits():
            self._push(self.staged.popleft(), now)
            moved = True
        return moved

    def close_if_done(self) -> bool:
        """Close the edge once its producer has ended and nothing is staged; whether it closed."""
        if self.producer_ended and not self.staged and not self.ring.ended:
            self.producer.close()
            return True
        return False

    def take(self) -> None:
        """Move the oldest message from the ring into the consumer's hold."""
        self.hold.append(self.consumer.try_pop())
        self.taken += 1
        self.pressed = False

    def finish(self, dropped: str | None) -> None:
        """Account for the oldest message of the hold, consumed unless dropped, and free it."""
        self.manager.free(self.hold.pop(0))
        if dropped is None:
            self.consumed += 1
        else:
            self.dropped[dropped] += 1
            self._warn_once(self.dropped, dropped, "dropped")

    def give_up_staged(self, reason: Refusal) -> None:
        """Refuse all that is staged."""
        while self.staged:
            self._refuse(self.staged.popleft(), reason, PushOutcome.REJECTED)

    def front_deadline_ns(self) -> int | None:
        """Return the effective deadline of the message that would be taken next."""
        if len(self.ring) == 0:
            return None
        return effective_deadline_ns(self.ring.item(0), self.plan.default_ns)

    def statistics(self) -> EdgeStatistics:
        """Return the counts so far."""
        return EdgeStatistics(
            name=self.plan.name,
            admission=self.plan.policy.admission.value,
            capacity=self.plan.policy.caps.max_items,
            offered=self.offered,
            pushed=self.pushed,
            staged=len(self.staged),
            refused=dict(sorted(self.refused.items())),
            taken=self.taken,
            evicted=dict(sorted(self.evicted.items())),
            ring=len(self.ring),
            peak=self.peak,
        )

    def _staged_head_fits(self) -> bool:
        size = self.manager.peek_header(self.staged[0]).payload_size_bytes
        return self.plan.policy.caps.fits(len(self.ring), self.ring.size_bytes, size)

    def _push(self, token: MessageToken, now: Ticks) -> None:
        self.producer.try_push(token, self.manager.peek_header(token), now)
        self.pushed += 1
        self.peak = max(self.peak, len(self.ring))

    def _stage(self, token: MessageToken) -> PushOutcome:
        self.staged.append(token)
        self.pressed = True
        return PushOutcome.ENQUEUED

    def _refuse(
        self, token: MessageToken, reason: Refusal | None, outcome: PushOutcome
    ) -> PushOutcome:
        why = Refusal.FULL if reason is None else reason
        self.manager.free(token)
        self.refused[why] += 1
        if why is Refusal.FULL:
            self.pressed = True
        self._warn_once(self.refused, why, "refused")
        return outcome

    def _evict(self, reason: Refusal) -> None:
        self.manager.free(self.producer.evict_oldest())
        self.evicted[reason] += 1
        self.pressed = True
        self._warn_once(self.evicted, reason, "evicted")

    def _warn_once(self, counter: Counter[str], reason: str, what: str) -> None:
        if counter[reason] == 1:
            _log.warning("edge %s: first message %s: %s", self.plan.name, what, str(reason))
