"""An edge in a run: ring, hold, staging and counters, between an output port and an input."""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import NamedTuple, assert_never

from limen.edge import HeapRing, Priority2, Ring, StaticRing
from limen.memory import ReturnRing, SharedSlots
from limen.message import MessageHeader
from limen.node import PushOutcome
from limen.policy import (
    AdmissionPolicy,
    AdmissionVerdict,
    InputState,
    Item,
    Refusal,
    Watermark,
    batch_ready,
    closing_tick,
    decide,
    measure,
)
from limen.runtime._journal import Journal
from limen.scheduling import EdgePlan, InputPlan
from limen.telemetry import EdgeStatistics, InputStatistics
from limen.types import MessageToken, Ticks

_log = logging.getLogger("limen")
_RINGS: dict[str, type[Ring]] = {
    "static": StaticRing,
    "heap": HeapRing,
    "priority2": Priority2,
}


class Held(NamedTuple):
    """A token in its consumer's hold."""

    token: MessageToken
    header: MessageHeader
    pushed: Ticks


class Link:
    """One edge's state; the producer's context offers, the consumer's context takes.

    The producer's side (``offer``, ``flush``, ``give_up_staged``) writes the producer's counters
    and gives shares of slots up directly; the consumer's side (``take`` and all that removes from
    the hold) writes the consumer's, and hands tokens back on the return ring.

    Args:
        plan: The edge.
        into: The input it ends at.
        slots: Those of the output it begins at.
        back: The way back for tokens.
        journal: The run's.
    """

    def __init__(
        self,
        plan: EdgePlan,
        into: InputPlan,
        slots: SharedSlots,
        back: ReturnRing,
        journal: Journal,
    ) -> None:
        ring = _RINGS[plan.ring](plan.policy.caps, journal.clock)
        self.plan = plan
        self.into = into
        self.slots = slots
        self.manager = slots.manager
        self.ring = ring
        self.producer = ring.producer()
        self.consumer = ring.consumer()
        self.blocks = plan.policy.admission is AdmissionPolicy.BLOCK
        self.is_latch = plan.policy.is_latch
        self.staged: deque[MessageToken] = deque()
        self.hold: list[Held] = []
        # Of the hold, how many from the front on an earlier step presented.
        self.presented = 0
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
        self._back = back
        self._journal = journal

    # What readiness and batching see.

    @property
    def held(self) -> int:
        """Messages that the next window shares with an earlier one."""
        return self.presented

    @property
    def waiting(self) -> int:
        """Messages in the ring."""
        return len(self.ring)

    def creation_tick(self, index: int) -> Ticks:
        """Return when a message was made; held ones first."""
        if index < self.presented:
            return self.hold[index].header.creation_tick
        return self.consumer.header_at(index - self.presented).creation_tick

    def push_tick(self, index: int) -> Ticks:
        """Return when a message entered the ring; held ones first."""
        if index < self.presented:
            return self.hold[index].pushed
        return self.consumer.push_tick_at(index - self.presented)

    @property
    def watermark(self) -> Watermark:
        """How full the ring is."""
        return self.ring.occupancy(self.plan.policy).watermark

    @property
    def has_room(self) -> bool:
        """Whether a producer may step: a BLOCK edge must be below its hard caps."""
        if not self.blocks or self.consumer_ended:
            return True
        return not self.staged and self.watermark is not Watermark.AT_OR_ABOVE_HARD

    @property
    def cannot_grow(self) -> bool:
        """Whether waiting for more items is in vain."""
        if self.pressed or self.watermark is Watermark.AT_OR_ABOVE_HARD:
            return True
        return bool(self.staged) and not self._staged_head_fits()

    @property
    def primed(self) -> bool:
        """Whether a latch has a value."""
        return bool(self.hold) or bool(len(self.ring))

    @property
    def is_ready(self) -> bool:
        """Whether a step could present what waits."""
        return batch_ready(
            self.into.batching,
            self,
            self._journal.tick,
            ended=self.consumer.ended,
            cannot_grow=self.into.batching.is_none or self.cannot_grow,
        )

    @property
    def closing_tick(self) -> Ticks | None:
        """The instant at which time closes the batch that is filling."""
        return closing_tick(self.into.batching, self)

    @property
    def state(self) -> InputState:
        """What readiness and ends of the consumer see."""
        return InputState(
            ready=not self.is_latch and self.is_ready,
            closed=self.consumer.closed,
            primed=self.is_latch and self.primed,
            latch=self.is_latch,
            required=self.into.required,
            feedback=self.plan.is_feedback,
        )

    def front_deadline_ns(self) -> int | None:
        """Return the effective deadline of the message that would be taken next."""
        if len(self.ring) == 0:
            return None
        header = self.consumer.header_at(0)
        return self.effective_deadline_ns(header, self.consumer.push_tick_at(0))

    def effective_deadline_ns(self, header: MessageHeader, pushed: Ticks) -> int | None:
        """Return the deadline that holds at the consumer for a message pushed at an instant."""
        default_ns = self.plan.default_ns
        if header.deadline_ns is not None or default_ns is None:
            return header.deadline_ns
        return self._journal.clock.ticks_to_nanos(pushed) + default_ns

    # The producer's side.

    def begin(self, token: MessageToken) -> None:
        """Put an initial token into the ring, before the first decision."""
        self.offered += 1
        self._push(token, "initial")

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
                self._push(token)
                return PushOutcome.ENQUEUED
            case unreachable:
                assert_never(unreachable)

    def flush(self) -> bool:
        """Move staged messages into the ring, in order, as many as fit; whether any moved."""
        moved = False
        while self.staged and self._staged_head_fits():
            self._push(self.staged.popleft(), "unstaged")
            moved = True
        return moved

    def close_if_done(self) -> bool:
        """Close the edge once its producer has ended and nothing is staged; whether it closed."""
        if self.producer_ended and not self.staged and not self.ring.ended:
            self.producer.close()
            return True
        return False

    def give_up_staged(self, reason: Refusal) -> None:
        """Refuse all that is staged."""
        while self.staged:
            self._refuse(self.staged.popleft(), reason, PushOutcome.REJECTED)

    # The consumer's side.

    def take(self) -> Held:
        """Move the front of the ring into the hold."""
        header, pushed = self.consumer.header_at(0), self.consumer.push_tick_at(0)
        held = Held(self.consumer.try_pop(), header, pushed)
        self.hold.append(held)
        self.taken += 1
        self.pressed = False
        self._journal.note(self.plan.name, "take", header.sequence)
        return held

    def take_prefix(self) -> None:
        """Take what the batching grants now, behind what the hold keeps of the last window."""
        released, length = measure(self.into.batching, self)
        for _ in range(released):
            self.consume()
        for _ in range(length - self.presented):
            self.take()

    def refresh(self) -> bool:
        """Move a latch's newer value into the hold, where it replaces the older; whether any."""
        if len(self.ring) == 0:
            return False
        if self.hold:
            self.consume()
        self.take()
        self.presented = 1
        return True

    def consume(self) -> None:
        """Account for the front of the hold as consumed, and hand it back."""
        self._hand_back(self.hold.pop(0).token)
        self.consumed += 1

    def drop(self, reason: str) -> None:
        """Account for the front of the hold as dropped, and hand it back."""
        token, header, _ = self.hold.pop(0)
        self._journal.note(self.plan.name, "drop", header.sequence, reason)
        self._hand_back(token)
        self.dropped[reason] += 1
        # The token of a loop always stays behind when what feeds the loop has ended.
        if not (self.plan.is_feedback and reason == "unpaired"):
            self._warn_once(self.dropped, reason, "dropped")

    def end(self, reason: str, refusal: Refusal) -> None:
        """Give up all that is here, because the consumer ends.

        Args:
            reason: Why what waits in the ring is dropped; what was presented counts as consumed.
            refusal: Why what is staged is refused.
        """
        self.consumer_ended = True
        while self.presented:
            self.consume()
        # What was taken and never presented is left only where an interrupt broke off a call.
        while self.hold:
            self.drop(reason)
        while len(self.ring):
            self.take()
            self.drop(reason)
        self.give_up_staged(refusal)

    def _hand_back(self, token: MessageToken) -> None:
        self._back.give_back(token)
        self.presented = max(0, self.presented - 1)

    def statistics(self) -> EdgeStatistics:
        """Return the counts of the edge so far."""
        return EdgeStatistics(
            name=self.plan.name,
            admission=self.plan.policy.admission.value,
            retention=self.plan.policy.retention.value,
            capacity=self.plan.policy.caps.max_items,
            offered=self.offered,
            pushed=self.pushed,
            staged=len(self.staged),
            refused=_by_name(self.refused),
            taken=self.taken,
            evicted=_by_name(self.evicted),
            ring=len(self.ring),
            peak=self.peak,
        )

    def input_statistics(self, name: str) -> InputStatistics:
        """Return the counts of the input that the edge ends at."""
        return InputStatistics(
            name=name,
            taken=self.taken,
            consumed=self.consumed,
            dropped=_by_name(self.dropped),
            held=len(self.hold),
        )

    def _staged_head_fits(self) -> bool:
        size = self.manager.peek_header(self.staged[0]).payload_size_bytes
        return self.plan.policy.caps.fits(len(self.ring), self.ring.size_bytes, size)

    def _sequence(self, token: MessageToken) -> int:
        return self.manager.peek_header(token).sequence

    def _push(self, token: MessageToken, reason: str = "") -> None:
        header = self.manager.peek_header(token)
        self.producer.try_push(token, header, self._journal.tick)
        self.pushed += 1
        self.peak = max(self.peak, len(self.ring))
        self._journal.note(self.plan.name, "push", header.sequence, reason)

    def _stage(self, token: MessageToken) -> PushOutcome:
        self.staged.append(token)
        self.pressed = True
        self._journal.note(self.plan.name, "stage", self._sequence(token))
        return PushOutcome.ENQUEUED

    def _refuse(
        self, token: MessageToken, reason: Refusal | None, outcome: PushOutcome
    ) -> PushOutcome:
        why = Refusal.FULL if reason is None else reason
        self._journal.note(self.plan.name, "refuse", self._sequence(token), why)
        self.slots.drop(token)
        self.refused[why] += 1
        if why is Refusal.FULL:
            self.pressed = True
        self._warn_once(self.refused, why, "refused")
        return outcome

    def _evict(self, reason: Refusal) -> None:
        token = self.producer.evict()
        self._journal.note(self.plan.name, "evict", self._sequence(token), reason)
        self.slots.drop(token)
        self.evicted[reason] += 1
        self.pressed = True
        if reason is not Refusal.SUPERSEDED:
            self._warn_once(self.evicted, reason, "evicted")

    def _warn_once(self, counter: Counter[str], reason: str, what: str) -> None:
        if counter[reason] == 1:
            _log.warning("edge %s: first message %s: %s", self.plan.name, what, str(reason))


def _by_name(counts: Counter[str]) -> dict[str, int]:
    return {str(reason): count for reason, count in sorted(counts.items())}
