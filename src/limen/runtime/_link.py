"""An edge in a run, as its consumer sees it: what waits, what is held, what may be presented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from limen.edge import Ring, open_edge
from limen.errors import LifecycleError
from limen.memory import ReturnRing, SharedSlots
from limen.message import Message, MessageFlags, MessageHeader
from limen.policy import (
    InputState,
    Refusal,
    Unfit,
    Watermark,
    batch_ready,
    closing_tick,
    is_stale,
    measure,
    why_unfit,
)
from limen.runtime._journal import Journal
from limen.runtime._producer import ProducerSide, by_name
from limen.scheduling import EdgePlan, InputPlan
from limen.telemetry import EdgeStatistics, InputStatistics, Loss, ViolationKind
from limen.types import MessageToken, Ticks


class Held(NamedTuple):
    """A token in its consumer's hold; the header is the consumer's view, with its marks."""

    token: MessageToken
    header: MessageHeader
    pushed: Ticks


class Handled(NamedTuple):
    """What another executor did to an edge.

    Attributes:
        offered: Messages offered.
        refused: Of those, how many as full.
        evicted: How many that waited were evicted.
        eviction: Why.
        taken: Messages taken.
        in_flight: Of those, how many of the front of what waits are being handled.
        peak: Most that waited at a time.
        pressed: Whether something found no room since the last take.
    """

    offered: int
    refused: int
    evicted: int
    eviction: Refusal
    taken: int
    in_flight: int
    peak: int
    pressed: bool


class Link(ProducerSide):
    """One edge's state; the producer's context offers, the consumer's context takes.

    The consumer's side (``take`` and all that removes from the hold) writes the consumer's
    counters, and hands tokens back on the return ring.

    Args:
        plan: The edge.
        into: The input it ends at.
        name: Of the input: ``node.port``.
        slots: Those of the output it begins at.
        back: The way back for tokens.
        journal: The run's.
    """

    def __init__(
        self,
        plan: EdgePlan,
        into: InputPlan,
        name: str,
        slots: SharedSlots,
        back: ReturnRing,
        journal: Journal,
    ) -> None:
        opened = open_edge(plan.ring, plan.make, plan.policy, journal.clock)
        super().__init__(plan, opened.edge, opened.producer, slots, journal)
        self.into = into
        self.name = name
        self.consumer = opened.consumer
        self.hold: list[Held] = []
        # Of the hold, how many from the front on an earlier step presented.
        self.presented = 0
        self.taken = 0
        self.consumed = 0
        self.dropped: Counter[str] = Counter()
        self.stale = 0
        self._back = back
        self._judges_deadlines = into.requires_deadline or into.drops_late

    # What readiness and batching see.

    @property
    def waiting(self) -> int:
        """Messages in the ring."""
        return len(self.consumer)

    @property
    def held(self) -> int:
        """Messages that the next window shares with an earlier one."""
        return self.presented

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
    def cannot_grow(self) -> bool:
        """Whether waiting for more items is in vain."""
        if self.pressed or self.watermark is Watermark.AT_OR_ABOVE_HARD:
            return True
        return bool(self.staged) and not self._staged_head_fits(self.consumer)

    @property
    def primed(self) -> bool:
        """Whether a latch has a value."""
        return bool(self.hold) or bool(len(self.consumer))

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
    def prefix(self) -> int:
        """New messages that a step would take now."""
        released, length = measure(self.into.batching, self)
        return released + length - self.presented

    @property
    def closing_tick(self) -> Ticks | None:
        """The instant at which time closes the batch that is filling."""
        return closing_tick(self.into.batching, self)

    @property
    def state(self) -> InputState:
        """What readiness and ends of the consumer see."""
        return InputState(
            ready=bool(len(self.consumer)) if self.is_latch else self.is_ready,
            closed=self.consumer.closed,
            primed=self.is_latch and self.primed,
            latch=self.is_latch,
            required=self.into.required,
            feedback=self.plan.is_feedback,
            trigger=self.into.is_trigger,
        )

    def front_deadline_ns(self) -> int | None:
        """Return the effective deadline of the message that would be taken next."""
        if len(self.consumer) == 0:
            return None
        header = self.consumer.header_at(0)
        return self.effective_deadline_ns(header, self.consumer.push_tick_at(0))

    # What may be presented.

    def purge(self) -> bool:
        """Drop what stands in front and may not be presented; whether anything did."""
        if not (self._judges_deadlines or self.limited) and self.into.freshness.is_none:
            return False
        purged = False
        while self.hold and not self.into.freshness.delivers and self._is_stale(self.hold[0]):
            self.drop(Unfit.STALE)
            purged = True
        while len(self.consumer):
            front = Held(
                self.consumer.try_peek_at(0),
                self.consumer.header_at(0),
                self.consumer.push_tick_at(0),
            )
            reason = self._why_unfit(front)
            if reason is None:
                break
            self.take()
            self.drop(reason, len(self.hold) - 1)
            purged = True
        return purged

    def is_infeasible(self, held: Held) -> bool:
        """Whether the node's budget reaches past a message's deadline."""
        deadline_ns = self.effective_deadline_ns(held.header, held.pushed)
        if deadline_ns is None:
            return False
        return self._journal.now_ns + self.into.budget_ns > deadline_ns + self.plan.slack_ns

    def lateness_ns(self, held: Held) -> int | None:
        """Return how long ago a message's deadline was, negative ahead of it; None without one."""
        deadline_ns = self.effective_deadline_ns(held.header, held.pushed)
        return None if deadline_ns is None else self._journal.now_ns - deadline_ns

    def message(self, held: Held) -> Message:
        """Begin to read a message of the hold; ``manager.end_read`` ends it."""
        message = self.manager.begin_read(held.token)
        if held.header is message.header:
            return message
        return Message(held.header, message.payload)

    def _is_stale(self, held: Held) -> bool:
        header, freshness = held.header, self.into.freshness
        if header.max_age_ns is None and freshness.is_none:
            return False
        now, clock = self._journal.tick, self._journal.clock
        age = now - header.creation_tick
        span = now - header.origin_tick
        return is_stale(freshness, age, span, clock.ticks_to_nanos(age), header.max_age_ns)

    def _why_unfit(self, held: Held) -> Unfit | None:
        """Return why a message that was never presented may not be."""
        stale = not self.into.freshness.delivers and self._is_stale(held)
        if self.is_latch or not self._judges_deadlines:
            return Unfit.STALE if stale else None
        return why_unfit(
            stale=stale,
            deadline_ns=self.effective_deadline_ns(held.header, held.pushed),
            now_ns=self._journal.now_ns,
            slack_ns=self.plan.slack_ns,
            require=self.into.requires_deadline,
            drops_late=self.into.drops_late,
            budget_ns=self.into.budget_ns,
        )

    def _mark_stale(self, place: int) -> None:
        """Flag what is handed over although it is stale, in the consumer's view; once each."""
        held = self.hold[place]
        if not self.into.freshness.delivers or not self._is_stale(held):
            return
        if held.header is self.manager.peek_header(held.token):
            self.stale += 1
            self._violated(ViolationKind.STALE_DELIVERED, held)
            marked = held.header.with_flags(held.header.flags | MessageFlags.STALE)
            self.hold[place] = held._replace(header=marked)

    # What the consumer does.

    def take(self) -> Held:
        """Move the front of the ring into the hold."""
        header, pushed = self.consumer.header_at(0), self.consumer.push_tick_at(0)
        self.hold.append(Held(self.consumer.try_pop(), header, pushed))
        self.taken += 1
        self.pressed = False
        self._journal.note(self.plan.name, "take", header.sequence)
        return self.hold[-1]

    def take_marked(self) -> Held:
        """Move the front of the ring into the hold, flagged if it is stale and delivered."""
        self.take()
        self._mark_stale(len(self.hold) - 1)
        return self.hold[-1]

    def take_prefix(self) -> None:
        """Take what the batching grants now, behind what the hold keeps of the last window.

        What may not be presented is dropped on the way, and the batch goes out short.
        """
        released, length = measure(self.into.batching, self)
        fresh = released + length - self.presented
        for _ in range(released):
            self.consume()
        place = 0
        while place < len(self.hold):
            if not self.into.freshness.delivers and self._is_stale(self.hold[place]):
                self.drop(Unfit.STALE, place)
            else:
                self._mark_stale(place)
                place += 1
        for _ in range(fresh):
            reason = self._why_unfit(self.take())
            if reason is not None:
                self.drop(reason, len(self.hold) - 1)
            else:
                self._mark_stale(len(self.hold) - 1)

    def refresh(self) -> bool:
        """Move a latch's newer value into the hold, where it replaces the older; whether any."""
        newer = len(self.consumer) > 0
        if newer:
            if self.hold:
                self.consume()
            self.take()
            self.presented = 1
        if self.hold:
            self._mark_stale(0)
        return newer

    def consume(self) -> None:
        """Account for the front of the hold as consumed, and hand it back."""
        self._hand_back(self.hold.pop(0).token, 0)
        self.consumed += 1

    def drop(self, reason: str, place: int = 0) -> None:
        """Account for a message of the hold as dropped, and hand it back.

        Args:
            reason: As the decision log names it.
            place: In the hold; the front if not given.
        """
        held = self.hold.pop(place)
        self._journal.note(self.plan.name, "drop", held.header.sequence, reason)
        self._hand_back(held.token, place)
        self.dropped[str(reason)] += 1
        self._journal.lost(Loss.DROPPED, self.name, reason, held.header.sequence)
        if isinstance(reason, Unfit):
            self._violated(ViolationKind(reason.value), held)
        # What a stop gives up is no surprise, and a note of the report counts it; and the token of
        # a loop always stays behind when what feeds the loop has ended.
        elif reason != "stopped" and not (self.plan.is_feedback and reason == "unpaired"):
            self._warn(self.dropped, str(reason), "dropped")

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
        while len(self.consumer):
            self.take()
            self.drop(reason)
        self.give_up_staged(refusal)

    # What another executor keeps of it for a while.

    def lend(self, *, in_slots: bool) -> list[tuple[MessageHeader, object, Ticks]]:
        """Hand over all that waits, oldest first, to who goes on with it until ``take_back``.

        Args:
            in_slots: Whether payloads stay in their slots: the tokens are handed over instead.
        """
        waiting: list[tuple[MessageHeader, object, Ticks]] = []
        while len(self.consumer):
            header, pushed = self.consumer.header_at(0), self.consumer.push_tick_at(0)
            token = self.consumer.try_pop()
            if in_slots:
                waiting.append((header, token, pushed))
                continue
            with self.manager.read(token) as message:
                waiting.append((header, message.payload, pushed))
            self.slots.drop(token)
        return waiting

    def take_back(
        self,
        waiting: Iterable[tuple[MessageHeader, object, Ticks]],
        done: Handled,
        *,
        in_slots: bool,
    ) -> None:
        """Take over again what waits, and count what was done meanwhile.

        Args:
            waiting: Oldest first.
            done: What happened to the edge since ``lend``.
            in_slots: Whether payloads lie in their slots: waiting are tokens instead.

        Raises:
            LifecycleError: The edge is none of our own rings.
        """
        ring = self.edge
        if not isinstance(ring, Ring):
            raise LifecycleError(f"{type(ring).__qualname__} takes nothing back")
        for header, payload, pushed in waiting:
            token = self._taken_back(header, payload, in_slots=in_slots)
            ring.put_back(token, header, pushed)
            self.last_push = pushed
        self.offered += done.offered
        self.pushed += done.offered - done.refused
        if done.refused:
            self.refused[Refusal.FULL] += done.refused
        if done.evicted:
            self.evicted[done.eviction] += done.evicted
        self.taken += done.taken
        self.consumed += done.taken - done.in_flight
        self.peak = max(self.peak, done.peak)
        self.pressed = done.pressed
        used = self.plan.policy.caps.max_items + 1 if done.refused or done.evicted else done.peak
        if not in_slots:
            self.manager.raise_peak(used)
        for _ in range(min(done.in_flight, len(self.consumer))):
            header, pushed = self.consumer.header_at(0), self.consumer.push_tick_at(0)
            self.hold.append(Held(self.consumer.try_pop(), header, pushed))

    def _taken_back(
        self, header: MessageHeader, payload: object, *, in_slots: bool
    ) -> MessageToken:
        if not in_slots:
            token = self.manager.store(Message(header, payload))
        elif isinstance(payload, int):
            token = MessageToken(payload)
            self.manager.rename(token, header)
        else:
            raise TypeError(f"{payload!r} is no token")
        if not in_slots or len(self.slots.returns) == 1:
            self.slots.lend(token, 1)
        return token

    def _hand_back(self, token: MessageToken, place: int) -> None:
        self._back.give_back(token)
        if place < self.presented:
            self.presented -= 1

    def _violated(self, kind: ViolationKind, held: Held) -> None:
        header = held.header
        lateness_ns = self.lateness_ns(held)
        if kind in (ViolationKind.STALE, ViolationKind.STALE_DELIVERED):
            ahead = header.creation_tick > self._journal.tick
            # Of a message whose creation lies ahead, only what went into it can be too old.
            age = self._journal.tick - (header.origin_tick if ahead else header.creation_tick)
            amount_ns = self._journal.clock.ticks_to_nanos(age)
        else:
            amount_ns = max(lateness_ns or 0, 0)
        self._journal.violated(kind, self.name, header.sequence, amount_ns=amount_ns)

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
            refused=by_name(self.refused),
            taken=self.taken,
            evicted=by_name(self.evicted),
            ring=len(self.consumer),
            peak=self.peak,
        )

    def input_statistics(self) -> InputStatistics:
        """Return the counts of the input that the edge ends at."""
        limit = self.into.freshness.max_age
        return InputStatistics(
            name=self.name,
            taken=self.taken,
            consumed=self.consumed,
            dropped=by_name(self.dropped),
            held=len(self.hold),
            stale=self.stale,
            max_age_ns=None if limit is None else self._journal.clock.ticks_to_nanos(limit),
        )
